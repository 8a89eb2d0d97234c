// A packed copy, or the tensor itself where it is packed already.      dx = dy
#include <bit>
#include <cstring>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

namespace {

static_assert(std::endian::native == std::endian::little, "fill takes the low bytes of a word");

}  // namespace

void cpu::copy(const Tensor& x, Tensor& y) {
  visit_bits(y.dtype(), [&](auto bits) {
    map_elements<decltype(bits)>(
        y, [](const auto& x) { return x; }, x);
  });
}

void cpu::fill(double value, Tensor& y) {
  std::uint64_t bits = 0;
  visit_any(y.dtype(), [&](auto tag) {
    const auto element = convert_to<decltype(tag)>(value);
    std::memcpy(&bits, &element, sizeof element);
  });
  visit_bits(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    map_elements<T>(
        y,
        [value = static_cast<T>(bits)](const auto& before) {
          return Eigen::Array<T, Eigen::Dynamic, 1>::Constant(before.size(), value);
        },
        y);
  });
}

Tensor contiguous(const Tensor& x) {
  if (x.is_contiguous()) return x;
  return record({.op = op::contiguous,
                 .inputs = {x},
                 .outputs = {x.clone()},
                 .backward = [](const Entry&, const Tensors& dy) -> Tensors { return {dy[0]}; }});
}

}  // namespace folio
