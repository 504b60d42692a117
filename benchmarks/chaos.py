"""Kills training again and again, and asks whether anything was lost.

  python -m benchmarks.chaos --kills 20
  python -m benchmarks.chaos --kills 4 --processes 2   # one of two is killed

Trains a tiny language model twice: once in peace, once with SIGKILL at random moments:
while starting, between steps, and while a checkpoint is being written. The final
parameters, optimiser state and loss curve must be equal bit by bit. Prints one line per
kill, and a JSON summary; exit code 1 if anything differs.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import tqdm

from tdmm_jax import files
from tdmm_jax.runs import checkpoints
from tdmm_jax.train import metric_logging

SAVE_EVERY = 4
_POLL_SECONDS = 0.005
_DEADLINE_SECONDS = 3_600.0  # without a step: something hangs

_SMALL = {
  "log_every": 1,
  "eval_every": 20,
  "eval_batches": 1,
  "save_every": SAVE_EVERY,
  "batch_size": 4,
  "warmup_steps": 2,
  "tensorboard": False,
}
_MODELS = {
  "tokenizer": {
    "window": 32,
    "model.emb_dim": 16,
    "model.mlp_dim": 32,
    "model.dilations": "(1,2)",
    "model.num_phases": 2,
    "model.levels": "(4,3)",
    "model.fast_digits": 0,
    "model.fast_phases": 1,
    "model.num_features": 12,
    "model.num_vertices": 48,
  },
  "lm": {
    "num_pieces": 520,
    "encoder_length": 256,
    "decoder_length": 160,
    "max_frames": 40,
    "max_prompt_pieces": 80,
    "max_caption_pieces": 32,
    "model.emb_dim": 32,
    "model.head_dim": 8,
    "model.mlp_dim": 48,
    "model.num_encoder_layers": 1,
    "model.num_decoder_layers": 1,
    "model.dropout_rate": 0.1,
  },
}


def train_command(name: str, run_dir: pathlib.Path, total_steps: int) -> list[str]:
  """The command line that trains a tiny `name` ("tokenizer" or "lm") of `run_dir`."""
  settings = _SMALL | _MODELS[name] | {"total_steps": total_steps}
  settings["records_dir"] = run_dir / "records"
  if name == "lm":
    settings["tokenizer_dir"] = run_dir / "tokenizer"
  command = [sys.executable, "-m", "tdmm_jax.train", f"--config=configs/{name}_demo.py"]
  return command + [f"--config.{key}={value}" for key, value in settings.items()]


def free_port() -> int:
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    return free.getsockname()[1]


class Training:
  """One start of the training processes; `command` lacks only the workdir."""

  def __init__(self, command: list[str], workdir: pathlib.Path, processes: int, env):
    self.workdir = workdir
    together = [f"--cluster=127.0.0.1:{free_port()}", f"--num_processes={processes}"]
    workdir.mkdir(parents=True, exist_ok=True)
    self.processes = []
    with (workdir / "log.txt").open("a") as log:
      for i in range(processes):
        extra = [*together, f"--process_id={i}"] if processes > 1 else []
        self.processes.append(
          subprocess.Popen(
            [*command, f"--workdir={workdir}", *extra],
            stdout=log,
            stderr=log,
            env=os.environ | env,
          )
        )

  def step(self) -> int:
    """The last update whose metrics are written."""
    curve = metric_logging.read_curve(self.workdir, "train", "total_loss")
    return curve[-1][0] if curve else 0

  def saving(self) -> str:
    """The name of a checkpoint that is half written, if there is one."""
    folder = self.workdir / checkpoints.FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return next((name for name in names if name.endswith("tmp")), "")

  def ended(self) -> bool:
    return any(process.poll() is not None for process in self.processes)

  def wait_for(self, condition) -> bool:
    """Until the condition holds; False if a process ended before."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
      if self.ended():
        return False
      if time.monotonic() > deadline:
        self.end()
        raise TimeoutError(f"{self.workdir}: no progress; see its log.txt")
      time.sleep(_POLL_SECONDS)
    return True

  def end(self) -> None:
    for process in self.processes:
      process.kill()
      process.wait()

  def wait(self) -> None:
    """Until all end by themselves; raises where one failed."""
    codes = [process.wait(timeout=_DEADLINE_SECONDS) for process in self.processes]
    if any(codes):
      raise RuntimeError(f"exit codes {codes}; see {self.workdir}/log.txt")


def _kill_once(run: Training, moment: str, rng: random.Random) -> dict | None:
  """Waits for the moment, kills one process; None if training ended before."""
  if moment == "starting":
    deadline = time.monotonic() + rng.uniform(0.0, 6.0)
    reached = run.wait_for(lambda: time.monotonic() > deadline)
  elif moment == "saving":
    stale = run.saving()  # a half-written one that the last kill left
    first = run.step()
    reached = run.wait_for(lambda: run.step() > first)
    left = rng.randrange(2)
    reached = reached and run.wait_for(lambda: run.saving() not in ("", stale))
    if left:
      time.sleep(rng.uniform(0.0, 0.05))
  else:
    goal = run.step() + rng.randint(1, 2 * SAVE_EVERY)
    reached = run.wait_for(lambda: run.step() >= goal)
    time.sleep(rng.uniform(0.0, 0.02))
  if not reached:
    return None
  victim = rng.randrange(len(run.processes))
  run.processes[victim].send_signal(signal.SIGKILL)
  killed = time.monotonic()
  for process in run.processes:
    process.wait(timeout=_DEADLINE_SECONDS)
  return {
    "moment": moment,
    "step": run.step(),
    # While starting there may be one that the kill before left.
    "half_written": "" if moment == "starting" else run.saving(),
    "process": victim,
    "others_ended_after_s": round(time.monotonic() - killed, 1),
    "exit_codes": [process.returncode for process in run.processes],
  }


def storm(
  command: list[str],
  workdir: pathlib.Path,
  kills: int,
  seed: int = 0,
  processes: int = 1,
  env: dict[str, str] | None = None,
) -> list[dict]:
  """Trains to the end through so many kills (fewer if training ends before).

  Returns:
    per kill: moment, step, name of the half-written checkpoint, exit codes, and how
    long the other processes outlived the killed one.
  """
  rng, done = random.Random(seed), []
  while len(done) < kills:
    moment = rng.choices(["starting", "stepping", "saving"], [1, 4, 5])[0]
    run = Training(command, workdir, processes, env or {})
    try:
      kill = _kill_once(run, moment, rng)
    finally:
      run.end()
    if kill is None:
      break
    done.append(kill)
    tqdm.tqdm.write(f"kill {len(done)}: {kill}")
  Training(command, workdir, processes, env or {}).wait()
  return done


def differences(a: pathlib.Path, b: pathlib.Path) -> list[str]:
  """Names of arrays and losses of two run directories that are not the same bits."""
  different = []
  for item in ("model", "optimizer"):
    (step_a, tree_a), (step_b, tree_b) = (
      checkpoints.restore_item(workdir, item) for workdir in (a, b)
    )
    flat_a, flat_b = (
      {jax.tree_util.keystr(k): np.asarray(v) for k, v in leaves}
      for leaves in map(jax.tree_util.tree_leaves_with_path, (tree_a, tree_b))
    )
    if step_a != step_b or flat_a.keys() != flat_b.keys():
      different.append(f"{item}: step {step_a} and {step_b}, or other arrays")
      continue
    different += [
      f"{item}{key}" for key in flat_a if flat_a[key].tobytes() != flat_b[key].tobytes()
    ]
  for split in ("train", "valid"):
    curves = [metric_logging.read_curve(w, split, "total_loss") for w in (a, b)]
    curves += [metric_logging.read_curve(w, split, "loss") for w in (a, b)]
    if curves[0] != curves[1] or curves[2] != curves[3]:
      different.append(f"the {split} curve")
  return different


def _corpus(run_dir: pathlib.Path) -> None:
  """Records and a tiny tokenizer, made once."""
  from data_prep import build

  build.build_corpus(
    run_dir / "records", 120, num_workers=1, seconds=(0.8, 1.6), shard_clips=64
  )
  if not checkpoints.has_checkpoint(run_dir / "tokenizer"):
    Training(
      train_command("tokenizer", run_dir, 12), run_dir / "tokenizer", 1, {}
    ).wait()


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--kills", type=int, default=20)
  parser.add_argument("--processes", type=int, default=1)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/chaos"))
  args = parser.parse_args()
  env = {"JAX_COMPILATION_CACHE_DIR": str(args.out.resolve() / "compiled")}
  env["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
  os.environ.update(env)
  for name in ("peace", "storm"):
    shutil.rmtree(args.out / name, ignore_errors=True)
  start = time.monotonic()
  _corpus(args.out)
  # A life advances by a save interval or so; enough steps for all the kills.
  command = train_command("lm", args.out, (2 * args.kills + 2) * SAVE_EVERY)
  print("training in peace ...", flush=True)
  Training(command, args.out / "peace", args.processes, {}).wait()
  kills = storm(command, args.out / "storm", args.kills, args.seed, args.processes)
  different = differences(args.out / "peace", args.out / "storm")
  summary = {
    "kills": len(kills),
    "during_a_save": sum(bool(kill["half_written"]) for kill in kills),
    "processes": args.processes,
    "steps": (2 * args.kills + 2) * SAVE_EVERY,
    "others_ended_after_s_at_most": max(k["others_ended_after_s"] for k in kills),
    "differences": different,
    "bit_identical": not different,
    "minutes": round((time.monotonic() - start) / 60, 1),
  }
  files.write_json(args.out / "chaos.json", summary | {"each": kills})
  print(json.dumps(summary, indent=2))
  return int(bool(different) or len(kills) < args.kills)


if __name__ == "__main__":
  sys.exit(main())
