#pragma once
#include <vector>

namespace folio {

class Entry;
class Tensor;

/// Faults that tests plant, to see that the checks catch them. Nothing here does anything unless a test arms it.
namespace fault {

/// Places inside shared helpers that a test can break.
enum class Point { none, overwrite_gradient, skip_broadcast_reduction, shift_mask };

/// Called around every entry's backward function.
struct Hook {
  void (*before)(Entry&, std::vector<Tensor>& output_gradients) = nullptr;
  void (*after)(Entry&, std::vector<Tensor>& input_gradients) = nullptr;
};

inline thread_local Point armed = Point::none;
inline thread_local Hook hook;

inline bool active(Point point) { return armed == point; }
inline void before_backward(Entry& entry, std::vector<Tensor>& output_gradients) {
  if (hook.before) hook.before(entry, output_gradients);
}
inline void after_backward(Entry& entry, std::vector<Tensor>& input_gradients) {
  if (hook.after) hook.after(entry, input_gradients);
}

}  // namespace fault
}  // namespace folio
