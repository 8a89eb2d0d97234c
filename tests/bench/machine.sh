# shellcheck shell=bash
# Sourced by the scripts that measure, after tests/install.sh: says what was measured where, and refuses a busy machine.

bench_loadavg=${FOLIO_LOADAVG:-/proc/loadavg}  # tests make a machine busy

# All cores that this process may use, whatever OpenMP was told.
bench_cores() { env -u OMP_NUM_THREADS nproc; }

bench_load() { cut -d' ' -f1 "$bench_loadavg"; }
# Whether the load is at most 0.3, or --busy, which sets FOLIO_BUSY for the scripts that a script runs too, was given.
bench_quiet() { [[ ${FOLIO_BUSY:-} == 1 ]] || awk "BEGIN { exit !($(bench_load) <= 0.3) }"; }
# What decides how fast a core multiplies: the widest vectors, and whether it takes bfloat16.
bench_vectors() {
  local flags
  flags=" $(sed -n 's/^flags[^:]*: //p' /proc/cpuinfo | head -n 1) "
  case $flags in
    *' amx_bf16 '*) echo 'AMX with bfloat16' ;;
    *' avx512_bf16 '*) echo 'AVX-512 with bfloat16' ;;
    *' avx512f '*) echo 'AVX-512' ;;
    *' avx2 '*) echo 'AVX2' ;;
    *) uname -m ;;
  esac
}
# PROGRAM: exit 2 where it is not.
bench_require_quiet() {
  bench_quiet || folio_stop "$1: the machine is busy (load $(bench_load), at most 0.3), so that figures would mislead: \
wait, or give --busy"
}
# PROGRAM: waits until it is, for five minutes at most; then as bench_require_quiet.
bench_await_quiet() {
  local n
  for ((n = 0; n < 60; ++n)); do
    if bench_quiet; then return; fi
    sleep "${FOLIO_PAUSE:-5}"  # tests do not wait
  done
  bench_require_quiet "$1"
}

# PROGRAM FILE: exit 2 where the build has no such program.
bench_require_built() {
  [[ -x $2 ]] || folio_stop "$1: there is no $2: run bash tests/run.sh first, or name a build with --build"
}

# WORD…: each behind a blank, quoted where a shell would take it for something else.
bench_words() {
  local word
  for word; do
    [[ $word =~ ^[A-Za-z0-9_./=:+-]+$ ]] || word=${word@Q}
    printf ' %s' "$word"
  done
}
# COMMAND: commit, processor, load and command, for whoever reads the figures.
bench_machine() {
  local commit
  commit=$(git rev-parse --short HEAD 2>/dev/null || echo 'no commit')
  git diff --quiet HEAD -- . ':(exclude)README.md' 2>/dev/null || commit+=' with changes'
  echo "command: $1"
  echo "commit: $commit; seed: 1 where nothing else is said"
  echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(bench_cores) cores, $(bench_vectors)"
  echo "load at the start: $(bench_load)"
  [[ ${FOLIO_BUSY:-} != 1 ]] || echo "measured with --busy: other programs may have run, and figures may mislead"
}
