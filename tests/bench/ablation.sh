#!/usr/bin/env bash
# Trains a preset with each of several variants of its settings, over several seeds, and prints a table of what they end
# with: the validation loss, and MaxVio, how far the loads of the routers are from even.
#   bash tests/bench/ablation.sh [options] VARIANT VARIANT…
# A VARIANT is what --set takes, blanks between, such as 'optimizer=muon muon_lr=4e-3'; '' is the preset as it is. The first
# is what the others are compared with, seed by seed. Losses are those of the last 5 % of the training text, held out from it.
#   --preset NAME    shakespeare-cpu if not given
#   --steps N        of each training; the preset's if not given
#   --seconds N      instead: as many steps as each variant manages in that time, measured first
#   --seeds 'A B C'  at least three: 1 2 3 if not given
#   --common SET     settings of all variants
#   --dtype NAME     f32, bf16 or f16
#   --jobs N         trainings side by side, of one thread each: as many as there are cores if not given
#   --on SPLIT       tuning, or validation: for the final table alone
#   --data PATH      the text; as train finds it if not given
#   --out DIR        where the runs' folders are kept; nowhere if not given
#   --build DIR      the build that trains: build/release if not given
#   --busy           train although other programs run, and say so
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/install.sh
. tests/bench/machine.sh

given=("$@")
preset=shakespeare-cpu steps='' seconds='' seeds='1 2 3' common='' dtype=f32 jobs=$(bench_cores) on=tuning data='' out=''
build=build/release variants=()
while (($#)); do
  case $1 in
    --preset | --steps | --seconds | --seeds | --common | --dtype | --jobs | --on | --data | --out | --build)
      [[ -n ${2:-} ]] || folio_stop "ablation.sh: $1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --busy) export FOLIO_BUSY=1 ;;
    -h | --help) sed -n '2,18s/^# \{0,1\}//p' tests/bench/ablation.sh && exit ;;
    --*) folio_stop "ablation.sh: unknown argument '$1' (--help lists them)" ;;
    *) variants+=("$1") ;;
  esac
  shift
done
for number in "${steps:-1}" "${seconds:-1}" "$jobs"; do
  [[ $number =~ ^[1-9][0-9]{0,8}$ ]] || folio_stop "ablation.sh: '$number' is not a whole number of at least 1"
done
[[ -z $steps || -z $seconds ]] || folio_stop "ablation.sh: --steps or --seconds, not both"
((${#variants[@]} >= 2)) || folio_stop "ablation.sh: give at least two variants, '' for the preset as it is"
read -ra seeds <<<"$seeds"
for seed in "${seeds[@]}"; do
  [[ $seed =~ ^(0|[1-9][0-9]{0,17})$ ]] || folio_stop "ablation.sh: the seed '$seed' is not a whole number"
done
different=$(printf '%s\n' "${seeds[@]}" | sort -u | wc -l)
((different == ${#seeds[@]})) || folio_stop "ablation.sh: a seed is given twice in '${seeds[*]}'"
((different >= 3)) || folio_stop "ablation.sh: $different seeds do not tell a gain from luck: give at least 3"
[[ $on == tuning || $on == validation ]] || folio_stop "ablation.sh: --on takes tuning or validation, not '$on'"
train=$build/examples/train
bench_require_built ablation.sh "$train"
for variant in "${variants[@]}"; do  # whatever train refuses, it refuses before anything is trained
  read -ra words <<<"$common $variant"
  why=$("$train" --preset "$preset" --dtype "$dtype" "${words[@]/#/--set=}" --count 2>&1) ||
    folio_stop "ablation.sh: '$variant' does not train: $(tail -n 1 <<<"$why")"
done
[[ -z $out || -z $(ls -A "$out" 2>/dev/null) ]] || folio_stop "ablation.sh: --out: $out is not empty: give another folder, or empty it"
bench_require_quiet ablation.sh

work=$(mktemp -d)
trap '((BASHPID == $$)) || exit; jobs -p | xargs -r kill 2>/dev/null || true; wait; rm -rf "$work"' EXIT
runs=${out:-$work}
mkdir -p "$runs"

# FOLDER VARIANT SEED ARGUMENT…: becomes one training on one thread; what it prints stays beside its folder.
training() {
  local folder=$1 variant=$2 seed=$3 words=()
  shift 3
  read -ra words <<<"$common $variant"
  OMP_NUM_THREADS=1 exec "$train" --preset "$preset" --dtype "$dtype" --threads 1 --seed "$seed" ${data:+--data "$data"} \
    --out "$folder" --set validate_on="$on" --set sample_every=-1 --set sample_tokens=0 "${words[@]/#/--set=}" "$@" \
    >"$folder.out" 2>"$folder.err" </dev/null
}
# KEY FOLDER: the last figure of that name in the log.
last() { sed -n "s/.*\"$1\":\([0-9.e+-]*\).*/\1/p" "$2/metrics.jsonl" 2>/dev/null | tail -n 1; }
# FOLDER: the validation loss behind the last step; nothing where the training did not come so far.
final_loss() { sed -n "s/.*\"step\":$(setting steps "$1"),\"val_loss\":\([0-9.e+-]*\).*/\1/p" "$1/metrics.jsonl" 2>/dev/null | tail -n 1; }
# KEY FOLDER: a whole number in config.json.
setting() { sed -n "s/.*\"$1\": \"\{0,1\}\([0-9]*\)\"\{0,1\},\{0,1\}$/\1/p" "$2/config.json" 2>/dev/null | head -n 1; }

# VARIANT → steps of it in $seconds, and tokens/s, where the machine is as busy as it will be, by steps after the first.
steps_in_time() {
  local n folder=$work/rate
  rm -rf "$folder"-*
  for ((n = 1; n <= jobs; ++n)); do
    training "$folder-$n" "$1" 1 --steps 21 --set log_every=21 --set validate_every=-1 &
  done
  wait
  for ((n = 1; n <= jobs; ++n)); do last tokens_per_s "$folder-$n"; done | awk -v seconds="$seconds" \
    -v tokens=$(($(setting batch "$folder-1") * $(setting accumulate "$folder-1") * $(setting context "$folder-1"))) \
    '{ rate += $1 } END { if (NR == 0) exit 1; printf "%d %.0f\n", seconds * rate / NR / tokens + 1, rate / NR }'
}

bench_machine "bash tests/bench/ablation.sh$(bench_words "${given[@]}")"
echo "preset $preset, $dtype, loss on $on, seeds ${seeds[*]}, $jobs trainings side by side of one thread each"
[[ -z $common ]] || echo "settings of all: $common"

lengths=() rates=()
# In turn and thrice, so that the machine is as fast for one variant as for another.
for _ in ${seconds:+1 2 3}; do
  for v in "${!variants[@]}"; do
    steps_in_time "${variants[v]}" >>"$work/steps-$v" ||
      folio_stop "ablation.sh: '${variants[v]}' does not train: $(tail -n 1 "$work/rate-1.err")"
  done
done
for v in "${!variants[@]}"; do
  lengths[v]=$steps
  [[ -z $seconds ]] || read -r "lengths[v]" "rates[v]" < <(sort -n "$work/steps-$v" | sed -n 2p)
done
failed=()
for seed in "${seeds[@]}"; do
  for v in "${!variants[@]}"; do
    while (($(jobs -rp | wc -l) >= jobs)); do wait -n || true; done
    training "$runs/$v-$seed" "${variants[v]}" "$seed" ${lengths[v]:+--steps "${lengths[v]}"} &
  done
done
wait
cat "$runs"/*.out | grep -m 1 'not comparable' || true  # the text is not Shakespeare
for seed in "${seeds[@]}"; do
  for v in "${!variants[@]}"; do
    loss=$(final_loss "$runs/$v-$seed")
    [[ -n $loss ]] || failed+=("'${variants[v]}', seed $seed: $(tail -n 1 "$runs/$v-$seed.err")")
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$v" "${variants[v]:-the preset}" "$(setting steps "$runs/$v-$seed")" "$seed" "${loss:--}" \
      "${rates[v]:-$(last tokens_per_s "$runs/$v-$seed")}" "$(last val_max_vio "$runs/$v-$seed")"
  done
done >"$work/losses" || true

printf '\n| variant | steps | tokens/s | MaxVio | loss, mean ± deviation | against the first, seed by seed | losses |\n|---|---:|---:|---:|---:|---:|---|\n'
sort -s -n -k 1,1 "$work/losses" | awk -F '\t' '
  function spread(sum, squares, n) { return n > 1 ? sqrt((squares - sum * sum / n > 0 ? squares - sum * sum / n : 0) / (n - 1)) : 0 }
  function line() {
    if (name == "") return
    if (n == 0) { printf "| %s | %s | | | failed | | %s |\n", name, steps, all; return }
    printf "| %s | %s | %.0f | %.2f | %.4f ± %.4f | %s | %s |\n", name, steps, rate / n, vio / n, sum / n, spread(sum, squares, n),
      pairs == 0 || number == 0 ? "" : sprintf("%+.4f ± %.4f", d / pairs, spread(d, dd, pairs)), all
  }
  $1 != number || name == "" { line(); number = $1; name = $2; steps = $3; n = sum = squares = d = dd = pairs = rate = vio = 0; all = "" }
  {
    all = all (all == "" ? "" : " ") ($5 == "-" ? "failed" : sprintf("%.4f", $5))
    if ($5 == "-") next
    ++n; sum += $5; squares += $5 * $5; rate += $6; vio += $7
    if (number == 0) { first[$4] = $5 } else if ($4 in first) { ++pairs; d += $5 - first[$4]; dd += ($5 - first[$4]) ^ 2 }
  }
  END { line() }'
((${#failed[@]} == 0)) || { printf 'failed: %s\n' "${failed[@]}" && exit 1; }
