// y = x·r·w,  r = 1/√(mean x² + eps)      dx = r·(dy·w − x·r·mean(dy·w·x·r)),  dw = Σ_rows dy·x·r
#include <algorithm>
#include <cmath>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

constexpr std::int64_t rows_per_task = 64;  // also the rows whose part of dw is summed before the parts are

}  // namespace

void cpu::rms_norm(const Tensor& x, const Tensor& weight, double eps, Tensor& y, Tensor& r) {
  visit_compute(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t rows = x.dim(0), d = x.dim(1), row_stride = x.strides()[0];
    if (d == 0) return r.fill(0);
    const detail::Elements<T> from(x), to(y);
    RowBuffer<T> w_buffer(d);
    const Row<T> w(detail::Elements<T>(weight).read(0, 1, d, w_buffer.data()), d);
    parallel_ranges(rows, rows_per_task, [&](std::int64_t begin, std::int64_t end) {
      RowBuffer<T> in_buffer(d), out_buffer(d);
      for (std::int64_t i = begin; i < end; ++i) {
        const Row<T> in(from.read(i * row_stride, 1, d, in_buffer.data()), d);
        const T scale = 1 / std::sqrt(in.square().sum() / static_cast<T>(d) + static_cast<T>(eps));
        T* out = to.target(i * d, 1, out_buffer.data());
        MutableRow<T>(out, d) = in * scale * w;
        to.write(out, i * d, 1, d);
        r.ptr<T>()[i] = scale;
      }
    });
  });
}

void cpu::rms_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& r, Tensor& dx,
                            Tensor& dw) {
  visit_compute(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t rows = x.dim(0), d = x.dim(1);
    if (d == 0) return;
    const detail::Elements<T> from(x), upstream(dy), to(dx), to_w(dw);
    const std::int64_t blocks = (rows + rows_per_task - 1) / rows_per_task;
    RowBuffer<T> parts = RowBuffer<T>::Zero(dw.defined() ? blocks * d : 0);
    RowBuffer<T> w_buffer(d);
    const Row<T> w(detail::Elements<T>(weight).read(0, 1, d, w_buffer.data()), d);
    parallel_for(blocks, [&](std::int64_t block) {
      RowBuffer<T> in_buffer(d), g_buffer(d), out_buffer(d);
      for (std::int64_t i = block * rows_per_task; i < std::min(rows, (block + 1) * rows_per_task); ++i) {
        const Row<T> in(from.read(i * x.strides()[0], 1, d, in_buffer.data()), d);
        const Row<T> g(upstream.read(i * dy.strides()[0], 1, d, g_buffer.data()), d);
        const T scale = r.ptr<T>()[i];
        if (dx.defined()) {
          const T along = (g * w * (in * scale)).sum() / static_cast<T>(d);
          T* out = to.target(i * d, 1, out_buffer.data());
          MutableRow<T>(out, d) = (g * w - in * scale * along) * scale;
          to.write(out, i * d, 1, d);
        }
        if (dw.defined()) MutableRow<T>(parts.data() + block * d, d) += g * in * scale;
      }
    });
    if (!dw.defined()) return;
    T* out = to_w.target(0, 1, w_buffer.data());
    MutableRow<T> total(out, d);
    total.setZero();
    for (std::int64_t block = 0; block < blocks; ++block) total += Row<T>(parts.data() + block * d, d);
    to_w.write(out, 0, 1, d);
  });
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  require_weight(x, weight, "rms_norm");
  require(x.rank() >= 1 && weight.rank() == 1 && x.dim(-1) == weight.dim(0), [&] {
    return "rms_norm: input " + to_string(x.shape()) + " and weight " + to_string(weight.shape()) +
           " do not fit: needs (…, d) and (d)";
  });
  require(std::isfinite(eps) && eps >= 0,
          [&] { return "rms_norm: eps is " + std::to_string(eps) + ", it must be a number of at least 0"; });
  const Tensor rows = unit_rows(x);  // (rows, d)
  Tensor y = empty(x.shape(), x.options());
  Tensor r = empty({rows.dim(0)}, statistics_options(x));
  kernel::rms_norm(rows, detail::packed(weight), eps, y, r);
  return record({.op = op::rms_norm,
                 .inputs = {x, weight},
                 .outputs = {y},
                 .saved = {x, weight, r},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx, dw;
                   if (e.needs(0)) dx = empty(e.input_shape(0), dy[0].options());
                   if (e.needs(1)) dw = empty(e.input_shape(1), e.inputs[1]->options);
                   kernel::rms_norm_backward(unit_rows(dy[0]), unit_rows(e.saved(0)), contiguous(e.saved(1)),
                                             e.saved(2), dx, dw);
                   return {dx, dw};
                 }});
}

}  // namespace folio
