#include "tests/cuda/emulator/demo/demo.hpp"

#include <cmath>
#include <numeric>

#include "tests/cuda/emulator/device_array.hpp"
#include "tests/cuda/emulator/draw.hpp"

// Kernels that are right give the right answer for every shape, order and seed; each of their barriers is needed.
namespace folio::cuda_emulated {
namespace {

using testing::DeviceArray;
using testing::draw_between;
using testing::draw_order;
using testing::draw_whole_numbers;
using testing::Shares;

template <typename T>
void check_add(Shares& shares, std::uint64_t seed) {
  draw_order(shares, seed);
  const int n = draw_between(0, 3000), shift = draw_between(0, 3);
  shares.note("of several blocks", n > 256, 60);
  shares.note("from the middle of a pack", shift > 0, 40);
  const auto a = draw_whole_numbers<T>(n + shift), b = draw_whole_numbers<T>(n + shift);
  const DeviceArray<T> da(a), db(b), dc(a.size());
  demo::add(da.data() + shift, db.data() + shift, dc.data() + shift, n, nullptr);
  const auto c = dc.host();
  for (int i = shift; i < n + shift; ++i) {
    RC_ASSERT(static_cast<double>(static_cast<Accumulator<T>>(c[i])) ==
              static_cast<double>(static_cast<Accumulator<T>>(a[i])) +
                  static_cast<double>(static_cast<Accumulator<T>>(b[i])));
  }
}
FOLIO_PROPERTY(Demo, AddsFloats) { check_add<float>(shares, seed); }
FOLIO_PROPERTY(Demo, AddsDoubles) { check_add<double>(shares, seed); }
FOLIO_PROPERTY(Demo, AddsBfloat16s) { check_add<bfloat16>(shares, seed); }
FOLIO_PROPERTY(Demo, AddsFloat16s) { check_add<float16>(shares, seed); }

template <typename T>
bool sums_are_right(int rows, int columns, int threads, const std::vector<T>& x) {
  const DeviceArray<T> in(x);
  const DeviceArray<Accumulator<T>> out(static_cast<std::size_t>(rows));
  demo::sum_rows(in.data(), out.data(), rows, columns, threads, nullptr);
  const auto sums = out.host();
  for (int r = 0; r < rows; ++r) {
    Accumulator<T> sum = 0;
    for (int c = 0; c < columns; ++c) sum += static_cast<Accumulator<T>>(x[r * columns + c]);
    if (sums[r] != sum) return false;  // whole numbers: exact in any order
  }
  return true;
}

template <typename T>
void check_sum_rows(Shares& shares, std::uint64_t seed) {
  draw_order(shares, seed);
  const int rows = draw_between(0, 5), columns = draw_between(0, 300), threads = 32 * draw_between(1, 12);
  shares.note("of several rows", rows > 1, 50);
  shares.note("with several elements for a thread", rows > 0 && columns > threads, 15);
  shares.note("with fewer elements than threads", rows > 0 && columns < threads, 30);
  shares.note("of several warps", threads > 32, 60);
  const bool right = sums_are_right(rows, columns, threads, draw_whole_numbers<T>(rows * columns));
  RC_ASSERT(right);
}
FOLIO_PROPERTY(Demo, SumsRowsOfFloats) { check_sum_rows<float>(shares, seed); }
FOLIO_PROPERTY(Demo, SumsRowsOfDoubles) { check_sum_rows<double>(shares, seed); }
FOLIO_PROPERTY(Demo, SumsRowsOfBfloat16s) { check_sum_rows<bfloat16>(shares, seed); }

bool softmax_is_right(int rows, int columns, int threads, const std::vector<double>& x) {
  const DeviceArray<double> in(x), out(x.size());
  demo::softmax_rows(in.data(), out.data(), rows, columns, threads, nullptr);
  const auto y = out.host();
  for (int r = 0; r < rows; ++r) {
    double sum = 0;
    for (int c = 0; c < columns; ++c) sum += std::exp(x[r * columns + c]);
    for (int c = 0; c < columns; ++c) {
      const double expected = std::exp(x[r * columns + c]) / sum;
      if (!(std::abs(y[r * columns + c] - expected) <= 1e-12 * expected)) return false;
    }
  }
  return true;
}
FOLIO_PROPERTY(Demo, SoftmaxOfRows) {
  draw_order(shares, seed);
  const int rows = draw_between(0, 4), columns = draw_between(1, 200), threads = 32 * draw_between(1, 8);
  shares.note("of several rows", rows > 1, 40);
  shares.note("with several elements for a thread", rows > 0 && columns > threads, 15);
  shares.note("of several warps", threads > 32, 60);
  const bool right = softmax_is_right(rows, columns, threads, draw_whole_numbers<double>(rows * columns));
  RC_ASSERT(right);
}

template <typename T>
bool transpose_is_right(int rows, int columns, const std::vector<T>& x) {
  const DeviceArray<T> in(x), out(x.size());
  demo::transpose(in.data(), out.data(), rows, columns, nullptr);
  const auto y = out.host();
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      if (static_cast<float>(y[c * rows + r]) != static_cast<float>(x[r * columns + c])) return false;
    }
  }
  return true;
}
template <typename T>
void check_transpose(Shares& shares, std::uint64_t seed) {
  draw_order(shares, seed);
  const int rows = draw_between(0, 100), columns = draw_between(0, 100);
  shares.note("of several blocks", rows > 32 && columns > 32, 20);
  shares.note("of tiles that are not full", rows * columns > 0 && (rows % 32 != 0 || columns % 32 != 0), 60);
  const bool right = transpose_is_right(rows, columns, draw_whole_numbers<T>(rows * columns));
  RC_ASSERT(right);
}
FOLIO_PROPERTY(Demo, TransposesFloats) { check_transpose<float>(shares, seed); }
FOLIO_PROPERTY(Demo, TransposesBfloat16s) { check_transpose<bfloat16>(shares, seed); }

std::vector<double> ramp(int n, int from = -5) {
  std::vector<double> x(n);
  for (int i = 0; i < n; ++i) x[i] = (i * 7 + i / 64 * 3) % 11 + from;
  return x;
}

/// The cases that the deletion of a barrier must fail: more than one warp, and a reduction used twice.
bool all_right() {
  return sums_are_right(3, 200, 256, ramp(600)) && softmax_is_right(3, 200, 256, ramp(600, -20)) &&
         transpose_is_right(70, 40, ramp(2800));
}

TEST(BarrierDeletion, EveryBarrierOfTheDemosIsNeeded) {
  reset_barrier_sites();
  ASSERT_TRUE(all_right());
  const auto sites = barrier_sites();
  ASSERT_EQ(sites.size(), 3u);
  for (const BarrierSite& site : sites) {
    const DeletedBarrier deleted(site);
    int caught = 0;
    std::string by;
    for (const Order order : all_orders) {
      int here = 0;
      for (int seed = 0; seed < 5; ++seed) {
        set_order(order, seed);
        here += !all_right();
      }
      caught += here;
      by += std::string(" ") + name_of(order) + " " + std::to_string(here) + "/5";
    }
    set_order(Order::in_order);
    std::printf("%s:%u deleted, caught:%s\n", site.file.c_str(), site.line, by.c_str());
    EXPECT_GT(caught, 0) << site.file << ":" << site.line;
  }
  EXPECT_TRUE(all_right()) << "the barriers stand again";
}

}  // namespace
}  // namespace folio::cuda_emulated
