#!/usr/bin/env bash
# programs_test.sh BIN: train, generate and inspect as a user runs them: what they print, what they leave, and that wrong
# input ends in one clear line, exit code 2, and nothing left behind.
set -u
bin=$1
# shellcheck source=tests/examples/workspace.sh
. "$(dirname "${BASH_SOURCE[0]}")/workspace.sh"

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
refuses "a text that is not UTF-8" '^train: broken.txt: .*UTF-8' "$bin/train" --preset tiny --data broken.txt
refuses "a text shorter than a context" '^train: short.txt: .*context' "$bin/train" --preset tiny --data short.txt
refuses "an unknown preset" "no preset 'huge'; there are tiny" "$bin/train" --preset huge
refuses "an unknown flag" '--wings' "$bin/train" --preset tiny --wings
refuses "an unknown setting" "unknown setting 'wings'" "$bin/train" --preset tiny --set wings=2
refuses "a setting of another type" 'whole number' "$bin/train" --preset tiny --set batch=many
refuses "an odd rope size" 'rope_head_dim' "$bin/train" --preset tiny --set rope_head_dim=15
refuses "top-k above the number of experts" 'num_active_experts' "$bin/train" --preset tiny --set num_active_experts=9
refuses "an optimizer that is none" "optimizer must be adamw or muon, not 'sgd'" "$bin/train" --preset tiny --set optimizer=sgd
refuses "a rate of Muon below zero" 'muon_lr must be' "$bin/train" --preset tiny --set muon_lr=-1
refuses "a rate of Muon that is no number" 'muon_lr takes a number' "$bin/train" --preset tiny --set muon_lr=fast
refuses "a rate of Muon whose decay turns weights over" 'lr × weight_decay' "$bin/train" --preset tiny --set optimizer=muon --set muon_lr=11
refuses "a rate of Muon for another optimizer" 'is for Muon, and .* adamw: give --set optimizer=muon' "$bin/train" --preset tiny --set muon_lr=1e-2
refuses "a provider of the CPU's on a GPU" '--gemm is for matrix products on the CPU' "$bin/train" --preset tiny --device cuda-emulated --gemm eigen
refuses "TF32 on the CPU" '--tf32 is for matrix products on a GPU' "$bin/train" --preset tiny --tf32
refuses "a momentum of one" 'muon_momentum must' "$bin/train" --preset tiny --set muon_momentum=1
refuses "no iterations of Muon" 'muon_iterations must be at least 1' "$bin/train" --preset tiny --set muon_iterations=0
refuses "blocks of fewer rows than none" 'muon_block must be at least 0' "$bin/train" --preset tiny --set muon_block=-1
refuses "windows drawn in no known way" "sampling must be independent or epochs, not 'often'" "$bin/train" --preset tiny --set sampling=often
refuses "products of Muon in no dtype" 'muon_dtype must be' "$bin/train" --preset tiny --set muon_dtype=f8
refuses "an average that never moves" 'ema_decay must' "$bin/train" --preset tiny --set ema_decay=1
refuses "validation on nothing that is known" 'validate_on must be validation or tuning' "$bin/train" --preset tiny --set validate_on=train
refuses "zero steps" 'steps' "$bin/train" --preset tiny --steps 0
refuses "a negative learning rate" 'lr' "$bin/train" --preset tiny --lr -1
refuses "no threads" 'thread' "$bin/train" --preset tiny --threads 0
refuses "a number of steps that nothing holds" 'steps: takes a whole number' "$bin/train" --preset tiny --steps 99999999999999999999
refuses "a number that might be octal" "steps: takes a whole number without zeros in front, not '010'" "$bin/train" --preset tiny --steps 010
refuses "a negative seed" 'seed: takes' "$bin/train" --preset tiny --seed -1
refuses "an infinite learning rate" 'lr: takes a number above 0' "$bin/train" --preset tiny --lr inf
refuses "an infinite decay" 'weight_decay must be a number' "$bin/train" --preset tiny --set weight_decay=inf
prints "how settings are given" '^ +--set key=value  ' "$bin/train" --help
prints "several settings" '^parameters: total 677,568, ' "$bin/train" --preset tiny --set num_hidden_layers=3 --set=num_routed_experts=16 --count
refuses "two settings behind one --set" 'steps=3' "$bin/train" --preset tiny --set batch=2 steps=3 --count
refuses "a setting without a value" 'key=value' "$bin/train" --preset tiny --set steps
refuses "a vocabulary smaller than the text's" 'more than vocab_size = 3' "$bin/train" --preset tiny --set vocab_size=3
refuses "a folder without a name" 'no name' "$bin/train" --preset tiny --out ''
refuses "a file as a folder" 'short.txt' "$bin/train" --preset tiny --out short.txt/run
refuses "a batch that memory cannot hold" 'out of memory.*--batch [0-9]+ might fit' "$bin/train" --preset tiny --batch 10000000
refuses "a model that memory cannot hold" 'out of memory.*smaller model' "$bin/train" --preset tiny --set hidden_size=10000000
for file in config.json loss.svg model.safetensors.tmp; do
  mkdir taken && echo mine >taken/$file
  refuses "a folder with a file that a run writes" "$file" "$bin/train" --preset tiny --out taken
  [ "$(cat taken/$file)" = mine ] || fail "a refused run changed $file, which was there"
  rm -r taken
done
refuses "a run that fails in its first step" 'step 1: the loss is nan' "$bin/train" --preset tiny --set routed_scaling_factor=1e300 --out early
refuses "a dtype that is none" 'dtype: f8 not in' "$bin/train" --preset tiny --dtype f8
refuses "a dtype that is none, as a setting" "dtype = 'f8': needs f32 or bf16 or f16" "$bin/train" --preset tiny --set dtype=f8
refuses "an unwritable folder" '/proc/folio' "$bin/train" --preset tiny --out /proc/folio
ln -s nowhere dangling
refuses "a link that leads nowhere as a folder" 'dangling' "$bin/train" --preset tiny --out dangling/run
[ -L dangling ] || fail "a refused run removed a link that was there"
refuses "generate without a run" 'no trained model' "$bin/generate" --from "$work"
refuses "generate from nowhere" "from is empty" "$bin/generate" --from ""
refuses "inspect without a text" 'nowhere\.txt' "$bin/inspect" nowhere.txt
refuses "inspect of a text that is not UTF-8" 'broken\.txt: .*UTF-8' "$bin/inspect" broken.txt
refuses "inspect with a negative count" 'top: takes' "$bin/inspect" short.txt --top -1

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
grep -q '</svg>' run/loss.svg || fail "the run left no loss.svg"
later=$(sed -n 's/^once it is there:  //p' out)
next=$(sed -n 's/^to go on from a prompt: //p' out)
bash -c "$next" >text 2>err || fail "the command that train prints, '$next', does not work: $(cat err)"
grep -q -E '^500 tokens, [0-9.]+ tokens/s; cache: 384 bytes per token, 1024 in plain attention$' err || fail "generate ends with: $(cat err)"
refuses "a folder that holds a run" 'already holds a run' "$bin/train" --preset tiny --out run
bash -c "$later" >text 2>err || fail "the command for later, '$later', does not work: $(cat err)"
[ -s run-2/model.safetensors ] || fail "the command for later, '$later', left no run-2"
"$bin/train" --preset tiny --steps 1 --out run/// >out 2>err && fail "a folder that holds a run, with slashes behind, is taken"
grep -q '^once it is there: .*--out run-3' out || fail "the command for later with slashes behind the folder: $(grep once out)"
refuses "a prompt with unknown characters" "prompt: .*'#'" "$bin/generate" --from run --prompt 'a#b'
refuses "a prompt that is not UTF-8" 'prompt: .*UTF-8' "$bin/generate" --from run --prompt $'a\xff'
refuses "an empty prompt" 'prompt is empty' "$bin/generate" --from run --prompt ''
refuses "a temperature that is no number" 'temperature: takes a number of at least 0' "$bin/generate" --from run --temperature nan
refuses "a top-p of nothing" 'top-p: takes a number above 0' "$bin/generate" --from run --top-p 0
refuses "a negative top-k" 'top-k: takes' "$bin/generate" --from run --top-k -1
refuses "a negative number of tokens" 'tokens: takes' "$bin/generate" --from run --tokens -1
"$bin/generate" --from run --tokens 3 >/dev/full 2>err
[ $? = 2 ] || fail "generate does not see that its output is lost"
# What is printed is lost: the run does not go on for nothing.
for flag in --steps=1000000 --help; do
  refuses "a closed output ($flag)" '^train: standard output is closed; ' bash -c "exec timeout 60 '$bin/train' --preset tiny --out closed $flag >&-"
done
refuses "an output that is full from the start" '^train: writing to standard output failed: .* step 0 of 1000000; .* nothing is kept$' \
  bash -c "exec timeout 60 '$bin/train' --preset tiny --steps 1000000 --out lost >/dev/full"
head -c 815000 /dev/zero >filling
(trap '' XFSZ && ulimit -f 800 && exec timeout 60 "$bin/train" --preset tiny --steps 1000000 --set log_every=1 --out lost >>filling 2>err </dev/null)
[ $? = 2 ] || fail "a run whose output fills up does not exit with 2"
grep -q '^train: writing to standard output failed: .* stopped after step [0-9]* of 1000000; its weights are saved$' err || fail "a run whose output fills up: $(cat err)"
"$bin/generate" --from lost --tokens 5 >text 2>err || fail "no text from a run whose output filled up: $(cat err)"
rm filling

# A run's folder with one file replaced: NAME FILE PATTERN, the file's new contents on stdin. (Not behind a pipe: a count
# of failures in its subshell is lost.)
damaged() {
  rm -rf damaged && cp -r run damaged && cat >"damaged/$2"
  refuses "$1" "damaged.*$3" "$bin/generate" --from damaged
}
damaged "a configuration without a key" config.json "'rope_base' is missing" < <(grep -v '"rope_base"' run/config.json)
damaged "a broken configuration" config.json 'configuration' <<<'{'
damaged "a broken tokenizer" tokenizer.json 'JSON' <<<'{'
damaged "weights cut short" model.safetensors 'header' < <(head -c 1000 run/model.safetensors)
"$bin/train" --preset tiny --steps 1 --set num_routed_experts=16 --out other >out 2>err || fail "a run with more experts: $(cat err)"
damaged "weights of another model" model.safetensors 'experts' <other/model.safetensors
seq 1 3000 >digits.txt
"$bin/train" --preset tiny --steps 1 --data digits.txt --out digits >out 2>err || fail "a run on digits: $(cat err)"
damaged "the tokenizer of another text" tokenizer.json 'not of one run' <digits/tokenizer.json
"$bin/generate" --from run --prompt 'The ' --tokens 40 --seed 5 >first 2>err
"$bin/generate" --from run --prompt 'The ' --tokens 40 --seed 5 >second 2>err
"$bin/generate" --from run --prompt 'The ' --tokens 40 --seed 6 >third 2>err
cmp -s first second || fail "generate with one seed gives two texts"
cmp -s first third && fail "generate with two seeds gives one text"
[ "$(wc -m <first)" = 45 ] || fail "generate printed $(wc -m <first) characters, not 4 + 40 and a line break"
"$bin/generate" --from run --prompt 'The ' --tokens 10 --temperature 0 >cached 2>err
"$bin/generate" --from run --prompt 'The ' --tokens 10 --temperature 0 --no-cache >uncached 2>err
{ [ "$(wc -m <cached)" = 15 ] && cmp -s cached uncached; } || fail "texts with and without the cache: $(cat cached) | $(cat uncached)"
"$bin/generate" --from run --prompt 'The ' --tokens 40 --seed 5 --no-cache >uncached 2>err
cmp -s first uncached || fail "texts drawn with and without the cache: $(cat first) | $(cat uncached)"
"$bin/generate" --from run --prompt "$(head -c 80 /dev/zero | tr '\0' 'a')" --tokens 1 >text 2>err || fail "a long prompt: $(cat err)"
grep -q '^warning: the prompt has 80 tokens, and the model sees only the last 64$' err || fail "a long prompt: $(cat err)"

"$bin/train" --preset tiny --steps 5 --out again --threads 2 >/dev/null 2>err || fail "a second run: $(cat err)"
"$bin/train" --preset tiny --steps 5 --out once-more --threads 1 >/dev/null 2>err || fail "a third run: $(cat err)"
cmp -s again/model.safetensors once-more/model.safetensors || fail "one and two threads train to different weights"

# Muon, and an average of the weights, which is what is saved; both are the same for any number of threads.
muon=(--preset tiny --steps 5 --set optimizer=muon --set muon_lr=1e-2)
for threads in 1 2; do
  "$bin/train" "${muon[@]}" --set ema_decay=0.9 --threads $threads --out muon-$threads >out 2>err || fail "a run with Muon: $(cat err)"
done
cmp -s muon-1/model.safetensors muon-2/model.safetensors || fail "one and two threads train to different weights with Muon"
cmp -s muon-1/model.safetensors again/model.safetensors && fail "Muon trains to AdamW's weights"
for line in '"optimizer": "muon"' '"muon_lr": 0.01' '"ema_decay": 0.9'; do
  grep -q "$line" muon-1/config.json || fail "config.json of a run with Muon has no $line"
done
quick=(--preset shakespeare-cpu --steps 1 --set validate_every=-1 --set sample_tokens=0 --lr 8e-3)
"$bin/train" "${quick[@]}" --out twice >out 2>err || fail "a run at twice the rate: $(cat err)"
grep -q '"muon_lr": 0.016' twice/config.json || fail "--lr leaves Muon's rate alone: $(grep muon_lr twice/config.json)"
"$bin/train" "${quick[@]}" --set muon_lr=1e-2 --out told >out 2>err || fail "a run at a rate of Muon's own: $(cat err)"
grep -q '"muon_lr": 0.01,' told/config.json || fail "--lr moves a rate that was told: $(grep muon_lr told/config.json)"
"$bin/train" "${muon[@]}" --out muon-raw >out 2>err || fail "a run with Muon and without an average: $(cat err)"
cmp -s muon-1/model.safetensors muon-raw/model.safetensors && fail "the weights that are saved are not the average"
cmp -s <(grep -o '"loss":[^,]*' muon-1/metrics.jsonl) <(grep -o '"loss":[^,]*' muon-raw/metrics.jsonl) || fail "the average changes training"
"$bin/train" --preset tiny --steps 1 --set validate_on=tuning --out tuning >out 2>err || fail "a run on the tuning split: $(cat err)"
grep -q '26,414 tokens to train on, the next 1,391 to validate on' out || fail "a run on the tuning split says: $(grep 'to train on' out)"

prints "where the time goes" '^profile of 4 steps of [0-9.]+ ms; ' "$bin/train" --preset tiny --steps 5 --out profiled --profile
grep -q -E '^linear +[0-9.]+ +[0-9.]+ % .* GFLOP/s .* GFLOP/s$' out || fail "the profile's line of linear: $(grep linear out)"
grep -q '"name":"causal_attention"' profiled/trace.json || fail "the trace does not show causal_attention"

# 16-bit activations: near the float32 run, and text comes of it.
for dtype in bf16 f16; do
  "$bin/train" --preset tiny --steps 20 --dtype $dtype --out run-$dtype >out 2>err || fail "a run in $dtype: $(cat err)"
  grep -q "\"dtype\": \"$dtype\"" run-$dtype/config.json || fail "config.json of a $dtype run: $(grep dtype run-$dtype/config.json)"
  awk -v a="$(sed -n 's/.*"step":20,"val_loss":\([0-9.]*\).*/\1/p' run/metrics.jsonl)" \
    -v b="$(sed -n 's/.*"step":20,"val_loss":\([0-9.]*\).*/\1/p' run-$dtype/metrics.jsonl)" \
    'BEGIN { d = a - b; exit !(a > 0 && b > 0 && d < 0.03 && d > -0.03) }' || fail "validation in $dtype is not near float32's"
  for flag in '' --no-cache; do
    "$bin/generate" --from run-$dtype --prompt 'The ' --tokens 10 $flag >text 2>err || fail "no text from a $dtype run: $(cat err)"
    [[ $flag ]] || grep -q '; cache: 192 bytes per token, 512 in plain attention$' err || fail "the cache of a $dtype run: $(cat err)"
    "$bin/generate" --from run-$dtype --prompt 'The ' --tokens 10 --dtype f32 $flag >unrounded 2>err || fail "no text from a $dtype run with weights in f32: $(cat err)"
    cmp -s text unrounded || fail "a $dtype run's text depends on whether its weights are rounded before"
  done
  "$bin/generate" --from run --prompt 'The ' --tokens 10 --dtype $dtype >text 2>err || fail "no text with --dtype $dtype: $(cat err)"
  grep -q '; cache: 192 bytes per token, 512 in plain attention$' err || fail "the cache with --dtype $dtype: $(cat err)"
done

# A line break is no part of this text, so text starts with its first character.
tr -d '\n' <digits.txt >unbroken.txt
"$bin/train" --preset tiny --steps 1 --data unbroken.txt --out unbroken >out 2>err || fail "a run on a text of one line: $(cat err)"
grep -q "prompt ROMEO" out && fail "train proposes a prompt that its tokenizer does not know"
"$bin/generate" --from unbroken --tokens 5 2>err | grep -q -E '^0[0-9]{5}$' || fail "text of a model that knows no line break: $(cat err)"

# Numbers that go wrong later: the run stops, says where, and keeps its log; weights that give no loss are not saved.
# wild NAME PATTERN FLAGS…: a run whose steps are far too long.
wild() {
  local name=$1 pattern=$2
  shift 2
  rm -rf wild
  "$bin/train" --preset tiny --set weight_decay=0 --out wild "$@" >out 2>err
  [ $? = 2 ] || fail "$name does not exit with 2"
  { [ "$(wc -l <err)" = 1 ] && grep -q -E "^train: $pattern.*lower --lr" err; } || fail "$name: $(cat err)"
  grep -q -s -i -E 'nan|null|inf' wild/metrics.jsonl && fail "$name logged $(cat wild/metrics.jsonl)"
  echo "stopped $name: $(cat err)"
}
wild "a run with wild steps" 'step 2: the loss is nan' --steps 30 --lr 1e12
grep -q '^stopped after step 1 of 30; its weights are of no use and not saved; wild holds its log' out || fail "wild steps: $(tail -n 1 out)"
{ [ -s wild/metrics.jsonl ] && [ ! -e wild/model.safetensors ]; } || fail "a run with wild steps left $(ls wild)"
wild "a run that goes wrong in its last step" 'step 1: the validation loss is nan' --steps 1 --lr 1e12 --set warmup=0
[ ! -e wild ] || fail "a run that learnt nothing left $(ls wild)"
wild "a gradient that is not finite" 'step 2: the loss is [0-9.]+, and the gradient of .* is not finite' --steps 30 --lr 1e30
grep -q '^stopped after step 1 of 30; its weights are saved' out || fail "a gradient that is not finite: $(tail -n 1 out)"
[ -s wild/model.safetensors ] || fail "a gradient that is not finite cost the weights before it"
refuses "a learning rate beyond float32" 'lr must be at most' "$bin/train" --preset tiny --lr 1e300
refuses "decay that turns weights over" 'lr × weight_decay' "$bin/train" --preset tiny --lr 11

# Ctrl-C: the step is finished, the weights are saved.
# Several times, since a handler that harms what it interrupts does so in some runs only.
for n in {0..14}; do
  signal=$([ $((n % 2)) = 0 ] && echo TERM || echo INT)
  rm -rf stopped out
  "$bin/train" --preset tiny --steps 1000000 --out stopped >out 2>err &
  run=$!
  for ((i = 0; i < 3000; i++)); do if grep -qs '^Step 1:' out; then break; else sleep 0.02; fi; done
  sleep "0.$((n / 5))$((n % 5 * 2))"
  kill -"$signal" $run
  wait $run
  code=$?
  [ $code = $((128 + $(kill -l "$signal"))) ] || fail "after SIG$signal train exits with $code"
  grep -q '^stopped after step' out || fail "after SIG$signal train does not say where it stopped"
  "$bin/generate" --from stopped --tokens 5 >text 2>err || fail "no text from a run that SIG$signal stopped: $(cat err)"
done

# Ctrl-C while the curve is drawn, which reaches gnuplot too: it is drawn all the same. (This one takes its time.)
mkdir slow
printf '#!/bin/bash\ncat >/dev/null\ntouch drawing\nsleep 1\necho "</svg>"\n' >slow/gnuplot
chmod +x slow/gnuplot
PATH=$PWD/slow:$PATH setsid "$bin/train" --preset tiny --steps 1 --out drawn >out 2>err &
run=$!
for ((i = 0; i < 3000; i++)); do if [ -e drawing ]; then break; else sleep 0.02; fi; done
kill -INT -- -$run
wait $run
code=$?
[ $code = 130 ] || fail "after a Ctrl-C while the curve is drawn train exits with $code"
{ [ -s drawn/loss.svg ] && [ ! -e drawn/loss.svg.tmp ]; } || fail "a Ctrl-C while the curve is drawn: $(tail -n 2 out), $(ls drawn)"

# Nobody reads on, the terminal is gone: as Ctrl-C.
rm -rf stopped
"$bin/train" --preset tiny --steps 1000000 --out stopped 2>err | sed -n '/^Step 1:/q'
[ "${PIPESTATUS[0]}" = 141 ] || fail "with nobody to read it train does not exit with 141"
[ -s stopped/model.safetensors ] || fail "with nobody to read it train saves no weights"
# Before the first step there is nothing to keep. (A model of this size takes a while to make.)
"$bin/train" --preset shakespeare-char --out early/stop >out 2>err &
run=$!
for ((i = 0; i < 3000; i++)); do if [ -e early ]; then break; else sleep 0.02; fi; done
kill -HUP $run
wait $run
code=$?
[ $code = 129 ] || fail "after SIGHUP train exits with $code"
[ ! -e early ] || fail "a run that was stopped before its first step left $(find early)"
nohup "$bin/train" --preset tiny --steps 1000000 --out hidden >out 2>err &
run=$!
for ((i = 0; i < 3000; i++)); do if grep -qs '^Step 1:' out; then break; else sleep 0.02; fi; done
kill -HUP $run
sleep 0.2
kill -TERM $run || fail "SIGHUP ends a run that nohup started"
wait $run
[ $? = 143 ] || fail "a run that nohup started does not end with SIGTERM"

# A full disk, played by a limit on the size of files: a log that cannot grow is a warning, weights that cannot be saved an error.
(trap '' XFSZ && ulimit -f 3 && exec "$bin/train" --preset tiny --steps 20 --set log_every=1 --out full </dev/null 2>&1) | cat >out
[ "${PIPESTATUS[0]}" = 2 ] || fail "a run that cannot save its weights does not exit with 2"
[ "$(grep -c '^warning: .*metrics.jsonl failed' out)" = 1 ] || fail "a log that cannot grow: $(grep -v Step out)"
grep -q '^Step 20:' out || fail "a run whose log cannot grow does not go on"
grep -q '^train: full/model.safetensors: cannot be written: .*; full holds its log: give the next run another --out' out || fail "a run that cannot save its weights does not say what stays: $(tail -n 1 out)"

# More outputs than characters: none of the others is ever drawn.
"$bin/train" --preset tiny --steps 1 --set vocab_size=5000 --out wide >out 2>err || fail "a run with more outputs: $(cat err)"
"$bin/generate" --from wide --prompt a --tokens 100 2>err >text
{ [ "$(wc -m <text)" = 102 ] && ! grep -q $'\xef\xbf\xbd' text; } || fail "text of a model with more outputs than characters: $(cat text)"

[ "$failures" = 0 ] || exit 1
echo "all as expected"
