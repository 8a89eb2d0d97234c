#pragma once
// Where kernels and the tape tell the Profile of this thread what they do. Not for users: see autograd/profile.hpp.

namespace folio {

class Entry;
class Profile;
struct Record;

namespace detail {

/// The innermost Profile in scope on this thread, or null.
inline constinit thread_local Profile* listening = nullptr;

void tell_kernel_begins(const char* name);
void tell_kernel_ended();
void tell_recorded(const Record& record);
void tell_backward_begins(const Entry& entry);
void tell_backward_ended();

/// While in scope, a kernel runs.
class ProfiledKernel {
 public:
  explicit ProfiledKernel(const char* name) {
    if (listening != nullptr) tell_kernel_begins(name);
  }
  ~ProfiledKernel() {
    if (listening != nullptr) tell_kernel_ended();
  }
  ProfiledKernel(const ProfiledKernel&) = delete;
  ProfiledKernel& operator=(const ProfiledKernel&) = delete;
};

/// While in scope, an entry's gradients are on their way.
class ProfiledBackward {
 public:
  explicit ProfiledBackward(const Entry& entry) {
    if (listening != nullptr) tell_backward_begins(entry);
  }
  ~ProfiledBackward() {
    if (listening != nullptr) tell_backward_ended();
  }
  ProfiledBackward(const ProfiledBackward&) = delete;
  ProfiledBackward& operator=(const ProfiledBackward&) = delete;
};

}  // namespace detail
}  // namespace folio
