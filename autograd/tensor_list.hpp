#pragma once
#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>

#include "autograd/tensor.hpp"

namespace folio {

/// Tensors in order, of which four need no allocation: what an op hands to the tape, also where nobody records.
class TensorList {
 public:
  TensorList() = default;
  TensorList(std::initializer_list<Tensor> tensors) : TensorList(std::span(tensors.begin(), tensors.size())) {}
  TensorList(const Tensors& tensors) : TensorList(std::span(tensors)) {}

  std::size_t size() const { return many_.empty() ? few_size_ : many_.size(); }
  Tensor* begin() { return many_.empty() ? few_.data() : many_.data(); }
  Tensor* end() { return begin() + size(); }
  const Tensor* begin() const { return many_.empty() ? few_.data() : many_.data(); }
  const Tensor* end() const { return begin() + size(); }
  Tensor& operator[](std::size_t i) { return begin()[i]; }
  const Tensor& operator[](std::size_t i) const { return begin()[i]; }

 private:
  explicit TensorList(std::span<const Tensor> tensors) {
    if (tensors.size() > few_.size()) {
      many_.assign(tensors.begin(), tensors.end());
    } else {
      few_size_ = tensors.size();
      std::copy(tensors.begin(), tensors.end(), few_.begin());
    }
  }

  std::array<Tensor, 4> few_;
  Tensors many_;
  std::size_t few_size_ = 0;
};

}  // namespace folio
