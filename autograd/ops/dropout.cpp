// y = x·m/(1 − p),  m = 0 with probability p, else 1      dx = dy·m/(1 − p)
// m[i] depends on the stream and on i alone: word i of the stream is at least p·2³². Backward draws it again.
#include "autograd/cpu/elementwise.hpp"
#include "autograd/fault.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

struct Draws {
  RandomStream stream;
  double p;
};

}  // namespace

void cpu::dropout(RandomStream stream, double p, const Tensor& x, Tensor& y) {
  const auto threshold = static_cast<std::uint32_t>(p * 0x1p32);
  visit_compute(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const detail::Elements<T> in(x), out(y);
    const T factor = static_cast<T>(1 / (1 - p));
    const std::int64_t n = x.numel();
    static_assert(detail::chunk % 4 == 0);
    const auto drop = [&](std::int64_t begin, std::int64_t end) {
      alignas(64) std::array<std::uint32_t, detail::chunk> words;
      alignas(64) std::array<T, detail::chunk> read, result;
      for (std::int64_t at = begin * detail::chunk; at < std::min(n, end * detail::chunk); at += detail::chunk) {
        const std::int64_t length = std::min(detail::chunk, n - at);
        stream.blocks(static_cast<std::uint64_t>(at / 4),
                      std::span(words).first(static_cast<std::size_t>((length + 3) / 4 * 4)));
        const T* given = in.read(at, 1, length, read.data());
        T* target = out.target(at, 1, result.data());
        for (std::int64_t i = 0; i < length; ++i)
          target[i] = words[static_cast<std::size_t>(i)] >= threshold ? factor * given[i] : T{0};
        out.write(target, at, 1, length);
      }
    };
    parallel_ranges((n + detail::chunk - 1) / detail::chunk, detail::task / detail::chunk, drop);
  });
}

Tensor dropout(const Tensor& x, double p, RandomStream stream) {
  require_float(x, "dropout");
  require(p >= 0 && p < 1, [&] { return "dropout: p is " + std::to_string(p) + ", it must be in [0, 1)"; });
  if (p == 0) return x;
  Tensor y = empty_like(x);
  kernel::dropout(stream, p, x, y);
  return record({.op = op::dropout,
                 .inputs = {x},
                 .outputs = {y},
                 .parameters = Draws{stream, p},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   auto [stream, p] = e.parameter<Draws>();
                   if (fault::active(fault::Point::shift_mask)) ++stream.stream;
                   Tensor dx = empty_like(dy[0]);
                   kernel::dropout(stream, p, dy[0], dx);
                   return {dx};
                 }});
}

}  // namespace folio
