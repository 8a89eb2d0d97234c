#pragma once
#include <string>

#include "autograd/error.hpp"
#include "cuda/emulated/vectors.hpp"

namespace folio::cuda_emulated {

enum class FaultKind {
  launch,     ///< a launch that the hardware would refuse
  barrier,    ///< threads of one block that do not meet at one barrier; barriers are told apart by their lines
  warp,       ///< a shuffle, vote or __syncwarp whose lanes, masks or operations do not match
  memory,     ///< an address or copy outside the memory it should be in
  alignment,  ///< a vector load or store, or an atomic, at an address that is no multiple of its size
  race,       ///< two accesses with no order between them, one of them a write (race build)
  exception,  ///< a C++ exception that left a kernel
};

/// What a kernel or a runtime call did wrong, in one line: kernel, block, thread, file:line, what, and with whom.
class Fault : public Error {
 public:
  Fault(FaultKind fault_kind, const std::string& message) : Error(message), kind_(fault_kind) {}
  FaultKind kind() const { return kind_; }

 private:
  FaultKind kind_;
};

}  // namespace folio::cuda_emulated
