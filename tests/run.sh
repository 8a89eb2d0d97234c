#!/usr/bin/env bash
# Installs what is missing, builds, runs every test, and ends with ctest's summary and exit code.
#   bash tests/run.sh [--full] [--no-install] [--preset release|dev|asan|eigen]
#   --full        ten times the property draws, from a new seed, and the kernels for every GPU that is supported
#   --no-install  take the packages as they are
# RC_PARAMS="seed=… max_success=…" replays and scales the property draws. A skipped test is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/install.sh

preset=release full=0 install=1
while (($#)); do
  case $1 in
    --full) full=1 ;;
    --no-install) install=0 ;;
    --preset) preset=${2:?run.sh: --preset needs a name} && shift ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' tests/run.sh && exit ;;
    *) folio_stop "run.sh: unknown argument '$1' (--full, --no-install, --preset NAME)" ;;
  esac
  shift
done
ctest=(ctest --preset "$preset")
configure=(cmake --preset "$preset")
if ((full)); then
  ctest+=(-C full)
  # In place of one architecture, where there is nvcc.
  [[ $preset =~ ^(release|dev)$ ]] && command -v "${CUDACXX:-nvcc}" >/dev/null && configure+=(-DFOLIO_CUDA=ON)
elif grep -qs '^FOLIO_CUDA:.*=ON$' "build/$preset/CMakeCache.txt"; then
  configure+=(-DFOLIO_CUDA=AUTO)  # a --full run before
fi
if [[ -z ${RC_PARAMS:-} ]]; then
  RC_PARAMS=seed=20240607
  ((full)) && RC_PARAMS="seed=$SRANDOM max_success=1000"
fi
export RC_PARAMS

minutes() { awk "BEGIN { printf \"%.1f\", $1 / 60 }"; }
tests_with() { "${ctest[@]}" -N "$@" | sed -n 's/^Total Tests: //p'; }
# LABEL → its budget in minutes under this preset; dev is as slow as asan.
budget() {
  local column
  column=$(sed -n 's/^# label *//p' tests/budgets.txt | tr -s ' ' '\n' | grep -nx "${preset/dev/asan}" | cut -d: -f1)
  awk -v label="$1" -v column="$column" '$1 == label { print $(column + 1) }' tests/budgets.txt
}

((install)) && folio_install programs tests
echo "folio: preset $preset, RC_PARAMS='$RC_PARAMS', $(nproc) cores"
SECONDS=0
"${configure[@]}"
cmake --build --preset "$preset" --parallel "$(nproc)"
build_time=$SECONDS

total=$(tests_with)
mapfile -t labels < <("${ctest[@]}" --print-labels | sed -n '/^All Labels:/,$s/^  //p')
on_device=0
for device in cpu cuda cuda-emulated; do
  count=$(tests_with -L "^$device\$")
  [[ $device == cuda && $count == 0 ]] && continue
  echo "tests on $device: $count"
  on_device=$((on_device + count))
done
[[ $on_device == "$total" ]] || folio_stop "$on_device of $total tests carry a device label (cpu, cuda, cuda-emulated)"
printf '%-16s %6s %15s\n' label tests 'budget, minutes'
for label in "${labels[@]}"; do
  [[ -n $(budget "$label") ]] || folio_stop "label '$label' has no budget: give it a line in tests/budgets.txt"
  printf '%-16s %6d %15s\n' "$label" "$(tests_with -L "^$label\$")" "$(budget "$label")"
done

# The summary is held back, so that it ends the output.
log=build/$preset/ctest.log
summary='/^[0-9]*% tests passed, [0-9]* tests* failed out of/'
SECONDS=0
set +e
"${ctest[@]}" </dev/null 2>&1 | tee "$log" | sed -u "$summary,\$d"
status=${PIPESTATUS[0]}
set -e
test_time=$SECONDS

skipped=$({
  sed -n 's/^.*Test *#[0-9]*: \([^ ]*\) .*\*\*\*\(Skipped\|Not Run\).*/\1/p' "$log"
  sed -n 's/^\[  SKIPPED \] \([^ ]*\) (.*/\1/p; /Running 0 tests from/p' "build/$preset/Testing/Temporary/LastTest.log"
} | sort -u)
printf '\n%-16s %13s %15s\n' label 'used, minutes' 'budget, minutes'
sed -n 's/^\([^ ]*\) *= *\([0-9.]*\) sec\*proc.*/\1 \2/p' "$log" | while read -r label used; do
  over=$(awk "BEGIN { if ($used / 60 > $(budget "$label")) print \"  over budget\" }")
  printf '%-16s %13s %15s%s\n' "$label" "$(minutes "$used")" "$(budget "$label")" "$over"
done
echo "minutes: build $(minutes $build_time), tests $(minutes $test_time)"
if [[ -n $skipped ]]; then
  printf 'run.sh: skipped, and so this run fails:\n%s\n\n' "$skipped"
  status=$((status ? status : 1))
fi
sed -n "$summary,\$p" "$log"
exit "$status"
