#include "examples/trainer.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <utility>

#include "autograd/ops.hpp"
#include "autograd/memory.hpp"
#include "autograd/profile.hpp"
#include "autograd/tape.hpp"
#include "examples/optimizer.hpp"

namespace folio::examples {
namespace {

/// Share of targets (B, T) that are the likeliest token of logits (B, T, V).
double accuracy(const Tensor& logits, const Tensor& targets) {
  const std::vector<double> guess = max(logits.detach(), -1).second.to_vector();
  const std::vector<double> truth = targets.to_vector();
  double right = 0;
  for (std::size_t i = 0; i < guess.size(); ++i) right += guess[i] == truth[i] ? 1 : 0;
  return right / static_cast<double>(guess.size());
}

std::vector<std::int64_t> summed_loads(const std::vector<RouterStatistics>& layers) {
  std::vector<std::int64_t> sums;
  for (const RouterStatistics& layer : layers) {
    sums.resize(std::max(sums.size(), layer.loads.size()));
    for (std::size_t e = 0; e < layer.loads.size(); ++e) sums[e] += layer.loads[e];
  }
  return sums;
}

/// What to do where numbers are not finite. (Messages leave out the sign of a NaN, which means nothing.)
std::string calmer(double lr) {
  return fmt::format("; try a lower --lr (the rate was {:.2e}), a longer warmup or a smaller clip (with --set)", lr);
}

}  // namespace

std::optional<Validation> validate(DeepSeekLM& model, const std::vector<std::int32_t>& tokens, std::int64_t batch,
                                   const std::function<bool(std::int64_t, std::int64_t)>& goes_on) {
  const data::SequentialBatches sweep(tokens, batch, model.config().context);
  const Evaluating mode(model);
  model.reset_statistics();
  Validation result;
  const std::int64_t of = (sweep.targets() + model.config().context - 1) / model.config().context;
  bool whole = true;
  for (std::int64_t i = 0; i < sweep.size() && whole; ++i) {
    const data::Batch windows = sweep[i];
    const auto [inputs, targets] = data::to_device(windows, model.options().device);
    const double share = static_cast<double>(windows.batch * windows.context) / static_cast<double>(sweep.targets());
    result.loss += share * model.loss(inputs, targets).item();
    result.windows += windows.batch;
    if (goes_on) whole = goes_on(result.windows, of);
  }
  result.max_vio = mean_max_vio(model.statistics());
  return whole ? std::optional(result) : std::nullopt;
}

Trainer::Trainer(DeepSeekLM& model, const data::Corpus& corpus, const TrainSettings& settings, RunLog& log,
                 std::function<bool()> stopped)
    : model_(model),
      validation_(corpus.validation),
      settings_(settings),
      log_(log),
      stopped_(std::move(stopped)),
      tokens_(corpus.train),
      batches_(batches_of(settings.batch)),
      optimizer_(make_optimizer(model, settings)),
      schedule_(settings.lr_floor < 1
                    ? optim::Schedule::cosine(settings.lr, settings.warmup, settings.steps, settings.lr_floor)
                    : optim::Schedule::constant(settings.lr, settings.warmup)) {
  if (settings.ema_decay > 0) ema_.emplace(model.parameters(), settings.ema_decay);
  if (model.activation_dtype() == DType::float16) scaler_.emplace();
}

data::PrefetchedBatches Trainer::batches_of(std::int64_t windows) const {
  const auto sampling = settings_.sampling == "epochs" ? data::Sampling::epochs : data::Sampling::independent;
  return {data::RandomBatches(tokens_, windows, model_.config().context, settings_.seed, sampling),
          model_.options().device};
}

double Trainer::Figures::loss() const {
  double sum = 0;
  for (const HostCopy& each : losses) sum += 1.0 / static_cast<double>(losses.size()) * each.values().front();
  return sum;
}

bool Trainer::judge(const Figures& f) {
  const double loss = f.loss();
  if (!std::isfinite(loss))
    throw Diverged(fmt::format("step {}: the loss is {}", f.step, std::abs(loss)) + calmer(f.lr));
  const std::string not_finite = f.clipped.not_finite();
  if (!scaler_) {
    require(not_finite.empty(), [&] {
      return fmt::format(
                 "step {}: the loss is {:.4f}, and the gradient of '{}' is not finite and does not reach the weights",
                 f.step, loss, not_finite) +
             calmer(f.lr);
    });
    return true;
  }
  optim::LossScaler& scaler = *scaler_;
  if (scaler.update(not_finite.empty())) return true;
  log_.skipped(f.step, scaler.scale(), scaler.skipped());
  require(scaler.scale() >= 1, [&] {
    return fmt::format("step {}: gradients overflow float16 even with a loss scale of {}: use --dtype bf16", f.step,
                       scaler.scale());
  });
  return false;
}

void Trainer::settle() {
  const std::optional<Figures> figures = std::exchange(unsettled_, std::nullopt);
  if (!figures) return;
  if (!judge(*figures)) optimizer_->set_steps(optimizer_->steps() - 1);
  log_.progress(figures->step, figures->loss());
}

std::vector<HostCopy> Trainer::gradients(std::int64_t n, StepMetrics* logged) {
  std::vector<HostCopy> losses;
  const double share = 1.0 / static_cast<double>(settings_.accumulate);
  ProfileSection part;
  for (std::int64_t micro = 0; micro < settings_.accumulate; ++micro) {
    part.next("batch");
    const auto [inputs, targets] = batches_[(n - 1) * settings_.accumulate + micro];
    part.next("forward");
    Tape tape;
    const LanguageModelLoss loss = model_.losses(inputs, targets);
    settle();  // the step before, whose figures came while this forward pass waited for its experts' loads
    part.next("backward");
    tape.backward(loss.total, full({}, share * loss_scale(), loss.total.options()));
    part.next("metrics");
    losses.emplace_back(loss.cross_entropy);
    if (logged != nullptr) logged->accuracy += share * accuracy(loss.logits, targets);
  }
  return losses;
}

void Trainer::step(std::int64_t n) {
  try {
    try_step(n);
  } catch (const OutOfMemory& e) {
    settle();  // what the step before has to tell goes first
    const std::int64_t fits = largest_batch(e.reach);
    throw Error(fmt::format("step {}: {}; ", n, e.account) +
                (fits < 1 ? "not even one window fits: choose a smaller model or context"
                          : fmt::format("--batch {} would fit", fits)));
  }
}

std::int64_t Trainer::largest_batch(std::size_t reach) {
  const Device device = model_.options().device;
  const auto held_with = [&](std::int64_t windows) -> std::optional<double> {
    optimizer_->zero_grad();
    batches_ = batches_of(windows);
    release_cached_memory(device);
    try {
      StepMetrics metrics;
      gradients(1, &metrics);
      optim::first_not_finite(model_.parameters());
      return static_cast<double>(held_memory(device));
    } catch (const OutOfMemory&) {
      return std::nullopt;
    }
  };
  const auto one = held_with(1), two = held_with(2);
  const std::int64_t less = settings_.batch - 1;
  if (!one || !two) return std::min<std::int64_t>(one ? 1 : 0, less);
  const double each = std::max(*two - *one, 1.0), left = std::max(static_cast<double>(reach) - *two, 0.0);
  std::int64_t fits = std::min(2 + static_cast<std::int64_t>(left / each), less);
  while (fits > 2 && !held_with(fits)) fits -= (fits + 15) / 16;
  return fits;
}

void Trainer::try_step(std::int64_t n) {
  const auto start = std::chrono::steady_clock::now();
  StepMetrics metrics;
  metrics.step = n;
  const bool swept = settings_.due(settings_.validate_every, n);
  const bool logged = n == 1 || settings_.due(settings_.log_every, n) || swept;
  std::vector<HostCopy> losses = gradients(n, logged ? &metrics : nullptr);
  ProfileSection part;
  part.next("clip");
  metrics.lr = schedule_(n - 1);
  optimizer_->set_lr(metrics.lr);
  Figures figures{n, metrics.lr, std::move(losses),
                  optim::clip_by_global_norm(model_.parameters(), settings_.clip, loss_scale())};
  // On a GPU the host does not wait for figures that nobody is to see: the device itself keeps what is not finite from the
  // weights, and the next step tells.
  const bool now = logged || model_.options().device == Device::cpu;
  part.next("optimizer");
  if (!now || judge(figures))
    optimizer_->step(figures.clipped);
  else
    optimizer_->zero_grad();
  if (ema_) {
    part.next("average");
    ema_->update();
  }
  part.next("router bias");
  const std::vector<RouterStatistics> routers = model_.update_router_bias();
  part.end();
  if (n == 1 && settings_.steps > 1) Profile::forget_warm_up();
  window_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  window_tokens_ += settings_.batch * settings_.accumulate * model_.config().context;
  if (now) log_.progress(n, figures.loss());
  if (logged || settings_.due(settings_.sample_every, n)) require_finite_weights(n);
  if (!logged) {
    if (!now) unsettled_ = std::move(figures);
    return;
  }
  metrics.loss = figures.loss();
  metrics.grad_norm = figures.clipped.norm();
  metrics.max_vio = mean_max_vio(routers);
  metrics.expert_counts = summed_loads(routers);
  metrics.tokens_per_s = static_cast<double>(window_tokens_) / window_seconds_;
  std::optional<Validation> validation;
  if (swept) {
    validation = with_averages([&] {
      return validate(model_, validation_, settings_.batch, [&](std::int64_t windows, std::int64_t of) {
        log_.sweeping(windows, of);
        return !stopped_();
      });
    });
    if (validation && !std::isfinite(validation->loss))
      throw Diverged(fmt::format("step {}: the validation loss is {}", n, std::abs(validation->loss)) +
                     calmer(metrics.lr));
  }
  log_.step(metrics, validation);
  window_seconds_ = 0;
  window_tokens_ = 0;
}

void Trainer::require_finite_weights(std::int64_t n) const {
  std::string bad = optim::first_not_finite(model_.parameters());
  if (bad.empty()) bad = optim::first_not_finite(model_.buffers());
  if (!bad.empty())
    throw Diverged(fmt::format("step {}: '{}' is not finite", n, bad) +
                   calmer(schedule_(std::max<std::int64_t>(n, 1) - 1)));
}

}  // namespace folio::examples
