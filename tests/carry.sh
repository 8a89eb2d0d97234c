#!/usr/bin/env bash
# carry.sh DIR: copies into DIR what the build of tests/gpu.sh needs of Debian's packages (headers, libraries, CMake's
# files), for a machine that reaches nothing outside: carry DIR along and set FOLIO_DEPS to where it lies.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/install.sh
(($# == 1)) || folio_stop "carry.sh: needs one folder: bash tests/carry.sh DIR"
[[ ! -e $1 ]] || folio_stop "carry.sh: $1 is there already: name a new folder"

packages=(libeigen3-dev librange-v3-dev libcli11-dev nlohmann-json3-dev libfmt-dev librandom123-dev libgtest-dev
  libgmock-dev librapidcheck-dev libbenchmark-dev)
mapfile -t missing < <(folio_missing "${packages[@]}")
((${#missing[@]} == 0)) || folio_stop "carry.sh: not installed: ${missing[*]}"
mkdir -p "$1"
copy() { cp --parents "$2" "$1"; }  # of a link, what it leads to
dpkg -L "${packages[@]}" | grep -v -e /share/doc/ -e /share/man/ | sort -u | while read -r file; do
  [[ ! -f $file ]] || copy "$1" "$file"
done
# Programs ask for a shared library by the name that is noted in it, CMake's files by its full one.
dpkg -L "${packages[@]}" | grep '\.so$' | while read -r link; do
  for file in "${link%/*}/$(objdump -p "$link" | sed -n 's/^ *SONAME *//p')" "$(readlink -f "$link")"; do copy "$1" "$file"; done
done
echo "carry.sh: $(du -sh "$1" | cut -f1) in $1"
