#pragma once
#include <vector>

namespace folio {

class Entry;
class Tensor;

/// Faults that tests plant, to see that the checks catch them. Nothing here does anything unless a test arms it.
namespace fault {

/// Places inside shared helpers that a test can break.
enum class Point { none, overwrite_gradient, skip_broadcast_reduction, shift_mask };

/// Called when an op has been recorded, and around every entry's backward function.
struct Hook {
  void (*recorded)(Entry&, const std::vector<Tensor>& outputs) = nullptr;
  void (*before)(Entry&, std::vector<Tensor>& output_gradients) = nullptr;
  void (*after)(Entry&, std::vector<Tensor>& input_gradients) = nullptr;
};

inline thread_local Point armed = Point::none;
inline thread_local Hook hook;

/// How often an armed point was passed, which tells a test whether the fault was really planted.
inline thread_local int hits = 0;

/// Whether a test looks at what backward functions return, or changes it: each gradient by itself.
inline bool watches_gradients() { return hook.after != nullptr || armed == Point::overwrite_gradient; }

inline bool active(Point point) {
  if (armed != point) return false;
  ++hits;
  return true;
}
template <class Outputs>
void after_record(Entry& entry, const Outputs& outputs) {
  if (hook.recorded) hook.recorded(entry, {outputs.begin(), outputs.end()});
}
inline void before_backward(Entry& entry, std::vector<Tensor>& output_gradients) {
  if (hook.before) hook.before(entry, output_gradients);
}
inline void after_backward(Entry& entry, std::vector<Tensor>& input_gradients) {
  if (hook.after) hook.after(entry, input_gradients);
}

}  // namespace fault
}  // namespace folio
