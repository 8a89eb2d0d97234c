#pragma once
/// Device memory for tensors, and copies to and from the host, on the ops' stream unless said otherwise.
#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {

/// Blocks that were given back are kept by size and handed out again: on one stream that needs no waiting.
std::byte* allocate(std::size_t bytes);
void deallocate(std::byte* data, std::size_t bytes);
/// Bytes taken from the device, those of blocks kept included.
std::size_t held_memory();
/// Gives the kept blocks back to the device; waits for the stream.
void release_cached_memory();

/// Through pinned memory. The host waits for the stream only where all of that, at most 128 MiB and as few as four
/// buffers, is under way.
void copy_from_host(std::byte* device, const std::byte* host, std::size_t bytes);
/// Waits for the stream. Throws what a kernel complained about in the meantime, in the name of all that was put on
/// the stream until now: their other complaints are forgotten.
void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes);

/// On a stream of its own, behind what was put on the ops' stream so far (the memory's last users) and before what is put
/// there once the answer is gone.
std::shared_ptr<CopyFromHost> begin_copy_from_host(const Tensor& to, const std::byte* from);

}  // namespace folio::FOLIO_CUDA
