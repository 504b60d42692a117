"""The rooms of the library: who may import whom."""

import ast
import functools
import itertools
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "tdmm_jax"
OUTSIDE = {"data_prep", "launch", "demo", "benchmarks", "configs", "tests"}
# From the cellar to the roof: a room imports from its own floor and those below.
FLOORS = (
  ("errors", "host", "files", "runs.kept_programs"),
  ("cluster", "sharding", "vocab", "language", "face"),
  ("metrics", "models", "render"),
  ("export", "runs"),
  ("data",),
  ("codec",),
  ("decoding", "train"),
  ("generate",),
  ("evaluation",),
  ("cli", "studio", "live", "pack_release", "export_hf", "train.__main__"),
)
# Rooms of one floor that stand beside each other and do not know each other.
STRANGERS = (("face", "language"), ("models", "render"), ("decoding", "train"))
HOMES = {
  "flax.linen": ("models", "sharding"),
  "orbax": ("runs.checkpoints",),
  "grain": ("data",),
}


def modules() -> dict[str, ast.Module]:
  """Dotted name within the package -> syntax tree."""
  found = {}
  for path in sorted(PACKAGE.rglob("*.py")):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    found[name] = ast.parse(path.read_text(), str(path))
  return found


MODULES = modules()


@functools.cache
def nodes(tree: ast.Module) -> list[ast.AST]:
  return list(ast.walk(tree))


@functools.cache
def imported(tree: ast.Module) -> set[str]:
  """What a module imports, anywhere in it, for types or inside functions too."""
  names = set()
  for node in nodes(tree):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      names |= {f"{node.module}.{alias.name}" for alias in node.names}
  return names


@functools.cache
def own_imports(name: str) -> set[str]:
  """The modules of the package that a module imports, by their dotted names."""
  targets = set()
  for full in imported(MODULES[name]):
    if full.split(".")[0] == "tdmm_jax":
      inner = full.removeprefix("tdmm_jax").lstrip(".")
      while inner not in MODULES:  # a class or function of a module
        inner = inner.rpartition(".")[0]
      targets.add(inner)
  return targets - {name}


def floor_of(name: str) -> tuple[int, str]:
  """The floor and the room of a module; the longest entry that fits it wins."""
  entries = [(room, i) for i, rooms in enumerate(FLOORS) for room in rooms]
  fitting = [(r, i) for r, i in entries if name == r or name.startswith(r + ".")]
  assert fitting, f"{name} is in no room: add it to FLOORS"
  room, floor = max(fitting, key=lambda entry: len(entry[0]))
  return floor, room


def test_arrows_run_downwards():
  # `tdmm_jax/__init__.py` is the face to the outside and reaches every floor.
  upward = [
    f"{name} -> {target}"
    for name in MODULES.keys() - {""}
    for target in own_imports(name) - {""}
    if floor_of(target)[0] > floor_of(name)[0]
    or any({floor_of(name)[1], floor_of(target)[1]} == set(two) for two in STRANGERS)
  ]
  assert not upward, "\n".join(sorted(upward))


def test_no_circle_of_imports():
  """Also none that hides an arrow inside a function."""
  graph = {name: own_imports(name) - {""} for name in MODULES if name}
  done, path = set(), []

  def visit(name):
    if name in path:
      pytest.fail(" -> ".join([*path[path.index(name) :], name]))
    if name not in done:
      path.append(name)
      for target in graph[name]:
        visit(target)
      done.add(path.pop())

  for name in graph:
    visit(name)


def test_the_library_knows_nothing_of_its_users():
  for name, tree in MODULES.items():
    used = {full.split(".")[0] for full in imported(tree)}
    assert not used & OUTSIDE, name


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library):
  for name, tree in MODULES.items():
    uses = any(n == library or n.startswith(library + ".") for n in imported(tree))
    at_home = any(name == h or name.startswith(h + ".") for h in HOMES[library])
    assert not uses or at_home, f"{name} imports {library}"


def test_partition_specs_have_one_home():
  for name, tree in MODULES.items():
    names = {
      getattr(node, "attr", None) or getattr(node, "id", None)
      for node in nodes(tree)
      if isinstance(node, ast.Attribute | ast.Name)
    }
    assert "PartitionSpec" not in names or name == "sharding", name


def test_only_entry_points_have_flags():
  for name, tree in MODULES.items():
    if imported(tree) & {"argparse", "absl.flags"}:
      assert floor_of(name)[0] == len(FLOORS) - 1, f"{name} has flags"


def test_the_root_stays_small():
  root = [name for name in MODULES if "." not in name and name]
  single = [name for name in root if (PACKAGE / f"{name}.py").exists()]
  assert len(single) <= 8, single
  assert not any(name in ("utils", "helpers", "common") for name in MODULES)


def test_configs_are_read_as_attributes():
  """`config.get(key, default)` would hide a misspelt key."""
  for name, tree in MODULES.items():
    for node in nodes(tree):
      if (
        isinstance(node, ast.Attribute)
        and node.attr == "get"
        and isinstance(node.value, ast.Name)
        and node.value.id == "config"
      ):
        pytest.fail(f"{name}:{node.lineno} reads config.get")


def test_floors_name_every_room():
  rooms = {r for r in itertools.chain(*FLOORS) if "." not in r}
  assert rooms == {name for name in MODULES if name and "." not in name}


def test_no_two_files_of_tests_have_one_name():
  """pytest imports them by their names alone, and refuses the second."""
  names = [path.name for path in pathlib.Path(__file__).parent.rglob("test_*.py")]
  assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)
