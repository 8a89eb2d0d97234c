#include "autograd/tape.hpp"

#include <algorithm>
#include <atomic>
#include <set>

#include "autograd/backend.hpp"
#include "autograd/fault.hpp"
#include "autograd/ops.hpp"
#include "autograd/profile_hooks.hpp"

namespace folio {
namespace {

std::atomic<std::uint64_t> recordings{0};
thread_local std::uint64_t paused = 0;  ///< the last of this thread's recordings that NoRecording stops
std::atomic<std::size_t> entries_alive{0};

constexpr std::uint64_t consumed = ~std::uint64_t{0};

/// The one place where gradients add up, but for what backward functions add to one that they took. What a leaf ends up with is packed and its own: optimizers and clipping change
/// it in place, which must reach neither another leaf, nor the caller's cotangent, nor an element twice.
void accumulate(GradientSlot& slot, Tensor gradient) {
  if (!slot.gradient.defined() || fault::active(fault::Point::overwrite_gradient)) {
    const bool own = gradient.is_sole_owner() && gradient.is_contiguous();
    slot.gradient = own || !slot.is_leaf() ? std::move(gradient) : gradient.clone();
  } else if (slot.gradient.is_sole_owner() && slot.gradient.is_contiguous()) {
    kernel::add(slot.gradient, gradient, slot.gradient);
  } else {
    slot.gradient = add(slot.gradient, gradient);
  }
}

/// Marks what an entry made as walked over, and lets go of gradients that were on their way.
void retire(Entry& entry) {
  for (auto& output : entry.outputs) {
    if (!output) continue;
    output->recording = consumed;
    output->gradient = {};
  }
}

/// Output gradients of an entry, zeros standing in for outputs that nobody used. Empty if none was used.
Tensors take_output_gradients(Entry& entry) {
  bool any = false;
  for (auto& slot : entry.outputs) any = any || (slot && slot->gradient.defined());
  Tensors gradients;
  if (!any) return gradients;
  for (auto& slot : entry.outputs) {
    if (!slot) {
      gradients.emplace_back();
      continue;
    }
    gradients.push_back(slot->gradient.defined() ? std::move(slot->gradient) : zeros(slot->shape, slot->options));
  }
  return gradients;
}

}  // namespace

/// A tape's place among those of the thread that made it. The tape itself is null once it is gone, on whatever thread.
struct TapeScope {
  std::atomic<Tape*> tape;
  std::shared_ptr<TapeScope> outer;
};

namespace {

/// The innermost scope of this thread whose tape is alive, or null.
std::shared_ptr<TapeScope>& innermost() {
  thread_local std::shared_ptr<TapeScope> scope;
  while (scope && scope->tape == nullptr) scope = scope->outer;
  return scope;
}

}  // namespace

std::shared_ptr<GradientSlot> GradientSlot::leaf(const Tensor& x) {
  auto slot = std::make_shared<GradientSlot>();
  slot->shape = x.shape();
  slot->options = x.options();
  return slot;
}

const Tensor& Entry::saved(std::size_t i) const {
  const Saved& s = saved_.at(i);
  require(!s.tensor.defined() || s.tensor.storage()->version == s.version, [&] {
    return std::string(op.text) + ": a tensor that backward needs, " + describe(s.tensor) +
           ", was changed in place after the op ran; change a clone() instead";
  });
  return s.tensor;
}

Tensor Entry::take_gathered(std::size_t input) const {
  if (!needs(input) || fault::watches_gradients()) return {};
  Tensor& gradient = inputs[input]->gradient;
  const bool own = gradient.defined() && gradient.is_sole_owner() && gradient.is_contiguous();
  return own ? std::move(gradient) : Tensor();
}

Tape::Tape() : recording_(++recordings), scope_(std::make_shared<TapeScope>(this, innermost())) {
  innermost() = scope_;
}

Tape::~Tape() {
  entries_alive -= entries_.size();
  scope_->tape = nullptr;
}

Tape* Tape::current() {
  const auto& scope = innermost();
  Tape* tape = scope ? scope->tape.load() : nullptr;
  return tape != nullptr && tape->recording() > paused ? tape : nullptr;
}

void Tape::backward(const Tensor& root, const Tensor& cotangent) {
  require(cotangent.defined() || root.numel() == 1,
          [&] { return "backward: the root is " + describe(root) + ", not a scalar; pass a cotangent of its shape"; });
  backward(Tensors{root}, Tensors{cotangent.defined() ? cotangent : ones(root.shape(), root.options())});
}

namespace {
void check_root(const Tensor& root, const Tensor& cotangent, std::uint64_t recording) {
  require(root.requires_grad(), [] {
    return std::string(
        "backward: the root does not depend on any tensor that requires a gradient (gradients themselves "
        "are constants: double backward is not supported)");
  });
  require(root.slot()->recording != consumed,
          [] { return std::string("backward: called twice on one recording; record the forward pass again"); });
  require(root.slot()->is_leaf() || root.slot()->recording == recording, [] {
    return std::string("backward: the root was recorded on another tape, which may be gone (a stale tape)");
  });
  const bool fits = cotangent.shape() == root.shape() && cotangent.dtype() == root.dtype();
  require(fits && cotangent.device() == root.device(), [&] {
    return "backward: the cotangent is " + describe(cotangent) + " on " + name_of(cotangent.device()) +
           " but the root is " + describe(root) + " on " + name_of(root.device());
  });
}

void check_gradients(const Entry& entry, const Tensors& gradients) {
  const auto fail = [&](const std::string& what) { throw Error(std::string(entry.op.text) + ": backward " + what); };
  if (gradients.size() != entry.inputs.size()) {
    fail("returned " + std::to_string(gradients.size()) + " gradients for " + std::to_string(entry.inputs.size()) +
         " inputs");
  }
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (!entry.needs(i)) continue;
    const GradientSlot& slot = *entry.inputs[i];
    if (!gradients[i].defined()) fail("left input " + std::to_string(i) + " without a gradient");
    if (gradients[i].shape() != slot.shape || gradients[i].dtype() != slot.options.dtype) {
      fail("returned a gradient that is " + describe(gradients[i]) + " for input " + std::to_string(i) + ", which is " +
           name_of(slot.options.dtype) + " " + to_string(slot.shape));
    }
  }
}

/// Grows with every change in place of one of the tensors.
std::uint64_t changes(const Tensors& tensors) {
  std::uint64_t sum = 0;
  for (const Tensor& x : tensors) sum += x.defined() ? x.storage()->version : 0;
  return sum;
}
}  // namespace

void Tape::backward(const Tensors& roots, const Tensors& cotangents) {
  require(roots.size() == cotangents.size(), [&] {
    return "backward: " + std::to_string(roots.size()) + " roots but " + std::to_string(cotangents.size()) +
           " cotangents";
  });
  for (std::size_t i = 0; i < roots.size(); ++i) check_root(roots[i], cotangents[i], recording_);
  const NoRecording pause;
  try {
    for (std::size_t i = 0; i < roots.size(); ++i) accumulate(*roots[i].slot(), cotangents[i].detach());
    while (!entries_.empty()) {
      Entry entry = std::move(entries_.back());
      entries_.pop_back();
      --entries_alive;
      walk(entry);
    }
  } catch (...) {
    clear();
    throw;
  }
}

void Tape::walk(Entry& entry) {
  Tensors output_gradients = take_output_gradients(entry);
  retire(entry);
  if (entry.backward == nullptr || output_gradients.empty()) return;
  const detail::ProfiledBackward profiled(entry);
  fault::before_backward(entry, output_gradients);
  const std::uint64_t before = changes(output_gradients);
  Tensors input_gradients = entry.backward(entry, output_gradients);
  require(changes(output_gradients) == before, [&] {
    return std::string(entry.op.text) +
           ": backward changed its upstream gradient in place; write to a tensor of its own, such as a clone()";
  });
  output_gradients.clear();
  fault::after_backward(entry, input_gradients);
  check_gradients(entry, input_gradients);
  for (std::size_t i = 0; i < entry.inputs.size(); ++i) {
    if (entry.needs(i)) accumulate(*entry.inputs[i], std::move(input_gradients[i]));
  }
}

void Tape::clear() {
  for (Entry& entry : entries_) retire(entry);
  entries_alive -= entries_.size();
  entries_.clear();
}

std::size_t Tape::saved_bytes() const {
  std::set<const Storage*> seen;
  std::size_t bytes = 0;
  for (const Entry& entry : entries_) {
    for (std::size_t i = 0; i < entry.saved_count(); ++i) {
      if (!entry.has_saved(i)) continue;
      const Storage* storage = entry.saved_as_is(i).storage().get();
      if (seen.insert(storage).second) bytes += storage->bytes();
    }
  }
  return bytes;
}

Tensors Tape::discrete_choices() const {
  Tensors choices;
  for (const Entry& entry : entries_) {
    for (std::size_t i = 0; i < entry.saved_count(); ++i) {
      if (entry.has_saved(i) && !is_float(entry.saved(i).dtype())) choices.push_back(entry.saved(i).clone());
    }
  }
  return choices;
}

NoRecording::NoRecording() : before_(paused) { paused = recordings; }
NoRecording::~NoRecording() { paused = before_; }

namespace {
/// Puts an entry on the tape in scope, if it needs one, and gives the outputs their slots.
void put_on_tape(Record& record) {
  if (detail::listening != nullptr) detail::tell_recorded(record);
  Tape* tape = Tape::current();
  if (tape == nullptr) return;
  if (!std::ranges::any_of(record.inputs, [](const Tensor& x) { return x.requires_grad(); })) return;

  Entry entry;
  entry.op = record.op;
  for (std::size_t i = 0; i < record.inputs.size(); ++i) {
    const Tensor& x = record.inputs[i];
    const auto slot = x.requires_grad() ? x.slot() : nullptr;
    require(!slot || slot->is_leaf() || slot->recording == tape->recording(), [&] {
      return std::string(record.op.text) + ": input " + std::to_string(i) + ", " + describe(x) +
             ", belongs to another recording (a tape that was walked, is gone, or encloses this one); detach() it or "
             "compute it again";
    });
    entry.inputs.push_back(slot);
    entry.input_shapes.push_back(x.defined() ? x.shape() : Shape{});
  }
  for (Tensor& y : record.outputs) {
    // An output that is an input, or the result of another op, gets a slot of its own beside the one that it has.
    const bool is_input =
        std::any_of(record.inputs.begin(), record.inputs.end(), [&](const Tensor& x) { return x.is(y); });
    if (is_input || y.requires_grad()) y = y.detach();
    if (!is_float(y.dtype()) || record.backward == nullptr) {
      entry.outputs.push_back(nullptr);
      continue;
    }
    auto slot = GradientSlot::leaf(y);
    slot->recording = tape->recording();
    entry.outputs.push_back(slot);
    y.set_slot(std::move(slot));
  }
  for (const Tensor& s : record.saved) entry.save(s);
  entry.parameters = std::move(record.parameters);
  entry.backward = record.backward;
  tape->entries().push_back(std::move(entry));
  ++entries_alive;
  fault::after_record(tape->entries().back(), record.outputs);
}
}  // namespace

Tensors record_all(Record record) {
  put_on_tape(record);
  return {std::move_iterator(record.outputs.begin()), std::move_iterator(record.outputs.end())};
}

Tensor record(Record record) {
  require(record.outputs.size() == 1, [&] {
    return "record: the op '" + std::string(record.op.text) + "' has " + std::to_string(record.outputs.size()) +
           " outputs, not one; record_all() takes any number";
  });
  put_on_tape(record);
  return std::move(record.outputs[0]);
}

std::size_t live_entries() { return entries_alive; }

}  // namespace folio
