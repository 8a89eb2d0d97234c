#!/usr/bin/env bash
# clang-tidy over the sources that changed since $BASE, the newest changes first; a changed header through one source that
# includes it; clang-format over every source, and shellcheck over the scripts. $BASE is by default where the branch left
# origin/main; where there is none, or nothing is ahead of it, 30 commits ago; all of history, where that is shorter.
#   bash tests/tidy.sh [BUILD_FOLDER]     BUILD_FOLDER holds compile_commands.json (build/release)
# Starts no new file after TIDY_MINUTES (10) minutes, and lists those that were not looked at.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build/release}
[[ -f $build/compile_commands.json ]] || { echo "tidy.sh: no $build/compile_commands.json: configure first" >&2; exit 2; }

mapfile -t scripts < <(git ls-files -- '*.sh')
shellcheck -x -P . .ci/run "${scripts[@]}"

# Versions of clang-format differ in what they print: 16 has the word.
if command -v clang-format-16 >/dev/null; then
  git ls-files -z -- '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs -0 clang-format-16 --dry-run -Werror
else
  echo "tidy.sh: no clang-format-16: layout not looked at"
fi

base=${BASE:-$(git merge-base HEAD origin/main 2>/dev/null || true)}
[[ -n ${BASE:-} || (-n $base && $base != $(git rev-parse HEAD)) ]] || base=HEAD~30
cpp=('*.cpp' '*.hpp')
if git rev-parse -q --verify "$base^{commit}" >/dev/null; then
  since="since $base, $(git rev-list --count "$base..HEAD") commits ago"
else
  base=$(git hash-object -t tree /dev/null) since='in all of history'
fi
# What is not committed yet is newest; then the commits' files, of which those stay that $base has otherwise.
mapfile -t changed < <({ git diff --name-only HEAD -- "${cpp[@]}" && git log --no-merges --format= --name-only -- "${cpp[@]}"; } |
  awk 'FNR == NR { changed[$0] = 1; next } $0 in changed && !seen[$0]++' <(git diff --name-only --diff-filter=d "$base" -- "${cpp[@]}") -)
echo "tidy.sh: ${#changed[@]} C++ files changed $since"

compiled=$(sed -n "s|^ *\"file\": \"$PWD/\(.*\)\",\{0,1\}\$|\1|p" "$build/compile_commands.json" | sort -u)

# HEADER → a compiled source that includes it, if need be through other headers.
source_of() {
  local names=("$1") source
  while ((${#names[@]} && ${#names[@]} < 50)); do
    source=$({ grep '[.]cpp$' <<<"$compiled" | xargs -r grep -lF "${names[@]/#/-e}" || true; } | sed -n 1p)
    [[ -z $source ]] || { echo "$source" && return; }
    mapfile -t names < <(git ls-files -- '*.hpp' | xargs grep -lF "${names[@]/#/-e}" || true)
    names=("${names[@]/#/\"}") names=("${names[@]/%/\"}")
  done
}

declare -A seen
chosen=() strays=()
for file in "${changed[@]}"; do
  source=$file
  [[ $file != *.hpp ]] || source=$(source_of "\"$file\"")
  if [[ -z $source ]] || ! grep -qxF "$source" <<<"$compiled"; then
    strays+=("$file")
  elif [[ -z ${seen[$source]:-} ]]; then
    seen[$source]=1 chosen+=("$source")
  fi
done
((${#strays[@]} == 0)) || printf 'tidy.sh: not looked at, since no source of this build is or includes it: %s\n' "${strays[@]}"
((${#chosen[@]})) || { echo "tidy.sh: nothing to check"; exit 0; }

# clang does not know every flag of g++'s.
database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT
sed -E 's/ -m(move|store)-max=[0-9]+//g' "$build/compile_commands.json" >"$database/compile_commands.json"

tidy=$(command -v clang-tidy-16 || command -v clang-tidy) || { echo "tidy.sh: no clang-tidy: install it" >&2; exit 2; }
DEADLINE=$(($(date +%s) + 60 * ${TIDY_MINUTES:-10}))
export DEADLINE database tidy
# shellcheck disable=SC2016
printf '%s\0' "${chosen[@]}" | xargs -0 -P "$(nproc)" -I{} bash -c '
  (($(date +%s) < DEADLINE)) || { echo {} >>"$database/left"; exit 0; }
  output=$("$tidy" --quiet -p "$database" {} 2>&1) && exit
  printf "%s\n" "$output"
  exit 1'
touch "$database/left"
sed 's/^/tidy.sh: not looked at, for want of time: /' "$database/left"
left=$(wc -l <"$database/left")
echo "tidy.sh: $((${#chosen[@]} - left)) sources clean, $left not looked at"
