// y = x·m/(1 − p),  m = 0 with probability p, else 1      dx = dy·m/(1 − p)
// m[i] depends on the stream and on i alone: word i of the stream is at least p·2³².
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/mask.hpp"

namespace folio {

void cpu::dropout_mask(RandomStream stream, double p, Tensor& mask) {
  const auto threshold = static_cast<std::uint64_t>(p * 0x1p32);
  auto* out = mask.ptr<std::int32_t>();
  const std::int64_t n = mask.numel();
  parallel_ranges((n + 3) / 4, 8192, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const auto words = stream.block(static_cast<std::uint64_t>(block));
      for (std::int64_t i = 4 * block; i < std::min(n, 4 * block + 4); ++i) {
        out[i] = words[static_cast<std::size_t>(i % 4)] >= threshold;
      }
    }
  });
}

Tensor dropout(const Tensor& x, double p, RandomStream stream) {
  require_float(x, "dropout");
  require(p >= 0 && p < 1, [&] { return "dropout: p is " + std::to_string(p) + ", it must be in [0, 1)"; });
  if (p == 0) return x;
  Tensor mask = empty(x.shape(), {DType::int32, x.device()}), y = empty_like(x);
  kernel::dropout_mask(stream, p, mask);
  kernel::apply_mask(mask, true, 1 / (1 - p), x, y);
  return record({.op = op::dropout,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {mask},
                 .parameters = p,
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   return {masked(e.saved(0), dy[0], 1 / (1 - e.parameter<double>()))};
                 }});
}

}  // namespace folio
