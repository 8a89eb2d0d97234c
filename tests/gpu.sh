#!/usr/bin/env bash
# On a machine with a GPU: builds for it, runs every property of the ops, their kernels and ten training steps on device
# cuda, then compute-sanitizer where it is present, then the benchmarks, and ends with one table of all figures. Exit code 1
# where a test or a benchmark failed, or the sanitizer complained or did not end in time; 2 where nothing could be run.
#   bash tests/gpu.sh [options]
#   --no-install   take the packages as they are
#   --only STAGES  of build, test, sanitize, bench, with commas: those alone
#   --seconds X    spent at least on each kind of step and of decoding: 1 if not given
#   --build DIR    where it is built, and reports are left: build/gpu if not given
# The machine may reach nothing outside: run `bash tests/carry.sh DIR` elsewhere, carry DIR along, and set FOLIO_DEPS=DIR.
# RC_PARAMS="seed=… max_success=…" replays and scales the property draws.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/install.sh
. tests/bench/machine.sh

given=("$@")
install=1 only=build,test,sanitize,bench seconds=1 build=build/gpu
while (($#)); do
  case $1 in
    --no-install) install=0 ;;
    --only | --seconds | --build)
      [[ -n ${2:-} ]] || folio_stop "gpu.sh: $1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' tests/gpu.sh && exit ;;
    *) folio_stop "gpu.sh: unknown argument '$1' (--help lists them)" ;;
  esac
  shift
done
[[ ,$only, =~ ^,((build|test|sanitize|bench),)+$ ]] || folio_stop "gpu.sh: --only takes build, test, sanitize and bench, not '$only'"
[[ $seconds =~ ^[0-9]+(\.[0-9]+)?$ ]] || folio_stop "gpu.sh: --seconds takes a number, not '$seconds'"
[[ -z ${FOLIO_DEPS:-} ]] || install=0  # all is carried along
on() { [[ ,$only, == *,$1,* ]]; }

# ── The GPU ──────────────────────────────────────────────────────────────────────────────────────────────────────────
nvcc=${CUDACXX:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[[ -x $(command -v "$nvcc") ]] || folio_stop "gpu.sh: no nvcc on the PATH or in CUDACXX: install the CUDA Toolkit"
export CUDACXX=$nvcc
if ((install)) && ! command -v g++ >/dev/null; then folio_install programs tests; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$nvcc" -o "$work/probe" tests/cuda/real/probe.cu 2>"$work/err" || folio_stop "gpu.sh: nvcc compiles nothing here: $(grep -m 1 . "$work/err")"
"$work/probe" >"$work/gpu" 2>"$work/err" || folio_stop "gpu.sh: no GPU that CUDA can use: $(head -n 1 "$work/err")"
{ read -r name && read -r capability && read -r memory && read -r driver && read -r runtime; } <"$work/gpu"
gpu="$name, compute capability ${capability%?}.${capability: -1}, $memory MiB, driver for CUDA $driver, toolkit $runtime"
echo "gpu.sh: $gpu"

# ── Build ────────────────────────────────────────────────────────────────────────────────────────────────────────────
SECONDS=0
if on build; then
  ((install)) && folio_install programs tests
  carried=()
  if [[ -n ${FOLIO_DEPS:-} ]]; then
    usr=$(cd "$FOLIO_DEPS/usr" 2>/dev/null && pwd) || folio_stop "gpu.sh: there is no usr/ in FOLIO_DEPS=$FOLIO_DEPS: bash tests/carry.sh makes it"
    carried=("-DCMAKE_PREFIX_PATH=$usr" "-DCMAKE_CXX_FLAGS=-isystem $usr/include" -DFOLIO_DOWNLOADS=OFF)
  fi
  ! command -v ninja >/dev/null || export CMAKE_GENERATOR=Ninja
  {
    cmake -B "$build" -DCMAKE_BUILD_TYPE=Release -DFOLIO_NATIVE=ON -DFOLIO_CUDA=ON -DFOLIO_GPU_TESTS=ON \
      -DFOLIO_CUDA_ARCHITECTURES="$capability" "${carried[@]}" &&
      cmake --build "$build" --parallel "$(bench_cores)" --target test_cuda_real_properties test_cuda_real_ops train generate bench
  } || folio_stop "gpu.sh: the build failed: what it says is above"
fi
build_time=$SECONDS
bench=$build/tests/bench/bench
[[ -x $bench ]] || folio_stop "gpu.sh: there is no $bench: leave --only out, or give it build too (and is Google Benchmark there?)"

failed=0 sanitized=()
# ── Tests ────────────────────────────────────────────────────────────────────────────────────────────────────────────
export RC_PARAMS=${RC_PARAMS:-seed=20240607}
tests='not run'
SECONDS=0
if on test; then
  echo "gpu.sh: tests on device cuda, RC_PARAMS='$RC_PARAMS'; their output is in $build/ctest.log"
  if ! OMP_NUM_THREADS=1 ctest --test-dir "$build" -L '^cuda$' --no-tests=error --output-on-failure -j "$(bench_cores)" \
    </dev/null >"$build/ctest.log" 2>&1; then
    failed=1
    grep -e 'FAILED' -e Failure -e '\*\*\*' -A 3 "$build/ctest.log" | head -n 60 || true
  fi
  tests=$(grep -E '^[0-9]+% tests passed' "$build/ctest.log" || echo 'ctest did not end')
fi
test_time=$SECONDS

# ── compute-sanitizer, over one property of every op and the kernels that no op records ──────────────────────────────
# TOOL PROGRAM FILTER
sanitize() {
  local log=$build/$1-$2.log verdict='no report' limit=300 code
  echo "gpu.sh: $1 over $2 $3"
  RC_PARAMS="${RC_PARAMS%% max_success*} max_success=4" timeout $limit "$sanitizer" --tool "$1" --error-exitcode 9 \
    --report-api-errors no "$build/tests/cuda/ops/$2" --gtest_filter="$3" >"$log" 2>&1 </dev/null || {
    code=$? failed=1
    verdict="FAILED with exit code $code: see $log"
    ((code != 124)) || verdict="did not end within $limit s: see $log"
    grep -e '=========' -e FAILED "$log" | head -n 20 || true
  }
  sanitized+=("$1, $2 $3: $verdict")
}
SECONDS=0
if on sanitize; then
  beside_nvcc=$(dirname "$(readlink -f "$(command -v "$nvcc")")")/compute-sanitizer
  sanitizer=$(command -v compute-sanitizer || command -v "$beside_nvcc" || true)
  for tool in memcheck racecheck synccheck; do
    [[ -n $sanitizer ]] || { sanitized=('compute-sanitizer: not present') && break; }
    sanitize $tool test_cuda_real_properties 'Layouts.*'
    sanitize $tool test_cuda_real_ops 'CudaKernels.*'
  done
fi
sanitize_time=$SECONDS

# ── Benchmarks ───────────────────────────────────────────────────────────────────────────────────────────────────────
measured='^((op|update)/.*/deepseek-shakespeare-v3/|step/(shakespeare-char|deepseek-shakespeare)/|decode/shakespeare-char/'
measured+='|routing/(shakespeare-char|deepseek-shakespeare-v3)/)'
SECONDS=0 files=() gaps=()
if on bench; then
  for dtype in f32 bf16; do
    echo "gpu.sh: benchmarks in $dtype"
    file=$build/bench-$dtype.json log=$build/bench-$dtype.log
    rm -f "$file"
    "$bench" --device cuda --dtype $dtype --benchmark_filter="$measured" --benchmark_min_time="$seconds" \
      --benchmark_out="$file" --benchmark_out_format=json >/dev/null 2>"$log" || {
      gaps+=("benchmarks in $dtype: FAILED with exit code $?, so figures are missing below; the last of $log:"
        "$({ grep . "$log" || echo 'nothing was said'; } | tail -n 3 | sed 's/^/    /')")
      failed=1
      printf '%s\n' "${gaps[@]: -2}"
    }
    [[ ! -s $file ]] || files+=("$file")
  done
fi
bench_time=$SECONDS

# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────────
{
  echo
  bench_machine "bash tests/gpu.sh$(bench_words "${given[@]}")"
  echo "GPU: $gpu"
  echo "tests: $tests"
  ((${#sanitized[@]} == 0)) || printf '%s\n' "${sanitized[@]}"
  echo "seconds: build $build_time, tests $test_time, sanitizer $sanitize_time, benchmarks $bench_time"
  ((${#gaps[@]} == 0)) || printf '%s\n' "${gaps[@]}"
  if ((${#files[@]})); then bash tests/bench/table.sh "${files[@]}"; fi
} | tee "$build/report.txt" || failed=1
((failed == 0)) || echo "gpu.sh: FAILED"
exit $failed
