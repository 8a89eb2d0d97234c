// Rows sorted by (expert, token, rank): a counting sort in three launches, each position the same in every run. The
// counts of a chunk of choices by expert pass through memory.
#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {
namespace {

constexpr int chunk = block_threads;  // choices per block

/// counts[chunk, expert]. A choice that is no expert is reported and counts nowhere. Reads 4·n bytes and writes
/// 4·chunks·experts: at so few the launch is the floor, here and of route_place.
__global__ void __launch_bounds__(block_threads)
    route_count(const std::int32_t* chosen, std::int64_t n, std::int32_t experts, std::int32_t* counts, Report bad) {
  std::int32_t* const mine = counts + std::int64_t{blockIdx.x} * experts;
  for (std::int32_t e = static_cast<std::int32_t>(threadIdx.x); e < experts;
       e += static_cast<std::int32_t>(blockDim.x)) {
    mine[e] = 0;
  }
  __syncthreads();
  const std::int64_t i = std::int64_t{blockIdx.x} * chunk + threadIdx.x;
  if (i >= n) return;
  if (chosen[i] >= 0 && chosen[i] < experts) {
    atomicAdd(mine + chosen[i], 1);
  } else {
    complain(bad, Finder::route, i);
  }
}

/// One block: offsets[e] = choices of experts before e, and counts[chunk, e] becomes the first row of that chunk's choices.
/// Moves 12·chunks·experts bytes, but latency binds: a thread goes through the chunks twice, the second time a load, then a
/// store that the next load may not overtake, and one thread adds up the experts. Little at the presets' tens of chunks.
__global__ void __launch_bounds__(block_threads)
    route_scan(std::int32_t* counts, std::int64_t chunks, std::int32_t experts, std::int32_t* offsets) {
  const auto first = static_cast<std::int32_t>(threadIdx.x), step = static_cast<std::int32_t>(blockDim.x);
  for (std::int32_t e = first; e < experts; e += step) {
    std::int32_t total = 0;
    for (std::int64_t c = 0; c < chunks; ++c) total += counts[c * experts + e];
    offsets[e + 1] = total;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    offsets[0] = 0;
    for (std::int32_t e = 0; e < experts; ++e) offsets[e + 1] += offsets[e];
  }
  __syncthreads();
  for (std::int32_t e = first; e < experts; e += step) {
    std::int32_t next = offsets[e];
    for (std::int64_t c = 0; c < chunks; ++c) {
      const std::int32_t here = counts[c * experts + e];
      counts[c * experts + e] = next;
      next += here;
    }
  }
}

/// A choice's row: where its chunk's choices of that expert begin, and how many of them come before it. Reads the
/// choices and writes 8 bytes for each, 12·n bytes.
__global__ void __launch_bounds__(block_threads)
    route_place(const std::int32_t* chosen, std::int64_t n, std::int64_t k, std::int32_t experts,
                const std::int32_t* begins, std::int32_t* token_of_row, std::int32_t* row_of) {
  SHARED(std::int32_t, expert, [chunk]);
  const std::int64_t i = std::int64_t{blockIdx.x} * chunk + threadIdx.x;
  const std::int32_t mine = i < n ? chosen[i] : -1;
  expert[threadIdx.x] = mine;
  __syncthreads();
  if (i >= n) return;
  if (mine < 0 || mine >= experts) {
    row_of[i] = -1;
    return;
  }
  std::int32_t row = begins[std::int64_t{blockIdx.x} * experts + mine];
  for (unsigned j = 0; j < threadIdx.x; ++j) row += expert[j] == mine;
  row_of[i] = row;
  token_of_row[row] = static_cast<std::int32_t>(i / k);
}

}  // namespace

const void* some_kernel() { return reinterpret_cast<const void*>(route_count); }

void entry::route(const Tensor& chosen, Tensor& offsets, Tensor& token_of_row, Tensor& row_of) {
  const std::int64_t n = chosen.numel(), chunks = blocks_for(n, chunk), k = n == 0 ? 1 : chosen.dim(1);
  const auto experts = static_cast<std::int32_t>(offsets.numel() - 1);
  const Tensor counts = empty({chunks, experts}, {DType::int32, chosen.device()});
  const auto* choice = chosen.ptr<std::int32_t>();
  auto* count = counts.ptr<std::int32_t>();
  const int threads = chunks > 1 ? chunk : threads_for(n);
  launch(route_count, chunks, threads, 0, stream(), choice, n, experts, count, report());
  launch(route_scan, 1, threads_for(experts), 0, stream(), count, chunks, experts, offsets.ptr<std::int32_t>());
  begin_copy_to_host(offsets);
  launch(route_place, chunks, threads, 0, stream(), choice, n, k, experts, count, token_of_row.ptr<std::int32_t>(),
         row_of.ptr<std::int32_t>());
}

}  // namespace folio::FOLIO_CUDA
