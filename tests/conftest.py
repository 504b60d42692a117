"""Fixtures that several folders share."""

import fcntl
import os

import pytest
import tiny

from tdmm_jax import inference


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
  """A run directory (records/, tokenizer/, lm/), made once for all workers. Read only."""
  base = tmp_path_factory.getbasetemp()
  if "PYTEST_XDIST_WORKER" in os.environ:
    base = base.parent  # the workers' common folder
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
  return inference.Run(tiny_run)
