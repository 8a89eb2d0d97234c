#!/usr/bin/env bash
# no_gpu_test.sh GPU_SH PROGRAM…: where CUDA finds no GPU, gpu.sh and the programs that need one end in one line that says
# so, with exit code 2, and leave nothing behind. (A GPU of this machine is hidden from them.)
set -u
gpu=$1
# shellcheck source=tests/examples/workspace.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../examples/workspace.sh"
export CUDA_VISIBLE_DEVICES=

refuses "gpu.sh" '^folio: gpu.sh: no GPU that CUDA can use: .' bash "$gpu" --no-install
refuses "gpu.sh with an unknown argument" "gpu.sh: unknown argument '--fast'" bash "$gpu" --fast
refuses "gpu.sh with half an option" 'gpu.sh: --seconds needs a value' bash "$gpu" --seconds
refuses "gpu.sh with an unknown stage" "gpu.sh: --only takes build, test, sanitize and bench, not 'build,play'" bash "$gpu" --only build,play
refuses "gpu.sh without nvcc" 'gpu.sh: no nvcc' env CUDACXX=nowhere/nvcc bash "$gpu" --no-install
for program in "${@:2}"; do
  device=()
  case $program in */bench | */train) device=(--device cuda) ;; esac
  refuses "${program##*/}" 'device cuda: there is no GPU that CUDA can use' "$program" "${device[@]}"
done
exit $((failures > 0))
