# shellcheck shell=bash
# Sourced by the tests of programs: a fresh folder to work in that goes at the end, no network, one thread, and
# `fail MESSAGE`, which counts in `failures`.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export FOLIO_OFFLINE=1 XDG_CACHE_HOME=$work/cache OMP_NUM_THREADS=1
unset FOLIO_DATA
failures=0

fail() {
  echo "FAILED: $1"
  failures=$((failures + 1))
}
