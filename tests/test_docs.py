"""The documentation is true: its commands run, its links lead somewhere.

A ```sh block is run, on the tests' tiny model (so lengths are cut to what that can do).
A block marked ```sh checked, and an indented command, needs a network, a TPU or hours:
its program, its subcommand and its options must exist.
"""

import argparse
import ast
import functools
import importlib.util
import inspect
import json
import pathlib
import re
import shlex
import subprocess
import sys

import matplotlib
import pytest
import tiny

from configs import lm_base, lm_demo
from tdmm_jax import vocab
from tdmm_jax.cli import main
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.generate.face import Face
from tdmm_jax.runs import locate

NOTEBOOK = "docs/lab_notebook.md"  # tells of what is no longer there, too
DOCS = sorted(
  [tiny.REPO / "README.md", *(tiny.REPO / "docs").glob("**/*.md")],
)
NAMES = [str(path.relative_to(tiny.REPO)) for path in DOCS]
PAGES = [name for name in NAMES if name != NOTEBOOK]
FOLDERS = "benchmarks|configs|data_prep|demo|docker|docs|launch|tdmm_jax|tests"
OTHERS_OPTIONS = ("--runner", "--xla_", "--config.")  # Beam's, XLA's, a config's keys


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


def module_file(name: str) -> pathlib.Path | None:
  """The file that `python -m NAME` runs, or that `import NAME` reads."""
  stem = tiny.REPO.joinpath(*name.split("."))
  for path in (stem.with_suffix(".py"), stem / "__main__.py", stem / "__init__.py"):
    if path.is_file():
      return path
  return None


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
    path = module_file(words[2])
    assert path is not None, f"{command}: no module {words[2]}"
    source = path.read_text()
    # Options that it shares with a program beside it are that one's.
    for name in re.findall(rf"^from {path.parent.name} import (\w+)", source, re.M):
      source += (path.parent / f"{name}.py").read_text()
    for option in re.findall(r" --([\w]+)(?![\w.])", command):
      flag = re.search(rf"""["'](--)?{option}["']""", source)
      assert flag or option == "config", f"{command}: no option --{option}"
    for config in re.findall(r"--config[= ](configs/[^\s:]+)", command):
      assert (tiny.REPO / config).exists(), command


def spans(text: str) -> list[str]:
  """The `code spans` of the prose, each in one line."""
  prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
  return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


@functools.cache
def commands_of_tdmm() -> dict[str, argparse.ArgumentParser]:
  actions = main._parser()._actions
  (sub,) = [a for a in actions if isinstance(a, argparse._SubParsersAction)]
  return sub.choices


@functools.cache
def options_anywhere() -> set[str]:
  """Every option that some program of the project has."""
  sources = [
    path.read_text()
    for folder in FOLDERS.split("|")
    for path in (tiny.REPO / folder).rglob("*.py")
  ]
  return {option for text in sources for option in re.findall(r"--\w+", text)}


@pytest.mark.parametrize("name", PAGES)
def test_what_the_prose_names_exists(name, capsys):
  for span in spans((tiny.REPO / name).read_text()):
    if span == "tdmm genrate":  # shown as a typo
      continue
    words = span.removeprefix(".venv/bin/").split()
    if words[0] == "tdmm" and len(words) > 1 and words[1].islower():
      if not words[1].startswith("-"):
        assert words[1] in commands_of_tdmm(), f"{name}: `{span}`"
        parser = commands_of_tdmm()[words[1]]
        for option in re.findall(r" (--\w+)", span):
          assert option in parser._option_string_actions, f"{name}: `{span}`"
    elif span.startswith("python -m "):
      check(span)
    else:
      for option in re.findall(r"(?:^|[ (])(--[\w.]+)", span):
        known = option in options_anywhere() or option.startswith(OTHERS_OPTIONS)
        assert known, f"{name}: `{span}`"
      for path in re.findall(rf"^((?:{FOLDERS})/[\w./-]+)(?::\w+)?$", span):
        assert (tiny.REPO / path).exists(), f"{name}: `{span}`"


@pytest.mark.parametrize("name", PAGES)
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
  """A fresh folder with a small run in runs/train and in the release's place."""
  (tmp_path / "runs").mkdir()
  (tmp_path / "runs" / "train").symlink_to(tiny_run)
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


def anchors(page: pathlib.Path) -> set[str]:
  """The names that GitHub gives to a page's headings."""
  text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
  titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
  return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
  path = tiny.REPO / name
  for link in re.findall(r"\]\(([^)\s]+)[^)]*\)", path.read_text()):
    if link.startswith(("http://", "https://")):
      continue
    file, _, anchor = link.partition("#")
    target = path.parent / file if file else path
    assert target.exists(), f"{name}: {link}"
    assert not anchor or anchor in anchors(target), f"{name}: {link}"


def test_the_table_of_tasks_is_that_of_the_configs():
  """docs/training.md: every task, with its rates in the demo's and the base's."""
  text = (tiny.REPO / "docs" / "training.md").read_text()
  rows = re.findall(r"^\| (\w+) \|[^|]*\| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
  table = {name: (float(demo), float(base)) for name, demo, base in rows}
  demo, base = lm_demo.get_config().task_rates, lm_base.get_config().task_rates
  assert table == {name: (demo[name], base[name]) for name in vocab.TASKS}


def test_the_python_api_is_what_its_page_says():
  """Every name exists, and takes the arguments and defaults that it is shown with."""
  text = (tiny.REPO / "docs" / "python_api.md").read_text()
  cells = re.findall(
    r"^\| (`(?:tdmm_jax|Face|FaceMotion)\..*?`) \|", text, re.MULTILINE
  )
  shown = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]
  assert len(shown) > 30
  for span in shown:
    name, _, arguments = span.partition("(")
    value = resolved(name)
    if arguments:
      stub = ast.parse(f"def f({arguments.removesuffix(')').replace('...', '**_')}): 0")
      wanted = stub.body[0].args
      real = inspect.signature(value).parameters
      names = [a.arg for a in wanted.args]
      assert set(names) <= set(real), span
      defaults = names[len(names) - len(wanted.defaults) :]
      for key, default in zip(defaults, wanted.defaults, strict=True):
        assert real[key].default == ast.literal_eval(default), span


def resolved(name: str):
  """What a dotted name of the page stands for."""
  first, *rest = name.split(".")
  if first != "tdmm_jax":
    owner = {"Face": Face, "FaceMotion": FaceMotion}[first]
    if rest == ["codec"]:  # set by __init__
      assert "self.codec" in inspect.getsource(owner.__init__)
      return None
    return getattr(owner, rest[0])
  for cut in range(len(rest), -1, -1):
    module = ".".join([first, *rest[:cut]])
    if module_file(module) is not None:
      value = importlib.import_module(module)
      for part in rest[cut:]:
        value = getattr(value, part)
      return value
  raise AssertionError(name)


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
