#include "autograd/settings.hpp"

#include <atomic>
#include <cstdlib>
#include <string>

#include "autograd/cpu/gemm_onednn.hpp"
#include "autograd/error.hpp"

namespace folio {
namespace {

GemmProvider provider_named(std::string_view name) {
  for (GemmProvider provider : {GemmProvider::eigen, GemmProvider::onednn}) {
    if (name == name_of(provider)) return provider;
  }
  throw Error("no matrix-product provider '" + std::string(name) + "'; there are eigen and onednn");
}

GemmProvider checked(GemmProvider provider) {
  require(provider != GemmProvider::onednn || cpu::has_onednn, [] {
    return std::string(
        "this build has no onednn for matrix products: install oneDNN (libdnnl-dev) and configure again, or choose "
        "eigen");
  });
  return provider;
}

GemmProvider first_choice() {
  const char* name = std::getenv("FOLIO_GEMM");
  if (name != nullptr && *name != '\0') {
    try {
      return checked(provider_named(name));
    } catch (const Error& error) {
      throw Error(std::string("FOLIO_GEMM: ") + error.what());
    }
  }
  return gemm_providers().back();
}

std::atomic<GemmProvider>& current() {
  static std::atomic<GemmProvider> provider = first_choice();
  return provider;
}

std::atomic<bool> tf32_allowed = false;

}  // namespace

const char* name_of(GemmProvider provider) { return provider == GemmProvider::eigen ? "eigen" : "onednn"; }

std::vector<GemmProvider> gemm_providers() {
  if (cpu::has_onednn) return {GemmProvider::eigen, GemmProvider::onednn};
  return {GemmProvider::eigen};
}

GemmProvider gemm_provider() { return current(); }
void set_gemm_provider(GemmProvider provider) { current() = checked(provider); }
void set_gemm_provider(std::string_view name) { set_gemm_provider(provider_named(name)); }

bool tf32() { return tf32_allowed; }
void set_tf32(bool on) { tf32_allowed = on; }

}  // namespace folio
