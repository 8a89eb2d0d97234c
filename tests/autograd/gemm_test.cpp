// The seam of matrix products: every provider gives the product, whatever the layout, and providers agree.
#include "autograd/cpu/gemm.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "autograd/cpu/gemm_onednn.hpp"
#include "autograd/cpu/gemv.hpp"
#include "autograd/error.hpp"
#include "autograd/random.hpp"
#include "tests/shares.hpp"
#include "tests/using_provider.hpp"

namespace folio::testing {
namespace {

using cpu::Matrix;
using cpu::Product;

/// How far a row begins from the one before it: its width, more, half of it (windows that slide over one row), or
/// nothing (one row repeated, as expand does).
enum class Rows { packed, apart, far_apart, overlapping, repeated };

std::int64_t stride_of(Rows rows, std::int64_t width) {
  switch (rows) {
    case Rows::packed: return width;
    case Rows::apart: return width + 1;
    case Rows::far_apart: return width + 16;
    case Rows::overlapping: return width / 2;
    case Rows::repeated: return 0;
  }
  return width;
}

struct Layout {
  bool transposed = false;
  Rows rows = Rows::packed;
};

/// A matrix of whole numbers from −8 to 8 in a buffer of its own, so that float32 products of them are exact. Between its
/// rows stands NaN, and behind it, but for the address sanitizer, for which the buffer ends with the matrix.
template <class T>
struct Stored {
  std::vector<T> values;
  std::int64_t row_stride, column_stride;

  Stored(std::int64_t rows, std::int64_t columns, Layout layout, RandomStream stream)
      : row_stride(layout.transposed ? 1 : stride_of(layout.rows, columns)),
        column_stride(layout.transposed ? stride_of(layout.rows, rows) : 1) {
    if (rows == 0 || columns == 0) return;
#ifdef __SANITIZE_ADDRESS__
    const std::int64_t behind = 0;
#else
    const std::int64_t behind = row_stride + column_stride + 64;
#endif
    values.resize(static_cast<std::size_t>((rows - 1) * row_stride + (columns - 1) * column_stride + 1 + behind),
                  convert_to<T>(std::nan("")));
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        const std::int64_t at = i * row_stride + j * column_stride;
        values[static_cast<std::size_t>(at)] = convert_to<T>(std::floor(17 * stream.uniform(at)) - 8);
      }
    }
  }
  double at(std::int64_t i, std::int64_t j) const {
    return convert_to<double>(values[static_cast<std::size_t>(i * row_stride + j * column_stride)]);
  }
  Matrix<const T> matrix() const { return {values.data(), row_stride, column_stride}; }
};

/// −0, which a single product of 0 is, equals 0, which a sum that begins with 0 is; NaN stands for what is not there.
template <class T>
bool same_numbers(const std::vector<T>& a, const std::vector<T>& b) {
  const auto same = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  return std::ranges::equal(a, b, same, convert_to<double, T>, convert_to<double, T>);
}

struct Sizes {
  std::int64_t m, n, k;
};

/// Mostly odd sizes, sometimes whole blocks, sometimes ones and zeros.
Sizes draw_sizes() {
  const auto extent = [] {
    return *rc::gen::weightedOneOf<std::int64_t>(
        {{6, rc::gen::inRange<std::int64_t>(0, 40)},
         {3, rc::gen::map(rc::gen::inRange<std::int64_t>(1, 6), [](auto x) { return 64 * x; })},
         {1, rc::gen::inRange<std::int64_t>(200, 1100)}});
  };
  return {extent(), extent(), extent()};
}

/// The product by every provider against plain sums; whole numbers, so equal.
template <class T, class Out = T>
void check_product(Sizes s, Layout la, Layout lb, Rows rows_of_c, bool accumulate, bool whole, std::uint64_t seed) {
  Generator generator(seed);
  const Stored<T> a(s.m, s.k, la, generator.next_stream()), b(s.k, s.n, lb, generator.next_stream());
  const Stored<Out> before(s.m, s.n, {.rows = rows_of_c}, generator.next_stream());
  std::vector<Out> wanted = before.values;
  for (std::int64_t i = 0; i < s.m; ++i) {
    for (std::int64_t j = 0; j < s.n; ++j) {
      double sum = accumulate ? before.at(i, j) : 0;
      for (std::int64_t l = 0; l < s.k; ++l) sum += a.at(i, l) * b.at(l, j);
      wanted[static_cast<std::size_t>(i * before.row_stride + j)] = convert_to<Out>(sum);
    }
  }
  for (GemmProvider provider : gemm_providers()) {
    const Using chosen(provider);
    Stored<Out> c = before;
    const Product<T, Out> product = {s.m,       s.n, s.k, a.matrix(), b.matrix(), {c.values.data(), c.row_stride, 1},
                                     accumulate};
    if (whole) {
      cpu::multiply_all<T, Out>(std::span(&product, 1));
    } else {
      cpu::multiply(product);
    }
    RC_ASSERT(same_numbers(c.values, wanted));  // the padding between rows included
  }
}

Layout draw_layout() {
  const auto rows = rc::gen::weightedElement<Rows>(
      {{4, Rows::packed}, {2, Rows::apart}, {2, Rows::far_apart}, {1, Rows::overlapping}, {1, Rows::repeated}});
  return {*rc::gen::arbitrary<bool>(), *rows};
}

/// A few rows or columns, of all lengths around those of a processor's vectors.
Sizes draw_vector_sizes() {
  const auto extent = [] { return *rc::gen::arbitrary<bool>() ? between(1, 40) : between(60, 400); };
  const Sizes rows = {*rc::gen::arbitrary<bool>() ? 1 : between(2, cpu::most_vectors), extent(), extent()};
  return *rc::gen::arbitrary<bool>() ? rows : Sizes{rows.n, rows.m, rows.k};
}

/// Leaves NaN in all that the calling thread keeps from one product of vectors to the next.
template <class T, class Out>
void fill_scratch() {
  constexpr std::int64_t vectors = cpu::most_vectors, k = 500, n = 2 * vectors;
  const std::vector<T> x(vectors * k, convert_to<T>(std::nan(""))), w(k * n);
  std::vector<Out> y(vectors * n);
  for (const Matrix<const T> layout : {Matrix<const T>{w.data(), n, 1}, Matrix<const T>{w.data(), 1, k}}) {
    cpu::multiply<T, Out>({vectors, n, k, {x.data(), k, 1}, layout, {y.data(), n, 1}});
  }
}

template <class T, class Out = T>
void check_vector(Shares& shares, std::uint64_t seed) {
  const Sizes s = draw_vector_sizes();
  const Layout a = draw_layout(), b = draw_layout();
  const Rows rows_of_c = *rc::gen::element(Rows::packed, Rows::apart, Rows::far_apart);
  const bool add = *rc::gen::arbitrary<bool>(), whole = *rc::gen::arbitrary<bool>();
  const bool are_rows = s.m < s.n;
  shares.note("rows times a matrix", are_rows, 30);
  shares.note("whose rows are summed", are_rows ? !b.transposed : a.transposed, 30);
  shares.note("whose columns are dotted", are_rows ? b.transposed : !a.transposed, 30);
  shares.note("a single one", std::min(s.m, s.n) == 1, 30);
  shares.note("several", std::min(s.m, s.n) > 1, 30);
  shares.note("no whole vectors", s.k % 4 != 0 && std::max(s.m, s.n) % 4 != 0, 30);
  shares.note("strided vectors", s.k > 1 && (are_rows ? a.transposed : !b.transposed), 30);
  shares.note("accumulating", add, 30);
  shares.note("cut into tiles", whole && s.m * s.n * s.k > 1 << 14, 2);
  fill_scratch<T, Out>();
  check_product<T, Out>(s, a, b, rows_of_c, add, whole, seed);
}

/// A product of a few vectors computed whole and in two parts is the same bits.
template <class T, class Out = T>
void check_parts_of_vectors(Shares& shares, std::uint64_t seed) {
  const std::int64_t vectors = between(1, cpu::most_vectors), k = between(1, 200);
  const std::int64_t rows = between(2 * vectors + 2, 200), first = between(vectors + 1, rows - vectors - 1);
  const bool are_rows = *rc::gen::arbitrary<bool>(), dots = *rc::gen::arbitrary<bool>();
  shares.note("rows times a matrix", are_rows, 30);
  shares.note("whose elements are dot products", dots, 30);
  shares.note("of several vectors", vectors > 1, 50);
  Generator generator(seed);
  const auto drawn = [&](std::int64_t count) {
    const RandomStream stream = generator.next_stream();
    std::vector<T> values;
    for (std::int64_t i = 0; i < count; ++i) values.push_back(convert_to<T>(stream.uniform(i) - 0.5));
    return values;
  };
  const std::vector<T> matrix = drawn(rows * k), given = drawn(vectors * k);
  const Matrix<const T> w = {matrix.data(), dots ? k : 1, dots ? 1 : rows}, x = {given.data(), k, 1};
  const auto multiply = [&](std::int64_t from, std::int64_t to, std::vector<Out>& y) {
    Out* out = y.data() + (are_rows ? from : from * vectors);
    if (are_rows) return cpu::multiply<T, Out>({vectors, to - from, k, x, w.at(from, 0).transposed(), {out, rows, 1}});
    cpu::multiply<T, Out>({to - from, vectors, k, w.at(from, 0), x.transposed(), {out, vectors, 1}});
  };
  std::vector<Out> whole(static_cast<std::size_t>(rows * vectors)), parts = whole;
  multiply(0, rows, whole);
  multiply(0, first, parts);
  multiply(first, rows, parts);
  RC_ASSERT(same_numbers(whole, parts));
}

template <class T, class Out = T>
void check_any_layout(Shares& shares, std::uint64_t seed) {
  const Sizes s = draw_sizes();
  const Layout a = draw_layout(), b = draw_layout();
  const Rows rows_of_c = *rc::gen::element(Rows::packed, Rows::apart, Rows::far_apart);
  const bool add = *rc::gen::arbitrary<bool>(), whole = *rc::gen::arbitrary<bool>();
  const auto either = [&](Rows rows) { return a.rows == rows || b.rows == rows; };
  shares.note("of whole blocks", s.m % 64 == 0 && s.k % 64 == 0 && s.m * s.n * s.k > 0, 3);
  shares.note("beyond a block", std::min({s.m, s.n, s.k}) > 0 && std::max({s.m, s.n, s.k}) > 64, 40);
  shares.note("zero-size", s.m * s.n * s.k == 0, 3);
  shares.note("transposed", a.transposed || b.transposed, 50);
  shares.note("with rows repeated", either(Rows::repeated), 8);
  shares.note("with rows overlapping", either(Rows::overlapping), 8);
  shares.note("with padded rows", either(Rows::apart) || either(Rows::far_apart), 40);
  shares.note("accumulating", add, 30);
  check_product<T, Out>(s, a, b, rows_of_c, add, whole, seed);
}

FOLIO_PROPERTY(Gemm, IsTheSumOfProductsWithEveryProviderForAnyLayout) { check_any_layout<float>(shares, seed); }
FOLIO_PROPERTY(Gemm, Bfloat16ProductsAreSummedInFloat32AndRoundedOnce) { check_any_layout<bfloat16>(shares, seed); }
FOLIO_PROPERTY(Gemm, Bfloat16ProductsIntoFloat32) { check_any_layout<bfloat16, float>(shares, seed); }
FOLIO_PROPERTY(Gemm, Float16ProductsAreSummedInFloat32AndRoundedOnce) { check_any_layout<float16>(shares, seed); }
FOLIO_PROPERTY(Gemm, Float16ProductsIntoFloat32) { check_any_layout<float16, float>(shares, seed); }

FOLIO_PROPERTY(GemmOfVectors, IsTheSumOfProductsForAnyLayout) { check_vector<float>(shares, seed); }
FOLIO_PROPERTY(GemmOfVectors, InFloat64) { check_vector<double>(shares, seed); }
FOLIO_PROPERTY(GemmOfVectors, InBfloat16) { check_vector<bfloat16>(shares, seed); }
FOLIO_PROPERTY(GemmOfVectors, InBfloat16IntoFloat32) { check_vector<bfloat16, float>(shares, seed); }
FOLIO_PROPERTY(GemmOfVectors, InFloat16) { check_vector<float16>(shares, seed); }
FOLIO_PROPERTY(GemmOfVectors, InFloat16IntoFloat32) { check_vector<float16, float>(shares, seed); }
FOLIO_PROPERTY(GemmOfVectors, InPartsIsTheSameBits) {
  check_parts_of_vectors<float>(shares, seed);
  check_parts_of_vectors<bfloat16, float>(shares, seed);
  check_parts_of_vectors<float16, float>(shares, seed);
}

/// Vectors of ones times a matrix of ones but for an infinity at the end of a column.
template <class T>
void check_infinity_of_vectors() {
  for (const std::int64_t k : {1, 2, 31, 33, 65, 257}) {
    for (const std::int64_t n : {9, 16, 33, 48, 200}) {
      for (const bool transposed : {false, true}) {
        std::vector<T> w(static_cast<std::size_t>(k * n), convert_to<T>(1.0F));
        const Matrix<T> matrix = {w.data(), transposed ? 1 : n, transposed ? k : 1};
        *matrix.at(k - 1, 5).data = convert_to<T>(INFINITY);
        for (std::int64_t vectors = 1; vectors <= cpu::most_vectors; ++vectors) {
          const std::vector<T> x(static_cast<std::size_t>(vectors * k), convert_to<T>(1.0F));
          std::vector<float> y(static_cast<std::size_t>(vectors * n));
          cpu::multiply<T, float>(
              {vectors, n, k, {x.data(), k, 1}, {w.data(), matrix.row_stride, matrix.column_stride}, {y.data(), n, 1}});
          for (std::int64_t i = 0; i < vectors * n; ++i) {
            ASSERT_EQ(y[static_cast<std::size_t>(i)], i % n == 5 ? INFINITY : static_cast<float>(k))
                << vectors << " x " << n << " of " << k << (transposed ? ", dots" : ", rows");
          }
        }
      }
    }
  }
}

TEST(GemmOfVectors, AnInfinityIsThatOfItsColumnAlone) {
  check_infinity_of_vectors<float>();
  check_infinity_of_vectors<bfloat16>();
  check_infinity_of_vectors<float16>();
}

TEST(Gemm, NotANumberReachesItsRowAndColumnWithEveryProvider) {
  for (GemmProvider provider : gemm_providers()) {
    const Using chosen(provider);
    for (const std::int64_t n : {7, 64, 129}) {
      const auto size = static_cast<std::size_t>(n * n);
      std::vector<float> a(size, 1), b(size, 0), c(size, 1);
      a[static_cast<std::size_t>(2 * n + 3)] = std::nanf("");
      b[static_cast<std::size_t>(4 * n + 5)] = INFINITY;
      cpu::multiply<float>({n, n, n, {a.data(), n, 1}, {b.data(), n, 1}, {c.data(), n, 1}});
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = 0; j < n; ++j) {
          const float value = c[static_cast<std::size_t>(i * n + j)];
          if (i == 2) {
            EXPECT_TRUE(std::isnan(value)) << name_of(provider) << " " << n;
          } else {
            EXPECT_EQ(value, j == 5 ? INFINITY : 0.0F) << name_of(provider) << " " << n;
          }
        }
      }
    }
  }
}

TEST(Gemm, ManyShapesDoNotPileUpPrimitives) {
  for (std::int64_t i = 1; i <= 700; ++i) {
    check_product<float>({64, i, 64}, {}, {.transposed = i % 2 == 0}, Rows::packed, i % 3 == 0, false,
                         static_cast<std::uint64_t>(i));
  }
}

TEST(Gemm, AProductThatOneDNNRefusesIsAnErrorThatNamesItsShape) {
  if (!cpu::has_onednn) return;  // what stands in its place refuses every product
  std::vector<float> values(1);
  const Matrix<const float> x = {values.data(), 1, 1};
  try {
    cpu::multiply_onednn(Product<float>{-64, 5, 64, x, x, {values.data(), 1, 1}});
    FAIL() << "oneDNN multiplied a matrix of -64 rows";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("(-64, 64)·(64, 5)"), std::string::npos) << e.what();
  }
}

TEST(Gemm, AProviderThatIsNotThereIsAClearError) {
  EXPECT_THROW(set_gemm_provider("blas"), Error);
  if (gemm_providers().size() == 1) {
    EXPECT_THROW(set_gemm_provider(GemmProvider::onednn), Error);
  }
  for (GemmProvider provider : gemm_providers()) {
    const Using chosen(provider);
    EXPECT_EQ(gemm_provider(), provider);
  }
}

}  // namespace
}  // namespace folio::testing
