#pragma once
#include <any>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "autograd/tensor.hpp"
#include "autograd/tensor_list.hpp"

namespace folio {

/// The name an entry carries. The library's own come from the registry (autograd/ops.def); a user's op names itself:
/// `constexpr OpName cube{"cube"};`
struct OpName {
  const char* text;
  friend bool operator==(OpName a, OpName b) { return std::string_view(a.text) == b.text; }
};

namespace op {
#define OP(name) inline constexpr OpName name{#name};
#include "autograd/ops.def"
#undef OP
}  // namespace op

/// Where the gradient of one tensor gathers. Leaves keep it until the optimizer consumes it; the slots of results are
/// emptied as backward passes them.
struct GradientSlot {
  Tensor gradient;
  Shape shape;
  Options options;
  std::uint64_t recording = 0;  ///< the recording that made the tensor; 0 for a leaf
  bool is_leaf() const { return recording == 0; }
  static std::shared_ptr<GradientSlot> leaf(const Tensor& x);
};

class Entry;
struct TapeScope;

/// Given the gradients of an entry's outputs (never undefined), returns those of its inputs, in order; undefined where
/// `entry.needs(i)` is false; with them, what it took by `entry.take_gathered(i)`. Output gradients are read-only, since
/// other gradients may share their storage: an Error where one was changed in place. A tape opened inside records, for
/// what is to be computed again.
using Backward = Tensors (*)(const Entry& entry, const Tensors& output_gradients);

/// One op that ran, as data: what it was, what it read and made, what it saved, and how to go back.
class Entry {
 public:
  OpName op;
  std::vector<std::shared_ptr<GradientSlot>> inputs;  ///< null where no gradient is needed
  std::vector<std::shared_ptr<GradientSlot>> outputs;
  std::vector<Shape> input_shapes;
  std::any parameters;
  Backward backward = nullptr;

  bool needs(std::size_t input) const { return inputs[input] != nullptr; }
  const Shape& input_shape(std::size_t input) const { return input_shapes[input]; }
  /// A saved tensor, or an Error if it has been changed in place since.
  const Tensor& saved(std::size_t i) const;
  /// The same without that check, for looking at a tape.
  const Tensor& saved_as_is(std::size_t i) const { return saved_.at(i).tensor; }
  std::size_t saved_count() const { return saved_.size(); }
  /// The parameters that the op recorded, or an Error if they are of another type than T.
  template <class T>
  const T& parameter() const {
    const T* found = std::any_cast<T>(&parameters);
    require(found != nullptr, [&] {
      return std::string(op.text) + ": backward asks for parameters of another type than the op recorded" +
             (parameters.has_value() ? "" : ", which are none");
    });
    return *found;
  }
  bool has_saved(std::size_t i) const { return saved_.at(i).tensor.defined(); }
  /// Takes what the gradient of an input has gathered so far, for backward to add its own to, in place, and to return:
  /// where little is added to much, that spares a tensor of zeros and a sum. Undefined, so that backward makes one of its
  /// own, where there is none yet, it is not packed, or others hold it too. The slot is empty until backward returns.
  Tensor take_gathered(std::size_t input) const;
  /// Keeps x, which may be undefined, as it is now.
  void save(const Tensor& x) { saved_.push_back(as_saved(x)); }
  /// Tests plant faults here: replaces a saved tensor.
  void replace_saved(std::size_t i, const Tensor& x) { saved_[i] = as_saved(x); }

 private:
  struct Saved {
    Tensor tensor;
    std::uint32_t version;
  };
  static Saved as_saved(const Tensor& x) {
    return x.defined() ? Saved{x.detach(), x.storage()->version} : Saved{{}, 0};
  }
  std::vector<Saved> saved_;
};

/// Records the ops that need a gradient and run, while it is in scope, on the thread that made it; `backward` walks the
/// list from its end. With no tape in scope nothing is recorded, so inference needs no switch. A tape may go in any order
/// and on any thread. Tapes of several threads are apart, leaves are not: adding up is not locked, so threads that go
/// backward at once must share no leaf.
class Tape {
 public:
  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Adds d(root)/d(leaf) to the gradient of every leaf, and empties the tape, each entry's saved tensors dying as they
  /// are used. A root of more than one element needs a `cotangent` of its shape, dtype and device. A leaf's gradient is
  /// packed and shares its storage with nothing. If it throws, the tape is empty and the leaves' gradients are unfinished.
  /// Gradients are constants: a later loss in which x.grad() stands (a penalty) has no derivative through it, that is,
  /// double backward is not supported.
  void backward(const Tensor& root, const Tensor& cotangent = {});
  /// The same for several roots at once, each with its cotangent.
  void backward(const Tensors& roots, const Tensors& cotangents);

  const std::vector<Entry>& entries() const { return entries_; }
  std::vector<Entry>& entries() { return entries_; }
  /// Bytes of saved tensors, each storage counted once.
  std::size_t saved_bytes() const;
  /// Every discrete choice that was saved (integer tensors: top-k, argmax, masks), copied, in order.
  Tensors discrete_choices() const;
  std::uint64_t recording() const { return recording_; }

  /// The innermost tape in scope that is recording, or null.
  static Tape* current();

 private:
  void walk(Entry& entry);
  void clear();

  std::vector<Entry> entries_;
  std::uint64_t recording_;
  std::shared_ptr<TapeScope> scope_;
};

/// While in scope, the tapes that were opened before it on this thread record nothing. One that is opened later does.
class NoRecording {
 public:
  NoRecording();
  ~NoRecording();
  NoRecording(const NoRecording&) = delete;
  NoRecording& operator=(const NoRecording&) = delete;

 private:
  std::uint64_t before_;
};

/// What an op hands to the tape after its forward pass.
struct Record {
  OpName op;
  TensorList inputs;
  TensorList outputs;
  TensorList saved = {};
  std::any parameters = {};
  Backward backward = nullptr;  ///< null: no gradient passes, the outputs are constants
};

/// Appends an entry if a tape is in scope and an input needs a gradient, and gives the float outputs their slots.
/// Returns the outputs, those that are an input or another op's result under a handle of their own. This is all that an
/// op of a user's own needs to call.
Tensors record_all(Record record);
/// The same for an op with exactly one output; an Error if it has none or several.
Tensor record(Record record);

/// Entries alive on all tapes of this process: zero once every tape is gone.
std::size_t live_entries();

/// Graphviz source of a recorded expression: leaves, ops with shapes, and what each op saved.
std::string to_dot(const Tape& tape);

}  // namespace folio
