"""launch.sweep: axes, trials that fail, resuming, the leaderboard."""

import csv
import json
import math
import sys

import pytest
import tiny
import toy_training
from etils import epath

from configs.sweeps import axes
from launch import slices
from launch import sweep as sweeps
from tdmm_jax.train import metric_logging

CONFIG = """
import ml_collections
from configs.sweeps import axes
SCORE, GOAL = "valid/loss", "min"
def get_config():
  return ml_collections.ConfigDict({"a": 0, "part": {"b": 1.0}, "kind": ""})
def sweep():
  return axes.cross(axes.grid({"a": [3, 1, 2]}), axes.zipped({"part.b": [0.5]}))
"""


def test_axes():
  assert axes.grid({"a": [1, 2], "b": [3, 4]}) == [
    {"a": 1, "b": 3},
    {"a": 1, "b": 4},
    {"a": 2, "b": 3},
    {"a": 2, "b": 4},
  ]
  zipped = axes.zipped({"a": [1, 2], "b": [3, 4]})
  assert zipped == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
  with pytest.raises(ValueError):
    axes.zipped({"a": [1, 2], "b": [3]})
  assert axes.cross(zipped, [{"c": 5}, {"c": 6}])[1] == {"a": 1, "b": 3, "c": 6}
  draws = {"x": axes.log_uniform(1e-4, 1e-2), "y": axes.choice("pq")}
  few, many = axes.random(5, 0, draws), axes.random(400, 0, draws)
  assert many[:5] == few and axes.random(5, 1, draws) != few
  logs = [math.log10(trial["x"]) for trial in many]
  assert -4.01 < min(logs) < -3.9 and -2.1 < max(logs) < -1.99
  assert abs(sum(logs) / 400 + 3) < 0.1 and {t["y"] for t in many} == {"p", "q"}


@pytest.fixture
def config(tmp_path):
  path = tmp_path / "sweep_config.py"
  path.write_text(CONFIG)
  return str(path)


def fake_training(calls, fail=()):
  """A trainer that says the loss is `a`, or fails."""

  def train(trial) -> int:
    calls.append(trial.overrides["a"])
    if trial.overrides["a"] in fail:
      (trial.workdir / "log.txt").write_text("7%| step\rtrain: error: NaN at step 3\n")
      return 1
    logger = metric_logging.MetricLogger(trial.workdir, tensorboard=False)
    logger.write(10, "valid", {"loss": 9.0})
    logger.write(20, "valid", {"loss": float(trial.overrides["a"])})
    logger.close()
    return 0

  return train


def test_a_failed_trial_is_recorded_and_the_others_go_on(config, tmp_path):
  out, calls = epath.Path(tmp_path / "out"), []
  flags = ["--config.kind=x y"]
  sweep = sweeps.load(config, out, flags)
  sweeps.run(sweep, out, [fake_training(calls, fail=[1])], retry_failed=False)
  assert calls == [3, 1, 2]
  board = (out / "leaderboard.md").read_text()
  rows = list(csv.DictReader((out / "leaderboard.csv").open()))
  assert [(row["rank"], row["a"], row["status"]) for row in rows] == [
    ("1", "2", "done"),
    ("2", "3", "done"),
    ("", "1", "failed"),
  ]
  assert [row["valid/loss"] for row in rows] == ["2", "3", ""]
  assert rows[2]["error"] == "exit code 1: train: error: NaN at step 3"
  assert rows[0]["step"] == "20"
  best = next(line for line in board.splitlines() if line.startswith("    python"))
  for word in (
    "tdmm_jax.train",
    "--config.a=2",
    "--config.part.b=0.5",
    "'--config.kin",
  ):
    assert word in best

  # The same command again: nothing to do, but for the failed one if asked.
  again = sweeps.load(config, out, flags)
  sweeps.run(again, out, [fake_training(calls)] * 2, retry_failed=False)
  assert calls == [3, 1, 2]
  sweeps.run(again, out, [fake_training(calls)] * 2, retry_failed=True)
  assert calls == [3, 1, 2, 1]
  rows = list(csv.DictReader((out / "leaderboard.csv").open()))
  assert [row["a"] for row in rows] == ["1", "2", "3"] and rows[0]["error"] == ""


def test_an_interrupted_sweep_goes_on_with_what_is_not_done(config, tmp_path):
  out, calls = epath.Path(tmp_path / "out"), []
  sweep = sweeps.load(config, out, [])

  def interrupted(trial):
    if trial.overrides["a"] == 1:
      raise KeyboardInterrupt
    return fake_training(calls)(trial)

  with pytest.raises(KeyboardInterrupt):
    sweeps.run(sweep, out, [interrupted], retry_failed=False)
  record = json.loads((sweep.trials[1].workdir / "trial.json").read_text())
  assert record["status"] == "running" and calls == [3]
  sweeps.run(sweeps.load(config, out, []), out, [fake_training(calls)], False)
  assert calls == [3, 1, 2]


def test_a_trainer_that_breaks_or_measures_nothing_is_a_failed_trial(config, tmp_path):
  out = epath.Path(tmp_path / "out")
  sweep = sweeps.load(config, out, [])

  def train(trial) -> int:
    if trial.overrides["a"] == 3:
      raise OSError("no space left")
    return 0

  sweeps.run(sweep, out, [train], retry_failed=False)
  errors = [trial.error for trial in sweep.trials]
  assert errors[0] == "OSError: no space left"
  assert errors[1] == "no finite valid/loss was measured"
  assert "Best" not in (out / "leaderboard.md").read_text()


@pytest.mark.parametrize(
  "text, says",
  [
    (CONFIG.replace('"a": [3', '"x": [3'), "sweep() sets x, which get_config() lacks"),
    (CONFIG.replace("def sweep", "def swipe"), "has no sweep"),
    (CONFIG.replace("[3, 1, 2]", "[]"), "sweep() has no trials"),
    (None, "no such file"),
  ],
)
def test_config_files_that_do_not_fit_are_one_line(text, says, tmp_path, capsys):
  path = tmp_path / "c.py"
  if text:
    path.write_text(text)
  assert sweeps.main(["--config", str(path), "--out", str(tmp_path / "out")]) == 2
  error = capsys.readouterr().err
  assert says in error and error.count("\n") == 1


@pytest.mark.parametrize("name", ["lm_lr", "tokenizer_random"])
def test_every_shipped_sweep_loads(name, tmp_path, capsys):
  path = str(tiny.REPO / "configs" / "sweeps" / f"{name}.py")
  assert sweeps.main(["--config", path, "--out", str(tmp_path), "--dry_run"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == len(set(lines)) >= 8
  assert all(line.startswith("python -m tdmm_jax.train --config=") for line in lines)


def test_slices_need_yes_and_a_workdir_that_lasts(config, tmp_path, capsys):
  words = ["--config", config, "--slices", "2"]
  assert sweeps.main([*words, "--out", "relative/out"]) == 2
  assert "lost with the slice" in capsys.readouterr().err
  assert sweeps.main([*words, "--out", str(tmp_path / "out")]) == 2
  assert "say --yes" in capsys.readouterr().err


TRAIN_ON_A_SLICE = """
import json, os, pathlib, sys
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
workdir = pathlib.Path(flags["workdir"])
if flags["config.a"] == "1":
  sys.exit(2)
line = {"step": 5, "split": "valid", "loss": float(flags["config.a"])}
if os.environ["SLURM_PROCID"] == "0":
  (workdir / "metrics.jsonl").write_text(json.dumps(line))
"""


def test_trials_run_one_after_another_on_a_slice_that_goes_in_the_end(
  config, tmp_path, monkeypatch, stand_in
):
  pack = lambda archive: toy_training.pack_files(
    archive, {"tdmm_jax/__init__.py": "", "tdmm_jax/train.py": TRAIN_ON_A_SLICE}
  )
  monkeypatch.setattr(slices, "pack_code", pack)
  words = ["--config", config, "--out", str(tmp_path / "out"), "--slices", "1", "--yes"]
  words += ["--name", "lr", "--zone", "z", "--project", "p", "--poll_seconds", "0.1"]
  words += ["--accelerator_type", "v5litepod-16", "--runner", "setsid"]
  assert sweeps.main(words) == 0
  with (tmp_path / "out" / "leaderboard.csv").open() as file:
    rows = list(csv.DictReader(file))
  assert [(row["a"], row["status"]) for row in rows] == (
    [("2", "done"), ("3", "done"), ("1", "failed")]
  )
  assert "exit code 2" in rows[2]["error"]
  verbs = [
    line.split()[0] for line in (stand_in / "calls.txt").read_text().splitlines()
  ]
  assert verbs.count("create") == verbs.count("delete") == 1
  assert not (stand_in / "lr-0").exists()


def test_a_local_trial_is_a_process_that_is_started_again(
  config, tmp_path, monkeypatch
):
  """Exit code 75 says: again; the process's words go to the trial's log."""
  script = (
    "import pathlib, sys\n"
    "n = pathlib.Path(sys.argv[1])\n"
    "tries = int(n.read_text()) + 1 if n.exists() else 0\n"
    "n.write_text(str(tries)); print('try', tries); sys.exit([75, 75, 2][tries])\n"
  )
  trial = sweeps.load(config, epath.Path(tmp_path / "out"), []).trials[0]
  trial.workdir.mkdir(parents=True)
  monkeypatch.setattr(
    sweeps, "_train_command", lambda t: [sys.executable, "-c", script, f"{tmp_path}/n"]
  )
  assert sweeps.train_here(trial) == 2
  log = (trial.workdir / "log.txt").read_text()
  assert log.splitlines() == ["try 0", "try 1", "try 2"]
