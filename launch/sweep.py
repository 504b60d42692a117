"""Runs a sweep: many trainings of one config, side by side, and a leaderboard.

  python -m launch.sweep --config configs/sweeps/lm_lr.py --out runs/lm_lr \\
      --workers 2 -- --config.tokenizer_dir=runs/train/tokenizer
  python -m launch.sweep --config configs/sweeps/lm_lr.py --out gs://bucket/lm_lr \\
      --slices 4 --name lr --zone us-west4-a --project P \\
      --accelerator_type v5litepod-16 --spot --yes

The config file has `sweep()`, a list of {config key: value}, beside `get_config()`,
and `SCORE` ("valid/loss") and `GOAL` ("min" or "max"). Trials run on local processes,
or one to a TPU slice (--slices). Interrupt it at any time: the same command continues
with what is not done. A failed trial is recorded with its last lines of output, and the
others continue; --retry_failed tries it again. OUT/leaderboard.md and .csv are always
up to date. What follows `--` is added to every trial's training flags.
"""

import argparse
import concurrent.futures
import csv
import dataclasses
import io
import math
import queue
import runpy
import shlex
import subprocess
import sys
import threading
import time

from etils import epath

from launch import slices, tpu
from tdmm_jax import errors, files
from tdmm_jax.cluster import EXIT_PREEMPTED
from tdmm_jax.errors import UserError
from tdmm_jax.runs import checkpoints
from tdmm_jax.train import metric_logging

_RECORD = "trial.json"
_LOG = "log.txt"


@dataclasses.dataclass
class Trial:
  """One training of the sweep, and its outcome."""

  name: str
  overrides: dict
  workdir: epath.Path
  command: list[str]
  status: str = "waiting"  # running, done, failed
  score: float | None = None
  step: int | None = None
  minutes: float | None = None
  error: str = ""

  def load(self) -> None:
    """Loads what an earlier start of the sweep recorded."""
    path = self.workdir / _RECORD
    if path.exists():
      for key, value in checkpoints.read_json(path).items():
        if key in ("status", "score", "step", "minutes", "error"):
          setattr(self, key, value)

  def save(self) -> None:
    record = dataclasses.asdict(self) | {"workdir": str(self.workdir)}
    files.write_json(self.workdir / _RECORD, record)


@dataclasses.dataclass(frozen=True)
class Sweep:
  """The trials of a config file, and how they are ranked."""

  trials: list[Trial]
  score: str
  goal: str


def load(config: str, out: epath.Path, train_flags: list[str]) -> Sweep:
  """Reads the config file and what is recorded of its trials.

  Raises:
    UserError: no such file, or no sweep in it, or a key that the config lacks.
  """
  try:
    module = runpy.run_path(config)
  except FileNotFoundError as error:
    raise UserError(f"--config {config}: no such file; see configs/sweeps/") from error
  for name in ("get_config", "sweep", "SCORE", "GOAL"):
    if name not in module:
      raise UserError(f"--config {config}: has no {name}; see configs/sweeps/lm_lr.py")
  known = module["get_config"]()
  trials = []
  for number, overrides in enumerate(module["sweep"]()):
    for key in overrides:
      if not _has(known, key):
        raise UserError(
          f"--config {config}: sweep() sets {key}, which get_config() lacks"
        )
    name = f"{number:03d}-{checkpoints.short_hash(repr(sorted(overrides.items())))[:6]}"
    workdir = out / "trials" / name
    flags = [f"--config.{key}={value}" for key, value in overrides.items()]
    command = [f"--config={config}", f"--workdir={workdir}", *flags, *train_flags]
    trials.append(Trial(name, overrides, workdir, command))
    trials[-1].load()
  if not trials:
    raise UserError(f"--config {config}: sweep() has no trials")
  return Sweep(trials, module["SCORE"], module["GOAL"])


def _has(config, key: str) -> bool:
  for part in key.split("."):
    if part not in config:
      return False
    config = config[part]
  return True


def _train_command(trial: Trial) -> list[str]:
  return [sys.executable, "-m", "tdmm_jax.train", *trial.command]


def train_here(trial: Trial) -> int:
  """Trains in a local process; returns its exit code."""
  with (trial.workdir / _LOG).open("a") as log:
    while True:
      code = subprocess.run(_train_command(trial), stdout=log, stderr=log).returncode
      if code != EXIT_PREEMPTED:
        return code


def run_trial(sweep: Sweep, trial: Trial, train) -> None:
  """Trains one trial with `train(trial) -> exit code` and records the outcome."""
  trial.workdir.mkdir(parents=True, exist_ok=True)
  trial.status, trial.error, start = "running", "", time.monotonic()
  trial.save()
  try:
    code = train(trial)
    trial.error = "" if code == 0 else f"exit code {code}: {_last_words(trial)}"
  except Exception as error:  # one trial's trouble must not end the others
    trial.error = f"{type(error).__name__}: {error}"
  trial.minutes = round((trial.minutes or 0) + (time.monotonic() - start) / 60, 2)
  split, metric = sweep.score.split("/", 1)
  curve = metric_logging.read_curve(trial.workdir, split, metric)
  if curve:
    trial.step, trial.score = curve[-1]
  if not trial.error and (trial.score is None or not math.isfinite(trial.score)):
    trial.error = f"no finite {sweep.score} was measured"
  trial.status = "failed" if trial.error else "done"
  trial.save()


def _last_words(trial: Trial) -> str:
  path = trial.workdir / _LOG
  lines = path.read_text().replace("\r", "\n").split("\n") if path.exists() else []
  words = [line.strip() for line in lines if line.strip()]
  return words[-1][-300:] if words else "it said nothing"


def ranked(sweep: Sweep) -> list[Trial]:
  """Done trials, best first; then the others in order."""
  done = [trial for trial in sweep.trials if trial.status == "done"]
  done.sort(key=lambda trial: trial.score, reverse=sweep.goal == "max")
  return done + [trial for trial in sweep.trials if trial.status != "done"]


def write_leaderboard(sweep: Sweep, out: epath.Path) -> str:
  """Writes leaderboard.md and leaderboard.csv; returns the former's text."""
  axes = sorted({key for trial in sweep.trials for key in trial.overrides})
  header = ["rank", "trial", sweep.score, *axes, "step", "status", "minutes", "error"]
  rows = []
  for rank, trial in enumerate(ranked(sweep), 1):
    values = [trial.overrides.get(key, "") for key in axes]
    done = trial.status == "done"
    score = f"{trial.score:.6g}" if trial.score is not None else ""
    rest = [trial.step, trial.status, trial.minutes, trial.error]
    rows.append([rank if done else "", trial.name, score, *values, *rest])
  text = io.StringIO()
  csv.writer(text, lineterminator="\n").writerows([header, *rows])
  files.write_text(out / "leaderboard.csv", text.getvalue())
  cell = lambda value: "" if value is None else str(value).replace("|", "/")
  lines = [header, ["---"] * len(header), *rows]
  table = "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)
  best = ranked(sweep)[0]
  if best.status == "done":
    command = shlex.join(["python", "-m", "tdmm_jax.train", *best.command])
    table += f"\n\nBest: {best.name}\n\n    {command}"
  page = f"# Sweep by {sweep.score} ({sweep.goal})\n\n{table}\n"
  files.write_text(out / "leaderboard.md", page)
  return table


def run(sweep: Sweep, out: epath.Path, trainers: list, retry_failed: bool) -> None:
  """Runs what is not done, each trainer one trial after another."""
  out.mkdir(parents=True, exist_ok=True)
  waiting: queue.SimpleQueue = queue.SimpleQueue()
  for trial in sweep.trials:
    if trial.status not in ("done", "failed") or (
      trial.status == "failed" and retry_failed
    ):
      waiting.put(trial)
  lock = threading.Lock()
  write_leaderboard(sweep, out)

  def work(train) -> None:
    while not waiting.empty():
      try:
        trial = waiting.get_nowait()
      except queue.Empty:
        return
      print(f"{trial.name}: {trial.overrides}", flush=True)
      run_trial(sweep, trial, train)
      with lock:
        write_leaderboard(sweep, out)
      result = trial.error or f"{sweep.score} {trial.score:.6g}"
      print(f"{trial.name}: {trial.status}, {result}", flush=True)

  with concurrent.futures.ThreadPoolExecutor(len(trainers)) as pool:
    for future in [pool.submit(work, train) for train in trainers]:
      future.result()


def _slice_trainers(args) -> list:
  """One trainer to a slice; the slices are made, and made anew, as need be."""
  if not args.yes:
    raise UserError(
      "--slices: slices are deleted in the end and when preempted: say --yes"
    )
  if not args.accelerator_type:
    raise UserError("--accelerator_type: needed, for example v5litepod-16")
  gcloud = slices.Gcloud()

  def trainer(part: slices.Slice):
    return lambda trial: tpu.watch(gcloud, part, args, trial.command)

  names = [f"{args.name}-{number}" for number in range(args.slices)]
  return [trainer(tpu.slice_of(args, name)) for name in names]


def _delete_slices(args) -> None:
  gcloud = slices.Gcloud()
  for number in range(args.slices):
    part = tpu.slice_of(args, f"{args.name}-{number}")
    if gcloud.state(part) != "GONE":
      for command in part.delete():
        gcloud.run(command)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m launch.sweep",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--config", required=True, help="a file of configs/sweeps/")
  parser.add_argument("--out", required=True, help="directory of trials, leaderboard")
  parser.add_argument(
    "--workers", type=int, default=1, help="local processes at a time"
  )
  parser.add_argument("--retry_failed", action="store_true")
  parser.add_argument("--dry_run", action="store_true", help="print the commands")
  parser.add_argument("--slices", type=int, default=0, help="on so many TPU slices")
  for flag in ("name", "zone", "project", "accelerator_type", "runtime"):
    parser.add_argument(f"--{flag}", default="", help="of the slices; see launch.tpu")
  for flag in ("spot", "queued", "yes"):
    parser.add_argument(f"--{flag}", action="store_true", help="see launch.tpu")
  parser.add_argument("--poll_seconds", type=float, default=60.0)
  tpu.add_run_flags(parser)
  return parser


def _act(args) -> int:
  out = epath.Path(args.out)
  sweep = load(args.config, out, args.train_flags)
  if args.dry_run:
    for trial in sweep.trials:
      print(shlex.join(["python", "-m", "tdmm_jax.train", *trial.command]))
    return 0
  if args.slices:
    tpu.check_train_flags(sweep.trials[0].command)
    run(sweep, out, _slice_trainers(args), args.retry_failed)
    _delete_slices(args)
  else:
    if args.workers < 1:
      raise UserError(f"--workers {args.workers}: must be at least 1")
    run(sweep, out, [train_here] * args.workers, args.retry_failed)
  print(write_leaderboard(sweep, out))
  return 0


@errors.entry_point("launch.sweep", "the same command resumes")
def main(argv: list[str] | None = None) -> int:
  return _act(_parser().parse_args(argv))


if __name__ == "__main__":
  sys.exit(main())
