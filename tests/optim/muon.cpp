#include "optim/muon.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "optim/newton_schulz.hpp"
#include "tests/optim/support.hpp"

namespace folio::optim {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Matrix i of a stack (…, rows, columns).
Matrix matrix_of(const std::vector<double>& values, std::int64_t i, std::int64_t rows, std::int64_t columns) {
  return Eigen::Map<const Matrix>(values.data() + i * rows * columns, rows, columns);
}

/// The iteration as it is published.
Matrix newton_schulz(Matrix x, int iterations) {
  const bool tall = x.rows() > x.cols();
  if (tall) x.transposeInPlace();
  x /= x.norm() + 1e-7;
  for (int i = 0; i < iterations; ++i) {
    const Matrix a = x * x.transpose(), b = -4.7750 * a + 2.0315 * (a * a);
    x = (3.4445 * x + b * x).eval();
  }
  if (tall) x.transposeInPlace();
  return x;
}

double greatest_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

struct Extents {
  std::int64_t matrices, rows, columns;
};
const std::vector<Extents> many_extents = {{1, 48, 48}, {1, 96, 40}, {1, 40, 96}, {5, 24, 33}, {4, 70, 17}, {3, 1, 9}};

TEST(Orthogonalized, HasTheSingularVectorsOfItsArgumentAndValuesNearOne) {
  Generator generator(3);
  for (const auto& [matrices, rows, columns] : many_extents) {
    const Tensor x = randn({matrices, rows, columns}, generator);
    for (const DType products : {DType::float32, DType::bfloat16, DType::float16}) {
      const double slack = products == DType::float32 ? 0 : 0.03;
      const Tensor y = orthogonalized(x, 5, products);
      ASSERT_EQ(y.shape(), x.shape());
      ASSERT_EQ(y.dtype(), DType::float32);
      for (std::int64_t i = 0; i < matrices; ++i) {
        const Matrix before = matrix_of(x.to_vector(), i, rows, columns),
                     after = matrix_of(y.to_vector(), i, rows, columns);
        const Eigen::JacobiSVD<Eigen::MatrixXd> svd(before, Eigen::ComputeThinU | Eigen::ComputeThinV);
        const Eigen::VectorXd& s = svd.singularValues();
        Eigen::MatrixXd between = svd.matrixU().transpose() * after * svd.matrixV();
        for (Eigen::Index k = 0; k < s.size(); ++k) {
          // Of a square matrix the smallest value may be too far below the others to be lifted in five iterations.
          if (s[k] > 0.02 * s[0]) {
            EXPECT_GT(between(k, k), 0.68 - slack) << rows << " × " << columns;
          }
          EXPECT_LT(between(k, k), 1.21 + slack) << rows << " × " << columns;
          between(k, k) = 0;
        }
        EXPECT_LT(between.cwiseAbs().maxCoeff(), products == DType::float32 ? 2e-5 : 0.05) << name_of(products);
      }
    }
  }
}

TEST(Orthogonalized, IsThePublishedIteration) {
  Generator generator(4);
  for (const auto& [matrices, rows, columns] : many_extents) {
    for (const std::int64_t iterations : {1, 2, 5}) {
      const Tensor x = scale(randn({matrices, rows, columns}, generator, {DType::float64}), 1e-3);
      const auto exact = orthogonalized(x, iterations, DType::float64).to_vector();
      std::vector<double> expected;
      for (std::int64_t i = 0; i < matrices; ++i) {
        const Matrix y = newton_schulz(matrix_of(x.to_vector(), i, rows, columns), static_cast<int>(iterations));
        expected.insert(expected.end(), y.data(), y.data() + y.size());
      }
      EXPECT_LT(greatest_distance(exact, expected), 1e-11) << rows << " × " << columns;
      const auto near = orthogonalized(x.to(DType::float32), iterations, DType::float32).to_vector();
      EXPECT_LT(greatest_distance(near, exact), 2e-5) << rows << " × " << columns;
    }
  }
}

TEST(Orthogonalized, LeavesZerosAndNothingAsTheyAre) {
  EXPECT_EQ(orthogonalized(zeros({2, 3, 4}), 5, DType::float32).to_vector(), std::vector<double>(24, 0));
  EXPECT_EQ(orthogonalized(zeros({0, 3, 4}), 5, DType::float32).shape(), Shape({0, 3, 4}));
}

TEST(Orthogonalized, RefusesWhatItCannotTake) {
  EXPECT_NE(error_of([] { orthogonalized(ones({3, 4}), 5, DType::float32); }).find("needs float32"), std::string::npos);
  EXPECT_NE(error_of([] {
              orthogonalized(ones({1, 3, 4}), 5, DType::float64);
            }).find("products in float64"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              orthogonalized(ones({1, 3, 4}), 0, DType::float32);
            }).find("iterations is 0"),
            std::string::npos);
}

Parameter matrices(const std::string& name, const Tensor& value, std::int64_t rows, bool decays = true) {
  Parameter p = parameter(name, value, decays);
  p.matrix_rows = rows;
  return p;
}

/// A tall and a wide matrix, a stack of pairs, one that does not decay, and two parameters for AdamW.
Parameters mixed_parameters(DType dtype) {
  Generator generator(11);
  return {matrices("wide", randn({6, 11}, generator, {dtype}), 6),
          parameter("table", randn({9, 4}, generator, {dtype}), false),
          matrices("pairs", randn({3, 10, 7}, generator, {dtype}), 5),
          matrices("tall", randn({12, 5}, generator, {dtype}), 12, false),
          matrices("like wide", randn({6, 11}, generator, {dtype}), 6),
          parameter("vector", randn({5}, generator, {dtype}))};
}

/// The formulas of muon.hpp, a parameter at a time.
class PlainMuon {
 public:
  PlainMuon(const Parameter& p, const MuonOptions& o) : p_(p), o_(o), u_(static_cast<std::size_t>(p.value.numel())) {}

  void step(std::vector<double>& w, const std::vector<double>& g, double factor, double lr) {
    const std::int64_t rows = rows_together(), columns = p_.value.dim(-1);
    const double m = static_cast<double>(rows), n = static_cast<double>(columns);
    const double scale =
        o_.scale == MuonScale::as_adamw ? 0.2 * std::sqrt(std::max(m, n)) : std::sqrt(std::max(1.0, m / n));
    std::vector<double> d(u_.size());
    for (std::size_t i = 0; i < d.size(); ++i) {
      u_[i] = o_.momentum * u_[i] + factor * g[i];
      d[i] = o_.nesterov ? factor * g[i] + o_.momentum * u_[i] : u_[i];
    }
    for (std::int64_t i = 0; i < p_.value.numel() / (rows * columns); ++i) {
      const Matrix update = newton_schulz(matrix_of(d, i, rows, columns), static_cast<int>(o_.iterations));
      for (std::int64_t j = 0; j < rows * columns; ++j) {
        double& x = w[static_cast<std::size_t>(i * rows * columns + j)];
        x -= lr * ((p_.decays ? o_.weight_decay * x : 0) + scale * update.data()[j]);
      }
    }
  }

 private:
  std::int64_t rows_together() const {
    std::int64_t rows = p_.matrix_rows;
    if (o_.block_rows == 0 || std::min(rows, p_.value.dim(-1)) <= o_.block_rows) return rows;
    for (std::int64_t b = (o_.block_rows + 1) / 2; b <= o_.block_rows; ++b)
      if (p_.matrix_rows % b == 0) rows = b;
    return rows;
  }

  Parameter p_;
  MuonOptions o_;
  std::vector<double> u_;
};

double distance_from_plain(DType dtype, const MuonOptions& options) {
  Parameters parameters = mixed_parameters(dtype), others;
  for (const Parameter& p : parameters) {
    if (p.matrix_rows == 0) others.push_back(parameter(p.name, p.value, p.decays));
  }
  auto expected = values_of(parameters);
  std::vector<PlainMuon> plain;
  for (const Parameter& p : parameters) plain.emplace_back(p, options);
  Muon muon(parameters, options);
  AdamW adam(others, options.others);
  double worst = 0;
  for (int t = 1; t <= 4; ++t) {
    const double factor = 1.0 / (1 + t), part = 1.0 / t;
    muon.set_lr(options.others.lr * part);
    adam.set_lr(options.others.lr * part);
    set_gradients(parameters, static_cast<std::uint64_t>(t));
    std::size_t other = 0;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const Tensor g = parameters[i].value.grad();
      if (parameters[i].matrix_rows > 0) {
        plain[i].step(expected[i], g.to_vector(), factor, options.lr * part);
      } else {
        others[other++].value.set_grad(g);
      }
    }
    muon.step(factor);
    adam.step(factor);
    const auto actual = values_of(parameters), theirs = values_of(others);
    other = 0;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const bool is_matrix = parameters[i].matrix_rows > 0;
      if (is_matrix) {
        worst = std::max(worst, greatest_distance(actual[i], expected[i]));
      } else {
        EXPECT_EQ(actual[i], theirs[other++]) << parameters[i].name;
      }
    }
  }
  return worst;
}

TEST(Muon, IsItsFormulaForMatricesAndAdamWForTheRest) {
  const AdamWOptions others = {.lr = 0.1, .weight_decay = 0.3};
  for (const MuonOptions& options :
       std::vector<MuonOptions>{{.lr = 0.05, .weight_decay = 0.5, .others = others},
                                {.lr = 0.05, .nesterov = false, .weight_decay = 0, .others = others},
                                {.lr = 0.02, .momentum = 0.8, .scale = MuonScale::spectral, .others = others},
                                {.lr = 0.02, .momentum = 0, .nesterov = false, .iterations = 3, .others = others},
                                {.lr = 0.05, .block_rows = 3, .others = others},
                                {.lr = 0.05, .block_rows = 4, .others = others},
                                {.lr = 0.05, .block_rows = 6, .scale = MuonScale::spectral, .others = others}}) {
    EXPECT_LT(distance_from_plain(DType::float64, options), 1e-12);
    EXPECT_LT(distance_from_plain(DType::float32, options), 2e-5);
  }
}

TEST(Muon, MovesInProductsOf16BitsAsFarAsInFloat32) {
  for (const DType products : {DType::bfloat16, DType::float16}) {
    EXPECT_LT(distance_from_plain(DType::float32, {.lr = 0.01, .products = products}), 2e-3) << name_of(products);
    EXPECT_GT(distance_from_plain(DType::float32, {.lr = 0.01, .products = products}), 1e-6) << name_of(products);
  }
}

/// More elements than are multiplied together.
TEST(Muon, TakesAnyNumberOfMatricesAlike) {
  Generator generator(9);
  Parameters all, one;
  for (int i = 0; i < 5; ++i) {
    all.push_back(matrices("w" + std::to_string(i), zeros({10'000, 8, 14}), 4));
    one.push_back(matrices("w", zeros({10'000, 8, 14}), 4));
    all.back().value.set_grad(randn(all.back().value.shape(), generator));
    one.back().value.set_grad(all.back().value.grad().clone());
  }
  Muon(all).step();
  for (std::size_t i = 0; i < all.size(); ++i) {
    Muon({one[i]}).step();
    EXPECT_EQ(all[i].value.to_vector(), one[i].value.to_vector());
  }
}

TEST(Muon, RecordsNothing) {
  Parameters parameters = mixed_parameters(DType::float32);
  Muon muon(parameters);
  set_gradients(parameters, 1);
  const Tape tape;
  muon.step();
  EXPECT_TRUE(tape.entries().empty());
}

TEST(Muon, NamesItsState) {
  const Muon muon(mixed_parameters(DType::float32));
  std::vector<std::string> names;
  for (const auto& [name, value] : muon.state()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"wide.momentum", "table.m", "table.v", "pairs.momentum", "tall.momentum",
                                             "like wide.momentum", "vector.m", "vector.v"}));
}

TEST(Muon, RefusesImpossibleOptionsAndParameters) {
  const Parameters p = mixed_parameters(DType::float32);
  const auto refusal = [&](const MuonOptions& options) { return error_of([&] { Muon refused(p, options); }); };
  const double nan = std::nan("");
  EXPECT_EQ(refusal({.lr = 0}), "");
  EXPECT_EQ(refusal({.momentum = 1}), "muon: momentum is 1, it must be in [0, 1)");
  for (const MuonOptions& bad : std::vector<MuonOptions>{{.lr = -1},
                                                         {.lr = nan},
                                                         {.momentum = -0.1},
                                                         {.momentum = 0},
                                                         {.weight_decay = -1},
                                                         {.weight_decay = nan},
                                                         {.iterations = 0},
                                                         {.block_rows = -1},
                                                         {.products = DType::float64},
                                                         {.products = DType::int32},
                                                         {.others = {.lr = 0}},
                                                         {.others = {.beta1 = 1}}}) {
    EXPECT_NE(refusal(bad), "");
  }
  EXPECT_EQ(error_of([] {
              Muon refused({matrices("w", ones({6, 4}), 4)});
            }),
            "muon: parameter 'w' does not consist of matrices of 4 rows, it is float32 (6, 4)");
  EXPECT_NE(error_of([] { Muon refused({matrices("w", ones({6}), 6)}); }).find("parameter 'w'"), std::string::npos);
}

}  // namespace
}  // namespace folio::optim
