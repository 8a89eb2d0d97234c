#!/usr/bin/env bash
# programs_test.sh BIN: train, generate and inspect as a user runs them: what they print, what they leave, and that wrong
# input ends in one clear line, exit code 2, and nothing left behind.
set -u
bin=$1
# shellcheck source=tests/examples/workspace.sh
. "$(dirname "${BASH_SOURCE[0]}")/workspace.sh"

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

# prints NAME PATTERN COMMAND…: exit code 0 and a matching line on stdout.
prints() {
  local name=$1 pattern=$2
  shift 2
  "$@" >out 2>err </dev/null || fail "$name: exit code $?: $(cat err)"
  grep -q -E -- "$pattern" out || fail "$name: nothing matches '$pattern' in: $(tail -n 5 out)"
  echo "printed $name: $(grep -m1 -E -- "$pattern" out)"
}

head -c 100 /dev/zero | tr '\0' 'a' >short.txt
: >empty.txt
printf 'caf\xff' >broken.txt

prints "the counts of shakespeare-char" '^parameters: total 18,260,736, active 7,643,904$' "$bin/train" --preset shakespeare-char --count
prints "the counts of the reference" '^parameters: total 276,882,240, active 157,442,880$' "$bin/train" --preset deepseek-shakespeare --count
prints "the counts of its V3 form" '^parameters: total 276,329,280, active 156,889,920$' "$bin/train" --preset deepseek-shakespeare-v3 --count

for size in 9223372036854775807 4611686018427387904; do
  for key in hidden_size num_shared_experts expert_intermediate_size num_hidden_layers; do
    refuses "$key beyond counting" "$key is $size, it must be at most" "$bin/train" --preset tiny --set $key=$size --count
  done
  for key in steps batch accumulate; do
    refuses "$key beyond counting" "$key must be at most" "$bin/train" --preset tiny --$key $size
  done
done
refuses "windows beyond counting" 'more windows' "$bin/train" --preset tiny --steps 1000000000 --accumulate 1000000000 --batch 99
refuses "threads beyond any processor" 'threads' "$bin/train" --preset tiny --threads 100000

refuses "a missing text" 'nowhere\.txt' "$bin/train" --preset tiny --data nowhere.txt
refuses "an empty text" 'empty\.txt' "$bin/train" --preset tiny --data empty.txt
refuses "a text that is not UTF-8" 'UTF-8' "$bin/train" --preset tiny --data broken.txt
refuses "a text shorter than a context" 'context' "$bin/train" --preset tiny --data short.txt
refuses "an unknown preset" "no preset 'huge'; there are tiny" "$bin/train" --preset huge
refuses "an unknown flag" '--wings' "$bin/train" --preset tiny --wings
refuses "an unknown setting" "unknown setting 'wings'" "$bin/train" --preset tiny --set wings=2
refuses "a setting of another type" 'whole number' "$bin/train" --preset tiny --set batch=many
refuses "an odd rope size" 'rope_head_dim' "$bin/train" --preset tiny --set rope_head_dim=15
refuses "top-k above the number of experts" 'num_active_experts' "$bin/train" --preset tiny --set num_active_experts=9
refuses "zero steps" 'steps' "$bin/train" --preset tiny --steps 0
refuses "a negative learning rate" 'lr' "$bin/train" --preset tiny --lr -1
refuses "no threads" 'thread' "$bin/train" --preset tiny --threads 0
refuses "an unwritable folder" '/proc/folio' "$bin/train" --preset tiny --out /proc/folio
refuses "generate without a run" 'no trained model' "$bin/generate" --from "$work"
refuses "inspect without a text" 'nowhere\.txt' "$bin/inspect" nowhere.txt

"$bin/train" --preset tiny --steps 20 --out run >out 2>err || fail "a tiny run: $(cat err)"
grep -q 'sample text: figures not comparable' out || fail "a run on the sample does not say so"
grep -q -E '^Step 20: Loss [0-9]+\.[0-9]{4} \| Acc 0\.[0-9]{4} \| TPS [0-9]+\.[0-9]{2}$' out || fail "first log line: $(grep Step out)"
grep -q -E '^  Top Experts: \[[0-9]+, [0-9]+, [0-9]+\] \(Counts: \[[0-9]+, [0-9]+, [0-9]+\]\)$' out || fail "second log line"
grep -q -E '^  LR [0-9.e+-]+ \| Grad [0-9.]+ \| MaxVio [0-9.]+ \| Val ' out || fail "third log line"
shown=$(sed -n 's/.*| Val //p' out | tail -n 1)
grep -q "\"step\":20,\"val_loss\":${shown%0*}" run/metrics.jsonl || fail "the last Val, '$shown', is not step 20's in metrics.jsonl"
for key in step loss acc tokens_per_s lr grad_norm max_vio expert_counts val_loss; do
  grep -q "\"$key\":" run/metrics.jsonl || fail "metrics.jsonl has no $key"
done
for file in config.json tokenizer.json model.safetensors; do
  [ -s "run/$file" ] || fail "the run left no $file"
done
if command -v gnuplot >/dev/null; then
  grep -q '</svg>' run/loss.svg || fail "the run left no loss.svg"
fi
refuses "a folder that holds a run" 'already holds a run' "$bin/train" --preset tiny --out run
refuses "a prompt with unknown characters" '#' "$bin/generate" --from run --prompt 'a#b'
"$bin/generate" --from run --prompt 'The ' --tokens 40 --seed 5 >first
"$bin/generate" --from run --prompt 'The ' --tokens 40 --seed 5 >second
"$bin/generate" --from run --prompt 'The ' --tokens 40 --seed 6 >third
cmp -s first second || fail "generate with one seed gives two texts"
cmp -s first third && fail "generate with two seeds gives one text"
[ "$(wc -m <first)" = 45 ] || fail "generate printed $(wc -m <first) characters, not 4 + 40 and a line break"
"$bin/generate" --from run --prompt 'The ' --tokens 10 --temperature 0 >cached
"$bin/generate" --from run --prompt 'The ' --tokens 10 --temperature 0 --no-cache >uncached
cmp -s cached uncached || echo "note: greedy text differs with and without the cache (float32 ties may)"

"$bin/train" --preset tiny --steps 5 --out again --threads 2 >/dev/null 2>err || fail "a second run: $(cat err)"
"$bin/train" --preset tiny --steps 5 --out once-more --threads 1 >/dev/null 2>err || fail "a third run: $(cat err)"
cmp -s again/model.safetensors once-more/model.safetensors || fail "one and two threads train to different weights"

[ "$failures" = 0 ] || exit 1
echo "all as expected"
