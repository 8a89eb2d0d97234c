#pragma once

namespace folio {

class Entry;
struct Record;

/// What an op asks of the machine, by its shapes: floating-point operations of its matrix products, a multiplication and
/// an addition counted apart (0 for an op that multiplies no matrices), and the bytes that it cannot help moving.
struct Cost {
  double flops = 0;
  double bytes = 0;

  Cost& operator+=(const Cost& other) {
    flops += other.flops;
    bytes += other.bytes;
    return *this;
  }
};

/// Inputs read once and outputs written once.
Cost forward_cost(const Record& record);
/// Output gradients and what was saved read once, and the gradients that are needed written once.
Cost backward_cost(const Entry& entry);

}  // namespace folio
