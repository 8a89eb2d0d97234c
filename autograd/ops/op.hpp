#pragma once
// What the op files share. Not a public header.
#include "autograd/kernels.hpp"
#include "autograd/ops.hpp"
#include "autograd/tape.hpp"

namespace folio {

/// The one broadcast reduction: sums `gradient` over the dimensions along which an input of `shape` was expanded.
Tensor unbroadcast(const Tensor& gradient, const Shape& shape);

/// The shape of x with an extent of 1 for each of `dims`, or for all where none are named.
Shape reduced_shape(const Tensor& x, const Dims& dims, const char* op);
/// The values of sum(x, dims, keep), unrecorded, in the dtype of x or in the one that x is computed in. The kernels
/// read x as it is; of 16-bit floats nothing is rounded before the end.
Tensor sum_into(DType dtype, const Tensor& x, const Dims& dims, bool keep);

/// Views of x that nobody records: under another shape, of as many elements (a packed copy where the layout does not allow
/// that), and with the last two of its dimensions, which it must have, swapped.
Tensor reshaped(const Tensor& x, const Shape& shape);
Tensor transposed(const Tensor& x);
/// (…, d) as (rows, d), likewise.
Tensor as_rows(const Tensor& x);

/// x cut off from the tape, its last dimension at stride 1: the tensor itself where it is so, else a packed copy.
Tensor unit_inner(const Tensor& x);
/// (…, d) as (rows, d), the last dimension at stride 1: a view where the layout allows, else a packed copy.
Tensor unit_rows(const Tensor& x);

/// The weight that an op on x multiplies: in the dtype of x, unrecorded.
Tensor weight_for(const Tensor& x, const Tensor& weight);

/// Where an op keeps statistics of x: on its device, in the dtype that it is computed in.
Options statistics_options(const Tensor& x);

/// Checks that both are float tensors of one dtype.
void require_same_float(const Tensor& a, const Tensor& b, const char* op);
/// Checks that a weight has the dtype of x, or is float32 beside an x of 16 bits: a master weight, which takes part as it
/// is and gets its gradient in float32.
void require_weight(const Tensor& x, const Tensor& weight, const char* op);
void require_float(const Tensor& x, const char* op);
void require_index(const Tensor& x, const char* op);

}  // namespace folio
