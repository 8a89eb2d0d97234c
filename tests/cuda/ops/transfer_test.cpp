// Copies between the host and the emulated device: what memory they pin.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "autograd/autograd.hpp"
#include "cuda/emulated/control.hpp"
#include "tests/cuda/ops/under_test.hpp"

namespace folio {
namespace {

/// More than may be pinned at once, behind kernels that keep the device busy: the host must wait for memory that an
/// earlier piece came through.
TEST(CudaTransfers, ALargeCopyComesThroughBoundedPinnedMemory) {
  constexpr std::int64_t mebibyte = std::int64_t{1} << 20, count = 130 * mebibyte / 4;
  Tensor x = empty({count}, {DType::int32});
  auto* const values = x.mutable_data<std::int32_t>();
  std::iota(values, values + count, 0);
  ones({1}, {DType::float32, under_test::device}).item();  // whose complaints have pinned memory of their own
  const std::size_t before = cuda_emulated::memory_statistics().pinned_bytes;
  for (int order = 0; order < under_test::orders; ++order) {
    under_test::set_order(order, 1);
    Tensor busy = zeros({8}, {DType::float32, under_test::device});
    for (int i = 0; i < 100; ++i) busy.fill(i);
    cuda_emulated::reset_host_waits();
    const Tensor there = x.to(under_test::device);
    EXPECT_TRUE(cuda_emulated::host_waits().contains("cudaEventSynchronize"));
    const Tensor back = there.to(Device::cpu);
    EXPECT_TRUE(std::equal(values, values + count, back.data<std::int32_t>())) << "order " << order;
  }
  EXPECT_LE(cuda_emulated::memory_statistics().pinned_bytes - before, static_cast<std::size_t>(128 * mebibyte));
}

}  // namespace
}  // namespace folio
