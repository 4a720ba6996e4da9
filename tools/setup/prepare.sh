# shellcheck shell=bash
# Installs what is missing and builds; sourced by the commands beside this file, from the repository root.
#
#   prepare TARGET...   makes the packages of packages.txt available and builds the targets with the release preset
#
# On a terminal, apt and ninja show their progress; in a pipe there is one line per step and the output goes to a log.

export LC_ALL=C
readonly os_release=${GQA_OS_RELEASE:-/etc/os-release} # the tests set it
readonly setup_dir=tools/setup
readonly build_dir=build/release
readonly log_dir=build/setup-logs
readonly build_megabytes=1500

say() { printf 'setup: %s\n' "$*"; }

fail() {
  printf 'setup: error: %s\n' "$*" >&2
  exit 1
}

# run_step NAME COMMAND...: runs the command; in a pipe its output goes to NAME.log, and is shown if it fails.
run_step() {
  local name=$1 log=$log_dir/$1.log
  shift
  mkdir -p "$log_dir"
  if [ -t 1 ]; then
    "$@" || fail "$name failed: $*"
  elif ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 60 "$log" >&2
    fail "$name failed: $* (all of its output: $log)"
  fi
}

# as_root COMMAND...: runs the command as root, without a password when nobody is there to type it.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

required_packages() { sed -E '/^ *(#|$)/d; s/ .*//' "$setup_dir/packages.txt"; }

missing_packages() {
  local package
  for package in $(required_packages); do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

check_debian() {
  local ID='unknown system' VERSION_ID=''
  # shellcheck source=/dev/null
  [ -r "$os_release" ] && . "$os_release"
  local hint="install the equivalents of $setup_dir/packages.txt, then: cmake --preset release && cmake --build --preset release"
  command -v apt-get >/dev/null ||
    fail "needs Debian 12 or later, this is $ID $VERSION_ID; $hint"
  # Debian's unstable releases carry no version.
  if [ "$ID" = debian ] && [ -n "$VERSION_ID" ] && [ "${VERSION_ID%%.*}" -lt 12 ]; then
    fail "needs Debian 12 or later, this is Debian $VERSION_ID"
  fi
  [ "$ID" = debian ] || say "warning: tested on Debian 12 and later, this is $ID $VERSION_ID"
}

# megabytes "1,234 kB" -> 2 (rounded up).
megabytes() {
  local number unit
  read -r number unit <<<"${1//,/}"
  awk -v n="$number" -v u="$unit" 'BEGIN { f["B"] = 1e-6; f["kB"] = 1e-3; f["MB"] = 1; f["GB"] = 1000; print int(n * f[u]) + 1 }'
}

# check_space DIRECTORY MEGABYTES WHAT
check_space() {
  local available
  available=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1000) }')
  [ "$available" -ge "$2" ] || fail "$3 takes $2 MB in $1, but only $available MB are free there"
}

check_can_become_root() {
  [ "$(id -u)" = 0 ] && return
  command -v sudo >/dev/null || fail "not root and no sudo; run as root: apt-get install $*"
  [ -t 0 ] || sudo -n true 2>/dev/null || fail "sudo wants a password and there is no terminal; run as root: apt-get install $*"
}

# Names every missing package with its reason, so that the reader can stop before anything changes.
announce() {
  local package
  say "will install these Debian packages and what they depend on:"
  for package in "$@"; do
    printf '  %s\n' "$(grep -E "^$package " "$setup_dir/packages.txt")"
  done
}

check_candidates() {
  local package absent=()
  for package in "$@"; do
    grep -qE '^  Candidate: [^(]' <<<"$(apt-cache policy "$package" 2>/dev/null)" || absent+=("$package")
  done
  [ ${#absent[@]} = 0 ] ||
    fail "no package ${absent[*]} in this machine's package sources; are the Debian main and security archives in /etc/apt?"
}

# Prints apt's own account of the download and the space, and checks that the space is there.
check_install_size() {
  local plan size
  plan=$(apt-get install --no-install-recommends --assume-no "$@" 2>/dev/null) || true
  size=$(sed -nE 's/^After this operation, ([0-9.,]+ [kMG]?B) of additional.*/\1/p' <<<"$plan")
  [ -n "$size" ] || return 0
  say "$(grep '^Need to get' <<<"$plan" || true) Disk space: $size."
  check_space /usr "$(megabytes "$size")" "installing the packages"
}

install_packages() {
  check_debian
  local missing
  missing=$(missing_packages)
  if [ -z "$missing" ]; then
    say "all packages of $setup_dir/packages.txt are installed"
    return
  fi
  # Package names have no spaces: splitting is meant, here and below.
  # shellcheck disable=SC2086
  {
    check_can_become_root $missing
    announce $missing
    run_step apt-update as_root apt-get -o DPkg::Lock::Timeout=300 update
    check_candidates $missing
    check_install_size $missing
    run_step apt-install as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing
  }
}

prepare() {
  install_packages
  check_space . "$build_megabytes" "building"
  say "building $* in $build_dir"
  run_step configure cmake --preset release
  run_step build cmake --build "$build_dir" --target "$@"
}
