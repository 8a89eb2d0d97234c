#include "cuda/emulated/barrier_sites.hpp"

#include <algorithm>

#include "cuda/emulated/control.hpp"
#include "cuda/emulated/text.hpp"

namespace folio::cuda_emulated {
namespace {

std::vector<std::source_location> met;  // few: the barriers of a kernel
std::vector<BarrierSite> deleted;

BarrierSite site_of(std::source_location where) { return {shown_path(where.file_name()), where.line()}; }

bool is_deleted(std::source_location where) {
  return std::any_of(deleted.begin(), deleted.end(), [&](const BarrierSite& site) {
    return site.line == where.line() && site.file == shown_path(where.file_name());
  });
}

}  // namespace

bool barrier_stands(std::source_location where) {
  if (deleted.empty() || !is_deleted(where)) return true;
  note_barrier(where);
  return false;
}

void note_barrier(std::source_location where) {
  const auto same = [&](std::source_location other) { return same_place(other, where); };
  if (std::none_of(met.begin(), met.end(), same)) met.push_back(where);
}

std::vector<BarrierSite> barrier_sites() {
  std::vector<BarrierSite> sites;
  sites.reserve(met.size());
  for (const auto& where : met) sites.push_back(site_of(where));
  std::sort(sites.begin(), sites.end());
  return sites;
}

void reset_barrier_sites() { met.clear(); }

DeletedBarrier::DeletedBarrier(BarrierSite site) : site_(std::move(site)) { deleted.push_back(site_); }
DeletedBarrier::~DeletedBarrier() { std::erase(deleted, site_); }

}  // namespace folio::cuda_emulated
