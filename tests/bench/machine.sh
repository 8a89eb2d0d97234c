# shellcheck shell=bash
# Sourced by compare.sh and growth.sh, after tests/install.sh: says what was measured where, and refuses a busy machine.

bench_loadavg=${FOLIO_LOADAVG:-/proc/loadavg}  # tests make a machine busy

# All cores that this process may use, whatever OpenMP was told.
bench_cores() { env -u OMP_NUM_THREADS nproc; }

# PROGRAM BUSY: exit 2 where the load is above 0.3, unless BUSY is 1.
bench_require_quiet() {
  local load
  read -r load _ <"$bench_loadavg"
  if [[ $2 != 1 ]] && awk "BEGIN { exit !($load > 0.3) }"; then
    folio_stop "$1: the machine is busy (load $load, at most 0.3), so that figures would mislead: wait, or give --busy"
  fi
}

# PROGRAM FILE: exit 2 where the build has no such program.
bench_require_built() {
  [[ -x $2 ]] || folio_stop "$1: there is no $2: run bash tests/run.sh first, or name a build with --build"
}

# BUSY COMMAND…: commit, processor, load and command, for whoever reads the figures.
bench_machine() {
  local busy=$1 commit load
  shift
  commit=$(git rev-parse --short HEAD 2>/dev/null || echo 'no commit')
  git diff --quiet HEAD 2>/dev/null || commit+=' with changes'
  read -r load _ <"$bench_loadavg"
  echo "command: $*"
  echo "commit: $commit; seeds: fixed"
  echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(bench_cores) cores"
  echo "load at the start: $load"
  [[ $busy != 1 ]] || echo "measured with --busy: other programs may have run, and figures may mislead"
}
