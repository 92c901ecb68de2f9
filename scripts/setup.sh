#!/usr/bin/env bash
# Makes .venv in the repository root ready for a profile. Safe to call again: a second call is instant.
#   scripts/setup.sh demo    the runtime and the simulator, without torch
#   scripts/setup.sh test    all of that, torch, export and the test tools
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
log="$(mktemp)"
torch_version=2.13.0
profile="${1:-}"

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

# step TEXT COMMAND...: one line with the time that it took; the output goes to the log, and is shown when the command fails.
step() {
  local text="$1" start=$SECONDS
  shift
  if ! "$@" >>"$log" 2>&1 </dev/null; then
    printf 'setup: %s: failed. The end of %s:\n' "$text" "$log" >&2
    grep -v '^WARNING: Location' "$log" | tail -n 15 | cut -c1-200 | sed 's/^/  | /' >&2
    die "Is the network up, and is there room on the disk ($(free_gb) GB free)? Then run this again: it goes on where it stopped."
  fi
  say "$text ($((SECONDS - start)) s)"
}

free_gb() { df -Pk "$root" | awk 'NR == 2 { print int($4 / 1048576) }'; }

find_python() {
  local name
  for name in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  die "Python 3.10 or newer is needed, and none was found. Install it (Debian, Ubuntu: apt-get install python3), or name one: PYTHON=/path/to/python3 make $profile"
}

# Debian packages that are missing: Mesa's software renderer behind EGL, and the venv module that Debian splits off.
missing_packages() {
  local python="$1" package
  for package in libegl1 libgl1 libgl1-mesa-dri; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
  done
  "$python" -c 'import ensurepip, venv' 2>/dev/null || "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2], end=" ")'
}

install_packages() {
  local python="$1" packages as_root=()
  if ! command -v apt-get >/dev/null; then
    say "no apt-get here: EGL with Mesa's software renderer and Python's venv module must be there already"
    return
  fi
  packages="$(missing_packages "$python" | xargs)"
  [ -n "$packages" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
    [ -t 0 ] || as_root+=(-n) # without a terminal nobody can type a password
    if ! "${as_root[@]}" true 2>/dev/null; then
      die "These packages are missing, and installing them needs root: $packages" "Ask an administrator to run: apt-get install -y $packages"
    fi
  fi
  # shellcheck disable=SC2086  # a list of words
  step "installed $packages" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
    'apt-get update -q && apt-get install -q -y --no-install-recommends "$@"' sh $packages
}

# A working environment that was made in this folder; a moved clone or a removed Python means a new one.
venv_is_good() {
  [ -x "$venv/bin/python" ] && grep -qF "$venv" "$venv/bin/activate" 2>/dev/null &&
    "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

make_venv() {
  venv_is_good && return
  local python="$1"
  step "made .venv with $("$python" --version)" "$python" -m venv --clear "$venv"
}

pip_install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"; }

# The version that plain pip would take: it ends in +cpu where the index or a wheel folder offers a CPU build.
pip_would_take_cpu_torch() {
  pip_install --dry-run --no-deps --ignore-installed --report - "torch==$torch_version" 2>/dev/null |
    "$venv/bin/python" -c 'import json, sys; sys.exit(not json.load(sys.stdin)["install"][0]["metadata"]["version"].endswith("+cpu"))' 2>/dev/null
}

uv_cpu_torch() {
  pip_install 'uv>=0.7,<1' && "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --torch-backend=cpu "torch==$torch_version"
}

# Without a GPU the CUDA build is gigabytes of libraries for nothing.
install_torch() {
  "$venv/bin/python" -c "import importlib.metadata as m; assert m.version('torch').split('+')[0] == '$torch_version'" 2>/dev/null && return
  if nvidia-smi -L >/dev/null 2>&1 || pip_would_take_cpu_torch; then
    pip_install "torch==$torch_version"
  else
    uv_cpu_torch || pip_install "torch==$torch_version"
  fi
}

main() {
  local extras need_gb stamp python
  case "$profile" in
    demo) extras='cpu,sim' need_gb=2 ;;
    test) extras='cpu,sim,train,export,tensorrt,lerobot,record,dev' need_gb=5 ;;
    *) die "usage: scripts/setup.sh demo|test" ;;
  esac
  stamp="$({ cat "$root/pyproject.toml" "$root/scripts/setup.sh" && echo "$root"; } | sha256sum | cut -d' ' -f1)"
  exec 9<"$root" && { ! command -v flock >/dev/null || flock 9; } # two at once: the second waits
  if venv_is_good && grep -qsxF "$stamp" "$venv/.setup-$profile" "$venv/.setup-test"; then
    rm -f "$log"
    return
  fi
  [ "$(free_gb)" -ge "$need_gb" ] || die "$need_gb GB of disk are needed in $root for the profile $profile, and $(free_gb) GB are free."
  python="$(find_python)"
  install_packages "$python"
  make_venv "$python"
  step "pip is recent" pip_install 'pip>=23'
  [ "$profile" = demo ] || step "installed torch $torch_version" install_torch
  step "installed nvila-edge[$extras]" pip_install --editable "$root[$extras]"
  echo "$stamp" >"$venv/.setup-$profile"
  rm -f "$log"
  say "$profile is ready in .venv ($SECONDS s in all)"
}

main
