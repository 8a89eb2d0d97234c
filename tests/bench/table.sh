#!/usr/bin/env bash
# table.sh FILE…: what `bench --benchmark_out=FILE --benchmark_out_format=json` measured, as one table: a line per benchmark
# and, for each file that has it, time, rate, share of the ceiling (of a step: model FLOP utilisation) and peak memory. Of
# repeated ones (--benchmark_repetitions=N) it gives the medians. The file `-` is stdin, for `bench --benchmark_format=json`.
set -euo pipefail
(($#)) || { echo "table.sh: needs a file that bench wrote" >&2 && exit 2; }
for file; do [[ $file == - || -s $file ]] || { echo "table.sh: there is no $file, or nothing in it" >&2 && exit 2; }; done
awk '
  # Google Benchmark writes each key on a line of its own.
  function text_of(line) { sub(/^[^:]*: "/, "", line); sub(/",?$/, "", line); return line }
  function number_of(line) { sub(/^.*: /, "", line); sub(/,$/, "", line); return line + 0 }
  function scaled(x, unit) { return x >= 1000 ? sprintf("%.3g T%s", x / 1000, unit) : sprintf("%.3g G%s", x, unit) }
  function rate() {
    if ("tokens/s" in value) return sprintf("%.0f tokens/s", value["tokens/s"])
    return "GFLOP/s" in value ? scaled(value["GFLOP/s"], "FLOP/s") : scaled(value["GB/s"], "B/s")
  }
  function finish() {
    if (name == "") return
    if (skipped) { name = ""; return }
    if (!(name in seen)) { seen[name] = 1; order[++names] = name }
    cell[name, files] = error ? "-" : sprintf("%9.1f %s %18s %6s %10s", value["real_time"], unit, rate(),
      "share" in value ? sprintf("%.0f %%", 100 * value["share"]) : "", "peak_MiB" in value ? sprintf("%.0f MiB", value["peak_MiB"]) : "")
    if (error) { failed[files] += !((name, files) in gone); gone[name, files] = 1; why[files] = message }
    name = ""
  }
  FNR == 1 { finish(); files++ }
  /^    "device": / { device[files] = text_of($0) }
  /^    "ceilings": / { ceilings[files] = text_of($0) }
  /^      "name": / { finish(); name = text_of($0); delete value; error = skipped = 0 }
  /^      "run_name": / { name = text_of($0); sub(/(\/iterations:[0-9]+)?(\/repeats:[0-9]+)?\/(real|manual)_time$/, "", name) }
  /^      "aggregate_name": / { skipped = text_of($0) != "median" }
  /^      "time_unit": / { unit = text_of($0) }
  /^      "error_occurred": true/ { error = 1 }
  /^      "error_message": / { message = text_of($0) }
  /^      "[A-Za-z_\/]+": [0-9.e+-]+,?$/ { key = $1; gsub(/[":]/, "", key); value[key] = number_of($0) }
  END {
    finish()
    for (f = 1; f <= files && names; f++) {
      printf "(%d) %s: %s\n", f, device[f], ceilings[f]
      if (failed[f]) printf "    %d benchmarks failed, the last: %s\n", failed[f], why[f]
    }
    for (i = 1; i <= names; i++) {
      printf "%-62s", order[i]
      for (f = 1; f <= files; f++) printf " (%d) %-50s", f, (order[i], f) in cell ? cell[order[i], f] : "-"
      print ""
    }
    if (!names) print "table.sh: no benchmark is in what it was given" >"/dev/stderr"
    exit names ? 0 : 2
  }' "$@" | sed 's/ *$//'
