#pragma once
/// Device memory for tensors, and copies to and from the host, all on the ops' stream.
#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {

/// Blocks that were given back are kept by size and handed out again: on one stream that needs no waiting.
std::byte* allocate(std::size_t bytes);
void deallocate(std::byte* data, std::size_t bytes);

/// Through pinned memory, so that the host does not wait for the stream.
void copy_from_host(std::byte* device, const std::byte* host, std::size_t bytes);
/// Waits for the stream. Throws what a kernel complained about in the meantime.
void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes);

}  // namespace folio::FOLIO_CUDA
