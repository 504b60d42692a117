"""Fixtures that several folders share, and one compilation cache for all workers."""

import ctypes
import fcntl
import gc
import os
import pathlib

import jax
import pytest
import tiny

from tdmm_jax.generate import face

# Most of the suite's time is compilation, and a dozen steps need no fast program, here
# or in subprocesses. Tests of what a user runs take the switches out of their
# environment again (tiny.users_environment).
jax.config.update("jax_disable_most_optimizations", True)
os.environ[tiny.QUICK_JAX] = "1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {tiny.QUICK_XLA}".strip()

MOST_RESIDENT_MB = 1_200  # after a module; the largest modules add about as much


def _common(tmp_path_factory):
  """A folder that all workers of this session see."""
  base = tmp_path_factory.getbasetemp()
  return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
  """Most of these tests' time is compilation, and many compile the same programs."""
  settings = {
    "jax_compilation_cache_dir": str(_common(tmp_path_factory) / "compiled"),
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
  }
  for name, value in settings.items():
    os.environ[name.upper()] = str(value)  # of subprocesses, too
    jax.config.update(name, value)


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
  """Forgets compiled programs after a module that leaves many: they pile up to GBs.

  What other modules need of them comes back from the cache on disk.
  """
  yield
  if _resident_mb() > MOST_RESIDENT_MB:
    jax.clear_caches()
    gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)  # glibc has it


def _resident_mb() -> float:
  """Memory that this process holds; 0 where Linux's /proc is not."""
  path = pathlib.Path("/proc/self/statm")
  pages = int(path.read_text().split()[1]) if path.exists() else 0
  return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
  """A run (records/, tokenizer/, lm/), made once for all workers; read only."""
  base = _common(tmp_path_factory)
  run_dir, done = base / "tiny_run", base / "tiny_run.done"
  with (base / "tiny_run.lock").open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not done.exists():
      tiny.make_run(run_dir)
      done.touch()
  return run_dir


@pytest.fixture(scope="session")
def loaded_run(tiny_run):
  """The same run, loaded for inference."""
  return face.Face(tiny_run)
