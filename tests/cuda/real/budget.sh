#!/usr/bin/env bash
# budget.sh BUDGET LOGS-FOLDER [--list]: holds the registers and the static shared memory of every kernel that ptxas
# reports in LOGS-FOLDER/**/*.cu.o.log to the file BUDGET, and fails where a kernel spills, is over its budget, or stands in
# one of the two alone. --list prints what was measured, the largest over instances and GPUs, in the form of the file.
set -euo pipefail
budget=$1 logs=$2
# → "kernel registers shared-bytes spilt-bytes", a line per kernel; element-wise kernels by the formula that they apply
measured=$(find "$logs" -name '*.cu.o.log' -not -path '*demo*' -exec cat {} + | awk '
  /Compiling entry function/ { split($0, part, "\x27"); name = part[2]; spilt = 0 }
  /bytes stack frame/ { spilt = $1 + $5 + $9 }
  /Used [0-9]+ registers/ {
    match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
    shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH) + 0 : 0
    print registers, shared, spilt, name
  }' | c++filt | sed -E 's/folio::cuda::|\(anonymous namespace\):://g; s/ void / /; s/map_kernel<[0-9]+, ([A-Za-z_]+).*/map_kernel:\1/; s/[<(].*//' |
  awk '{ n = $4; r[n] = r[n] > $1 ? r[n] : $1; s[n] = s[n] > $2 ? s[n] : $2; l[n] = l[n] > $3 ? l[n] : $3 }
    END { for (n in r) print n, r[n], s[n], l[n] }' | LC_ALL=C sort)
if [[ ${3:-} == --list ]]; then
  cut -d' ' -f1-3 <<<"$measured" | column -t
  exit
fi
awk '
  NR == FNR { if ($0 !~ /^#/ && NF) { r[$1] = $2; s[$1] = $3 } next }
  !NF { next }
  { seen[$1] = 1; ++kernels }
  $4 > 0 { print $1 ": spills " $4 " bytes"; bad = 1 }
  !($1 in r) { print $1 ": has no budget: give it a line, " $2 " registers and " $3 " bytes of shared memory"; bad = 1; next }
  $2 > r[$1] || $3 > s[$1] { print $1 ": " $2 " registers and " $3 " bytes of shared memory, its budget is " r[$1] " and " s[$1]; bad = 1 }
  END {
    for (n in r) if (!(n in seen)) { print n ": in the budget, but no kernel of this build"; bad = 1 }
    print kernels + 0 " kernels, " (bad ? "not all within their budgets" : "all within their budgets, no spills")
    exit bad || !kernels
  }' "$budget" - <<<"$measured"
