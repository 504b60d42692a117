"""What the command line promises beside its results: JSON, silence, colour, Tab."""

import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny

import tdmm_jax
from tdmm_jax import errors
from tdmm_jax.cli import main, terminal
from tdmm_jax.runs import locate


class Terminal(io.StringIO):
  def isatty(self):
    return True


def command(capsys, *arguments):
  assert main.main([str(a) for a in arguments]) == 0
  return capsys.readouterr()


def test_nothing_is_silent_for_long_at_a_terminal(monkeypatch):
  monkeypatch.setattr(terminal, "SILENCE_S", 0.02)
  for shown, stream in ((True, Terminal()), (False, Terminal()), (True, io.StringIO())):
    monkeypatch.setattr(sys, "stderr", stream)
    with terminal.Sign(shown) as _:
      time.sleep(0.2)
    said = stream.getvalue()
    spoke = shown and stream.isatty()
    assert said.startswith("tdmm: at work for 0 s (loading; ") == spoke
    assert bool(said) == spoke
  monkeypatch.setattr(sys, "stderr", quick := Terminal())
  monkeypatch.setattr(terminal, "SILENCE_S", 9.0)
  with terminal.Sign(True):
    pass
  assert quick.getvalue() == ""


def test_json_says_what_the_lines_say(tiny_run, tmp_path, capsys):
  out, _ = command(
    capsys,
    *("generate", "She smiles.", "--seconds", 0.2, "--seed", 5, "--num", 2, "--json"),
    *("--run", tiny_run, "--out", tmp_path),
  )
  made = json.loads(out)
  assert made["schema_version"] == 1
  files = [str(tmp_path / f"motion_{i}.npz") for i in range(2)]
  assert [m["file"] for m in made["motions"]] == files
  one = {"prompt": "She smiles.", "seconds": 0.2, "seed": 5}
  assert {key: made["motions"][0][key] for key in one} == one
  text = command(capsys, "describe", files[0], "--run", tiny_run).out.strip()
  told = json.loads(
    command(capsys, "describe", files[0], "--run", tiny_run, "--json").out
  )
  assert told["text"] == text and "family" in told["attributes"]
  drawn = command(
    capsys, "render", files[0], "-o", tmp_path / "a.mp4", "--size", 64, "--json"
  )
  assert json.loads(drawn.out)["frames"] == 5


def test_quiet_keeps_only_the_result_and_verbose_tells_more(tiny_run, tmp_path, capsys):
  ask = ("generate", "Smyling quietlee", "--seconds", 0.2)
  ask = (*ask, "--run", tiny_run, "--out", tmp_path)
  plain, quiet, verbose = (
    command(capsys, *ask, *more) for more in ((), ("--quiet",), ("--verbose",))
  )
  assert plain.out == quiet.out == verbose.out == f"{tmp_path / 'motion.npz'}\n"
  assert quiet.err == "" and plain.err.count("tdmm: warning: ") == 1
  assert "warning: " in verbose.err and "info: loaded " in verbose.err
  assert str(tiny_run) in verbose.err


@pytest.mark.parametrize(
  ("variables", "stream", "colour"),
  [
    ({}, Terminal(), True),
    ({}, io.StringIO(), False),
    ({"NO_COLOR": "1"}, Terminal(), False),
    ({"TERM": "dumb"}, Terminal(), False),
  ],
)
def test_colour_is_for_terminals(variables, stream, colour, monkeypatch):
  for name in ("NO_COLOR", "TERM"):
    monkeypatch.delenv(name, raising=False)
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  monkeypatch.setattr(sys, "stderr", stream)
  stream.seek(0)
  stream.truncate()
  errors.report("tdmm", "broken")
  expected = (
    "tdmm: \033[31merror:\033[0m broken\n" if colour else "tdmm: error: broken\n"
  )
  assert stream.getvalue() == expected


def test_version_names_the_checkpoint(tiny_run, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(locate, "RELEASE_DIR", tmp_path / "none")
  monkeypatch.chdir(tmp_path)
  for expected in (
    "none; `make train` trains one",
    "runs/train (language model step 12",
  ):
    with pytest.raises(SystemExit) as stop:
      main.main(["--version"])
    first, second = capsys.readouterr().out.splitlines()
    assert stop.value.code == 0 and first == f"tdmm {tdmm_jax.__version__}"
    assert second.startswith(f"checkpoint: {expected}")
    (tmp_path / "runs").mkdir(exist_ok=True)
    if not (tmp_path / "runs" / "train").exists():
      (tmp_path / "runs" / "train").symlink_to(tiny_run)


def test_tab_completes_commands_options_and_choices(capsys):
  code = command(capsys, "completion", "bash").out
  assert subprocess.run(["bash", "-n"], input=code, text=True).returncode == 0

  def completions(line):
    read, write = os.pipe()  # argcomplete answers on file descriptor 8
    ask = ["bash", "-c", f"{sys.executable} -m tdmm_jax.cli 8>&{write}"]
    env = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_IFS": " "}
    env |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), **os.environ}
    subprocess.run(ask, env=env, pass_fds=[write], cwd=tiny.REPO, timeout=60)
    os.close(write)
    with os.fdopen(read) as answer:
      return answer.read().split()

  assert completions("tdmm gener") == ["generate"]
  assert completions("tdmm generate --see") == ["--seed"]
  assert completions("tdmm enc") == ["encode"]
  assert completions("tdmm codebook --max") == ["--max_codes"]
  views = ["three_quarter", "three_quarter_right"]
  assert completions("tdmm render a.npz --view thr") == views


def test_a_library_log_line_is_the_commands_own(tmp_path, capsys):

  path = tmp_path / "cap4d.npz"
  track = lambda width: np.zeros((4, width), np.float32)
  np.savez(path, expr=track(65), rot=track(3), tra=track(3), eye_rot=track(3), fps=25)
  assert main.main(["render", str(path), "-o", str(tmp_path / "a.mp4")]) == 2
  lines = capsys.readouterr().err.splitlines()
  assert lines[0].startswith("tdmm: warning: ") and "blink" in lines[0]
  assert lines[1].startswith("tdmm: error: ") and "'flame2023'" in lines[1]
