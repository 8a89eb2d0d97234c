#pragma once
// One piece of work or more per registered op, at the sizes that the op meets in a preset's training step. The benchmarks
// are a loop over this table; what an op costs is not said here but reckoned by autograd/cost.hpp.
#include <functional>
#include <string>
#include <vector>

#include "autograd/autograd.hpp"
#include "examples/presets.hpp"
#include "tests/bench/place.hpp"

namespace folio::bench {

/// A preset as it is measured there: on a CPU, the large ones with 4 windows a step, which fit into memory; with the
/// place's settings, of which a wrong one is an Error.
examples::Preset measured_preset(const std::string& name, const Place& place);

/// What a training step of a preset hands to its ops, by the names of nn/config.hpp.
struct Sizes {
  DeepSeekConfig model;
  std::int64_t batch;

  std::int64_t tokens() const { return batch * model.context; }
  std::int64_t rows() const { return tokens() * model.num_active_experts; }  ///< of all experts together
  Shape stream() const { return {batch, model.context, model.hidden_size}; }
  Shape heads(std::int64_t width) const { return {batch, model.context, model.num_attention_heads, width}; }
  Shape logits() const { return {tokens(), model.vocab_size}; }
};

/// Where inputs are drawn from.
class Source {
 public:
  /// They go to the place's device, in its type.
  explicit Source(const Place& place) : device_(place.device), dtype_(place.dtype) {}

  Tensor normal(const Shape& shape) { return placed(randn(shape, generator_)); }
  Tensor positive(const Shape& shape) { return placed(uniform(shape, generator_, 0.5, 2)); }
  /// int32 values in [0, below).
  Tensor indices(const Shape& shape, std::int64_t below);
  RandomStream stream() { return generator_.next_stream(); }

 private:
  Tensor placed(const Tensor& x) const { return x.to(dtype_).to(device_); }

  Device device_;
  DType dtype_;
  Generator generator_{1};
};

using Function = std::function<Tensors(const Tensors&)>;

/// A call of an op. Its float inputs are those that get gradients.
struct Work {
  std::string name;  ///< which of an op's works it is; empty for the only one
  std::function<Tensors(Source&)> inputs;
  Function f;
};

struct OpWork {
  const char* op;
  std::vector<Work> (*make)(const Sizes&);
};

/// Every op's, in the order of the registry. Filled from autograd/ops.def, so an op without work does not link.
const std::vector<OpWork>& all_work();

}  // namespace folio::bench
