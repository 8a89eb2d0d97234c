#!/usr/bin/env bash
# From a fresh clone to a DeepSeek model that writes Shakespeare: installs, builds, trains, prints a sample.
#   bash examples/quickstart.sh [--no-install] [OPTIONS OF train…]     e.g. --steps 100, --data PATH, --out DIR
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/install.sh

# Whatever is wrong and can be seen is refused before minutes of building; train has the last word.
stop() { echo "quickstart.sh: ${1//$'\n'/ }; see bash examples/quickstart.sh --help" >&2 && exit 2; }

# OPTION VALUE REGEX WHAT: a value of that form.
value_like() { [[ $2 =~ ^$3$ ]] || stop "$1 takes $4, not '$2'"; }
from_one='[1-9][0-9]*' names=$(sed -n 's/.*[.]name = "\([^"]*\)".*/\1/p' examples/presets.cpp)

# PATH, as meant in the caller's folder.
from_caller() { (cd "$caller" && realpath -m "$1"); }

install=1 out='' preset=shakespeare-cpu count=0 device=cpu gemm='' tf32=0 options=()
while (($#)); do
  case $1 in
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
    --no-install) install=0 && shift && continue ;;
    --count) count=1 && shift && continue ;;
    --profile | --no-tf32) options+=("$1") && shift && continue ;;
    --tf32) tf32=1 && options+=("$1") && shift && continue ;;
    -h | --help) sed -n '2,3s/^# \{0,1\}//p' examples/quickstart.sh && exit ;;
    --preset | --out | --data | --steps | --batch | --accumulate | --threads | --seed | --lr | --device | --gemm | --dtype | --set) ;;
    *) stop "no option '$1'" ;;
  esac
  [[ -n ${2:-} ]] || stop "$1 needs a value"
  case $1 in
    --preset) value_like "$1" "$2" "(${names//$'\n'/|})" "one of ${names//$'\n'/, }" && preset=$2 ;;
    --out) out=$(from_caller "$2") ;;
    --data)
      [[ -f $(from_caller "$2") ]] || stop "--data: there is no file '$2'"
      options+=(--data "$(from_caller "$2")")
      ;;
    *)
      case $1 in
        --steps | --batch | --accumulate | --threads) value_like "$1" "$2" "$from_one" 'a whole number from 1' ;;
        --seed) value_like "$1" "$2" '(0|[1-9][0-9]*)' 'a whole number from 0' ;;
        --lr) value_like "$1" "$2" '[0.]*[1-9][0-9.]*([eE][+-]?[0-9]+)?' 'a number above 0' ;;
        --gemm) value_like "$1" "$2" '(eigen|onednn)' 'eigen or onednn' && gemm=$2 ;;
        --dtype) value_like "$1" "$2" '(f32|bf16|f16)' 'f32, bf16 or f16' ;;
        --device) value_like "$1" "$2" '(cpu|cuda)' 'cpu or cuda' && device=$2 ;;
        --set) value_like "$1" "$2" '[a-z_0-9]+=.*' 'key=value' ;;
      esac
      options+=("$1" "$2")
      ;;
  esac
  shift 2
done
[[ $device == cpu || -z $gemm ]] || stop "--gemm is for matrix products on the CPU: leave it or --device cuda out"
[[ $device == cuda || $tf32 == 0 ]] || stop "--tf32 is for matrix products on a GPU: give --device cuda too"
# A run is never overwritten: the first of runs/quickstart, runs/quickstart-2, … that is not there.
if [[ -z $out ]]; then
  out=runs/quickstart
  for ((n = 2; ; n++)); do
    [[ -e $out ]] || break
    out=runs/quickstart-$n
  done
fi

((install)) && folio_install programs
build=build/quickstart backend=(-DFOLIO_CUDA=OFF)
[[ $device == cpu ]] || build=build/quickstart-cuda backend=(-DFOLIO_CUDA=ON -DFOLIO_CUDA_ARCHITECTURES=native)
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFOLIO_NATIVE=ON -DFOLIO_TESTS=OFF "${backend[@]}"
cmake --build "$build" --parallel "$(nproc)" --target train generate

programs=$build/examples
((count)) && exec "$programs/train" --preset "$preset" --count "${options[@]}"
"$programs/train" --preset "$preset" --out "$out" "${options[@]}"
echo
"$programs/generate" --from "$out" --tokens 400
echo
echo "The run is in $out: metrics.jsonl (its figures) and loss.svg (its curve)."
