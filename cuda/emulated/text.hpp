#pragma once
#include <cstdio>
#include <cstring>
#include <source_location>
#include <string>

// How places appear in messages.
namespace folio::cuda_emulated {

/// A path as it was given to the compiler, from the project's root: compilers and caches write "../../cuda/x.cu" and
/// "build/../cuda/x.cu" for it.
std::string shown_path(const char* path);

/// "file:line"
inline std::string place_of(std::source_location where) {
  return shown_path(where.file_name()) + ":" + std::to_string(where.line());
}

inline bool same_place(std::source_location a, std::source_location b) {
  return a.line() == b.line() && (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

/// "(1,0,0)"
template <typename Three>
std::string triple(const Three& t) {
  char text[48];
  std::snprintf(text, sizeof text, "(%u,%u,%u)", t.x, t.y, t.z);
  return text;
}

}  // namespace folio::cuda_emulated
