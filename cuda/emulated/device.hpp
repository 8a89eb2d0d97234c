#pragma once
// All that a kernel under emulation may use.
#include "cuda/emulated/api.hpp"
#include "cuda/emulated/atomics.hpp"
#include "cuda/emulated/launch.hpp"
#include "cuda/emulated/math.hpp"
#include "cuda/emulated/qualifiers.hpp"
#include "cuda/emulated/shared.hpp"
#include "cuda/emulated/threads.hpp"
#include "cuda/emulated/vectors.hpp"
