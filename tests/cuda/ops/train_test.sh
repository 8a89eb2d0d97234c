#!/usr/bin/env bash
# train_test.sh BIN: ten steps of training and a little text on cuda-emulated give what the CPU gives, and a device that
# is not there ends in one line that names the one that is, with exit code 2.
set -u
bin=$1
# shellcheck source=tests/examples/workspace.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../examples/workspace.sh"

small=(--preset tiny --steps 10 --set sample_tokens=0 --set log_every=1 "${@:2}")
for device in cpu cuda-emulated; do
  "$bin/train" "${small[@]}" --device $device --out $device >out 2>&1 || fail "train on $device: $(tail -n 3 out)"
done
losses() { sed -n 's/.*"step":\([0-9]*\),.*"loss":\([0-9.e+-]*\),.*/\1 \2/p' "$1/metrics.jsonl"; }
paste <(losses cpu) <(losses cuda-emulated) | awk '
  $1 != $3 { print "steps differ: " $0; bad = 1 }
  { d = ($2 - $4) / $2; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
  END { printf "%d steps, largest relative difference of the loss %.2g\n", n, worst
        exit bad || n != 10 || worst > 1e-4 }' || fail "the losses differ"

"$bin/train" "${small[@]}" --device cuda-emulated --tf32 --out rounded >out 2>&1 || fail "train with TensorFloat-32: $(tail -n 3 out)"
cmp -s <(losses cuda-emulated) <(losses rounded) && fail "--tf32 changes nothing"
"$bin/train" "${small[@]}" --tf32 --out none >out 2>err
{ [ $? = 2 ] && grep -q 'train: --tf32 is for matrix products on a GPU' err && [ ! -e none ]; } || fail "--tf32 on the CPU: $(cat err)"

for device in cpu cuda-emulated; do
  "$bin/generate" --from cpu --prompt 'The ' --tokens 5 --seed 5 --device $device >text-$device 2>err || fail "generate on $device: $(cat err)"
done
cmp -s text-cpu text-cuda-emulated || fail "generate: '$(cat text-cpu)' on cpu, '$(cat text-cuda-emulated)' on cuda-emulated"

"$bin/train" --preset tiny --device quantum >out 2>err
[ $? = 2 ] || fail "an unknown device: exit code"
grep -q "no device 'quantum'; there are cpu, cuda and cuda-emulated" err || fail "an unknown device: $(cat err)"
if ! command -v nvidia-smi >/dev/null; then
  "$bin/train" --preset tiny --device cuda --out none >out 2>err
  [ $? = 2 ] || fail "no GPU: exit code"
  [ "$(wc -l <err)" = 1 ] || fail "no GPU: $(wc -l <err) lines"
  grep -q 'device cuda-emulated runs the same' err || fail "no GPU: $(cat err)"
  [ -e none ] && fail "no GPU: a folder was left"
fi
exit $((failures > 0))
