#!/usr/bin/env bash
# bad_files_test.sh BIN: train, generate and inspect on files that are none, and on run folders that someone changed: one
# clear line, exit code 2, and nothing left behind. What might wait or go on for ever is stopped, with another code.
set -u
bin=$1
# shellcheck source=tests/examples/workspace.sh
. "$(dirname "${BASH_SOURCE[0]}")/workspace.sh"

mkfifo pipe
refuses "a pipe as a text" 'data pipe: a pipe, a socket or a device' timeout 60 "$bin/train" --preset tiny --data pipe
refuses "a substituted process as a text" 'a pipe, a socket or a device' "$bin/train" --preset tiny --data <(echo text)
refuses "a device as a text" 'dev/zero: a pipe, a socket or a device' timeout 60 "$bin/inspect" /dev/zero
refuses "a text without a name" "data '': not there" "$bin/train" --preset tiny --data ''
refuses "a text without a name, to inspect" "inspect: '': not there" "$bin/inspect" ''
refuses "a name of two lines" 'no\\x0asuch: not there' "$bin/inspect" $'no\nsuch'
refuses "a folder with too long a name" '^train: cannot make folder x+: File name too long; choose another with --out$' "$bin/train" --preset tiny --out "$(printf 'x%.0s' {1..300})"

"$bin/train" --preset tiny --steps 1 --out run >out 2>err || fail "a tiny run: $(cat err)"

# Three runs that start into one folder at once: one has it, and is whole.
runs=()
for n in 1 2 3; do "$bin/train" --preset tiny --steps 5 --out shared >"out-$n" 2>"err-$n" & runs+=($!); done
codes=()
for run in "${runs[@]}"; do wait "$run"; codes+=($?); done
[ "$(printf '%s\n' "${codes[@]}" | sort | xargs)" = "0 2 2" ] || fail "three runs into one folder exit with ${codes[*]}: $(cat err-?)"
[ "$(cat err-? | grep -c '^train: shared already holds a run')" = 2 ] || fail "three runs into one folder: $(cat err-?)"
"$bin/generate" --from shared --tokens 5 >text 2>err || fail "no text from the run that had the folder: $(cat err)"
rm -r shared out-? err-? text

# A copy of the run with one file changed by sed: NAME PATTERN FILE SCRIPT.
changed() {
  rm -rf changed && cp -r run changed && LC_ALL=C sed -i -e "$4" "changed/$3"
  cmp -s "run/$3" "changed/$3" && fail "$1: nothing was changed"
  refuses "$1" "changed.*$2" timeout 60 "$bin/generate" --from changed
}
changed "integers for weights" 'is int32 .* but the module.s is float32' model.safetensors 's/"dtype":"F32"/"dtype":"I32"/g'
for change in hidden_size=16777216 vocab_size=16777216 num_hidden_layers=10000 num_routed_experts=65536; do
  changed "a configuration of a larger model ($change)" 'model of [0-9,]+: they are not of one run' config.json \
    "s/\"${change%=*}\": \"[0-9]*\"/\"${change%=*}\": \"${change#*=}\"/"
done
changed "a configuration of a smaller model" "'layers.1.* is no part of this module" config.json 's/"num_hidden_layers": "[0-9]*"/"num_hidden_layers": "1"/'
for value in '"64"' '[64]' 1e300 '{}' null; do
  changed "a vocabulary of $value" 'vocab_size is missing' config.json "s/\"vocab_size\": [0-9][0-9]*/\"vocab_size\": $value/"
done
changed "a tokenizer's entry that is a list" 'vocab_size is missing' config.json '/"tokenizer": {/,/}/c "tokenizer": [1]'
changed "a setting whose name has two lines" 'unknown key .a\\x0ab' config.json 's/"rope_base"/"a\\nb": "1", "rope_base"/'
changed "a setting that is a number" "'rope_base' must be a string" config.json 's/"rope_base": "[0-9]*"/"rope_base": 1/'
changed "more dense layers than layers" 'first_k_dense is 9' config.json 's/"first_k_dense": "0"/"first_k_dense": "9"/'
for file in config.json tokenizer.json model.safetensors; do
  rm -rf odd && cp -r run odd && rm odd/$file && mkfifo odd/$file
  refuses "a pipe as $file" "odd/$file: a pipe, a socket or a device" timeout 60 "$bin/generate" --from odd
  rm odd/$file && mkdir odd/$file
  refuses "a folder as $file" "odd/$file: a folder" "$bin/generate" --from odd
done

# What stands where the curve should go stays.
mkdir -p "it's taken/loss.svg"
refuses "a folder in the curve's place" "taken already holds a run \(loss.svg\)" "$bin/train" --preset tiny --out "it's taken"
"$bin/train" --preset tiny --steps 2 --out "it's free" >out 2>err || fail "a folder with a quote: $(cat err)"
grep -q '</svg>' "it's free/loss.svg" || fail "a folder with a quote has no curve: $(grep curve out)"

[ "$failures" = 0 ] || exit 1
echo "all as expected"
