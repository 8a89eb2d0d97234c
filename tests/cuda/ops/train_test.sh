#!/usr/bin/env bash
# train_test.sh BIN DEVICE: ten steps of training, in 16 bits too, and a little text on DEVICE (cuda-emulated or cuda) give
# what the CPU gives, and a device that is not there ends in one line that names one that is, with exit code 2.
set -u
bin=$1 device=$2
# shellcheck source=tests/examples/workspace.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../examples/workspace.sh"

declare -A blas=([cuda]=cuBLAS [cuda-emulated]='cuBLAS, emulated')
products=${blas[$device]}
small=(--preset tiny --steps 10 --set sample_tokens=0 --set log_every=1)
losses() { sed -n 's/.*"step":\([0-9]*\),.*"loss":\([0-9.e+-]*\),.*/\1 \2/p' "$1/metrics.jsonl"; }
# same_training DTYPE EARLY MOST: on both devices the losses differ by no more than EARLY over the first five steps and by no
# more than MOST over all ten, relatively.
same_training() {
  local gemm=()
  [[ $1 == f32 ]] || gemm=(--gemm eigen)  # as on the device, attention rounds no probabilities
  "$bin/train" "${small[@]}" --dtype "$1" --no-tf32 "${gemm[@]}" --out "$1-cpu" >out 2>&1 || fail "train in $1 on the CPU: $(tail -n 3 out)"
  "$bin/train" "${small[@]}" --dtype "$1" --device "$device" --no-tf32 --out "$1-there" >out 2>&1 ||
    fail "train in $1 on $device: $(tail -n 3 out)"
  grep -q "^1 threads, matrix products by $products\( in \|; \)" out || fail "train on $device says: $(grep products out)"
  grep -Eq "^memory of $device: at most [0-9.]+ MiB in tensors at once, [0-9.]+ MiB taken from the device\$" out ||
    fail "train does not say what memory it took: $(tail -n 4 out)"
  paste <(losses "$1-cpu") <(losses "$1-there") | awk -v dtype="$1" -v early="$2" -v most="$3" '
    $1 != $3 { print "steps differ: " $0; bad = 1 }
    { d = ($2 - $4) / $2; if (d < 0) d = -d; if (d > worst) worst = d; if (++n == 5) first = worst }
    END { printf "%s: largest relative difference of the loss %.2g in 5 steps, %.2g in %d\n", dtype, first, worst, n
          exit bad || n != 10 || first > early || worst > most }' || fail "the losses in $1 differ"
}
same_training f32 1e-4 1e-4
# Where float32's error lies across a border, an activation is rounded to the other neighbour, 2^-7 or 2^-10 of it away. Few
# are, and the loss is a mean over all positions, so that a fortieth of that is far more than it makes at first. Training then
# amplifies it: one token near a tie that goes to another expert moves the loss by some 1e-4, as 16 bits themselves do.
same_training bf16 2e-4 2e-3
same_training f16 2.5e-5 2e-3

"$bin/train" "${small[@]}" --device "$device" --tf32 --out rounded >out 2>&1 || fail "train with TensorFloat-32: $(tail -n 3 out)"
cmp -s <(losses f32-there) <(losses rounded) && fail "--tf32 changes nothing"

for place in cpu "$device"; do
  "$bin/generate" --from f32-cpu --prompt 'The ' --tokens 5 --seed 5 --device "$place" >"text-$place" 2>err || fail "generate on $place: $(cat err)"
done
cmp -s text-cpu "text-$device" || fail "generate: '$(cat text-cpu)' on cpu, '$(cat "text-$device")' on $device"

refuses "TensorFloat-32 on the CPU" 'train: --tf32 is for matrix products on a GPU' "$bin/train" "${small[@]}" --tf32 --out none
# A GPU's memory is its own, and what it says of it comes of the first step.
[ "$device" = cuda ] || refuses "a batch that memory cannot hold" 'out of memory.*--batch [0-9]+ might fit' \
  "$bin/train" --preset tiny --batch 10000000 --device "$device" --out none
refuses "an unknown device" "no device 'quantum'; there are cpu, cuda and cuda-emulated" "$bin/train" --preset tiny --device quantum
refuses "no GPU" 'device cuda-emulated runs the same' env CUDA_VISIBLE_DEVICES= "$bin/train" --preset tiny --device cuda --out none
exit $((failures > 0))
