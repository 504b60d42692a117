"""launch.xpk: xpk takes every command line; its container stops as it should."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest
import tiny

from launch import xpk
from tdmm_jax import cluster

RECORD = json.loads((pathlib.Path(__file__).parent / "xpk.json").read_text())
REAL = tiny.REPO / ".venv-xpk" / "bin" / "python"

WHERE = ["--cluster", "faces", "--zone", "us-west4-a", "--project", "my-project"]
KIND = ["--accelerator_type", "v5litepod-64"]
IMAGE = ["--image", "us-docker.pkg.dev/my-project/tdmm/tpu:1"]
TRAIN = ["--config", "configs/lm_base.py", "--workdir", "gs://b/lm"]
RUN = [*WHERE, *KIND, *IMAGE, "--name", "lm"]

LINES = {
  "create": ["create", *WHERE, *KIND],
  "create spot": ["create", *WHERE, *KIND, "--num_slices", "4", "--spot"],
  "create reserved": ["create", *WHERE, *KIND, "--reservation", "ours"],
  "create v6e": ["create", *WHERE, "--accelerator_type", "v6e-256"],
  "create v7x": ["create", *WHERE, "--accelerator_type", "tpu7x-4x4x8"],
  "run": ["run", *RUN, "--", *TRAIN],
  "run slices": ["run", *RUN, "--num_slices", "2", "--env", "A=b c", "--", *TRAIN],
  "run limits": ["run", *RUN, "--max_restarts", "0", "--grace_seconds", "9", "--"]
  + TRAIN,
  "status": ["status", *WHERE],
  "status of one": ["status", *WHERE, "--name", "lm"],
  "inspect": ["inspect", *WHERE],
  "inspect one": ["inspect", *WHERE, "--name", "lm"],
  "stop": ["stop", *WHERE, "--name", "lm"],
  "delete": ["delete", *WHERE, "--yes"],
}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
  """An xpk and a docker on PATH that note what they are told; the file of notes."""
  notes = tmp_path / "calls.jsonl"
  (tmp_path / "bin").mkdir()
  for name in ("xpk", "docker"):
    path = tmp_path / "bin" / name
    path.write_text(
      f"#!{sys.executable}\nimport json, os, sys\ncall = [{name!r}, *sys.argv[1:]]\n"
      f"open({str(notes)!r}, 'a').write(json.dumps(call) + '\\n')\n"
      "sys.exit(int(os.environ.get('STAND_IN_CODE', '0')))\n"
    )
    path.chmod(0o755)
  monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
  return notes


def printed(capsys, words: list[str]) -> list[str]:
  assert xpk.main([words[0], "--dry_run", *words[1:]]) == 0
  return [shlex.split(line) for line in capsys.readouterr().out.splitlines()]


def refusal(command: list[str]) -> str:
  """Why xpk would not take the command line, by the record; empty if it would."""
  count = 2 if command[1] in ("cluster", "workload") else 1
  known = RECORD["commands"][" ".join(command[1 : 1 + count])]
  given, groups = set(), []
  for word in command[1 + count :]:
    flag, equals, value = word.partition("=")
    if flag not in known or bool(equals) != known[flag]["value"]:
      return word
    if known[flag]["choices"] and value not in known[flag]["choices"]:
      return word
    if flag == "--tpu-type" and value not in RECORD["tpu_types"]:
      return word
    given.add(flag)
    groups += known[flag]["exclusive"]
  repeated = {"--env"} & given
  if not repeated and len(groups) != len(set(groups)):
    return "flags that exclude each other"
  return ", ".join(f for f, o in known.items() if o["required"] and f not in given)


def test_xpk_takes_every_command_line(capsys):
  commands = [printed(capsys, words)[0] for words in LINES.values()]
  for command in commands:
    assert command[0] == "xpk" and refusal(command) == ""
    assert "--cluster=faces" in command and "--project=my-project" in command
  # The record does refuse.
  assert refusal([*commands[0], "--spotty"]) == "--spotty"
  assert refusal([*commands[0], "--spot=1"]) == "--spot=1"
  assert refusal(["xpk", "workload", "list"]) == "--cluster"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="xpk is not installed; run `make xpk`")
def test_so_does_the_parser_of_xpk_itself(capsys):
  commands = [printed(capsys, words)[0] for words in LINES.values()]
  script = (
    "import argparse, importlib.metadata, json, sys\n"
    "from xpk.parser.core import set_parser\n"
    "parser = argparse.ArgumentParser()\nset_parser(parser)\n"
    "for words in json.load(sys.stdin): parser.parse_args(words)\n"
    "print(importlib.metadata.version('xpk'))\n"
  )
  given = json.dumps([command[1:] for command in commands])
  done = subprocess.run(
    [REAL, "-c", script], input=given, capture_output=True, text=True
  )
  assert done.stdout.endswith(f"{RECORD['version']}\n"), done.stderr


def test_the_pin_is_the_recorded_version():
  pins = (tiny.REPO / "requirements-xpk.txt").read_text()
  assert f"xpk=={RECORD['version']}\n" in pins


def test_the_container_trains_as_documented(stand_in):
  assert xpk.main(LINES["run slices"]) == 0
  (call,) = map(json.loads, stand_in.read_text().splitlines())
  assert call[:3] == ["xpk", "workload", "create"]
  flags = dict(word.split("=", 1) for word in call[3:])
  assert flags["--tpu-type"] == "v5litepod-64" and flags["--num-slices"] == "2"
  assert flags["--workload"] == "lm" and flags["--docker-image"] == IMAGE[1]
  assert flags["--env"] == "A=b c" and flags["--max-restarts"] == "100"
  # Restarted where launch.tpu restarts; xpk has 127 to 255 by itself.
  codes = f"{cluster.EXIT_PREEMPTED},{cluster.EXIT_STALLED}"
  assert flags["--restart-on-exit-codes"] == codes
  assert 127 <= cluster.EXIT_PEER_LOST <= 255
  words = shlex.split(flags["--command"])
  assert words[:5] == ["exec", "python", "-m", "tdmm_jax.train", "--cluster=auto"]
  assert words[5:] == [*TRAIN, "--config.mesh.data=2"]


@pytest.mark.parametrize(
  "config, flags, slices, added",
  [
    ("lm_base", [], 1, []),
    ("lm_base", [], 4, ["--config.mesh.data=4"]),  # its fsdp takes what is left
    ("tokenizer_demo", [], 4, []),  # its data axis takes what is left
    ("lm_base", ["--config.mesh.data=-1"], 4, []),
    ("lm_base", ["--config.mesh.data", "8"], 4, []),
  ],
)
def test_the_data_axis_runs_over_the_slices(config, flags, slices, added):
  words = [f"--config=configs/{config}.py", "--workdir=gs://b/w", *flags]
  assert xpk.mesh_flags(words, slices) == added


@pytest.mark.parametrize("signalled, code", [(False, 0), (True, 75)])
def test_a_container_passes_sigterm_on_and_ends_with_trainings_code(
  tmp_path, capsys, signalled, code
):
  """In xpk's own script, which starts it in a shell of its own."""
  python = tmp_path / "python"
  python.write_text(
    f"#!{sys.executable}\nimport pathlib, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
    f"pathlib.Path({str(tmp_path / 'started')!r}).write_text(repr(sys.argv[1:]))\n"
    f"time.sleep({30 if signalled else 0})\n"
  )
  python.chmod(0o755)
  words = [*RUN, "--", *TRAIN, "--config.note=it's; a (b) $HOME"]
  (command,) = printed(capsys, ["run", *words])
  train = command[-1].removeprefix("--command=")
  script = RECORD["container_script"].replace("sleep 5", "sleep 0.1")
  assert "TRAINING_COMMAND" in script
  container = subprocess.Popen(
    ["bash", "-c", script.replace("TRAINING_COMMAND", train)],
    env=os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
    stdout=subprocess.DEVNULL,
  )
  deadline = time.monotonic() + 60
  while not (tmp_path / "started").exists() or not (tmp_path / "started").read_text():
    assert time.monotonic() < deadline, "nothing started"
    time.sleep(0.05)
  if signalled:
    container.send_signal(signal.SIGTERM)
  assert container.wait(timeout=60) == code
  started = (tmp_path / "started").read_text()
  assert '"--config.note=it\'s; a (b) $HOME"' in started and "--cluster=auto" in started


def test_every_type_that_xpk_knows_is_taken():
  for name in RECORD["tpu_types"]:
    if not name.startswith("tpu7-"):  # as tpu7x, under an older name
      xpk.check_tpu_type(name)


@pytest.mark.parametrize(
  "words, says",
  [
    (["create", *WHERE, "--accelerator_type", "h100-8"], "'h100-8': unknown to xpk"),
    (["create", *WHERE, "--accelerator_type", "v5e-16"], "did you mean v5litepod-16?"),
    (["create", *WHERE, "--accelerator_type", "v6e-24"], "no such slice"),
    (["create", *WHERE, "--accelerator_type", "v5p-100"], "or a multiple of 128"),
    (["create", *WHERE, "--accelerator_type", "v5p-4x4x5"], "no such slice"),
    (["create", *WHERE, *KIND, "--num_slices", "0"], "must be at least 1"),
    (["create", *WHERE, *KIND, "--spot", "--reservation", "r"], "choose one of them"),
    (["create", "--cluster", "Faces", *WHERE[2:], *KIND], "--cluster 'Faces': GKE"),
    (["create", "--cluster", "a" * 41, *WHERE[2:], *KIND], "1 to 40 lower-case"),
    (["create", "--cluster", "", *WHERE[2:], *KIND], "--cluster '': GKE takes"),
    (["status", *WHERE, "--name", "lm_base"], "--name 'lm_base': GKE takes"),
    (["status", *WHERE[:4], "--project", " "], "--project: empty"),
    (["stop", *WHERE, "--name", ""], "--name '': GKE takes"),  # or it would stop all
    (["run", *RUN], "give --config and --workdir"),
    (["run", *RUN, "--", *TRAIN[:2], "--workdir=runs/lm"], "no container has it"),
    (["run", *RUN, "--", *TRAIN, "--config.records_dir=r"], "config.records_dir r: no"),
    (
      ["run", *RUN, "--num_slices", "2", "--", *TRAIN, "--config.mesh.data=3"],
      "a multiple of the 2 slices",
    ),
    (
      ["run", *RUN, "--num_slices", "2", "--", "--config=no.py", "--workdir=gs://b/l"],
      "--config no.py: no such file",
    ),
    (["run", *RUN, "--max_restarts", "-1", "--", *TRAIN], "must not be negative"),
  ],
)
def test_mistakes_are_one_line(words, says, capsys, stand_in):
  assert xpk.main(words) == 2
  error = capsys.readouterr().err
  assert says in error and error.count("\n") == 1
  assert not stand_in.exists()


@pytest.mark.parametrize("missing", ["--cluster", "--zone", "--project"])
def test_cluster_zone_and_project_have_no_default(missing, capsys):
  index = WHERE.index(missing)
  with pytest.raises(SystemExit) as error:
    xpk.main(["delete", *WHERE[:index], *WHERE[index + 2 :]])
  assert error.value.code == 2 and missing in capsys.readouterr().err


def test_no_xpk_is_one_line(monkeypatch, capsys, tmp_path):
  monkeypatch.setenv("PATH", str(tmp_path))
  monkeypatch.setattr(xpk.slices, "REPO", tmp_path)
  assert xpk.main(LINES["status"]) == 2
  error = capsys.readouterr().err
  assert "xpk: not on PATH; run `make xpk`" in error and error.count("\n") == 1


def test_a_failed_command_is_named(monkeypatch, capsys, stand_in):
  monkeypatch.setenv("STAND_IN_CODE", "3")
  assert xpk.main(LINES["status"]) == 2
  assert "xpk workload list" in (error := capsys.readouterr().err)
  assert "failed with exit code 3" in error


def test_the_image_is_built_and_pushed(stand_in):
  assert xpk.main(["image", *IMAGE]) == 0
  build, push = map(json.loads, stand_in.read_text().splitlines())
  assert build[:2] == ["docker", "build"] and IMAGE[1] in build
  dockerfile = pathlib.Path(build[build.index("-f") + 1])
  assert dockerfile.is_file() and "tdmm_jax.train" in dockerfile.read_text()
  assert push == ["docker", "push", IMAGE[1]]


def test_delete_asks_for_the_name(monkeypatch, capsys, stand_in):
  monkeypatch.setattr("builtins.input", lambda prompt: "other")
  assert xpk.main(["delete", *WHERE]) == 2
  assert "nothing deleted" in capsys.readouterr().err and not stand_in.exists()
  monkeypatch.setattr("builtins.input", lambda prompt: "faces")
  assert xpk.main(["delete", *WHERE]) == 0
  (call,) = map(json.loads, stand_in.read_text().splitlines())
  assert call[:3] == ["xpk", "cluster", "delete"] and "--force" in call
