#include "autograd/profile.hpp"

#include <algorithm>

#include "autograd/backend.hpp"
#include "autograd/profile_hooks.hpp"
#include "autograd/tape.hpp"

namespace folio {

using detail::listening;

namespace {
bool is_view(const Record& record) {
  return std::ranges::all_of(record.outputs, [&](const Tensor& y) {
    return std::ranges::any_of(record.inputs,
                               [&](const Tensor& x) { return x.defined() && x.storage() == y.storage(); });
  });
}
}  // namespace

Profile::Profile(std::size_t most_spans)
    : began_(std::chrono::steady_clock::now()), most_spans_(most_spans), outer_(listening) {
  listening = this;
}
Profile::~Profile() { listening = outer_; }

double Profile::now() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(); }

Profile::Total Profile::total(Span::Kind kind, std::string_view name) const {
  const auto found = totals_.find({kind, name});
  return found == totals_.end() ? Total{} : found->second;
}

double Profile::seconds(Span::Kind kind) const {
  double sum = 0;
  for (const auto& [key, total] : totals_) sum += key.first == kind ? total.seconds : 0;
  return sum;
}

void Profile::forget_warm_up() {
  if (listening == nullptr) return;
  listening->spans_.clear();
  listening->totals_.clear();
  listening->dropped_ = 0;
}

void Profile::add(Span span, const Cost& cost) {
  Total& total = totals_[{span.kind, span.name}];
  ++total.calls;
  total.seconds += span.seconds;
  total.cost += cost;
  if (spans_.size() < most_spans_) {
    spans_.push_back(span);
  } else {
    ++dropped_;
  }
}

/// Decides what the waiting kernels were.
void Profile::release_kernels(Span::Kind kind) {
  for (Span& span : waiting_) {
    span.kind = kind;
    add(span);
  }
  waiting_.clear();
}

void Profile::begin_section(const char* name) { section_ = {name, now()}; }

void Profile::end_section() {
  if (!section_) return;
  release_kernels(Span::Kind::loose);
  add({Span::Kind::section, section_->name, section_->start, now() - section_->start});
  section_.reset();
}

void Profile::begin_kernel(const char* name) {
  if (!section_) return;
  wait_for_devices();
  kernels_.push_back({name, now()});
}

void Profile::end_kernel() {
  if (kernels_.empty()) return;
  wait_for_devices();
  const Span span{Span::Kind::kernel, kernels_.back().name, kernels_.back().start, now() - kernels_.back().start};
  kernels_.pop_back();
  if (!kernels_.empty()) return;  // a copy that the kernel around it asked for
  if (backward_) {
    add(span);
    moves_ = true;
  } else {
    waiting_.push_back(span);
  }
}

void Profile::recorded(const Record& record) {
  if (!section_ || backward_) return;
  const bool view = is_view(record);  // which ran nothing: what waits was called before it, by nobody's op
  if (view) release_kernels(Span::Kind::loose);
  if (view || waiting_.empty()) {
    ++totals_[{Span::Kind::forward, record.op.text}].calls;
    return;
  }
  const double start = waiting_.front().start;
  release_kernels(Span::Kind::kernel);
  add({Span::Kind::forward, record.op.text, start, now() - start}, forward_cost(record));
}

void Profile::begin_backward(const Entry& entry) {
  if (!section_) return;
  if (backward_) {  // a tape within this op, whose backward is part of it
    ++within_;
    return;
  }
  release_kernels(Span::Kind::loose);
  backward_cost_ = backward_cost(entry);
  moves_ = false;
  backward_ = {entry.op.text, now()};
}

void Profile::end_backward() {
  if (!backward_) return;
  if (within_ > 0) {
    --within_;
    return;
  }
  add({Span::Kind::backward, backward_->name, backward_->start, now() - backward_->start},
      moves_ ? backward_cost_ : Cost{});
  backward_.reset();
}

void ProfileSection::next(const char* name) {
  end();
  if (listening != nullptr) listening->begin_section(name);
}
void ProfileSection::end() {
  if (listening != nullptr) listening->end_section();
}

void detail::tell_kernel_begins(const char* name) { listening->begin_kernel(name); }
void detail::tell_kernel_ended() { listening->end_kernel(); }
void detail::tell_recorded(const Record& record) { listening->recorded(record); }
void detail::tell_backward_begins(const Entry& entry) { listening->begin_backward(entry); }
void detail::tell_backward_ended() { listening->end_backward(); }

}  // namespace folio
