#!/usr/bin/env bash
# smoke_test.sh BENCH: every benchmark of preset tiny runs and prints what it counts, and every op has some both ways.
# (Those of other presets are the same at other sizes.)
set -u
bench=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ops=$(sed -n 's/^OP(\(.*\))$/\1/p' "$here/../../autograd/ops.def")
# shellcheck source=tests/examples/workspace.sh
. "$here/../examples/workspace.sh"

filter="--benchmark_filter=/tiny(/|$)"
names=$("$bench" --ceilings=0 "$filter" --benchmark_list_tests)
out=$("$bench" --ceilings=0 "$filter" --benchmark_min_time=1e-9 2>&1) || fail "bench exits with $?: $(tail -n 3 <<<"$out")"
grep -q -E 'ceilings: .*multiply-add [1-9][0-9]* GFLOP/s, matrix product by eigen [1-9].* GFLOP/s.*, copy [0-9.]*[1-9]' <<<"$out" ||
  fail "the ceilings are missing: $(grep ceilings <<<"$out")"

for name in $names; do
  line=$(grep -F "$name " <<<"$out") || fail "$name did not run"
  case $name in
    # Views move nothing.
    op/reshape/*/forward* | op/permute/*/forward* | op/expand/*/forward* | op/slice/*/forward* | op/split/*/forward*)
      wanted=' GB/s=0 share=0$' ;;
    op/*) wanted=' G(FLOP|B)/s=[0-9.]*[1-9].* share=[0-9.]*[1-9]' ;;
    step/* | growth/*) wanted=' GFLOP/s=[0-9.]*[1-9].* peak_MiB=[1-9].* share=[0-9.]*[1-9].* tokens/s=[1-9]' ;;
    *) wanted=' tokens/s=[1-9]' ;;
  esac
  grep -q -E "$wanted" <<<"$line" || fail "$name does not print '$wanted': $line"
done

for op in $ops; do
  for way in forward backward; do
    grep -q -E "^op/$op/(.*/)?tiny/$way" <<<"$names" || fail "op $op has no benchmark $way"
  done
done
for part in step/tiny growth/tiny/experts:8 decode/tiny/position:1/ routing/tiny/expert_wise routing/tiny/token_wise; do
  grep -q -F "$part" <<<"$names" || fail "there is no benchmark $part"
done

"$bench" --ceilings=0 --benchmark_filter=nothing >out 2>err && fail "a filter that nothing fits is no error"
[ "$(tail -n 1 err)" = "bench: no benchmark fits the filter" ] || fail "a filter that nothing fits: $(cat err)"
[ "$failures" = 0 ] || exit 1
echo "all $(wc -w <<<"$names") benchmarks run"
