#pragma once
#include <array>
#include <memory>
#include <mutex>
#include <span>

#include "autograd/host_copy.hpp"
#include "nn/bias_scheme.hpp"
#include "nn/host_mirror.hpp"
#include "nn/router.hpp"
#include "nn/swiglu.hpp"

namespace folio {

/// Gathers the loss terms that layers add to the objective, each with its factor already in it.
struct Auxiliary {
  Tensors terms;
  /// Their sum, undefined if there are none.
  Tensor total() const;
};

/// What one router did since it was last reset.
struct RouterStatistics {
  std::vector<std::int64_t> loads;  ///< (token, choice) pairs per expert
  std::int64_t tokens = 0;
  double entropy = 0;  ///< nats: mean over tokens of −Σ p log p with p = s/Σs, s the unbiased scores
  double max_vio() const { return max_violation(loads); }
};
/// MaxVio averaged over layers; 0 for none.
double mean_max_vio(std::span<const RouterStatistics> layers);

/// The routed experts' weights, stacked, so that one grouped product serves them all.
class Experts : public Module {
 public:
  Experts(const DeepSeekConfig& config, Generator& generator, Options options, double residual_std);

  /// rows (rows, hidden) sorted by expert → the same shape, each row through its expert's SwiGLU.
  Tensor operator()(const Tensor& rows, const Routing& routing) const;

  Tensor gate_up;  ///< (experts, 2·I, hidden): rows 0 … I − 1 are gate, the others up
  Tensor down;     ///< (experts, hidden, I)
};

/// A bias scheme whose state stands in buffers of the same names, float32, of shape (numbers).
class KeptScheme : public Module {
 public:
  KeptScheme(std::unique_ptr<BiasScheme> scheme, Device device);

  /// Moves `bias` by the loads, on from the state in the buffers.
  void update(std::span<float> bias, std::span<const std::int64_t> loads);

 private:
  std::span<float> state_of(const Parameter& buffer);

  std::unique_ptr<BiasScheme> scheme_;
  std::vector<HostMirror> mirrors_;  ///< of its buffers
};

/// Mixture of experts: shared(x) + Σ_{e chosen} weight_e·expert_e(x) (DeepSeek-V3, arXiv 2412.19437, eq. 12–16). Only
/// chosen experts are computed.
class DeepSeekMoE : public Module {
 public:
  DeepSeekMoE(const DeepSeekConfig& config, Generator& generator, Options options = {}, double residual_std = 0.02);

  /// x (B, T, hidden) → the same shape. While training, the sequence-wise balance loss (config.sequence_loss_alpha > 0)
  /// is added to `auxiliary`, if given.
  Tensor operator()(const Tensor& x, Auxiliary* auxiliary = nullptr);
  /// The same for the next tokens of a text that is being written: no statistics are kept.
  Tensor decode(const Tensor& x) const;

  /// Counts since the last reset, kept apart for training and evaluation; these are of the present mode. They are locked,
  /// so that several threads may evaluate one model. A layer whose pass fails has not counted it; those before it have, so
  /// that a model's pass that failed is forgotten by a reset.
  RouterStatistics statistics() const;
  void reset_statistics();

  /// Moves the bias by the loads of all training passes since the last call (one optimizer step, over its
  /// micro-batches), and resets those counts, which it returns. An Error in evaluation; without tokens nothing moves.
  RouterStatistics update_bias();
  /// Another scheme, with what it remembers; before a state that holds that is loaded.
  void set_bias_scheme(std::unique_ptr<BiasScheme> scheme);

  Router gate;
  Experts experts;
  std::unique_ptr<SwiGLU> shared_experts;  ///< one MLP of width num_shared·I equals the sum of separate ones

 private:
  /// Counts of one mode, some of them still on their way from the device.
  struct Counts {
    RouterStatistics total;  ///< its entropy is a sum until it is read
    std::vector<HostCopy> offsets, entropies;
    void drain();
  };
  /// Only with `counting_` locked.
  Counts& counts() { return counts_[training() ? 0 : 1]; }
  /// x (B, T, hidden) as (N, hidden).
  Tensor rows_of(const Tensor& x) const;
  /// What the experts make of the rows (N, hidden).
  Tensor mix(const Tensor& rows, const Gating& gating, const Routing& routing) const;
  /// Σ over tokens of −Σ p log p with p = s/Σs.
  HostCopy entropy_of(const Tensor& scores) const;
  void count(std::int64_t tokens, HostCopy offsets, HostCopy entropy);

  DeepSeekConfig config_;
  std::unique_ptr<KeptScheme> scheme_;
  HostMirror bias_;
  mutable std::mutex counting_;
  mutable std::array<Counts, 2> counts_;
};

}  // namespace folio
