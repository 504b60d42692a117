"""Work on many clips in processes of their own; one that dies costs one clip."""

import collections
import concurrent.futures
import contextlib
import hashlib
import multiprocessing
import os
import pathlib
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from tdmm_jax.errors import UserError

DIED = "the process that worked on it died (out of memory?)"
# One process a core is what makes them fast; each with threads of its own is slower.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_XLA = "--xla_cpu_multi_thread_eigen=false"


def share(shard: str | None) -> tuple[int, int]:
  """(number from 0, of how many) of one of several machines.

  Args:
    shard: "I/N", the I-th of N; counted from 0 or from 1, for N is 0 as well. None: one
      machine does it all.

  Raises:
    UserError: another form.
  """
  if shard is None:
    return 0, 1
  match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", shard)
  if not match or not 0 <= int(match[1]) <= int(match[2]) or match[2] == "0":
    raise UserError(f"shard {shard}: not one of several; give I/N, such as 0/8")
  return int(match[1]) % int(match[2]), int(match[2])


def each(
  function: Callable[[Any], Any], jobs: Iterable, workers: int
) -> Iterator[tuple[Any, Any]]:
  """Calls a function for each job; the order of the results is that of their ends.

  Args:
    function: of a module's top level; what it raises ends the work.
    jobs: picklable.
    workers: processes; 1 works in this one.

  Yields:
    (job, result), the result `DIED` where the process died of this job, even alone.
  """
  if workers <= 1:
    yield from ((job, function(job)) for job in jobs)
    return
  waiting = collections.deque(jobs)
  while waiting:
    flying: dict = {}
    with contextlib.suppress(BrokenProcessPool), _pool(workers) as pool:
      while waiting or flying:
        while waiting and len(flying) < 2 * workers:
          flying[_submit(pool, function, waiting[0])] = waiting[0]
          waiting.popleft()
        done, _ = concurrent.futures.wait(
          flying, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
          result = future.result()
          yield flying.pop(future), result
    # One of these killed a process, and nobody knows which one: each is tried alone.
    for job in flying.values():
      try:
        with _pool(1) as pool:
          result = _submit(pool, function, job).result()
      except BrokenProcessPool:
        result = DIED
      yield job, result


def _submit(pool, function, job) -> concurrent.futures.Future:
  """Raises BrokenProcessPool also where a worker dies while another is started."""
  try:
    return pool.submit(function, job)
  except Exception:
    # The pool closes its pipes under the start of the other worker, which may then fail
    # in any way ("handle is closed", "bad value(s) in fds_to_keep"); a broken pool says
    # so when it is asked again.
    pool.submit(os.getpid)
    raise


@contextlib.contextmanager
def _pool(workers: int):
  before, others = dict(os.environ), set(multiprocessing.active_children())
  os.environ |= {name: "1" for name in _THREADS}
  os.environ["JAX_PLATFORMS"] = "cpu"  # an accelerator belongs to one process
  os.environ["XLA_FLAGS"] = f"{before.get('XLA_FLAGS', '')} {_XLA}".strip()
  pool = concurrent.futures.ProcessPoolExecutor(
    workers,
    mp_context=multiprocessing.get_context("spawn"),  # a fork copies JAX half alive
    initializer=_start_worker,
  )
  try:
    yield pool
  except BrokenProcessPool:
    # A worker that was started while the pool ended the others is one it forgets to
    # end, and then waits for, for ever (CPython 3.11).
    for worker in set(multiprocessing.active_children()) - others:
      worker.terminate()
    raise
  finally:
    pool.shutdown(cancel_futures=True)
    os.environ.clear()
    os.environ |= before


def _start_worker() -> None:
  """A worker leaves an interrupt to its parent, and does not outlive it."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  parent = multiprocessing.parent_process()

  def follow():
    parent.join()
    os._exit(1)

  threading.Thread(target=follow, daemon=True).start()


def identity(path, held: dict | None = None) -> dict[str, Any]:
  """What tells whether a file is still the same: its size, time and SHA-256.

  Args:
    path: a file, or a folder of files.
    held: of an earlier call; where size and time are still those, it is returned and
      nothing is read.

  Raises:
    OSError: it cannot be read.
  """
  path = pathlib.Path(path)
  inside = (
    sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
  )
  stats = [item.stat() for item in inside]
  seen = {
    "bytes": sum(stat.st_size for stat in stats),
    "mtime_ns": max((stat.st_mtime_ns for stat in stats), default=0),
  }
  if isinstance(held, dict) and seen.items() <= held.items() and "sha256" in held:
    return held
  digests = []
  for item in inside:
    with item.open("rb") as stream:
      digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
  digest = digests[0] if digests else ""
  if path.is_dir():
    names = [os.fspath(item.relative_to(path)) for item in inside]
    digest = hashlib.sha256(repr([names, digests]).encode()).hexdigest()
  return seen | {"sha256": digest}


def same(one, other) -> bool:
  """Whether two identities are of the same content."""
  known = isinstance(one, dict) and isinstance(other, dict) and "sha256" in one
  return known and one["sha256"] == other.get("sha256")
