#!/usr/bin/env bash
# From a fresh clone to a DeepSeek model that writes Shakespeare: installs, builds, trains, prints a sample.
#   bash examples/quickstart.sh [--no-install] [OPTIONS OF train…]     e.g. --steps 100, --data PATH, --out DIR
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/install.sh

# PATH, as meant in the caller's folder.
from_caller() { (cd "$caller" && realpath -m "$1"); }

install=1 out='' preset=shakespeare-cpu count=0 options=()
while (($#)); do
  case $1 in
    --preset=* | --out=* | --data=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
    --no-install) install=0 ;;
    --preset) preset=${2:?quickstart.sh: --preset needs a name} && shift ;;
    --out) out=$(from_caller "${2:?quickstart.sh: --out needs a folder}") && shift ;;
    --data) options+=(--data "$(from_caller "${2:?quickstart.sh: --data needs a text}")") && shift ;;
    --count) count=1 ;;
    -h | --help) sed -n '2,3s/^# \{0,1\}//p' examples/quickstart.sh && exit ;;
    *) options+=("$1") ;;
  esac
  shift
done
# A run is never overwritten: the first of runs/quickstart, runs/quickstart-2, … that is not there.
if [[ -z $out ]]; then
  out=runs/quickstart
  for ((n = 2; ; n++)); do
    [[ -e $out ]] || break
    out=runs/quickstart-$n
  done
fi

((install)) && folio_install programs
cmake -S . -B build/quickstart -G Ninja -DCMAKE_BUILD_TYPE=Release -DFOLIO_NATIVE=ON -DFOLIO_TESTS=OFF -DFOLIO_CUDA=OFF
cmake --build build/quickstart --parallel "$(nproc)" --target train generate

programs=build/quickstart/examples
((count)) && exec "$programs/train" --preset "$preset" --count "${options[@]}"
"$programs/train" --preset "$preset" --out "$out" "${options[@]}"
echo
"$programs/generate" --from "$out" --tokens 400
echo
echo "The run is in $out: metrics.jsonl (its figures) and loss.svg (its curve)."
