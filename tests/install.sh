# shellcheck shell=bash
# Sourced by tests/run.sh, .ci/run and examples/quickstart.sh: installs the Debian packages that are missing.
#   folio_install SET…     SET: programs, tests, lint
# Where all is there it does nothing. Otherwise it says what it installs, as root or through sudo, and stops with
# exit 2 and the command to run where it may not. Names checked on Debian 12, Debian 13 and Ubuntu 24.04.

# Debian 12's own clang-tidy, 14, knows neither std::source_location nor lambdas that capture structured bindings.
folio_lint_packages() {
  if [[ $(. /etc/os-release && echo "${ID:-}-${VERSION_ID:-}") == debian-12 ]]; then
    echo clang-format-16 clang-tidy-16 libomp-16-dev shellcheck
  else
    echo clang-tidy libomp-dev shellcheck
  fi
}

folio_packages() {
  case $1 in
    programs) echo ca-certificates g++ cmake ninja-build libeigen3-dev librange-v3-dev libcli11-dev \
      nlohmann-json3-dev libfmt-dev libcurl4-openssl-dev libssl-dev librandom123-dev gnuplot-nox ;;
    tests) echo libgtest-dev libgmock-dev librapidcheck-dev libbenchmark-dev libboost-context-dev graphviz ;;
    lint) folio_lint_packages ;;
    optional) echo libdnnl-dev ;;  # matrix products at full speed
  esac
}

folio_stop() {
  printf 'folio: %s\n' "$1" >&2
  (($# == 1)) || printf '%s\n' "${@:2}" >&2
  exit 2
}

# NAME… → those that dpkg does not have, one a line.
folio_missing() {
  local name status
  for name; do
    status=$(dpkg-query -W -f='${db:Status-Status}\n' "$name" 2>/dev/null || true)
    [[ $'\n'$status$'\n' == *$'\ninstalled\n'* ]] || echo "$name"
  done
}

# NAME… → those that apt could install, one a line.
folio_available() {
  local name policy
  for name; do
    policy=$(LC_ALL=C apt-cache policy "$name" 2>/dev/null)
    [[ $policy == *Candidate:* && $policy != *'Candidate: (none)'* ]] && echo "$name"
  done
  return 0
}

folio_system() {
  (. /etc/os-release 2>/dev/null && echo "${ID:-unknown}${VERSION_ID:+ $VERSION_ID}") || echo unknown
}

# Runs apt-get as root; with a terminal sudo may ask for a password, without one it may not.
folio_apt() {
  local as_root=()
  if [[ $(id -u) != 0 ]]; then
    if sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(sudo); fi
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -q "$@" </dev/null
}

folio_may_install() {
  [[ $(id -u) == 0 ]] || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; }
}

folio_install() {
  local name packages wanted=() missing optional absent system command sudo='' run='Run this as root:'
  for name; do read -ra packages <<<"$(folio_packages "$name")" && wanted+=("${packages[@]}"); done
  read -ra packages <<<"$(folio_packages optional)"
  system=$(folio_system)
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    folio_stop "$system has no apt. What Folio needs, by the names that Debian uses:" "  ${wanted[*]}" \
      "  optional: ${packages[*]}" "Install these in your system's way, then run this again with --no-install."
  fi
  mapfile -t missing < <(folio_missing "${wanted[@]}")
  mapfile -t optional < <(folio_missing "${packages[@]}")
  [[ ${#missing[@]} == 0 && ${#optional[@]} != 0 ]] && mapfile -t optional < <(folio_available "${optional[@]}")
  packages=("${missing[@]}" "${optional[@]}")
  [[ ${#packages[@]} == 0 ]] && return

  case $system in
    'debian 12' | 'debian 13' | 'ubuntu 24.04') ;;
    *) echo "folio: $system is not Debian 12, Debian 13 or Ubuntu 24.04: trying their package names" >&2 ;;
  esac
  echo "folio: packages to install: ${packages[*]}"
  if [[ $(id -u) != 0 ]] && command -v sudo >/dev/null; then sudo='sudo ' run='Run this:'; fi
  command="${sudo}apt-get update && ${sudo}apt-get install --no-install-recommends ${packages[*]}"
  if ! folio_may_install; then
    [[ ${#missing[@]} == 0 ]] || folio_stop "not root, and no sudo that works without asking. $run" "  $command"
    echo "folio: going on without ${optional[*]} (optional). $run $command"
    return
  fi

  folio_apt update || echo "folio: apt-get update failed: trying with the package lists at hand" >&2
  mapfile -t packages < <(folio_available "${packages[@]}")
  absent=$(comm -23 <(printf '%s\n' "${missing[@]}" | sort) <(printf '%s\n' "${packages[@]}" | sort) | xargs)
  [[ -z $absent ]] || folio_stop "apt has no package named: $absent (on Ubuntu, is 'universe' on?)"
  [[ ${#packages[@]} == 0 ]] || folio_apt install -y --no-install-recommends "${packages[@]}" ||
    folio_stop "apt-get could not install these. $run" "  $command"
}
