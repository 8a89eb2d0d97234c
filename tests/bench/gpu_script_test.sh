#!/usr/bin/env bash
# gpu_script_test.sh BENCH: what tests/gpu.sh makes of its stages, with stand-ins for the GPU, ctest and compute-sanitizer,
# and benchmarks on cuda-emulated: the table where all is well, exit code 1 where a stage finds fault.
set -u
bench=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/examples/workspace.sh
. "$here/../examples/workspace.sh"

# NAME: an executable file, from stdin.
program() { mkdir -p "$(dirname "$1")" && { echo '#!/usr/bin/env bash' && cat; } >"$1" && chmod +x "$1"; }
program bin/nvcc <<'END'
printf '#!/bin/sh\nprintf "Pretend 9000\\\\n90\\\\n81559\\\\n13.0\\\\n13.0\\\\n"\n' >"$2"
chmod +x "$2"
END
program bin/ctest <<'END'
echo "100% tests passed, ${BAD_TESTS:-0} tests failed out of 3"
exit "${BAD_TESTS:-0}"
END
program bin/compute-sanitizer <<'END'
[[ $* == *"--tool ${BAD_TOOL:-none} "* ]] && echo '========= a hazard' && exit "${BAD_CODE:-9}"
exit 0
END
program build/tests/bench/bench <<END
[[ \$* == *"--dtype \${BAD_DTYPE:-none} "* ]] && printf 'bench: %s\\n' 'op/add began' 'cudaErrorIllegalAddress' >&2 && exit 2
arguments=()
for argument; do
  case \$argument in
    cuda) argument=cuda-emulated ;;
    --benchmark_filter=*)
      '$bench' --ceilings=0 --benchmark_list_tests "\$argument" >'$work/selected'
      argument='--benchmark_filter=^(op/(add|linear/q_a)|update/sgd|step|routing)/tiny(/|\$)'
      ;;
  esac
  arguments+=("\$argument")
done
exec '$bench' --ceilings=0 "\${arguments[@]}"
END
export PATH=$work/bin:$PATH
unset CUDACXX
run() { bash "$here/../gpu.sh" --no-install --build "$work/build" --seconds 0.0001 "$@" >out 2>err </dev/null; }

run --only test,sanitize,bench || fail "all well, and the exit code is $?: $(cat err)"
for line in '^commit: ' '^processor: ' '^GPU: Pretend 9000, compute capability 9.0, 81559 MiB, ' '^tests: 100% tests passed, 0 tests' \
  '^memcheck, test_cuda_real_properties Layouts\.\*: no report$' '^synccheck, test_cuda_real_ops CudaKernels\.\*: no report$' \
  '^\(1\) Folio emulated device, .* in float32: matrix product by TF32 .*, copy ' '^\(2\) Folio emulated device, .* in bfloat16: ' \
  '^op/add/tiny/backward +\(1\) +[0-9.]+ us +[^ ]+ [GT]B/s +[0-9]+ %' '^op/linear/q_a/tiny/forward +\(1\) .* [GT]FLOP/s +[0-9]+ %' \
  '^update/sgd/tiny +\(1\) +[0-9.]+ us +[^ ]+ [GT]B/s +[0-9]+ % +\(2\) -$' '^routing/tiny/expert_wise +\(1\) .* tokens/s' \
  '^step/tiny +\(1\) +[0-9.]+ ms +[1-9][0-9]* tokens/s +[0-9]+ % +[1-9][0-9]* MiB'; do
  grep -q -E "$line" build/report.txt || fail "the report has no line '$line'"
done
for name in op/swiglu update/adamw update/sgd update/ema update/clip; do
  grep -q "^$name/deepseek-shakespeare-v3/" selected || fail "gpu.sh does not measure $name"
done
for name in step/deepseek-shakespeare decode/shakespeare-char routing/shakespeare-char/expert_wise routing/deepseek-shakespeare-v3/sort; do
  grep -q "^$name/" selected || fail "gpu.sh does not measure $name"
done
diff <(sed -n '/^command: /,$p' out) <(sed -n '/^command: /,$p' build/report.txt) || fail "the output does not end with the report"

{ run --only test && grep -q '^tests: 100%' out && ! grep -q -e step/tiny -e racecheck out; } || fail "--only test does something else"
BAD_TESTS=1 run --only test
{ [ $? = 1 ] && [ "$(tail -n 1 out)" = 'gpu.sh: FAILED' ]; } || fail "a failed test is no failure: $(tail -n 1 out)"
BAD_TOOL=racecheck run --only sanitize
{ [ $? = 1 ] && grep -q '^racecheck, .*: FAILED with exit code 9' out; } || fail "a race is no failure: $(tail -n 3 out)"
BAD_TOOL=memcheck BAD_CODE=124 run --only sanitize
{ [ $? = 1 ] && grep -q '^memcheck, .*: did not end within 300 s: see ' out && ! grep -q 'exit code 124' out; } ||
  fail "a sanitizer that takes too long: $(grep ^memcheck out)"
for dtype in f32 bf16; do
  BAD_DTYPE=$dtype run --only bench
  { [ $? = 1 ] && [ "$(tail -n 1 out)" = 'gpu.sh: FAILED' ]; } || fail "benchmarks that crash in $dtype are no failure: $(tail -n 1 out)"
  grep -q "^benchmarks in $dtype: FAILED with exit code 2, so figures are missing" build/report.txt || fail "the report hides a crash in $dtype"
  grep -q '^    bench: cudaErrorIllegalAddress$' build/report.txt || fail "the report does not say why $dtype crashed"
  grep -q '^step/tiny ' build/report.txt || fail "a crash in $dtype loses the other dtype's figures"
done
[ "$failures" = 0 ] || exit 1
echo "all as expected"
