"""Programs kept on disk: traced once, the same as jax.jit's, never a reason to fail."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tdmm_jax.runs import kept_programs


@pytest.fixture
def folder(tmp_path):
  before = jax.config.jax_compilation_cache_dir
  jax.config.update("jax_compilation_cache_dir", str(tmp_path))
  yield tmp_path / "traced"
  jax.config.update("jax_compilation_cache_dir", before)


def scaled(tree, by, *, power: int):
  """Counts how often Python runs it; see `made`."""
  scaled.runs += 1
  return {"x": tree["x"] ** power * by, "n": tree["n"] + 1}


TREE = {"x": np.float32([1.5, -2.0, 3.0]), "n": np.int32(4)}


def made():
  """The program as a process that has just begun has it."""
  scaled.runs = 0
  return kept_programs.jit(scaled, ("power",))


def test_a_second_process_does_not_trace(folder):
  first = made()(TREE, 2.0, power=2)
  assert scaled.runs == 1
  second = made()(TREE, 2.0, power=2)
  assert scaled.runs == 0
  for out in (first, second):
    np.testing.assert_array_equal(out["x"], [4.5, 8.0, 18.0])
    assert out["n"] == 5


def test_another_number_of_python_is_the_same_program(folder):
  program = made()
  np.testing.assert_array_equal(program(TREE, 2.0, power=2)["x"], [4.5, 8.0, 18.0])
  np.testing.assert_array_equal(program(TREE, 3.0, power=2)["x"], [6.75, 12.0, 27.0])
  assert scaled.runs == 1


@pytest.mark.parametrize("change", ["static", "shape", "dtype", "code"])
def test_what_makes_another_program(folder, monkeypatch, change):
  made()(TREE, 2.0, power=2)
  tree, power = dict(TREE), 2
  if change == "static":
    power = 3
  elif change == "shape":
    tree["x"] = np.ones(4, np.float32)
  elif change == "dtype":
    tree["x"] = np.ones(3, np.int32)
  else:
    monkeypatch.setattr(kept_programs, "_code", lambda: "edited")
  out = made()(tree, 2.0, power=power)
  assert scaled.runs == 1 and len(list(folder.iterdir())) == 2
  np.testing.assert_array_equal(out["x"], tree["x"] ** power * 2.0)


def test_damaged_files_are_made_again(folder):
  made()(TREE, 2.0, power=2)
  (path,) = folder.iterdir()
  path.write_bytes(path.read_bytes()[:100])
  np.testing.assert_array_equal(made()(TREE, 2.0, power=2)["x"], [4.5, 8.0, 18.0])
  assert scaled.runs == 1
  made()(TREE, 2.0, power=2)
  assert scaled.runs == 0


def test_the_oldest_files_go(folder, monkeypatch):
  monkeypatch.setattr(kept_programs, "_MOST", 3)
  for power in range(5):
    made()(TREE, 2.0, power=power)
  assert len(list(folder.iterdir())) == 3


def test_without_a_folder_it_is_plain_jit(folder):
  jax.config.update("jax_compilation_cache_dir", None)
  np.testing.assert_array_equal(made()(TREE, 2.0, power=1)["x"], [3.0, -4.0, 6.0])
  assert not folder.exists()


def test_inside_of_another_program(folder):
  program = made()
  outer = jax.jit(lambda x: program({"x": x, "n": 0}, 2.0, power=2)["x"].sum())
  assert outer(TREE["x"]) == 30.5 and not folder.exists()


def test_a_folder_that_cannot_be_written(folder, monkeypatch):
  def refuse(*_):
    raise PermissionError

  monkeypatch.setattr(kept_programs.files, "write_bytes", refuse)
  np.testing.assert_array_equal(made()(TREE, 2.0, power=1)["x"], [3.0, -4.0, 6.0])


def test_what_is_used_up_is_given_back(folder):
  add = kept_programs.jit(lambda state, by: state + by, (), ("state",))
  state = jnp.arange(1024.0)
  where = state.unsafe_buffer_pointer()
  state = add(state, 1.0)
  assert state.unsafe_buffer_pointer() == where and state[-1] == 1024.0
