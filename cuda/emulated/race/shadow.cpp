#include "cuda/emulated/race/shadow.hpp"

#include <algorithm>
#include <bit>

namespace folio::cuda_emulated::race {

void Clocks::block_begins(std::uint32_t block, int threads) {
  block_ = block;
  threads_ = threads;
  epoch_ = 0;
  overflowed_ = false;
  reset_lanes();
}

void Clocks::reset_lanes() {
  if (lanes_fresh_) return;
  for (int thread = 0; thread < 1024; ++thread) {
    seen_[thread].fill(0);
    seen_[thread][thread % 32] = 1;
  }
  lanes_fresh_ = true;
}

void Clocks::barrier() {
  overflowed_ |= ++epoch_ == 0;
  reset_lanes();
}

void Clocks::warp_barrier(int warp, std::uint32_t lanes) {
  std::array<std::uint16_t, 32> joint{};
  const auto each_lane = [&](auto&& f) {
    for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) f(32 * warp + std::countr_zero(rest));
  };
  each_lane([&](int thread) {
    for (int lane = 0; lane < 32; ++lane) joint[lane] = std::max(joint[lane], seen_[thread][lane]);
  });
  each_lane([&](int thread) {
    seen_[thread] = joint;
    overflowed_ |= ++seen_[thread][thread % 32] == 0;
  });
  lanes_fresh_ = false;
}

Access Clocks::stamp(int thread, std::int32_t code) const {
  return {block_, code, static_cast<std::uint16_t>(thread), epoch_, seen_[thread][thread % 32]};
}

bool Clocks::before(const Access& earlier, const Access& now) const {
  if (earlier.block != now.block) return false;
  if (earlier.thread == now.thread || earlier.epoch < now.epoch) return true;
  return earlier.thread / 32 == now.thread / 32 && seen_[now.thread][earlier.thread % 32] >= earlier.clock;
}

void Shadow::Recent::add(const Access& now, const Clocks& clocks) {
  if (own[0].block != 0 && own[0].block != now.block) {
    other_block = own[0];
    own[0] = own[1] = {};
  }
  const auto gives_way = [&](const Access& a) { return a.block == 0 || clocks.before(a, now); };
  const auto warp = [](const Access& a) { return a.thread / 32; };
  if (gives_way(own[0]))
    own[0] = now;
  else if (gives_way(own[1]))
    own[1] = now;
  else if (warp(own[0]) == warp(own[1]) && warp(now) != warp(own[0]))
    own[1] = now;
}

const Access* Shadow::Recent::unordered_with(const Access& now, const Clocks& clocks) const {
  for (const Access* a : {&own[0], &own[1], &other_block}) {
    if (a->block != 0 && !clocks.before(*a, now)) return a;
  }
  return nullptr;
}

void Shadow::forget() {
  ++age_;
  if (pages_.size() > 8192) {  // memory that has come and gone; older cells hold nothing
    pages_.clear();
    recent_pages_ = {};
  }
}

Shadow::Page& Shadow::page(std::uintptr_t number) {
  auto& recent = recent_pages_[number % recent_pages_.size()];
  if (recent.second != nullptr && recent.first == number) return *recent.second;
  auto& found = pages_[number];
  if (found == nullptr) {
    found = std::make_unique<Page>();
    found->cells.resize(page_bytes / found->grain);
  }
  recent = {number, found.get()};
  return *found;
}

void Shadow::refine(Page& page, std::size_t grain) {
  std::vector<Cell> finer(page_bytes / grain);
  for (std::size_t i = 0; i < finer.size(); ++i) finer[i] = page.cells[i * grain / page.grain];
  page.cells = std::move(finer);
  page.grain = grain;
}

std::optional<Conflict> Shadow::access(std::uintptr_t address, std::size_t bytes, Kind kind, const Access& now) {
  std::optional<Conflict> first;
  const std::size_t grain = (address | bytes) % 2 != 0 ? 1 : (address | bytes) % 4 != 0 ? 2 : 4;
  for (const std::uintptr_t end = address + bytes; address < end;) {
    Page& here = page(address / page_bytes);
    if (grain < here.grain) refine(here, grain);
    const std::size_t offset = address % page_bytes;
    const std::size_t stop = std::min<std::size_t>(page_bytes, offset + (end - address));
    for (std::size_t i = offset / here.grain; i * here.grain < stop; ++i) {
      if (auto conflict = touch(here.cells[i], kind, now); conflict && !first) first = conflict;
    }
    address += stop - offset;
  }
  return first;
}

std::optional<Conflict> Shadow::touch(Cell& cell, Kind kind, const Access& now) const {
  if (cell.age != age_) {
    cell = {};
    cell.age = age_;
  }
  std::optional<Conflict> conflict;
  const auto against = [&](const Access* earlier, Kind earlier_kind) {
    if (earlier != nullptr && !conflict) conflict = {*earlier, now, earlier_kind, kind};
  };
  if (cell.write.block != 0 && !clocks_.before(cell.write, now)) against(&cell.write, Kind::write);
  if (kind != Kind::atomic) against(cell.atomics.unordered_with(now, clocks_), Kind::atomic);
  if (kind != Kind::read) against(cell.reads.unordered_with(now, clocks_), Kind::read);

  if (kind == Kind::read) {
    cell.reads.add(now, clocks_);
  } else if (kind == Kind::atomic) {
    cell.atomics.add(now, clocks_);
  } else {  // what was in order with this write is in order with all that is in order with it
    cell.reads = cell.atomics = {};
    cell.write = now;
  }
  return conflict;
}

}  // namespace folio::cuda_emulated::race
