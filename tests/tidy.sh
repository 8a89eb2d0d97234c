#!/usr/bin/env bash
# clang-tidy over the sources that changed since $BASE (by default ten commits ago; all, where history is shorter),
# a changed header through one source that includes it, clang-format over every source, and shellcheck over the scripts.
#   bash tests/tidy.sh [BUILD_FOLDER]     BUILD_FOLDER holds compile_commands.json (build/release)
# Starts no new file after TIDY_MINUTES (10) minutes, and says which were left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build/release} base=${BASE:-HEAD~10}
[[ -f $build/compile_commands.json ]] || { echo "tidy.sh: no $build/compile_commands.json: configure first" >&2; exit 2; }

mapfile -t scripts < <(git ls-files -- '*.sh')
shellcheck -x -P . .ci/run "${scripts[@]}"

# Versions of clang-format differ in what they print: 16 has the word.
if command -v clang-format-16 >/dev/null; then
  git ls-files -z -- '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs -0 clang-format-16 --dry-run -Werror
else
  echo "tidy.sh: no clang-format-16: layout not looked at"
fi

if git rev-parse -q --verify "$base^{commit}" >/dev/null; then
  mapfile -t changed < <(git diff --name-only --diff-filter=d "$base" -- '*.cpp' '*.hpp')
  echo "tidy.sh: ${#changed[@]} C++ files changed since $base"
else
  mapfile -t changed < <(git ls-files -- '*.cpp' '*.hpp')
  echo "tidy.sh: no commit $base: all ${#changed[@]} C++ files"
fi

compiled=$(sed -n "s|^ *\"file\": \"$PWD/\(.*\)\",\{0,1\}\$|\1|p" "$build/compile_commands.json" | sort -u)
declare -A chosen
for file in "${changed[@]}"; do
  if [[ $file == *.hpp ]]; then
    file=$({ grep '[.]cpp$' <<<"$compiled" | xargs -r grep -lF "\"$file\"" || true; } | sed -n 1p)
  fi
  [[ -n $file ]] && grep -qxF "$file" <<<"$compiled" && chosen[$file]=1
done
((${#chosen[@]})) || { echo "tidy.sh: nothing to check"; exit 0; }

# clang does not know every flag of g++'s.
database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT
sed -E 's/ -m(move|store)-max=[0-9]+//g' "$build/compile_commands.json" >"$database/compile_commands.json"

tidy=$(command -v clang-tidy-16 || command -v clang-tidy) || { echo "tidy.sh: no clang-tidy: install it" >&2; exit 2; }
DEADLINE=$(($(date +%s) + 60 * ${TIDY_MINUTES:-10}))
export DEADLINE database tidy
# shellcheck disable=SC2016
printf '%s\0' "${!chosen[@]}" | sort -z | xargs -0 -P "$(nproc)" -I{} bash -c '
  (($(date +%s) < DEADLINE)) || { echo "tidy.sh: no time left for {}" | tee -a "$database/left"; exit 0; }
  output=$("$tidy" --quiet -p "$database" {} 2>&1) && exit
  printf "%s\n" "$output"
  exit 1'
touch "$database/left"
left=$(wc -l <"$database/left")
echo "tidy.sh: $((${#chosen[@]} - left)) sources clean, $left not looked at"
