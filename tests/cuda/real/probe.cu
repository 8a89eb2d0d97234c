// Prints what CUDA says of the GPU that it would use: name, compute capability without its dot, MiB, and the CUDA versions
// of driver and runtime, each on a line. Where there is none: why, on stderr, and exit code 2.
#include <cuda_runtime.h>

#include <cstdio>

int main() {
  int gpus = 0;
  cudaDeviceProp gpu{};
  int driver = 0, runtime = 0;
  cudaError_t status = cudaGetDeviceCount(&gpus);
  if (status == cudaSuccess) status = cudaGetDeviceProperties(&gpu, 0);
  if (status == cudaSuccess) status = cudaFree(nullptr);  // takes hold of it
  if (status == cudaSuccess) status = cudaDriverGetVersion(&driver);
  if (status == cudaSuccess) status = cudaRuntimeGetVersion(&runtime);
  if (status != cudaSuccess) {
    std::fprintf(stderr, "%s\n", cudaGetErrorString(status));
    return 2;
  }
  std::printf("%s\n%d%d\n%zu\n%d.%d\n%d.%d\n", gpu.name, gpu.major, gpu.minor, gpu.totalGlobalMem >> 20, driver / 1000,
              driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
}
