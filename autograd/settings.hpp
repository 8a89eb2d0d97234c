#pragma once
// What a program may choose for the whole process.
#include <cstdint>
#include <string_view>
#include <vector>

namespace folio {

/// Who multiplies matrices of float32, and of 16 bits where the processor does, on the CPU. Eigen is always there and takes
/// float64 in any case; oneDNN is there where the build found it. A program that handles signals itself gives its handlers a
/// stack of their own where oneDNN multiplies (sigaltstack and SA_ONSTACK): handlers that ran on the interrupted stack were
/// seen to corrupt the heap.
enum class GemmProvider : std::uint8_t { eigen, onednn };
const char* name_of(GemmProvider provider);

/// Those of this build, slowest first.
std::vector<GemmProvider> gemm_providers();

/// The one in use: at first the one that the environment variable FOLIO_GEMM names, or else the fastest of this build.
GemmProvider gemm_provider();
/// Throws an Error if the build is without it. The two round differently, so change it before training, not during.
void set_gemm_provider(GemmProvider provider);
/// The same by name: "eigen" or "onednn".
void set_gemm_provider(std::string_view name);

/// Whether matrix products of float32 on a GPU may round their factors to TensorFloat-32, 10 bits of fraction, which
/// tensor cores multiply several times as fast. Off at first. The CPU has no such products.
bool tf32();
void set_tf32(bool on);

}  // namespace folio
