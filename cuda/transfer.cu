#include <bit>
#include <cstring>
#include <mutex>
#include <vector>

#include "cuda/memory.hpp"

// Copies between the host and the device, through pinned memory.
namespace folio::FOLIO_CUDA {
namespace {

// ── Pinned memory ────────────────────────────────────────────────────────────────────────────────────────────────────
struct Pinned {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  cudaEvent_t done = nullptr;
  std::int64_t taken = 0;  ///< when, as a count of all copies through the pool

  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  static std::size_t rounded(std::size_t size) { return std::bit_ceil(std::max<std::size_t>(size, 4096)); }
  explicit Pinned(std::size_t size) : bytes(rounded(size)) {
    void* made = nullptr;
    check(cudaMallocHost(&made, bytes));
    data = static_cast<std::byte*>(made);
    check(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
  }
};

std::mutex host_mutex;

std::byte* first_byte(const Tensor& x) {
  return x.storage()->data() + static_cast<std::size_t>(x.offset()) * size_of(x.dtype());
}
std::size_t bytes_of(const Tensor& x) { return static_cast<std::size_t>(x.numel()) * size_of(x.dtype()); }

constexpr std::size_t largest_piece = std::size_t{32} << 20, most_staged = 4 * largest_piece;

/// Pinned memory that no copy is using: `bytes`, or fewer where they are many. Once the pool is as large as it may be,
/// the host waits for the largest that was taken first.
Pinned& staging(std::size_t bytes) {
  static auto* const pool = new std::vector<Pinned*>;
  static std::size_t held = 0;
  static std::int64_t copies = 0;
  bytes = Pinned::rounded(std::min(bytes, largest_piece));
  const auto serves = [&](const Pinned* p) {
    if (p->bytes < bytes) return false;
    const bool done = cudaEventQuery(p->done) == cudaSuccess;
    if (!done) cudaGetLastError();
    return done;
  };
  auto found = std::find_if(pool->begin(), pool->end(), serves);
  if (found == pool->end() && held + bytes <= most_staged) {
    found = pool->insert(pool->end(), new Pinned(bytes));
    held += (*found)->bytes;
  } else if (found == pool->end()) {
    found = std::max_element(pool->begin(), pool->end(), [](const Pinned* a, const Pinned* b) {
      return std::pair(a->bytes, b->taken) < std::pair(b->bytes, a->taken);
    });
    check(cudaEventSynchronize((*found)->done));
  }
  (*found)->taken = ++copies;
  return **found;
}

/// Puts copies of the host's bytes to the device on a stream, piece by piece; the event of the last.
cudaEvent_t put_copies(std::byte* device, const std::byte* host, std::size_t bytes, cudaStream_t on) {
  for (;;) {
    const Pinned& through = staging(bytes);
    const std::size_t piece = std::min(bytes, through.bytes);
    std::memcpy(through.data, host, piece);
    check(cudaMemcpyAsync(device, through.data, piece, cudaMemcpyHostToDevice, on));
    check(cudaEventRecord(through.done, on));
    if (piece == bytes) return through.done;
    device += piece, host += piece, bytes -= piece;
  }
}

// ── Complaints ───────────────────────────────────────────────────────────────────────────────────────────────────────
constexpr unsigned long long no_complaint = ~0ULL;

const char* name_of(Finder finder) {
  switch (finder) {
    case Finder::embedding: return "embedding";
    case Finder::gather: return "gather";
    case Finder::index_add: return "index_add";
    case Finder::cross_entropy: return "cross_entropy";
    case Finder::route: return "route";
    case Finder::dispatch_rows: return "dispatch_rows";
    case Finder::combine_rows: return "combine_rows";
    case Finder::cast: return "cast";
  }
  return "a kernel";
}

void throw_complaint(unsigned long long found) {
  if (found == no_complaint) return;
  check(cudaMemsetAsync(report(), 0xff, sizeof(found), stream()));
  const auto finder = static_cast<Finder>(found & 0xff);
  const std::string position = std::to_string(found >> 8);
  throw Error(name_of(finder) +
              (finder == Finder::cast
                   ? ": the value at position " + position + " is no index: it must be a number in the dtype's range"
                   : ": the index at position " + position + " points outside the tensor that it indexes") +
              "; found on the device, some ops later");
}

/// Behind what is on the stream, into pinned memory.
void begin_copy_of_complaint(std::byte* host) {
  check(cudaMemcpyAsync(host, report(), sizeof(unsigned long long), cudaMemcpyDeviceToHost, stream()));
}
unsigned long long complaint_in(const std::byte* host) {
  unsigned long long found = 0;
  std::memcpy(&found, host, sizeof(found));
  return found;
}

void wait_and_check() {
  static auto* const memory = new Pinned(sizeof(unsigned long long));
  begin_copy_of_complaint(memory->data);
  check(cudaStreamSynchronize(stream()));
  throw_complaint(complaint_in(memory->data));
}

// ── Copies to the device beside the ops ──────────────────────────────────────────────────────────────────────────────
struct TransferStream {
  cudaStream_t stream = nullptr;
  cudaEvent_t ops_so_far = nullptr;

  TransferStream() {
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    check(cudaEventCreateWithFlags(&ops_so_far, cudaEventDisableTiming));
  }
};

class Ahead : public CopyFromHost {
 public:
  Ahead(const Tensor& to, const std::byte* from) : to_(to) {
    static const TransferStream beside;
    const std::scoped_lock lock(host_mutex);
    check(cudaEventRecord(beside.ops_so_far, stream()));
    check(cudaStreamWaitEvent(beside.stream, beside.ops_so_far));
    try {
      done_ = put_copies(first_byte(to), from, bytes_of(to), beside.stream);
    } catch (...) {  // of its first pieces, which `to` must outlive
      cudaStreamSynchronize(beside.stream);
      throw;
    }
  }
  ~Ahead() override { cudaStreamWaitEvent(stream(), done_); }
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

 private:
  Tensor to_;
  cudaEvent_t done_;  ///< of the pinned memory: who copies through it next does so later
};

// ── Copies to the host that nobody waits for yet ─────────────────────────────────────────────────────────────────────
/// The values, and what kernels complained of until then, which whoever waits for the values must hear.
class HostBytes : public CopyToHost {
 public:
  explicit HostBytes(std::size_t bytes) : memory_(values_at + bytes) {}

  void begin(const Tensor& x) {
    of_ = x.storage(), offset_ = x.offset(), count_ = x.numel(), version_ = x.storage()->version;
    check(cudaMemcpyAsync(memory_.data + values_at, first_byte(x), bytes_of(x), cudaMemcpyDeviceToHost, stream()));
    begin_copy_of_complaint(memory_.data);
    check(cudaEventRecord(memory_.done, stream()));
    arrived_ = false;
  }
  const std::byte* wait() override {
    const std::scoped_lock lock(host_mutex);
    if (!arrived_) check(cudaEventSynchronize(memory_.done));
    arrived_ = true;
    throw_complaint(complaint_in(memory_.data));
    return memory_.data + values_at;
  }
  bool is_of(const Tensor& x) const {
    return of_.lock() == x.storage() && offset_ == x.offset() && count_ == x.numel() &&
           version_ == x.storage()->version;
  }
  /// Whether the memory can take another copy: neither its tensor nor this one serves any more.
  bool is_free(std::size_t bytes) const {
    const auto of = of_.lock();
    if (memory_.bytes < values_at + bytes || (of != nullptr && of->version == version_)) return false;
    const bool done = arrived_ || cudaEventQuery(memory_.done) == cudaSuccess;
    if (!done) cudaGetLastError();
    return done;
  }

 private:
  static constexpr std::size_t values_at = 16;  ///< behind the complaint

  Pinned memory_;
  std::weak_ptr<Storage> of_;
  std::int64_t offset_ = 0, count_ = 0;
  std::uint32_t version_ = 0;
  bool arrived_ = true;
};

std::vector<std::shared_ptr<HostBytes>>& host_copies() {
  static auto* const the = new std::vector<std::shared_ptr<HostBytes>>;
  return *the;
}

std::shared_ptr<HostBytes> copy_of(const Tensor& x) {
  const std::scoped_lock lock(host_mutex);
  std::shared_ptr<HostBytes> unused;
  for (const auto& each : host_copies()) {
    if (each->is_of(x)) return each;
    if (unused == nullptr && each.use_count() == 1 && each->is_free(bytes_of(x))) unused = each;
  }
  if (unused == nullptr) unused = host_copies().emplace_back(std::make_shared<HostBytes>(bytes_of(x)));
  unused->begin(x);
  return unused;
}

}  // namespace

void copy_from_host(std::byte* device, const std::byte* host, std::size_t bytes) {
  if (bytes == 0) return;
  const std::scoped_lock lock(host_mutex);
  put_copies(device, host, bytes, stream());
}

void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) {
  const std::scoped_lock lock(host_mutex);
  if (bytes > 0) check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream()));
  wait_and_check();
}

Report report() {
  static const Report word = [] {
    void* made = nullptr;
    check(cudaMalloc(&made, sizeof(unsigned long long)));
    check(cudaMemsetAsync(made, 0xff, sizeof(unsigned long long), stream()));
    return static_cast<Report>(made);
  }();
  return word;
}

std::shared_ptr<CopyToHost> begin_copy_to_host(const Tensor& x) { return copy_of(x); }

std::shared_ptr<CopyFromHost> begin_copy_from_host(const Tensor& to, const std::byte* from) {
  return std::make_shared<Ahead>(to, from);
}

std::span<const std::int32_t> on_host(const Tensor& x) {
  return {reinterpret_cast<const std::int32_t*>(copy_of(x)->wait()), static_cast<std::size_t>(x.numel())};
}

}  // namespace folio::FOLIO_CUDA
