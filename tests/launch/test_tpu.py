"""launch.tpu: gcloud takes every command line; the whole life of a slice."""

import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import threading
import time

import pytest
import toy_training

from launch import slices, tpu
from tdmm_jax.runs import checkpoints
from tdmm_jax.train import metric_logging

WHERE = ["--name", "face", "--zone", "us-west4-a", "--project", "my-project"]
KIND = ["--accelerator_type", "v5litepod-16"]
TRAIN = ["--", "--config", "configs/lm_base.py", "--workdir", "gs://b/lm"]

VERBS = {
  "create": [*KIND],
  "create spot": [*KIND, "--spot"],
  "create queued": [*KIND, "--queued", "--spot"],
  "create v4": ["--accelerator_type", "v4-32"],
  "create v6e": ["--accelerator_type", "v6e-256"],
  "create with runtime": ["--accelerator_type", "v9-8", "--runtime", "v2-alpha-tpuv9"],
  "setup": [],
  "run": [*TRAIN],
  "run env": ["--runner", "tmux", "--env", "A=b c", *TRAIN],
  "status": [],
  "status queued": ["--queued"],
  "logs": ["--worker", "all", "--lines", "7"],
  "logs follow": ["--follow"],
  "stop": [],
  "delete": ["--yes"],
  "delete queued": ["--queued"],
  "watch": [*KIND, "--yes", *TRAIN],
}


def dry_run(capsys, verb, flags) -> list[str]:
  words = flags + ["--dry_run"] if "--" not in flags else None
  if words is None:
    cut = flags.index("--")
    words = [*flags[:cut], "--dry_run", *flags[cut:]]
  assert tpu.main([verb, *WHERE, *words]) == 0
  return capsys.readouterr().out.splitlines()


def test_gcloud_takes_every_command_line(capsys, tmp_path):
  lines = []
  for name, flags in VERBS.items():
    printed = dry_run(capsys, name.split()[0], flags)
    assert printed and all(line.startswith("gcloud compute tpus ") for line in printed)
    lines += printed
  lines = sorted(set(lines))
  assert {shlex.split(line)[4] for line in lines} == (
    {"create", "describe", "ssh", "scp", "delete"}
  )
  for line in lines:
    assert "--zone=us-west4-a" in line and "--project=my-project" in line
  if shutil.which("gcloud") is None:
    pytest.skip("gcloud is not installed here: its linter was not asked")
  wrong = "gcloud compute tpus tpu-vm create face --zone=a --spotty"
  (tmp_path / "commands.json").write_text(
    json.dumps([{"command_string": line} for line in [*lines, wrong]])
  )
  done = subprocess.run(
    ["gcloud", "meta", "lint-gcloud-commands"]
    + [f"--commands-file={tmp_path / 'commands.json'}"],
    capture_output=True,
    text=True,
    env=os.environ | {"CLOUDSDK_CONFIG": str(tmp_path / "gcloud")},
  )
  results = json.loads(done.stdout)
  assert len(results) == len(lines) + 1
  for result in results[:-1]:
    assert result["success"], (result["command_string"], result["error_message"])
  assert not results[-1]["success"]  # the linter does look


@pytest.mark.parametrize(
  "words, says",
  [
    (["create", *WHERE], "--accelerator_type: needed"),
    (["create", *WHERE, "--accelerator_type", "h100-8"], "its runtime is not known"),
    (["create", "--name", "a", "--zone", "", "--project", "p", *KIND], "--zone: empty"),
    (["create", "--name", "a", "--zone", "z", "--project", " "], "--project: empty"),
    (["run", *WHERE], "give --config and --workdir"),
    (["run", *WHERE, "--", "--config=c", "--workdir=runs/x"], "lost with the slice"),
    (["watch", *WHERE, *KIND, *TRAIN], "say --yes"),
  ],
)
def test_dangerous_defaults_are_refused(words, says, capsys, monkeypatch, stand_in):
  assert tpu.main(words) == 2
  error = capsys.readouterr().err
  assert says in error and error.count("\n") == 1
  assert not (stand_in / "calls.txt").exists()


@pytest.mark.parametrize("missing", ["--name", "--zone", "--project"])
def test_zone_and_project_have_no_default(missing, capsys):
  words = list(WHERE)
  index = words.index(missing)
  with pytest.raises(SystemExit) as error:
    tpu.main(["delete", *words[:index], *words[index + 2 :]])
  assert error.value.code == 2 and missing in capsys.readouterr().err


def test_delete_asks_for_the_name(monkeypatch, capsys, stand_in):
  assert tpu.main(["create", *WHERE, *KIND]) == 0
  monkeypatch.setattr("builtins.input", lambda prompt: "other")
  assert tpu.main(["delete", *WHERE]) == 2
  assert "nothing deleted" in capsys.readouterr().err and (stand_in / "face").exists()
  monkeypatch.setattr("builtins.input", lambda prompt: "face")
  assert tpu.main(["delete", *WHERE]) == 0
  assert not (stand_in / "face").exists()


def test_no_gcloud_is_one_line(monkeypatch, capsys, tmp_path):
  monkeypatch.setenv("PATH", str(tmp_path))
  assert tpu.main(["status", *WHERE]) == 2
  assert "gcloud: not on PATH" in capsys.readouterr().err


def test_status_lines_are_told_from_the_noise_of_ssh():
  text = (
    "Using ssh batch size of 1.\ntdmm-worker t1v-n-0 running - | 7%| 123/400 | loss=3\n"
    "SSH: Attempting to connect to worker 1...\n"
    "tdmm-worker t1v-n-1 ended 75 | train: told to stop\ntdmm-worker t1v-n-2 idle - |\n"
  )
  assert slices.parse_status(text) == [
    slices.Worker("t1v-n-0", "running", None, "7%| 123/400 | loss=3"),
    slices.Worker("t1v-n-1", "ended", 75, "train: told to stop"),
    slices.Worker("t1v-n-2", "idle", None, ""),
  ]


def wait_until(condition, seconds: float = 240.0):
  deadline = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < deadline, "nothing happened"
    time.sleep(0.2)


def _step(workdir) -> int:
  curve = metric_logging.read_curve(workdir, "train", "total_loss")
  return curve[-1][0] if curve else 0


def _preempt(folder: pathlib.Path) -> None:
  """As Google does it: the machines are told to shut down, then they are gone."""
  pids = [int(path.read_text()) for path in folder.glob("worker_*/tdmm-run/pid")]
  assert len(pids) == 2
  for pid in pids:
    os.killpg(os.getpgid(pid), signal.SIGKILL)
  (folder / "state").write_text("PREEMPTED")


@pytest.mark.slow
def test_the_whole_life_of_a_slice_with_a_preemption(stand_in, tmp_path, monkeypatch):
  """Two workers that train as one; preempted; made anew; resumed; ended; deleted."""
  for key, value in toy_training.ENV.items():
    monkeypatch.setenv(key, value)
  # The workers run a toy model through the real command line.
  monkeypatch.setattr(slices, "pack_code", toy_training.pack_code)
  workdir = tmp_path / "workdir"
  flags = toy_training.flags(60, workdir)
  words = ["--poll_seconds", "0.5", "--runner", "setsid", "--env", "NOTE=a b", "--yes"]
  codes = []
  watching = threading.Thread(
    target=lambda: codes.append(
      tpu.main(["watch", *WHERE, *KIND, *words, "--", *flags])
    )
  )
  watching.start()
  wait_until(lambda: _step(workdir) >= 9)
  _preempt(stand_in / "face")
  before = _step(workdir)
  watching.join(timeout=400)
  assert codes == [0]
  calls = (stand_in / "calls.txt").read_text()
  assert calls.count("create face") == 2 and calls.count("delete face") == 1
  step, _ = checkpoints.restore_item(workdir, "model")
  assert step == 60 > before
  # Resumed, not begun again; and both workers, of this life, did it together.
  logs = [(stand_in / "face" / f"worker_{i}/tdmm-run/train.log") for i in range(2)]
  assert "toy: 2 processes, from step 0" not in logs[0].read_text()
  assert all("toy: 2 processes, from step " in log.read_text() for log in logs)
  installed = (stand_in / "face" / "worker_1" / "uv.txt").read_text()
  assert (
    "venv --quiet --python 3.11" in installed and "requirements-tpu.txt" in installed
  )
  assert tpu.main(["stop", *WHERE]) == tpu.main(["status", *WHERE]) == 0
  assert tpu.main(["delete", *WHERE, "--yes"]) == 0
  assert not (stand_in / "face").exists()


def test_a_failed_training_ends_the_watch_with_its_code(
  stand_in, tmp_path, monkeypatch
):
  """Exit code 2 is the user's error: starting again would not mend it."""

  def pack(archive):
    script = "import sys\nprint('train: error: no such key')\nsys.exit(2)\n"
    toy_training.pack_files(
      archive, {"tdmm_jax/__init__.py": "", "tdmm_jax/train.py": script}
    )

  monkeypatch.setattr(slices, "pack_code", pack)
  words = ["--poll_seconds", "0.1", "--runner", "setsid", "--yes"]
  flags = ["--config=c.py", f"--workdir={tmp_path}"]
  assert tpu.main(["watch", *WHERE, *KIND, *words, "--", *flags]) == 2


def test_a_slice_that_takes_no_code_ends_the_watch(
  stand_in, tmp_path, monkeypatch, capfd
):
  """READY, but the archive cannot be unpacked: a later try would fail as well."""
  monkeypatch.setattr(
    slices, "pack_code", lambda archive: archive.write_text("no archive")
  )
  words = ["--poll_seconds", "0.01", "--runner", "setsid", "--yes"]
  flags = ["--config=c.py", f"--workdir={tmp_path}"]
  assert tpu.main(["watch", *WHERE, *KIND, *words, "--", *flags]) == 2
  assert "tar xzf" in capfd.readouterr().err.splitlines()[-1]
