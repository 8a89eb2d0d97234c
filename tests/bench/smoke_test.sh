#!/usr/bin/env bash
# smoke_test.sh BENCH [DEVICE]: every benchmark of preset tiny runs and prints what it counts, and every op has some both
# ways; on a device other than the CPU, without those that a step grows in. (Those of other presets are the same at other
# sizes.)
set -u
bench=$1 device=${2:-cpu}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ops=$(sed -n 's/^OP(\(.*\))$/\1/p' "$here/../../autograd/ops.def")
# shellcheck source=tests/examples/workspace.sh
. "$here/../examples/workspace.sh"

case $device in
  cpu)
    filter='/tiny(/|$)' ceilings='multiply-add [1-9][0-9]* GFLOP/s, matrix product by eigen [1-9].*, copy [0-9.]*[1-9].*, parallel region [0-9.]*[1-9]'
    others='growth/tiny/experts:8 routing/tiny/token_wise'
    ;;
  *) filter='^((op|update)/.*|step|decode|routing)/tiny(/|$)' ceilings='matrix product by TF32 [0-9.]*[1-9].* GFLOP/s, copy [0-9.]*[1-9]' others='' ;;
esac
run=("$bench" --device "$device" --ceilings=0 "--benchmark_filter=$filter")
names=$("${run[@]}" --benchmark_list_tests)
out=$("${run[@]}" --benchmark_min_time=1e-9 --benchmark_out="$work/measured.json" --benchmark_out_format=json 2>&1) || fail "bench exits with $?: $(tail -n 3 <<<"$out")"
grep -q -E "ceilings: $ceilings" <<<"$out" ||
  fail "the ceilings are missing: $(grep ceilings <<<"$out")"

for name in $names; do
  line=$(grep -F "$name " <<<"$out") || fail "$name did not run"
  case $name in
    # Views move nothing.
    op/reshape/*/forward* | op/permute/*/forward* | op/expand/*/forward* | op/slice/*/forward* | op/split/*/forward*)
      wanted=' GB/s=0 share=0$' ;;
    update/* | routing/tiny/sort/*) wanted=' GB/s=[0-9.]*[1-9].* share=[0-9.]*[1-9]' ;;
    op/*) wanted=' G(FLOP|B)/s=[0-9.]*[1-9].* share=[0-9.]*[1-9]' ;;
    step/* | growth/*) wanted=' GFLOP/s=[0-9.]*[1-9].* peak_MiB=[1-9].* share=[0-9.]*[1-9].* tokens/s=[1-9]' ;;
    decode/*) wanted=' GB/s=[0-9.]*[1-9].* share=[0-9.]*[1-9].* tokens/s=[1-9]' ;;
    *) wanted=' tokens/s=[1-9]' ;;
  esac
  grep -q -E "$wanted" <<<"$line" || fail "$name does not print '$wanted': $line"
done

for op in $ops; do
  for way in forward backward; do
    grep -q -E "^op/$op/(.*/)?tiny/$way" <<<"$names" || fail "op $op has no benchmark $way"
  done
done
for part in step/tiny decode/tiny/position:1/ routing/tiny/expert_wise routing/tiny/sort update/{adamw,sgd,muon,ema,clip}/tiny $others; do
  grep -q -F "$part" <<<"$names" || fail "there is no benchmark $part"
done

bash "$here/table.sh" "$work/measured.json" >table || fail "table.sh fails: $(cat table)"
while read -r name; do
  grep -q -E "^${name%/*_time} +\(1\) +[0-9.]+ [mu]s +[^ ]+ (T|G|tokens)" table || fail "table.sh has no line of $name"
done <<<"$names"
bash "$here/table.sh" - <"$work/measured.json" | cmp -s - table || fail "table.sh reads stdin otherwise than a file"

# Of repeated ones the median, whatever the others are.
{
  printf '    "device": "a",\n    "ceilings": "b"\n'
  for run in 'iteration 5' 'iteration 1' 'iteration 2' 'mean 2.7' 'median 2' 'stddev 3'; do
    printf '      "name": "step/tiny/real_time_%s",\n      "run_name": "step/tiny/real_time",\n' "${run% *}"
    case $run in iteration*) ;; *) printf '      "aggregate_name": "%s",\n' "${run% *}" ;; esac
    printf '      "real_time": %s,\n      "time_unit": "ms",\n      "tokens/s": 7,\n' "${run#* }"
  done
  printf '      "name": "op/add/tiny",\n      "real_time": 3,\n      "time_unit": "us",\n'
  printf '      "GFLOP/s": 1500,\n      "share": 0.25,\n      "peak_MiB": 9.6,\n'
} >thrice.json
bash "$here/table.sh" thrice.json >table || fail "table.sh fails on repetitions: $(cat table)"
if [ "$(grep -c '^step/tiny' table)" != 1 ] || ! grep -q -E '^step/tiny +\(1\) +2.0 ms +7 tokens/s$' table; then
  fail "table.sh does not give the median: $(cat table)"
fi
grep -q -E '^op/add/tiny +\(1\) +3.0 us +1.5 TFLOP/s +25 % +10 MiB$' table || fail "table.sh does not give rate, share and memory: $(cat table)"
echo '{}' | bash "$here/table.sh" - >out 2>err
if [ "$?" != 2 ] || ! grep -q -x 'table.sh: no benchmark is in what it was given' err; then fail "table.sh of no benchmarks: $(cat out err)"; fi

# A window of two tokens has two positions.
positions=$("$bench" --ceilings=0 --set context=2 --benchmark_filter='^decode/tiny/' --benchmark_min_time=1e-9 2>/dev/null | grep -c tokens/s)
[ "$positions" = 2 ] || fail "decoding in a context of 2 has $positions lines"
"$bench" --ceilings=0 --benchmark_filter=nothing >out 2>err && fail "a filter that nothing fits is no error"
[ "$(tail -n 1 err)" = "bench: no benchmark fits the filter" ] || fail "a filter that nothing fits: $(cat err)"
peak() { sed -n 's/^step.* peak_MiB=\([0-9.]*\).*/\1/p'; }
of_step() { "$bench" --device "$device" --ceilings=0 --benchmark_filter='^step/tiny/' --benchmark_min_time=1e-9 "$@" 2>&1 | peak; }
small=$(of_step --set batch=1 --set context=16)
awk "BEGIN { exit !(0 < ${small:-0} && ${small:-0} < $(peak <<<"$out")) }" || fail "--set batch=1 takes $small MiB"
[ "$small" != "$(of_step --set batch=1 --set context=16 --set optimizer=muon)" ] || fail "a step is not one of the preset's optimizer"
"$bench" --set wings=2 >out 2>err && fail "an unknown setting is no error"
grep -q -E "^bench: unknown setting 'wings'; known are" err || fail "an unknown setting: $(cat err)"
[ "$failures" = 0 ] || exit 1
echo "all $(wc -w <<<"$names") benchmarks run"
