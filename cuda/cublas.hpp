#pragma once
/// Matrix products, under cuBLAS's own names: the toolkit's for a GPU, the emulator's shim elsewhere. check(...)
/// takes cuBLAS's statuses too.
#include "cuda/kernel.hpp"
#ifdef FOLIO_CUDA_EMULATED
#include "cuda/emulated/cublas.hpp"
#else
#include "cuda/real/cublas.hpp"
#endif
