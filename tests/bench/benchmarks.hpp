#pragma once
#include <benchmark/benchmark.h>

#include <functional>
#include <string>

#include "autograd/cost.hpp"
#include "tests/bench/place.hpp"

namespace folio::bench {

/// Counters of a benchmark that did `cost` in `seconds`: GFLOP/s and the share of the matrix-product ceiling where it
/// multiplies matrices, else GB/s and the share of copy bandwidth; 0 for a view. What fits into cache may pass 1.
void set_rate(benchmark::State& state, const Place& place, const Cost& cost, double seconds);

/// Counts rate / ceiling, where that could be measured.
void set_share(benchmark::State& state, double rate, double ceiling);

/// Adds a benchmark. An Error that it throws is what it reports, and failed_benchmarks() counts it.
benchmark::internal::Benchmark* add_benchmark(const std::string& name, std::function<void(benchmark::State&)> run);
int failed_benchmarks();

/// op/OP[/WORK]/PRESET/forward and …/backward, for every op of the registry. `place` must outlive the run, here and below.
void register_ops(const std::string& preset, const Place& place);

/// The kernels that no op records, in GB/s: update/adamw/PRESET, …/sgd, …/muon, …/ema (the average of the weights) and …/clip (norms
/// and factor) over all parameters of a model, and routing/PRESET/sort: counts, prefix sums and permutation of the choices.
/// None in 16 bits: parameters are float32, choices int32.
void register_updates(const std::string& preset, const Place& place);

/// step/PRESET: batch, forward, backward, clipping, the preset's optimizer and router bias, with tokens/s, model FLOPs
/// (6 × active parameters × tokens) and the most bytes that tensors took.
void register_step(const std::string& preset, const Place& place);

/// growth/PRESET/KEY:VALUE: the same with one of batch, context, layers, width, experts and, on the CPU, threads halved
/// and doubled.
void register_growth(const std::string& preset, const Place& place);

/// decode/PRESET/position:N: one token with the latent cache, behind N − 1 others. Its rate is that of reading the active
/// parameters, of which an untied embedding is a row, and its share that of copy bandwidth.
void register_decode(const std::string& preset, const Place& place);

/// routing/PRESET/expert_wise and …/token_wise: the routed experts of one layer, forward, rows grouped by expert or, on the
/// CPU, each token's experts one after another.
void register_routing(const std::string& preset, const Place& place);

}  // namespace folio::bench
