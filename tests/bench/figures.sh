#!/usr/bin/env bash
# Runs the commands whose figures the README shows, and writes what they print into it, with commit, processor and load.
#   bash tests/bench/figures.sh [options] [REGEX]     the commands that match REGEX; all if not given
#   --list           print the commands, and run none
#   --readme FILE    README.md if not given
#   --busy           measure although other programs run, and say so
# What a command has printed stands between two comments of the README, of which the first is the command:
#   <!-- figures: COMMAND -->
#   <!-- end of figures -->
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/install.sh
. tests/bench/machine.sh

readme=README.md list=0 regex=.
while (($#)); do
  case $1 in
    --list) list=1 ;;
    --readme)
      [[ -n ${2:-} ]] || folio_stop "figures.sh: $1 needs a value"
      readme=$2
      shift
      ;;
    --busy) export FOLIO_BUSY=1 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' tests/bench/figures.sh && exit ;;
    --*) folio_stop "figures.sh: unknown argument '$1' (--help lists them)" ;;
    *) regex=$1 ;;
  esac
  shift
done
[[ -f $readme ]] || folio_stop "figures.sh: there is no $readme"
{ grep -E -- "$regex" || (($? == 1)); } </dev/null 2>/dev/null || folio_stop "figures.sh: '$regex' is no regular expression"
mapfile -t commands < <(sed -n 's/^<!-- figures: \(.*\) -->$/\1/p' "$readme" | grep -E -- "$regex")
((${#commands[@]})) || folio_stop "figures.sh: $readme has no figures whose command matches '$regex'"
((list)) && printf '%s\n' "${commands[@]}" && exit

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# COMMAND: puts $work/block between the comments of that command.
write() {
  command="<!-- figures: $1 -->" awk -v block="$work/block" '
    inside && /^<!-- figures: / { exit }
    !inside { print }
    $0 == ENVIRON["command"] { inside = 1; while ((getline line <block) > 0) print line; close(block) }
    /^<!-- end of figures -->$/ { if (inside) print; inside = 0 }
    END { exit inside }' "$readme" >"$work/readme" || folio_stop "figures.sh: '<!-- end of figures -->' is missing in $readme behind: $1"
  cp "$work/readme" "$readme"
}

for command in "${commands[@]}"; do
  bench_await_quiet figures.sh  # until the load of the command before is gone
  echo "figures.sh: $command" >&2
  bench_machine "$command" >"$work/facts"
  bash -o pipefail -c "$command" >"$work/out" </dev/null || folio_stop "figures.sh: no figures, for this fails: $command"
  [[ -s $work/out ]] || folio_stop "figures.sh: no figures, for this prints nothing: $command"
  {
    echo '```'
    grep -q '^commit: ' "$work/out" || cat "$work/facts"
    cat "$work/out"
    echo '```'
  } >"$work/block"
  write "$command"
done
