#include "tests/cuda/emulator/demo/demo.hpp"

namespace folio::FOLIO_CUDA::demo {
namespace {

constexpr int kTile = 32, kRows = 8;

// Each block reads and writes a tile of 32 × 32 by rows of 32 threads; the 33rd column keeps its banks apart.
template <typename T>
__global__ void __launch_bounds__(kTile* kRows)
    transpose_kernel(const T* __restrict__ x, T* __restrict__ out, std::int64_t rows, std::int64_t columns) {
  SHARED(T, tile, [kTile][kTile + 1]);
  const std::int64_t row0 = std::int64_t{blockIdx.y} * kTile, column0 = std::int64_t{blockIdx.x} * kTile;
  const std::int64_t column = column0 + threadIdx.x;
  for (unsigned r = threadIdx.y; r < kTile && row0 + r < rows; r += kRows) {
    if (column < columns) tile[r][threadIdx.x] = x[(row0 + r) * columns + column];
  }
  __syncthreads();
  const std::int64_t row = row0 + threadIdx.x;
  for (unsigned c = threadIdx.y; c < kTile && column0 + c < columns; c += kRows) {
    if (row < rows) out[(column0 + c) * rows + row] = tile[threadIdx.x][c];
  }
}

}  // namespace

template <typename T>
void transpose(const T* x, T* out, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(blocks_for(columns, kTile)), static_cast<unsigned>(blocks_for(rows, kTile)));
  launch(transpose_kernel<T>, grid, dim3(kTile, kRows), 0, stream, x, out, rows, columns);
}

template void transpose(const float*, float*, std::int64_t, std::int64_t, cudaStream_t);
template void transpose(const double*, double*, std::int64_t, std::int64_t, cudaStream_t);
template void transpose(const bfloat16*, bfloat16*, std::int64_t, std::int64_t, cudaStream_t);

}  // namespace folio::FOLIO_CUDA::demo
