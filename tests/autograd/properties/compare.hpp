#pragma once
// What the properties share: running a function forward and back, and comparing what came of it.
#include <string>

#include "tests/autograd/properties/property.hpp"

namespace folio::testing {

/// What a function gave: outputs, and the gradients of its inputs, undefined where none was asked for and zeros where
/// none came. Everything is cut off from the tape.
struct Run {
  Tensors outputs;
  Tensors gradients;
};

/// For each input, whether it takes part: float inputs only.
using Needs = std::vector<bool>;
Needs all_floats(const Tensors& inputs);

/// f at these inputs and its vector-Jacobian product with `cotangents`, one for each output, undefined for index outputs.
/// The inputs become leaves as they are, whatever their layout. Backward finds `results`, where given, in place of what f
/// gave: packed outputs of the same types, which ops may have saved; those on another device than the CPU stay.
Run vjp(const Function& f, const Tensors& inputs, const Tensors& cotangents, const Needs& needs,
        const Tensors& results = {});
inline Run vjp(const Function& f, const Tensors& inputs, const Tensors& cotangents) {
  return vjp(f, inputs, cotangents, all_floats(inputs));
}
/// f with no tape.
Tensors evaluate(const Function& f, const Tensors& inputs);

/// Standard normal tensors like the float outputs, in their dtype and place.
Tensors random_cotangents(const Tensors& outputs, Draw& draw);
/// The same with whole multiples of 1/64 within ±2: sums and doubles of them are exact, in float32 too.
Tensors dyadic_cotangents(const Tensors& outputs, Draw& draw);

/// Makes the float inputs float32 in half of the trials: the CPU's matrix products go another way there.
void draw_dtype(Trial& trial);

/// 1e-11 times the largest value at hand; 1e-5 where float32 took part. Two ways to one float64 number differ by rounding
/// in another order, which costs √n·1e-16 for sums of n terms of one size; a wrong formula differs by far more. A gradient
/// may be the difference of numbers as large as the cotangents, and next to nothing (dy − Σ p·dy where all dy are equal):
/// of two such, the largest cotangent counts among the values at hand.
double rounding(const Tensors& inputs, const Tensors& outputs);

/// Empty if a and b have one shape and dtype, and differ by no more than `relative` times the largest magnitude in
/// either, or `floor`; otherwise where they differ most.
std::string difference(const Tensor& a, const Tensor& b, double relative, double floor = 0);
/// The same, element by element equal (NaN equals NaN).
std::string inequality(const Tensor& a, const Tensor& b);

/// Throws Refuted, naming what was compared.
void expect_close(const Tensors& a, const Tensors& b, double relative, const std::string& what, double floor = 0);
void expect_equal(const Tensors& a, const Tensors& b, const std::string& what);
void expect(bool holds, const std::string& what);

/// The largest magnitude among the elements; of float tensors only where there are several.
double largest(const Tensor& x);
double largest(const Tensors& xs);

}  // namespace folio::testing
