#pragma once
#include "optim/adamw.hpp"

namespace folio::optim {

/// By how much an orthogonal update is multiplied, so that one learning rate suits matrices of all shapes.
enum class MuonScale : std::uint8_t {
  as_adamw,  ///< 0.2·√max(rows, columns): its root mean square is that of AdamW's (Liu et al. 2025, arXiv 2502.16982, 2.2)
  spectral,  ///< √max(1, rows/columns) (Jordan et al. 2024)
};

struct MuonOptions {
  double lr = 2e-3;  ///< of the matrices; set_lr moves it in proportion to `others.lr`
  double momentum = 0.95;
  bool nesterov = true;
  double weight_decay = 0.01;  ///< per step and lr, on matrices whose `decays` is true
  std::int64_t iterations = 5;
  /// A matrix of more rows than this, and of more columns than this, is orthogonalised in blocks of as many rows as divide
  /// it, from half of this number up to it; whole where there is no such divisor, or this is 0. Blocks of b rows of n ≥ b
  /// take (2n + b)/(3n)·(b/n) of a square matrix's multiplications. `scale` takes a block's rows.
  std::int64_t block_rows = 0;
  MuonScale scale = MuonScale::as_adamw;
  /// Of the iterations' products: 16-bit floats, or float32, which stands for the matrices' own.
  DType products = DType::float32;
  AdamWOptions others = {};
};

/// Momentum orthogonalised by Newton–Schulz iterations (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural
/// networks"; decay and scale: Liu et al. 2025, "Muon is scalable for LLM training", arXiv 2502.16982) for the parameters
/// that say how many rows a matrix of theirs has (Parameter::matrix_rows), each matrix W of a stack by itself:
///   u ← μu + g,  d = g + μu, or u without Nesterov's look-ahead,  W ← W − lr·(λW + scale·orthogonalized(d)).
/// Large matrices may be taken as several of fewer rows (Khaled et al. 2025, "MuonBP", arXiv 2510.16981, without its period).
/// AdamW, with options of its own, for all others. lr() and set_lr() are those of AdamW.
class Muon : public AdamW {
 public:
  /// lr ≥ 0, momentum in [0, 1) and above 0 for Nesterov's, weight_decay ≥ 0, iterations from 1 to 100, block_rows ≥ 0,
  /// others.lr above 0; anything else is an Error.
  Muon(const Parameters& parameters, const MuonOptions& options = {});

 private:
  void update(Group& group, const Tensor& factor) override;
  /// Those of the group's members `which`, whose matrices are all (rows, columns).
  void update_alike(Group& group, const std::vector<std::size_t>& which, std::int64_t rows, const Tensor& factor);

  MuonOptions options_;
};

}  // namespace folio::optim
