# shellcheck shell=bash
# Sourced by the tests of programs: a fresh folder to work in that goes at the end, no network, one thread,
# `fail MESSAGE`, which counts in `failures`, and `refuses`.
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

# refuses NAME PATTERN COMMAND…: exit code 2, one line on stderr that matches, no new file.
refuses() {
  local name=$1 pattern=$2
  shift 2
  local before after code
  before=$(find . -not -name err -not -name out | sort)
  "$@" >out 2>err </dev/null
  code=$?
  after=$(find . -not -name err -not -name out | sort)
  [ "$code" = 2 ] || fail "$name: exit code $code, not 2"
  [ "$(wc -l <err)" = 1 ] || fail "$name: $(wc -l <err) lines on stderr, not 1: $(cat err)"
  grep -q -E -- "$pattern" err || fail "$name: stderr does not match '$pattern': $(cat err)"
  [ "$before" = "$after" ] || fail "$name: left something behind: $(diff <(echo "$before") <(echo "$after"))"
  echo "refused $name: $(cat err)"
}
