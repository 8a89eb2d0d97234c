// y = factor·x where a mask says so, 0 elsewhere
#include "autograd/ops/mask.hpp"

#include "autograd/cpu/elementwise.hpp"
#include "autograd/fault.hpp"

namespace folio {

void cpu::apply_mask(const Tensor& mask, bool kept, double factor, const Tensor& x, Tensor& y) {
  visit_compute(y.dtype(), [&](auto type) {
    visit_index(mask.dtype(), [&](auto tag) {
      using T = decltype(type);
      using M = decltype(tag);
      map_elements<T>(
          y,
          [kept, factor = static_cast<T>(factor)](const auto& mask, const auto& x) {
            return ((mask != M{0}) == kept).select(factor * x, T{0});
          },
          As<M>{mask}, x);
    });
  });
}

namespace {

/// The mask of each element's neighbour: a fault that tests plant.
Tensor shifted(const Tensor& mask) {
  const Tensor flat = mask.detach().reshape({mask.numel()});
  Tensor moved = flat.clone();
  if (mask.numel() < 2) return mask;
  moved.slice(0, 1, mask.numel()).copy_from(flat.slice(0, 0, mask.numel() - 1));
  moved.slice(0, 0, 1).copy_from(flat.slice(0, mask.numel() - 1, mask.numel()));
  return moved.reshape(mask.shape());
}

}  // namespace

Tensor mask_for(const Tensor& x) {
  return Tape::current() != nullptr && x.requires_grad() ? empty(x.shape(), {DType::int32, x.device()}) : Tensor();
}

Tensor masked(const Tensor& mask, const Tensor& x, double factor, bool kept) {
  Tensor y = empty_like(x);
  kernel::apply_mask(fault::active(fault::Point::shift_mask) ? shifted(mask) : mask, kept, factor, x, y);
  return y;
}

}  // namespace folio
