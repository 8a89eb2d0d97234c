#!/usr/bin/env bash
# Tables of step time, tokens/s and peak memory of tensors against batch, context, layers, width, experts and threads: medians of
# 5 runs, which are taken in random order, so that a machine whose speed changes does not change a part of a table.
#   bash tests/bench/growth.sh [options]
#   --preset NAME   tiny or shakespeare-char (if not given)
#   --dtype NAME    f32, bf16 or f16: f32 if not given
#   --seconds N     spent on each run at least: 2 if not given
#   --build DIR     the build that is timed: build/release if not given
#   --busy          measure although other programs run, and say so
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/install.sh
. tests/bench/machine.sh

given=("$@")
preset=shakespeare-char dtype=f32 seconds=2 build=build/release
while (($#)); do
  case $1 in
    --preset | --dtype | --seconds | --build)
      [[ -n ${2:-} ]] || folio_stop "growth.sh: $1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --busy) export FOLIO_BUSY=1 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' tests/bench/growth.sh && exit ;;
    *) folio_stop "growth.sh: unknown argument '$1' (--help lists them)" ;;
  esac
  shift
done
[[ $seconds =~ ^[0-9]+(\.[0-9]+)?$ ]] || folio_stop "growth.sh: --seconds takes a number, not '$seconds'"
[[ $preset == tiny || $preset == shakespeare-char ]] || folio_stop "growth.sh: --preset takes tiny or shakespeare-char, not '$preset'"
bench=$build/tests/bench/bench
bench_require_built growth.sh "$bench"
bench_require_quiet growth.sh

errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
facts=$(bench_machine "bash tests/bench/growth.sh$(bench_words "${given[@]}")")
csv=$("$bench" --dtype "$dtype" --benchmark_filter="^growth/$preset/" --benchmark_min_time="$seconds" --benchmark_repetitions=5 \
  --benchmark_enable_random_interleaving=true --benchmark_report_aggregates_only=true --benchmark_format=csv 2>"$errors") ||
  folio_stop "growth.sh: $bench fails: $(tail -n 1 "$errors")"
echo "$facts"
# Columns are found by name; a benchmark is called "growth/PRESET/KEY:VALUE/real_time_median". Lines come as they were measured,
# the ones of all tables among each other.
for key in batch context layers width experts threads; do
  printf '\n| %s of %s | ms per step | tokens/s | peak MiB |\n|---:|---:|---:|---:|\n' "$key" "$preset"
  awk -F, -v preset="$preset" -v key="$key" '
    { gsub(/"/, "") }
    /^name,/ { for (i = 1; i <= NF; i++) column[$i] = i; next }
    split($1, part, "/") == 4 && part[1] == "growth" && part[4] == "real_time_median" && split(part[3], pair, ":") && pair[1] == key {
      printf "| %s | %.1f | %.0f | %.0f |\n", pair[2], $column["real_time"], $column["tokens/s"], $column["peak_MiB"]
    }' <<<"$csv" | sort -t '|' -k 2n
done
