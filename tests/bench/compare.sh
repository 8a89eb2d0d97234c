#!/usr/bin/env bash
# Times our training step and that of the same model in PyTorch in turn, and prints tokens/s and their ratios.
#   bash tests/bench/compare.sh [options]
#   --preset NAME   tiny, shakespeare-char (if not given) or deepseek-shakespeare-v3
#   --batch N       windows per step; the preset's if not given
#   --windows N     windows of steps, of which the median counts, each of a process of its own: 5 if not given
#   --steps N       steps per window: 20 if not given
#   --threads N     all cores if not given
#   --build DIR     the build that is timed: build/release if not given
#   --only NAME     f32 or bf16; both if not given
#   --eager         leave torch.compile out, which takes minutes to warm up
#   --python PATH   the Python whose PyTorch is timed; if not given, the first of build/peer/venv's, /usr/bin/python3's and
#                   python3's that has one
#   --no-install    take the PyTorch that is there
#   --busy          measure although other programs run, and say so
# PyTorch comes from PyPI into build/peer/venv (gigabytes, once), or else is Debian's python3-torch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/install.sh
. tests/bench/machine.sh

given=("$@")
preset=shakespeare-char batch='' windows=5 steps=20 threads=$(bench_cores) build=build/release install=1 eager=0 python='' only=''
while (($#)); do
  case $1 in
    --preset | --batch | --windows | --steps | --threads | --only | --build | --python)
      [[ -n ${2:-} ]] || folio_stop "compare.sh: $1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --eager) eager=1 ;;
    --no-install) install=0 ;;
    --busy) export FOLIO_BUSY=1 ;;
    -h | --help) sed -n '2,16s/^# \{0,1\}//p' tests/bench/compare.sh && exit ;;
    *) folio_stop "compare.sh: unknown argument '$1' (--help lists them)" ;;
  esac
  shift
done
for number in "$windows" "$steps" "$threads" "${batch:-1}"; do
  [[ $number =~ ^[1-9][0-9]{0,8}$ ]] || folio_stop "compare.sh: '$number' is not a whole number of at least 1"
done
case $only in
  '') dtypes=(f32 bf16) ;;
  f32 | bf16) dtypes=("$only") ;;
  *) folio_stop "compare.sh: --only takes f32 or bf16, not '$only'" ;;
esac
case $preset in
  tiny | shakespeare-char) vocabulary=65 ;;
  deepseek-shakespeare-v3) vocabulary=49152 batch=${batch:-4} ;;
  *) folio_stop "compare.sh: no PyTorch model of preset '$preset': tiny, shakespeare-char or deepseek-shakespeare-v3" ;;
esac
train=$build/examples/train
bench_require_built compare.sh "$train"
bench_require_quiet compare.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The Python whose PyTorch is the peer, or nothing.
has_torch() { "$1" -c 'import torch' 2>/dev/null; }
find_python() {
  local python
  for python in build/peer/venv/bin/python /usr/bin/python3 python3; do
    if has_torch "$python"; then echo "$python" && return; fi
  done
}
install_torch() {
  echo "compare.sh: installing PyTorch into build/peer/venv" >&2
  python3 -m venv build/peer/venv >&2 && build/peer/venv/bin/python -m pip install -q torch >&2 && return
  echo "compare.sh: that failed; trying Debian's python3-torch" >&2
  folio_may_install && folio_apt install -y --no-install-recommends python3-torch libopenblas0-pthread >&2
}
if [[ -n $python ]]; then
  has_torch "$python" || folio_stop "compare.sh: --python: $python has no PyTorch"
else
  if ((install)) && ! has_torch build/peer/venv/bin/python; then
    install_torch || true
  fi
  python=$(find_python)
fi
[[ -n $python ]] || folio_stop "compare.sh: there is no PyTorch: install python3-torch, or leave --no-install out"

bench_await_quiet compare.sh  # until the load of looking for PyTorch is gone
bench_machine "bash tests/bench/compare.sh$(bench_words "${given[@]}")"
echo "preset $preset, $threads threads; tokens/s, median of $windows windows of $steps steps, taken in turn (least, most)"

# NAME ARGUMENT…: one window of ours or of PyTorch's; its tokens/s go to $work/NAME.rates, what it says to $work/NAME.*.
ours() {
  local at=$work/$1
  shift
  rm -rf "$work/run"
  "$train" --preset "$preset" ${batch:+--batch "$batch"} --accumulate 1 --steps $((2 * steps)) --threads "$threads" \
    --data data/sample.txt --out "$work/run" --set vocab_size=$vocabulary --set log_every="$steps" --set validate_every=-1 \
    --set sample_every=-1 "$@" >"$at.out" 2>"$at.err" </dev/null || return
  sed -n 's/.*"tokens_per_s":\([0-9.e+]*\).*/\1/p' "$work/run/metrics.jsonl" | tail -n 1 >>"$at.rates"  # the first half warms up
}
peer() {
  local at=$work/$1
  shift
  env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE -u OMP_NUM_THREADS "$python" tests/bench/peer.py --preset "$preset" \
    ${batch:+--batch "$batch"} --data data/sample.txt --windows 1 --steps "$steps" --threads "$threads" "$@" \
    >"$at.out" 2>"$at.err" </dev/null || return
  torch=$(sed -n 's/.*"torch": "\([^"]*\)".*/\1/p' "$at.out")
  sed -n 's/.*"tokens_per_s": \[\([^]]*\)\].*/\1/p' "$at.out" >>"$at.rates"
}
names=()
declare -A command rate
# NAME COMMAND ARGUMENT…
way() {
  names+=("$1")
  command[$1]=${*:2}
}
[[ $only == bf16 ]] || for gemm in onednn eigen; do way "folio f32 $gemm" ours --gemm $gemm; done
[[ $only == f32 ]] || way 'folio bf16' ours --dtype bf16
for dtype in "${dtypes[@]}"; do
  way "torch $dtype eager" peer --dtype "$dtype"
  ((eager)) || way "torch $dtype compiled" peer --dtype "$dtype" --compile
done

torch=unknown
export TORCHINDUCTOR_CACHE_DIR=$work/compiled  # so that it compiles once
# In turn, so that the machine is as fast for one as for another.
for ((window = 0; window < windows; ++window)); do
  for name in "${names[@]}"; do
    [[ -n ${command[$name]} ]] || continue
    read -ra words <<<"${command[$name]}"
    "${words[0]}" "$name" "${words[@]:1}" || command[$name]=''
  done
done
for name in "${names[@]}"; do
  if [[ -z ${command[$name]} ]]; then
    printf '  %-24s does not work here: %s\n' "$name" "$(grep -v '^ *$' "$work/$name.err" | tail -n 1)"
    continue
  fi
  read -r "rate[$name]" least most < <(sort -g "$work/$name.rates" |
    awk '{ rate[NR] = $1 } END { printf "%s %s %s\n", rate[int((NR + 1) / 2)], rate[1], rate[NR] }')
  printf '  %-24s %10.0f  (%.0f, %.0f)\n' "$name" "${rate[$name]}" "$least" "$most"
done

echo "ratios (PyTorch $torch)"
for dtype in "${dtypes[@]}"; do
  for name in "folio $dtype" "folio $dtype onednn" "folio $dtype eigen"; do
    for how in eager compiled; do
      other="torch $dtype $how"
      [[ -n ${rate[$name]:-} && -n ${rate[$other]:-} ]] || continue
      awk -v name="$name" -v other="$other" -v a="${rate[$name]}" -v b="${rate[$other]}" \
        'BEGIN { printf "  %-24s %6.2f times %s\n", name, a / b, other }'
    done
  done
done
