"""The documentation is true: its commands run, its links lead somewhere.

A ```sh block is run, on the tests' tiny model (so lengths are cut to what that can do).
A block marked ```sh checked, and an indented command, needs a network, a TPU or hours:
its program, its subcommand and its options must exist.
"""

import ast
import importlib.util
import json
import pathlib
import re
import shlex
import subprocess
import sys

import matplotlib
import pytest
import tiny

from tdmm_jax.cli import main
from tdmm_jax.runs import locate

DOCS = sorted([tiny.REPO / "README.md", *(tiny.REPO / "docs").glob("*.md")])
NAMES = [str(path.relative_to(tiny.REPO)) for path in DOCS]


def blocks(text: str) -> list[tuple[str, str]]:
  """(info string, content) of each fenced block."""
  return re.findall(r"^```([^\n]*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
  """Lines of a block or of indented code that are commands, joined over backslashes."""
  joined = text.replace("\\\n", " ")
  lines = (line.strip() for line in joined.splitlines())
  programs = ("tdmm ", "python -m ", "make ")
  short = (line.removeprefix(".venv/bin/") for line in lines)
  return [line for line in short if line.startswith(programs)]


def parsed(command: str) -> list[str]:
  return shlex.split(command, comments=True)


def indented(text: str) -> str:
  """Indented code outside of fences."""
  rest = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
  return "\n".join(line for line in rest.splitlines() if line.startswith("    "))


def check(command: str) -> None:
  """Its program, subcommand and options exist; nothing is run."""
  words = parsed(command)
  if words[0] == "tdmm":
    if not {"--help", "--version"} & set(words):
      main._parser().parse_args(words[1:])
  elif words[0] == "make":
    makefile = (tiny.REPO / "Makefile").read_text()
    targets = [word for word in words[1:] if "=" not in word]
    assert all(re.search(rf"^{t}:", makefile, re.MULTILINE) for t in targets), command
  else:
    found = importlib.util.find_spec(words[2])
    assert found is not None, f"{command}: no module {words[2]}"
    path = pathlib.Path(found.origin)
    source = path.read_text()
    # Options that it shares with a program beside it are that one's.
    for name in re.findall(rf"^from {path.parent.name} import (\w+)", source, re.M):
      source += (path.parent / f"{name}.py").read_text()
    for option in re.findall(r" --([\w]+)(?![\w.])", command):
      flag = re.search(rf"""["'](--)?{option}["']""", source)
      assert flag or option == "config", f"{command}: no option --{option}"
    for config in re.findall(r"--config[= ](configs/[^\s:]+)", command):
      assert (tiny.REPO / config).exists(), command


@pytest.mark.parametrize("name", NAMES)
def test_every_command_exists(name, capsys):
  text = (tiny.REPO / name).read_text()
  fenced = "\n".join(body for info, body in blocks(text) if info.startswith("sh"))
  for command in [*commands(fenced), *commands(indented(text))]:
    try:
      check(command)
    except SystemExit:
      pytest.fail(f"{command}: {capsys.readouterr().err}")


@pytest.fixture
def folder(tiny_run, tmp_path, monkeypatch):
  """A fresh folder with a small run in runs/demo and in the release's place."""
  (tmp_path / "runs").mkdir()
  (tmp_path / "runs" / "demo").symlink_to(tiny_run)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(locate, "RELEASE_DIR", tiny_run)
  return tmp_path


def shortened(words: list[str]) -> list[str]:
  """What the tiny model can do: 0.4 s."""
  if words[0] != "generate":
    return words
  if "--seconds" in words:
    at = words.index("--seconds")
    words = words[:at] + words[at + 2 :]
  return [*words, "--seconds", "0.4"]


@pytest.mark.parametrize(
  "name", [n for n in NAMES if "```sh\n" in (tiny.REPO / n).read_text()]
)
def test_commands_run_as_they_stand(name, folder, capsys):
  for info, body in blocks((tiny.REPO / name).read_text()):
    if info != "sh":
      continue
    lines = [line for line in body.splitlines() if line.strip()]
    assert len(commands(body)) == len(lines), f"{name}: not all are commands:\n{body}"
    for command in commands(body):
      words = parsed(command)
      assert words[0] == "tdmm", f"{name}: mark this block `sh checked`: {command}"
      try:
        code = main.main(shortened(words[1:]))
      except SystemExit as stop:
        code = stop.code
      out, err = capsys.readouterr()
      assert code == 0 and out, f"{command}: {err}"


@pytest.mark.parametrize("name", NAMES)
def test_python_blocks_run(name, folder, monkeypatch):
  monkeypatch.setattr("tdmm_jax.generate.face.Face.generate", _short_generate())
  for info, body in blocks((tiny.REPO / name).read_text()):
    if info == "python":
      exec(compile(body, name, "exec"), {"__name__": "docs"})


def _short_generate():
  from tdmm_jax.generate.face import Face

  real = Face.generate

  def generate(self, prompt, seconds=4.0, **options):
    return real(self, prompt, min(seconds, 0.4), **options)

  return generate


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
  path = tiny.REPO / name
  for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
    if not link.startswith(("http://", "https://")):
      assert (path.parent / link).exists(), f"{name}: {link}"


def test_the_page_of_tasks_is_what_its_script_prints():
  path = tiny.REPO / "docs" / "make_tasks_page.py"
  spec = importlib.util.spec_from_file_location("make_tasks_page", path)
  script = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(script)
  assert (tiny.REPO / "docs" / "tasks.md").read_text() == script.page()


def test_the_notebook_runs(folder, capsys):
  """Every cell in order, in one namespace, as Jupyter would."""
  matplotlib.use("Agg")
  notebook = json.loads((tiny.REPO / "docs" / "tour.ipynb").read_text())
  assert notebook["nbformat"] == 4
  space, shown = {"__name__": "__main__"}, []
  for cell in notebook["cells"]:
    if cell["cell_type"] != "code":
      continue
    assert cell["outputs"] == [] and cell["execution_count"] is None  # committed clean
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "tour.ipynb", "exec"), space)
    if last is not None:
      shown.append(
        eval(compile(ast.Expression(last.value), "tour.ipynb", "eval"), space)
      )
  matplotlib.pyplot.close("all")
  out = capsys.readouterr().out
  assert "frames read back" in out and "extremely" in out
  assert (folder / "surprise.mp4").stat().st_size > 1000
  assert any(getattr(value, "size", None) == (800, 200) for value in shown)


@pytest.mark.parametrize("name", ["cpu", "tpu"])
def test_dockerfiles_are_clean(name):
  hadolint = pathlib.Path(sys.executable).with_name("hadolint")
  path = tiny.REPO / "docker" / f"{name}.Dockerfile"
  done = subprocess.run([hadolint, path], capture_output=True, text=True)
  assert done.returncode == 0 and done.stdout == "", done.stdout
  ignored = (tiny.REPO / ".dockerignore").read_text().splitlines()
  for line in re.findall(r"^COPY (.*) \S+$", path.read_text(), re.MULTILINE):
    for source in line.split():
      assert (tiny.REPO / source).exists()  # and it reaches the build:
      assert f"!{source}" in ignored or source.startswith("requirements")
