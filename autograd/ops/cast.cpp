// y = x in another dtype      dx = dy in x's dtype
#include <algorithm>

#include "autograd/cpu/indices.hpp"
#include "autograd/cpu/parallel.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::convert(const Tensor& x, Tensor& y) {
  visit_any(x.dtype(), [&](auto from) {
    visit_any(y.dtype(), [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      if constexpr (!std::is_floating_point_v<To>) {
        for (std::int64_t i = 0; i < x.numel(); ++i) converted<To>(x.ptr<From>()[i], i, "cast");
      }
      parallel_ranges(x.numel(), 32768, [&](std::int64_t begin, std::int64_t end) {
        std::transform(x.ptr<From>() + begin, x.ptr<From>() + end, y.ptr<To>() + begin,
                       [](From value) { return static_cast<To>(value); });
      });
    });
  });
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = empty(x.shape(), {dtype, x.device()});
  kernel::convert(x, y);
  if (!is_float(dtype)) return y;
  return record(
      {.op = op::cast,
       .inputs = {x},
       .outputs = {y},
       .parameters = x.dtype(),
       .backward = [](const Entry& e, const Tensors& dy) -> Tensors { return {cast(dy[0], e.parameter<DType>())}; }});
}

}  // namespace folio
