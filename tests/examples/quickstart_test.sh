#!/usr/bin/env bash
# quickstart_test.sh BIN: what examples/quickstart.sh can know to be wrong it refuses before it builds, and it knows every
# option and preset of train. The cmake that it finds here builds nothing and ends with a code of its own.
set -u
bin=$1 quickstart=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../../examples/quickstart.sh
# shellcheck source=tests/examples/workspace.sh
. "$(dirname "${BASH_SOURCE[0]}")/workspace.sh"

mkdir tools && printf '#!/bin/sh\necho "$*" >%q\nexit 99\n' "$work/asked" >tools/cmake && chmod +x tools/cmake
export PATH=$work/tools:$PATH

refused() { refuses "$1" "^quickstart.sh: .*$2" bash "$quickstart" --no-install "${@:3}"; }
refused "an unknown flag" "no option '--bogus'" --bogus
refused "a stray word" "no option 'tiny'" tiny
refused "an unknown preset" 'one of tiny, shakespeare-cpu, .*deepseek-shakespeare.* not .huge' --preset huge
for option in steps batch accumulate threads; do
  for value in 0 -1 1.5 many 1e3 010; do refused "--$option $value" "--$option takes a whole number from 1" --$option "$value"; done
done
refused "a seed that might be octal" '--seed takes a whole number' --seed 08
refused "a negative seed" '--seed takes a whole number' --seed=-1
for value in 0 -1 nan inf 1e 0e5 one; do refused "--lr $value" '--lr takes a number above 0' --lr "$value"; done
refused "a dtype that is none" '--dtype takes f32' --dtype f8
refused "a provider that is none" '--gemm takes eigen' --gemm blas
refused "a device that it does not build for" '--device takes cpu or cuda' --device cuda-emulated
refused "a setting without a value" '--set takes key=value' --set steps
refused "a missing text" "no file 'nowhere.txt'" --data nowhere.txt
refused "a folder as the text" "no file 'tools'" --data tools
refused "an option without its value" '--steps needs a value' --steps
refused "a folder without a name" '--out needs a value' --out ''

# accepted NAME OPTIONS…: gets as far as the build.
accepted() {
  bash "$quickstart" --no-install "${@:2}" >out 2>err
  local code=$?
  [ $code = 99 ] || fail "$1: exit code $code before the build: $(cat err)"
  echo "accepted $1"
}
accepted "nothing"
grep -q -- '-B build/quickstart .*-DFOLIO_CUDA=OFF' asked || fail "it builds with $(cat asked)"
accepted "a GPU" --device cuda
grep -q -- '-B build/quickstart-cuda .*-DFOLIO_CUDA=ON' asked || fail "for a GPU it builds with $(cat asked)"
refused "a provider of the CPU's on a GPU" '--gemm is for matrix products on the CPU' --device cuda --gemm eigen
refused "TF32 on the CPU" '--tf32 is for matrix products on a GPU' --tf32
accepted "an option and its value in one word" --steps=3 --set=lr=1
for value in 1 .5 2e-3 0.001 1E2; do accepted "--lr $value" --lr $value; done
echo text >text.txt
declare -A values=([--preset]=tiny [--lr]=1e-3 [--data]=text.txt [--out]=run [--set]=lr=1 [--dtype]=f16 [--gemm]=eigen [--device]=cpu)
options=$("$bin/train" --help | grep -o -E '^ +(-h,)?--[a-z0-9-]+[^ ]*' | grep -o -E -- '--[a-z0-9-]+' | grep -v -x -e --help)
[ "$(wc -l <<<"$options")" -ge 15 ] || fail "train --help shows but $options"
for option in $options; do
  case $option in
    --count | --profile | --no-tf32) accepted "$option" "$option" ;;
    --tf32) accepted "$option" "$option" --device cuda ;;
    *) accepted "$option" "$option" "${values[$option]:-1}" ;;
  esac
done
presets=$("$bin/train" --help | sed -n 's/^ *\([a-z0-9-]*\): .*/\1/p')
for preset in tiny shakespeare-char $presets; do accepted "preset $preset" --preset "$preset"; done

[ "$failures" = 0 ] || exit 1
echo "all as expected"
