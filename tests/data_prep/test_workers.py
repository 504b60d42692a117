import concurrent.futures
import os

import pytest

from data_prep import workers


def square(number):
  if number == 3:
    os._exit(137)  # as the system kills what takes too much memory
  if number == 99:
    raise ValueError("no disk")
  return number**2, os.environ["JAX_PLATFORMS"], os.environ["OMP_NUM_THREADS"]


def test_a_process_that_dies_costs_its_job_alone():
  before = dict(os.environ)
  results = dict(workers.each(square, range(6), 2))
  assert results.pop(3) == workers.DIED
  assert results == {n: (n**2, "cpu", "1") for n in (0, 1, 2, 4, 5)}
  assert dict(os.environ) == before


@pytest.mark.parametrize(
  "raised", [OSError("handle is closed"), ValueError("bad value(s) in fds_to_keep")]
)
def test_a_worker_that_dies_while_another_starts_costs_no_job(monkeypatch, raised):
  pools = concurrent.futures.ProcessPoolExecutor
  submit = pools.submit

  def fails_once(pool, function, *args):
    if function is square and args == (1,) and raised.args:
      raised.args = ()
      pool._broken = "a process ended"
      raise raised
    return submit(pool, function, *args)

  monkeypatch.setattr(pools, "submit", fails_once)
  results = dict(workers.each(square, (0, 1, 2), 2))
  assert {job: result[0] for job, result in results.items()} == {0: 0, 1: 1, 2: 4}


def test_a_start_that_fails_by_itself_is_told(monkeypatch):
  def fails(*_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(concurrent.futures.ProcessPoolExecutor, "submit", fails)
  with pytest.raises(OSError, match="No space left"):
    list(workers.each(square, (0, 1), 2))


def test_what_a_job_raises_ends_the_work():
  with pytest.raises(ValueError, match="no disk"):
    list(workers.each(square, [99, 1], 2))


def test_identity_reads_only_what_may_have_changed(tmp_path):
  path = tmp_path / "a"
  path.write_bytes(b"one")
  first = workers.identity(path)
  assert workers.identity(path, {**first, "sha256": "trusted"})["sha256"] == "trusted"
  os.utime(path, (5, 5))
  touched = workers.identity(path, first)
  assert touched != first and workers.same(touched, first)
  path.write_bytes(b"two")
  assert not workers.same(workers.identity(path, first), first)
  assert not workers.same(None, first) and not workers.same(first, {})
  folder = workers.identity(tmp_path)
  path.rename(tmp_path / "b")
  assert not workers.same(workers.identity(tmp_path, None), folder)
