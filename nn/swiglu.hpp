#pragma once
#include "nn/linear.hpp"

namespace folio {

/// down(silu(gate x) · up x): (…, width) → (…, width); Shazeer 2020.
class SwiGLU : public Module {
 public:
  SwiGLU(std::int64_t width, std::int64_t hidden, Generator& generator, Options options = {}, double std = 0.02,
         double residual_std = 0.02)
      : gate(width, hidden, generator, options, std),
        up(width, hidden, generator, options, std),
        down(hidden, width, generator, options, residual_std) {
    add_child("gate", gate);
    add_child("up", up);
    add_child("down", down);
  }

  Tensor operator()(const Tensor& x) const { return down(swiglu(gate(x), up(x))); }

  Linear gate, up, down;
};

}  // namespace folio
