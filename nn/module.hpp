#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "autograd/parameter.hpp"
#include "autograd/tensor.hpp"

namespace folio {

/// What every layer and model is: named parameters (with gradient), named buffers (without), and child modules, whose
/// names are joined by dots: `layers.0.self_attn.q_a.weight`. A module registers members of its own, so it is neither
/// copied nor moved.
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// This module's and its children's, in the order of registration. The tensors are the module's own.
  Parameters parameters() const;
  Parameters buffers() const;

  /// Parameters and buffers by name.
  std::map<std::string, Tensor> state() const;
  /// Copies the values in, converted to this module's float type and device. Throws, and changes nothing, if a name is
  /// missing or extra, a shape differs, or integers are given for floats or the other way round.
  void load_state(const std::map<std::string, Tensor>& state);

  /// Training mode (the default) or evaluation, for this module and its children.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  /// Brings parameters and buffers to a device, in place: every handle to them follows. Before an optimizer is made. An
  /// Error that changes nothing while a live tape has recorded an op on one of them.
  void to(Device device);
  /// Converts the weights of products and embeddings to f32, bf16 or f16, in place, for inference: an op on activations
  /// of the same 16-bit dtype reads half the bytes and gives the same bits as it does with float32 weights, which it
  /// rounds. All else stays as it is, float32. An Error that changes nothing if it is not, or while a live tape has
  /// recorded an op on a parameter.
  void to(DType dtype);

  void zero_grad();

 protected:
  /// Registers a tensor that is trained; `decays` is false where weight decay makes no sense (norms, embeddings).
  Tensor add_parameter(std::string name, Tensor value, bool decays = true);
  /// Registers a factor of matrix products or a table of embeddings, which may stand in 16 bits; see to(DType).
  Tensor add_weight(std::string name, Tensor value, bool decays = true);
  /// Registers matrices between hidden layers (…, rows, in), `rows` 0: all of dimension −2; see Parameter::matrix_rows.
  Tensor add_matrix(std::string name, Tensor value, std::int64_t rows = 0);
  Tensor add_buffer(std::string name, Tensor value);
  /// Registers a member or an owned module that lives as long as this one, or until another of its name is registered.
  void add_child(std::string name, Module& child);

 private:
  struct Child {
    std::string name;
    Module* module;
  };
  Parameters collect(Parameters Module::*own) const;

  friend class Evaluating;

  Parameters parameters_;
  Parameters buffers_;
  std::vector<Child> children_;
  bool training_ = true;
};

/// Evaluation mode for as long as this lives; then the module and each below it are back in the modes that they had.
class Evaluating {
 public:
  explicit Evaluating(Module& module);
  ~Evaluating();
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;

 private:
  void remember(Module& module);
  std::vector<std::pair<Module*, bool>> modes_;
};

}  // namespace folio
