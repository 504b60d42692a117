"""Work on many clips in processes of their own; one that dies costs one clip."""

import collections
import concurrent.futures
import contextlib
import hashlib
import multiprocessing
import os
import pathlib
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

DIED = "the process that worked on it died (out of memory?)"
# One process a core is what makes them fast; each with threads of its own is slower.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_XLA = "--xla_cpu_multi_thread_eigen=false"


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
          job = waiting.popleft()
          flying[pool.submit(function, job)] = job
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
          result = pool.submit(function, job).result()
      except BrokenProcessPool:
        result = DIED
      yield job, result


@contextlib.contextmanager
def _pool(workers: int):
  before = dict(os.environ)
  os.environ |= {name: "1" for name in _THREADS}
  os.environ["JAX_PLATFORMS"] = "cpu"  # an accelerator belongs to one process
  os.environ["XLA_FLAGS"] = f"{before.get('XLA_FLAGS', '')} {_XLA}".strip()
  pool = concurrent.futures.ProcessPoolExecutor(
    workers,
    mp_context=multiprocessing.get_context("spawn"),  # a fork copies JAX half alive
    initializer=signal.signal,  # Ctrl-C is the parent's to hear
    initargs=(signal.SIGINT, signal.SIG_IGN),
  )
  try:
    yield pool
  finally:
    pool.shutdown(cancel_futures=True)
    os.environ.clear()
    os.environ |= before


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
