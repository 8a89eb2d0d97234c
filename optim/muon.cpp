#include "optim/muon.hpp"

#include <algorithm>
#include <cmath>

#include "autograd/kernels.hpp"
#include "autograd/ops.hpp"
#include "autograd/tape.hpp"
#include "optim/check.hpp"
#include "optim/newton_schulz.hpp"

namespace folio::optim {
namespace {

constexpr const char* momentum_name = "momentum";
constexpr std::int64_t most_elements = 1 << 22;  ///< of the matrices that are multiplied together, which bounds memory

double scale_of(MuonScale rule, std::int64_t rows, std::int64_t columns) {
  const auto m = static_cast<double>(rows), n = static_cast<double>(columns);
  return rule == MuonScale::as_adamw ? 0.2 * std::sqrt(std::max(m, n)) : std::sqrt(std::max(1.0, m / n));
}

/// The rows of a block, see MuonOptions::block_rows.
std::int64_t block_of(std::int64_t rows, std::int64_t columns, std::int64_t most) {
  if (most == 0 || rows <= most || columns <= most) return rows;
  std::int64_t block = most;
  while (rows % block != 0) --block;
  return 2 * block >= most ? block : rows;
}

void check_matrices(const Parameter& p) {
  require(p.value.defined() && p.value.rank() >= 2 && p.value.dim(-2) % p.matrix_rows == 0, [&] {
    return "muon: parameter '" + p.name + "' does not consist of matrices of " + std::to_string(p.matrix_rows) +
           " rows, it is " + (p.value.defined() ? describe(p.value) : "undefined");
  });
}

}  // namespace

Muon::Muon(const Parameters& parameters, const MuonOptions& options)
    : AdamW(parameters, options.others,
            [](const Parameter& p) {
              return p.matrix_rows > 0 ? Names{momentum_name} : Names{"m", "v"};
            }),
      options_(options) {
  check(std::isfinite(options.lr) && options.lr >= 0, "muon", "lr", options.lr, "finite and at least 0");
  check(options.others.lr > 0, "muon", "others.lr", options.others.lr, "above 0: lr moves in proportion to it");
  check(options.momentum >= 0 && options.momentum < 1, "muon", "momentum", options.momentum, "in [0, 1)");
  check(!options.nesterov || options.momentum > 0, "muon", "momentum", options.momentum,
        "above 0 for Nesterov's look-ahead");
  check(std::isfinite(options.weight_decay) && options.weight_decay >= 0, "muon", "weight_decay", options.weight_decay,
        "finite and at least 0");
  check(options.iterations >= 1 && options.iterations <= 100, "muon", "iterations",
        static_cast<double>(options.iterations), "from 1 to 100");
  check(options.block_rows >= 0, "muon", "block_rows", static_cast<double>(options.block_rows), "at least 0");
  require(is_half(options.products) || options.products == DType::float32, [&] {
    return std::string("muon: products in ") + name_of(options.products) + ", they must be in float32 or 16-bit floats";
  });
  for (const Parameter& p : parameters) {
    if (p.matrix_rows > 0) check_matrices(p);
  }
}

void Muon::update(Group& group, const Tensor& factor) {
  if (group.state_names.front() != momentum_name) return AdamW::update(group, factor);
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<std::size_t>> alike;
  for (std::size_t i = 0; i < group.values.size(); ++i) {
    const std::int64_t columns = group.values[i].dim(-1);
    alike[{block_of(group.matrix_rows[i], columns, options_.block_rows), columns}].push_back(i);
  }
  for (const auto& [extents, all] : alike) {
    std::vector<std::size_t> some;
    std::int64_t elements = 0;
    for (const std::size_t i : all) {
      const std::int64_t more = group.values[i].numel();
      if (!some.empty() && elements + more > most_elements) {
        update_alike(group, some, extents.first, factor);
        some.clear(), elements = 0;
      }
      some.push_back(i), elements += more;
    }
    update_alike(group, some, extents.first, factor);
  }
}

void Muon::update_alike(Group& group, const std::vector<std::size_t>& which, std::int64_t rows, const Tensor& factor) {
  const NoRecording pause;
  const std::int64_t columns = group.values[which[0]].dim(-1);
  Tensors values, gradients, momenta;
  std::vector<bool> decays;
  std::int64_t elements = 0;
  for (const std::size_t i : which) {
    values.push_back(group.values[i]), gradients.push_back(group.gradients[i]);
    momenta.push_back(group.state[0][i]), decays.push_back(group.decays[i]);
    elements += group.values[i].numel();
  }
  if (elements == 0) return;
  const auto parts = [&](const Tensor& stack) {
    Tensors all;
    std::int64_t begin = 0;
    for (const Tensor& value : values) {
      const std::int64_t end = begin + value.numel() / (rows * columns);
      all.push_back(stack.slice(0, begin, end).reshape(value.shape()));
      begin = end;
    }
    return all;
  };
  // From 0, a step of SGD at rate −1 leads to where its momentum points. Where the factor is not finite, none is taken.
  const Tensor directions = zeros({elements / (rows * columns), rows, columns}, values[0].options());
  Tensors into = parts(directions);
  kernel::sgd(into, gradients, momenta, factor,
              SGDStep{.lr = -1,
                      .momentum = options_.momentum,
                      .nesterov = options_.nesterov,
                      .weight_decay = std::vector<double>(values.size(), 0)});
  const DType products = is_half(options_.products) ? options_.products : directions.dtype();
  // A step of SGD without momentum, which leaves what it is told to be the momentum as it is, for it is the gradient itself.
  Tensors updates = parts(orthogonalized(directions, options_.iterations, products));
  const double shape_scale = scale_of(options_.scale, rows, columns);
  std::vector<double> weight_decay;
  weight_decay.reserve(decays.size());
  for (const bool each : decays) weight_decay.push_back(each ? options_.weight_decay / shape_scale : 0);
  kernel::sgd(values, updates, updates, scale(factor, 0, 1),
              SGDStep{.lr = lr() / options_.others.lr * options_.lr * shape_scale,
                      .momentum = 0,
                      .nesterov = false,
                      .weight_decay = std::move(weight_decay)});
}

}  // namespace folio::optim
