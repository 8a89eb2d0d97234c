#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "autograd/cost.hpp"

namespace folio {

/// A stretch of time on the thread that is profiled, in seconds since the Profile began. Sections hold ops, ops kernels.
struct Span {
  enum class Kind : std::uint8_t {
    section,   ///< a part of the program, named by ProfileSection
    forward,   ///< an op, from its first kernel until it was recorded
    backward,  ///< an entry's way back, gradients added up
    kernel,    ///< inside an op
    loose,     ///< a kernel that no op called: an optimizer's, say
  };
  Kind kind;
  const char* name;
  double start;
  double seconds;
};

/// Where the time goes: while in scope, gathers what runs on this thread inside a ProfileSection. Ops are told by what
/// they record and kernels by the one place that calls them, so neither knows of it; with no Profile in scope each pays
/// one look at a pointer. An op that calls another counts under the other's name for that part. A device that runs behind
/// the host's back is waited for before each kernel and after it.
class Profile {
 public:
  struct Total {
    std::int64_t calls = 0;
    double seconds = 0;
    Cost cost;  ///< known of forward and backward; see autograd/cost.hpp
  };
  using Key = std::pair<Span::Kind, std::string_view>;

  /// Keeps the first `most_spans`; totals count all.
  explicit Profile(std::size_t most_spans = 100'000);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  const std::map<Key, Total>& totals() const { return totals_; }
  Total total(Span::Kind kind, std::string_view name) const;
  /// Seconds of all spans of one kind.
  double seconds(Span::Kind kind) const;
  const std::vector<Span>& spans() const { return spans_; }
  bool spans_are_all() const { return dropped_ == 0; }
  /// Between sections: the Profile in scope, if there is one, forgets what it has gathered, which was not typical.
  static void forget_warm_up();

  // What autograd/profile_hooks.hpp and ProfileSection tell.
  void begin_section(const char* name);
  void end_section();
  void begin_kernel(const char* name);
  void end_kernel();
  void recorded(const Record& record);
  void begin_backward(const Entry& entry);
  void end_backward();

 private:
  struct Open {
    const char* name;
    double start;
  };
  double now() const;
  void add(Span span, const Cost& cost = {});
  void release_kernels(Span::Kind kind);

  std::chrono::steady_clock::time_point began_;
  std::size_t most_spans_, dropped_ = 0;
  std::vector<Span> spans_;
  std::map<Key, Total> totals_;
  std::optional<Open> section_, backward_;
  int within_ = 0;  ///< backward steps of inner tapes that are open in backward_
  Cost backward_cost_;
  bool moves_ = false;         ///< whether a kernel has run on the present way back: a view's has none, and no cost
  std::vector<Open> kernels_;  ///< running, outermost first
  std::vector<Span> waiting_;  ///< kernels that have run and may be part of the op that is recorded next
  Profile* outer_;
};

/// Names a part of the program for the Profile in scope, if there is one: from `next` until the one after it, or the end.
/// A name outlives the profile, as a literal does.
class ProfileSection {
 public:
  ProfileSection() = default;
  ~ProfileSection() { end(); }
  ProfileSection(const ProfileSection&) = delete;
  ProfileSection& operator=(const ProfileSection&) = delete;

  void next(const char* name);
  void end();
};

}  // namespace folio
