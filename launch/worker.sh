#!/usr/bin/env bash
# Runs on each worker of a slice; launch/tpu.py calls it over ssh.
#   worker.sh setup | start RUNNER [KEY=VALUE ...] -- TRAIN_FLAG ... | status | stop
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RUN=$HOME/tdmm-run
UNIT=tdmm-train
mkdir -p "$RUN"

setup() {
  export PATH="$HOME/.local/bin:$PATH"
  command -v uv >/dev/null || curl -LsSf https://astral.sh/uv/0.13.9/install.sh | sh
  [ -x "$ROOT/.venv/bin/python" ] || uv venv --quiet --python 3.11 "$ROOT/.venv"
  uv pip install --quiet --python "$ROOT/.venv/bin/python" \
    -r "$ROOT/requirements.txt" -r "$ROOT/requirements-tpu.txt"
  echo "$(hostname): installed"
}

alive() { [ ! -f "$RUN/exit_code" ] && [ -f "$RUN/pid" ] && kill -0 "$(cat "$RUN/pid")" 2>/dev/null; }

start() {
  local runner=$1 environment=() flag
  shift
  while [ "$1" != -- ]; do environment+=("$1") && shift; done
  shift
  if alive; then echo "$(hostname): training runs here already; stop it first" && exit 3; fi
  rm -f "$RUN/exit_code"
  {
    echo '#!/usr/bin/env bash'
    printf 'cd %q && echo $$ > %q\n' "$ROOT" "$RUN/pid"
    for flag in "${environment[@]+"${environment[@]}"}"; do printf 'export %q\n' "$flag"; done
    printf '.venv/bin/python -m tdmm_jax.train'
    printf ' %q' "$@"
    printf ' >> %q 2>&1 &\n' "$RUN/train.log"
    # SIGTERM goes on to training, which saves first; its exit code is what counts.
    echo 'child=$!; trap "kill -TERM $child" TERM; code=0; wait $child || code=$?'
    echo 'while kill -0 $child 2>/dev/null; do code=0; wait $child || code=$?; done'
    printf 'echo $code > %q\n' "$RUN/exit_code"
  } > "$RUN/run.sh"
  case $runner in
    systemd) sudo systemd-run --quiet --collect --unit="$UNIT" --uid="$(id -u)" \
      --setenv=HOME="$HOME" --property=KillMode=mixed --property=TimeoutStopSec=300 \
      bash "$RUN/run.sh" ;;
    tmux) tmux new-session -d -s "$UNIT" "bash '$RUN/run.sh'" ;;
    setsid) setsid nohup bash "$RUN/run.sh" > /dev/null 2>&1 < /dev/null & ;;
  esac
  echo "$(hostname): started"
}

status() {
  local last=
  if [ -f "$RUN/train.log" ]; then
    last=$(tail -c 2000 "$RUN/train.log" | tr '\r' '\n' | tail -n 1)
  fi
  if [ -f "$RUN/exit_code" ]; then
    echo "tdmm-worker $(hostname) ended $(cat "$RUN/exit_code") | $last"
  elif alive; then
    echo "tdmm-worker $(hostname) running - | $last"
  elif [ -f "$RUN/run.sh" ]; then
    echo "tdmm-worker $(hostname) ended 137 | $last"
  else
    echo "tdmm-worker $(hostname) idle - |"
  fi
}

stop() {
  if ! alive; then echo "$(hostname): nothing runs here" && return; fi
  kill -TERM "$(cat "$RUN/pid")"
  for _ in $(seq 300); do
    if ! alive; then echo "$(hostname): stopped" && return; fi
    sleep 1
  done
  echo "$(hostname): still saving after 300 s" && exit 1
}

"$@"
