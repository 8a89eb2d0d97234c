#!/usr/bin/env bash
# scripts_test.sh BUILD: what compare.sh, growth.sh, ablation.sh and figures.sh refuse, and that the latter three print or write
# their tables.
# (What they measure is not checked, nor is PyTorch asked for.)
set -u
build=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/examples/workspace.sh
. "$here/../examples/workspace.sh"

# refuses NAME PATTERN COMMAND…: exit code 2 and one line on stderr that matches.
refuses() {
  local name=$1 pattern=$2
  shift 2
  "$@" >out 2>err </dev/null
  [ $? = 2 ] || fail "$name: the exit code is not 2"
  [ "$(wc -l <err)" = 1 ] || fail "$name: $(wc -l <err) lines on stderr, not 1: $(cat err)"
  grep -q -E -- "$pattern" err || fail "$name: stderr does not match '$pattern': $(cat err)"
  [ ! -s out ] || fail "$name: it printed $(head -n 1 out)"
}

export FOLIO_LOADAVG=$work/loadavg
export FOLIO_PAUSE=0
unset FOLIO_BUSY
echo '0.31 0.1 0.1 1/100 1' >loadavg
declare -A quick=([compare]='--windows 1 --steps 1 --eager --no-install' [growth]='--seconds 0.001')
for script in compare growth; do
  # shellcheck disable=SC2086
  refuses "$script.sh on a busy machine" "^folio: $script.sh: the machine is busy \(load 0.31, .*--busy" \
    bash "$here/$script.sh" --build "$build" --preset tiny ${quick[$script]}
  refuses "$script.sh with an unknown argument" "unknown argument '--wings'" bash "$here/$script.sh" --wings
  refuses "$script.sh with half an option" '--preset needs a value' bash "$here/$script.sh" --preset
  refuses "$script.sh without a build" 'there is no nowhere/' bash "$here/$script.sh" --build nowhere
done
refuses "compare.sh with no windows" "'0' is not a whole number" bash "$here/compare.sh" --windows 0
refuses "compare.sh with another dtype" "--only takes f32 or bf16, not 'f64'" bash "$here/compare.sh" --only f64
refuses "compare.sh with a preset that has no peer" "no PyTorch model of preset 'shakespeare-cpu'" \
  bash "$here/compare.sh" --preset shakespeare-cpu

echo '0.3 9 9 1/100 1' >loadavg
bash "$here/growth.sh" --build "$build" --preset tiny --seconds 0.001 >out 2>err </dev/null || fail "growth.sh: $(cat err)"
for key in batch context layers width experts threads; do
  grep -A 2 "^| $key of tiny | ms per step | tokens/s | peak MiB |$" out |
    grep -q -E '^\| [0-9]+ \| [0-9.]+ \| [1-9][0-9]* \| [1-9][0-9]* \|$' || fail "growth.sh prints no table of $key"
done
for fact in '^command: bash tests/bench/growth.sh --build' '^commit: ' '^processor: .+ cores, .+$' '^load at the start: 0.3$'; do
  grep -q -E "$fact" out || fail "growth.sh does not say '$fact'"
done
grep -q -- --busy out && fail "growth.sh says --busy on a quiet machine"
refuses "growth.sh with an unknown preset" "--preset takes tiny or .*, not 'huge'" bash "$here/growth.sh" --build "$build" --preset huge
refuses "growth.sh in an unknown dtype" 'bench fails: bench: --dtype: f8' bash "$here/growth.sh" --build "$build" --preset tiny --dtype f8

ablation() { bash "$here/ablation.sh" --build "$build" --preset tiny "$@"; }
refuses "ablation.sh of one variant" 'at least two variants' ablation ''
refuses "ablation.sh over two seeds" '2 seeds do not tell' ablation --seeds '1 2' '' optimizer=muon
refuses "ablation.sh with a seed that is none" "the seed 'b' is not a whole number" ablation --seeds '1 2 b' '' optimizer=muon
refuses "ablation.sh with a seed twice" "a seed is given twice in '1 2 1'" ablation --seeds '1 2 1' '' optimizer=muon
for length in '--steps 2' '--seconds 1'; do
  # shellcheck disable=SC2086
  refuses "ablation.sh $length with a variant that train refuses" "'optimizer=none' does not train: train: optimizer must be" \
    ablation $length '' optimizer=none
done
refuses "ablation.sh with two lengths" 'not both' ablation --steps 1 --seconds 1 '' optimizer=muon
refuses "ablation.sh on another split" "not 'train'" ablation --on train '' optimizer=muon
echo '0.31 0.1 0.1 1/100 1' >loadavg
refuses "ablation.sh on a busy machine" '^folio: ablation.sh: the machine is busy' ablation '' optimizer=muon
echo '0.3 9 9 1/100 1' >loadavg
for length in '--steps 2' '--seconds 1'; do
  # shellcheck disable=SC2086
  ablation $length --jobs 2 --seeds '3 4 5' --common 'batch=4' '' 'optimizer=muon muon_lr=1e-2' >out 2>err </dev/null ||
    fail "ablation.sh $length: $(cat err out)"
  for row in 'the preset . [0-9]+ . [0-9]+ . [0-9.]+ . [0-9.]+ ± [0-9.]+ .  .' \
    'optimizer=muon muon_lr=1e-2 . [0-9]+ . [0-9]+ . [0-9.]+ . [0-9.]+ ± [0-9.]+ . [-+][0-9.]+ ± [0-9.]+ .'; do
    grep -q -E "^. $row [0-9]\.[0-9]{4} [0-9]\.[0-9]{4} [0-9]\.[0-9]{4} .$" out || fail "ablation.sh $length prints no row '$row': $(cat out)"
  done
done
grep -q -x -F "command: bash tests/bench/ablation.sh --build $build --preset tiny --seconds 1 --jobs 2 --seeds '3 4 5' --common batch=4 '' 'optimizer=muon muon_lr=1e-2'" out ||
  fail "ablation.sh does not say by which command: $(head -n 1 out)"
grep -q '^preset tiny, f32, loss on tuning, seeds 3 4 5, 2 trainings side by side' out || fail "ablation.sh does not say what it trains: $(cat out)"
grep -q 'figures not comparable' out || fail "ablation.sh does not say that its text is the sample: $(cat out)"
ablation --steps 2 '' 'context=1000000' >out 2>err </dev/null && fail "ablation.sh does not fail where a training does"
grep -q "^failed: 'context=1000000', seed 2: train: " out || fail "ablation.sh does not say what failed: $(cat out err)"

# Means, deviations and differences of losses that are known; a training that fails behind a validation has none.
mkdir -p stub/examples && cat >stub/examples/train <<'END' && chmod +x stub/examples/train
#!/usr/bin/env bash
[[ $* == *--count* ]] && exit
out=$(sed 's/.*--out \([^ ]*\) .*/\1/' <<<"$*") seed=$(sed 's/.*--seed \([0-9]*\) .*/\1/' <<<"$*")
mkdir "$out" && echo '    "steps": 2,' >"$out/config.json" && echo '{"step":1,"val_loss":1.5,"best_val_loss":1.5}' >"$out/metrics.jsonl"
[[ $* == *lr=1* ]] && echo 'train: step 2: the loss is nan' >&2 && exit 2
more=0 && [[ $* == *lr=2* ]] && more=$((seed + 1))
echo '{"step":2,"tokens_per_s":1'$seed'0}' >>"$out/metrics.jsonl"
echo '{"step":2,"val_loss":1.'$((seed + more))',"best_val_loss":1.1,"val_max_vio":0.'$seed'}' >>"$out/metrics.jsonl"
END
stubbed() { bash "$here/ablation.sh" --build "$work/stub" --out "$work/kept" "$@"; }
stubbed '' lr=2 lr=1 >out 2>err </dev/null && fail "ablation.sh does not fail where a training diverges"
for row in 'the preset | 2 | 120 | 0.20 | 1.2000 ± 0.1000 |  | 1.1000 1.2000 1.3000' \
  'lr=2 | 2 | 120 | 0.20 | 1.5000 ± 0.2000 | +0.3000 ± 0.1000 | 1.3000 1.5000 1.7000' 'lr=1 | 2 | | | failed | | failed failed failed'; do
  grep -q -x -F "| $row |" out || fail "ablation.sh prints no row '$row': $(cat out err)"
done
grep -q "^failed: 'lr=1', seed 1: train: step 2: the loss is nan" out || fail "ablation.sh takes a loss from before a training failed: $(cat out err)"
refuses "ablation.sh into a folder with runs" "--out: $work/kept is not empty" stubbed '' lr=1e-3
# Ended from outside it ends its trainings, and leaves nothing behind.
mkdir tmp
TMPDIR=$work/tmp bash "$here/ablation.sh" --build "$build" --preset tiny --steps 1000000 '' lr=1e-3 >out 2>err </dev/null &
script=$!
for ((i = 0; i < 3000; i++)); do if compgen -G 'tmp/*/0-1/metrics.jsonl' >/dev/null; then break; else sleep 0.02; fi; done
trainings() { grep -q -s "$work/tmp/[^/]*/[01]-" /proc/[0-9]*/cmdline; }
trainings || fail "ablation.sh trains nothing: $(cat out err)"
kill $script
wait $script
trainings && fail "ablation.sh leaves trainings behind when it is killed"
[ -z "$(ls -A tmp)" ] || fail "ablation.sh leaves $(ls -A tmp) behind when it is killed"

figures() { bash "$here/figures.sh" --readme "$work/read.md" "$@"; }
# What three commands have printed; the last says where by itself.
printf '%s\n' before '<!-- figures: echo 12 | cat -->' old '<!-- end of figures -->' between \
  '<!-- figures: false -->' kept '<!-- end of figures -->' '<!-- figures: echo commit: a; echo 3 -->' '<!-- end of figures -->' after >read.md
refuses "figures.sh with half a pattern" "'\(' is no regular expression" figures '('
refuses "figures.sh without such figures" "no figures whose command matches 'nothing'" figures nothing
[ "$(figures --list)" = "$(printf '%s\n' 'echo 12 | cat' false 'echo commit: a; echo 3')" ] || fail "figures.sh --list: $(figures --list)"
figures 'echo' >out 2>err </dev/null || fail "figures.sh: $(cat out err)"
grep -v -E '^(command|commit|processor|load at the start): ' read.md >got
printf '%s\n' before '<!-- figures: echo 12 | cat -->' '```' 12 '```' '<!-- end of figures -->' between \
  '<!-- figures: false -->' kept '<!-- end of figures -->' '<!-- figures: echo commit: a; echo 3 -->' '```' 3 '```' '<!-- end of figures -->' after |
  cmp -s got - || fail "figures.sh writes $(cat read.md)"
for fact in '^command: echo 12' '^commit: a$' '^processor: .+ cores, .+$' '^load at the start: 0.3$'; do
  [ "$(grep -c -E "$fact" read.md)" = 1 ] || fail "figures.sh does not write '$fact' once: $(cat read.md)"
done
cp read.md before.md
figures '^false' >out 2>err </dev/null && fail "figures.sh does not fail where a command does"
cmp -s read.md before.md || fail "figures.sh loses what a command that fails has printed before"
echo '0.31 0.1 0.1 1/100 1' >loadavg
figures 'echo 12' 2>&1 | grep -q 'the machine is busy' || fail "figures.sh measures on a busy machine"
figures --busy 'echo 12' >out 2>&1 || fail "figures.sh --busy: $(cat out)"
grep -q '^measured with --busy' read.md || fail "figures.sh does not write that the machine was busy: $(cat read.md)"
echo '0.3 9 9 1/100 1' >loadavg
printf '%s\n' '<!-- figures: echo 1 -->' prose "<!-- figures: echo 2; echo 0.31 0 0 >$FOLIO_LOADAVG -->" '<!-- end of figures -->' \
  '<!-- figures: echo 3 -->' '<!-- end of figures -->' >read.md
cp read.md before.md
figures 'echo 1' 2>&1 | grep -q "'<!-- end of figures -->' is missing" || fail "figures.sh does not miss the end of figures"
cmp -s read.md before.md || fail "figures.sh writes where the end of figures is missing"
figures 'echo [23]' 2>&1 | grep -q 'the machine is busy' || fail "figures.sh measures although the load stays"
grep -q '^3$' read.md && fail "figures.sh measures although the load stays: $(cat read.md)"

[ "$failures" = 0 ] || exit 1
echo "all as expected"
