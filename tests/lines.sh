#!/usr/bin/env bash
# Lines per room, so that growth is seen and argued for. Fails where a source file has more than 500 lines.
#   bash tests/lines.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
limit=500 status=0

sources() { find "$@" -type f \( -name '*.[hc]pp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.sh' \) -print0; }
count() { sources "$@" | xargs -0 -r cat | wc -l; }

printf '%-10s %7s %7s  %s\n' room files lines 'longest file'
for room in autograd nn cuda optim data examples tests; do
  [[ -d $room ]] || continue
  files=$(sources "$room" | tr -cd '\0' | wc -c)
  longest=$(sources "$room" | xargs -0 -r -n1 wc -l | sort -rn | sed -n 1p)
  printf '%-10s %7d %7d  %s\n' "$room" "$files" "$(count "$room")" "$longest"
  read -r most _ <<<"${longest:-0}"
  if ((most > limit)); then
    echo "lines.sh: ${longest#* } has more than $limit lines: split it by purpose" >&2
    status=1
  fi
done
exit $status
