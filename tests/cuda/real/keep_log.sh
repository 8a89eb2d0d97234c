#!/usr/bin/env bash
# keep_log.sh COMPILER…: compiles, keeps what the compiler says beside the object file as OBJECT.log, and prints all of it
# but ptxas's account of each kernel.
set -uo pipefail
object='' before=''
for argument; do
  [[ $before == -o ]] && object=$argument
  before=$argument
done
"$@" 2>&1 | tee "${object:-/dev/null}${object:+.log}" | sed '/^ptxas info/d; /bytes stack frame/d'
exit "${PIPESTATUS[0]}"
