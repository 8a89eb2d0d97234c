#include <bit>
#include <cstdio>

#include "cuda/emulated/barrier_sites.hpp"
#include "cuda/emulated/block.hpp"
#include "cuda/emulated/observer.hpp"
#include "cuda/emulated/text.hpp"

// Shuffles, votes and __syncwarp: lanes of one mask meet, the last to come hands out what each takes away.
namespace folio::cuda_emulated {
namespace {

std::string hex(std::uint32_t mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

const char* name_of(WarpCall call) {
  constexpr const char* names[] = {"__shfl_sync",   "__shfl_up_sync", "__shfl_down_sync", "__shfl_xor_sync",
                                   "__ballot_sync", "__any_sync",     "__all_sync",       "__syncwarp"};
  return names[static_cast<int>(call)];
}

std::string described(const WarpMeeting& m) {
  return std::string(name_of(m.call)) + " at " + place_of(m.where) + " with mask " + hex(m.mask);
}

}  // namespace

std::uint64_t wait_for_warp(WarpCall call, unsigned mask, std::uint64_t value, unsigned argument, int width,
                            std::source_location where) {
  return block().wait_for_warp(call, mask, value, argument, width, where);
}

std::uint64_t Block::wait_for_warp(WarpCall call, unsigned mask, std::uint64_t value, unsigned argument, int width,
                                   std::source_location where) {
  EmulatorAtWork at_work;
  require(active(), [] { return "a warp call outside a kernel"; });
  if (call == WarpCall::sync && !barrier_stands(where)) return 0;
  const int warp = current_ / 32, lane = current_ % 32;
  WarpMeeting& meeting = meeting_for(call, mask, width, where);
  meeting.arrived |= 1u << lane;
  meeting.argument[lane] = argument;
  Lane& self = lanes_[current_];
  self.value = value;
  runnable_.remove(current_);
  if (meeting.arrived == meeting.needed) finish(meeting, warp);
  suspend();
  return self.value;
}

WarpMeeting& Block::meeting_for(WarpCall call, unsigned mask, int width, std::source_location where) {
  const int warp = current_ / 32, lane = current_ % 32;
  if ((mask >> lane & 1u) == 0) {
    fail(FaultKind::warp, where,
         std::string(name_of(call)) + " by lane " + std::to_string(lane) + ", which is not in its mask " + hex(mask));
  }
  if (width <= 0 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width))) {
    fail(FaultKind::warp, where,
         std::string(name_of(call)) + " with width " + std::to_string(width) + ", which is no power of two up to 32");
  }
  for (WarpMeeting& m : meetings_[warp]) {
    if ((m.mask & mask) == 0) continue;
    if (m.call == call && m.mask == mask && m.width == width && same_place(m.where, where)) return m;
    fail(FaultKind::warp, where,
         std::string(name_of(call)) + " with mask " + hex(mask) + " while lanes of that mask wait in " + described(m));
  }
  const std::uint32_t needed = mask & lanes_there_[warp];
  if (const std::uint32_t gone = needed & lanes_exited_[warp]; gone != 0) {
    fail(FaultKind::warp, where, std::string(name_of(call)) + ": lanes " + hex(gone) + " of the mask have returned");
  }
  if (const std::uint32_t elsewhere = needed & lanes_at_barrier_[warp]; elsewhere != 0) {
    fail(FaultKind::warp, where,
         std::string(name_of(call)) + ": lanes " + hex(elsewhere) + " of the mask wait at the block's barrier at " +
             place_of(barrier_where_));
  }
  WarpMeeting& made = meetings_[warp].emplace_back();
  made.call = call;
  made.mask = mask;
  made.needed = needed;
  made.width = width;
  made.where = where;
  return made;
}

/// The lane whose value `lane` takes: its own where the distance leaves its segment of `width` lanes.
int Block::source_lane(const WarpMeeting& m, int lane) const {
  const int segment = lane & ~(m.width - 1), within = lane - segment;
  const unsigned a = m.argument[lane];
  switch (m.call) {
    case WarpCall::shuffle: return segment + static_cast<int>(a & (m.width - 1));
    case WarpCall::shuffle_up: return a > static_cast<unsigned>(within) ? lane : lane - static_cast<int>(a);
    case WarpCall::shuffle_down:
      return a >= static_cast<unsigned>(m.width - within) ? lane : lane + static_cast<int>(a);
    default: {
      const unsigned source = static_cast<unsigned>(lane) ^ a;
      return source >= static_cast<unsigned>(segment + m.width) ? lane : static_cast<int>(source);
    }
  }
}

void Block::finish(WarpMeeting& m, int warp) {
  Lane* lanes = &lanes_[32 * warp];
  const std::uint32_t needed = m.needed;
  if (m.call <= WarpCall::shuffle_xor) {
    std::uint64_t taken[32];
    for (std::uint32_t rest = needed; rest != 0; rest &= rest - 1) {
      const int lane = std::countr_zero(rest), source = source_lane(m, lane);
      if ((needed >> source & 1u) == 0) {
        throw Fault(FaultKind::warp, place(32 * warp + lane) + ", " + place_of(m.where) + ": " + name_of(m.call) +
                                         " takes the value of lane " + std::to_string(source) +
                                         ", which has no part in it (mask " + hex(m.mask) + ", lanes there " +
                                         hex(lanes_there_[warp]) + ")");
      }
      taken[lane] = lanes[source].value;
    }
    for (std::uint32_t rest = needed; rest != 0; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      lanes[lane].value = taken[lane];
    }
  } else if (m.call == WarpCall::sync) {
    note_barrier(m.where);
    if (observer != nullptr) observer->warp_barrier(warp, needed);
  } else {
    std::uint32_t yes = 0;
    for (std::uint32_t rest = needed; rest != 0; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      yes |= static_cast<std::uint32_t>(lanes[lane].value != 0) << lane;
    }
    const std::uint64_t result = m.call == WarpCall::ballot ? yes : m.call == WarpCall::any ? yes != 0 : yes == needed;
    for (std::uint32_t rest = needed; rest != 0; rest &= rest - 1) lanes[std::countr_zero(rest)].value = result;
  }
  auto& meetings = meetings_[warp];
  if (&m != &meetings.back()) m = meetings.back();
  meetings.pop_back();
  runnable_.add_lanes(warp, needed);
}

void Block::check_not_awaited_by_warp(const char* does) const {
  for (const WarpMeeting& m : meetings_[current_ / 32]) {
    if ((m.mask >> current_ % 32 & 1u) != 0) {
      fail(FaultKind::warp, m.where,
           std::string("the thread ") + does + " while lanes of its warp wait for it in " + described(m));
    }
  }
}

}  // namespace folio::cuda_emulated
