#pragma once
#include <string>

#include "autograd/error.hpp"

namespace folio {

/// What the Error that `run` throws says; empty where it throws none.
template <class Run>
std::string error_of(Run&& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace folio
