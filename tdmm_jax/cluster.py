"""Runs many processes as one: joins them, watches them, and stops them together.

In a synchronous run all processes wait, inside a collective and in silence, for one
that is stuck or gone. If it is gone, JAX ends the others; if it hangs, each of them
ends itself, with a line that says what it was doing.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from tdmm_jax.errors import UserError

EXIT_PREEMPTED = 75  # told to stop, saved, ended: start me again (sysexits' TEMPFAIL)
EXIT_STALLED = 76  # this process or another hangs: start all of us again
# 128 + SIGABRT, as a shell says it: JAX aborts those that another process has left.
EXIT_PEER_LOST = 134

_HEARTBEAT_SECONDS = 30  # a process without a heartbeat for so long is lost
_FIRST_SECONDS = 1_800.0  # the first time of a phase compiles
_JOIN_SECONDS = (
  900  # hosts start minutes apart: some have the container's image already
)


class Preempted(Exception):
  """SIGTERM came, and the checkpoint of the last step is written."""


def join(address: str, num_processes: int | None, process_id: int | None) -> None:
  """Joins this process to the others; call it before any other use of JAX.

  Args:
    address: "auto" where JAX detects the cluster (TPU VMs, TPUs on GKE, Slurm), else
      the HOST:PORT at which process 0 serves.
    num_processes, process_id: needed with HOST:PORT.

  Raises:
    UserError: the arguments contradict each other, or no cluster was detected.
  """
  auto = address == "auto"
  if not auto and (":" not in address or num_processes is None or process_id is None):
    raise UserError(
      f"cluster {address}: give auto, or HOST:PORT with num_processes and process_id"
    )
  if not auto and not 0 <= process_id < num_processes:
    raise UserError(f"process_id {process_id}: must be 0 to {num_processes - 1}")
  # Only used where the devices are CPUs.
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  try:
    jax.distributed.initialize(
      *(() if auto else (address, num_processes, process_id)),
      initialization_timeout=_JOIN_SECONDS,
      heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
    )
  except ValueError as error:
    raise UserError(
      "cluster auto: JAX sees no cluster here; give HOST:PORT with num_processes and "
      "process_id, or leave cluster out for one process"
    ) from error
  except jax.errors.JaxRuntimeError as error:
    raise UserError(f"cluster {address}: cannot join ({error})") from error


def is_primary() -> bool:
  """Whether this process is the one that writes files."""
  return jax.process_index() == 0


def barrier(name: str) -> None:
  """Waits until every process is here."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def agreed(value: bool) -> bool:
  """What process 0 says, on every process."""
  if jax.process_count() == 1:
    return value
  return bool(multihost_utils.broadcast_one_to_all(np.asarray(value)))


class StopRequest:
  """Turns SIGTERM into a step after which all processes agree to stop.

  With several processes JAX's preemption service listens and agrees; with one, the
  handler set here does. Outside of the loop there is nothing to save: it ends at once.
  """

  def __init__(self):
    self._asked = self._in_loop = False
    self._before = None

  def __enter__(self):
    alone = jax.process_count() == 1
    if alone and threading.current_thread() is threading.main_thread():
      self._before = signal.signal(signal.SIGTERM, self._handle)
    return self

  def __exit__(self, *exc):
    if self._before is not None:
      signal.signal(signal.SIGTERM, self._before)

  def _handle(self, signum, frame):
    self._asked = True
    if not self._in_loop:
      raise Preempted("stopped before the first step; nothing new to save")

  def reached(self, step: int) -> bool:
    """Whether to save and stop after update `step`; call it once per update."""
    self._in_loop = True
    if jax.process_count() == 1:
      return self._asked
    return multihost_utils.reached_preemption_sync_point(step)


class Watchdog:
  """Ends this process when a phase of its work hangs; idle if it is alone.

  Where one process hangs, the others wait for it inside a collective, so in each of
  them a phase takes too long. (A process that died is noticed by JAX, which then aborts
  the others.) Every phase has a limit: `stall_seconds`, or five times the longest that
  the phase took so far.
  """

  def __init__(self, stall_seconds: float):
    self._stall = stall_seconds
    self._longest: dict[str, float] = {}
    # Name, step, start and limit of the present phase, replaced as one.
    self._phase = ("starting", 0, time.monotonic(), float("inf"))
    self._stopped = threading.Event()

  def __enter__(self):
    if jax.process_count() > 1:
      threading.Thread(target=self._watch, daemon=True).start()
    return self

  def __exit__(self, exc_type, error, trace):
    self._stopped.set()
    if jax.process_count() > 1 and isinstance(error, jax.errors.JaxRuntimeError):
      # A collective failed. If that is because a process died, JAX aborts this one
      # meanwhile; otherwise the error is of this program, and goes on.
      first = (str(error).splitlines() or ["?"])[0]
      print(f"train: process {jax.process_index()}: {first}", file=sys.stderr)
      time.sleep(_HEARTBEAT_SECONDS + 10)

  @contextlib.contextmanager
  def phase(self, name: str, step: int) -> Iterator[None]:
    """Says what this process does now; a phase that takes too long is a stall."""
    start = time.monotonic()
    longest = self._longest.get(name)
    limit = _FIRST_SECONDS if longest is None else max(self._stall, 5 * longest)
    self._phase = (name, step, start, limit)
    try:
      yield
    finally:
      self._longest[name] = max(longest or 0.0, time.monotonic() - start)
      self._phase = ("between phases", step, start, float("inf"))

  def _watch(self) -> None:
    while not self._stopped.wait(1.0):
      name, step, start, limit = self._phase
      seconds = time.monotonic() - start
      if seconds > limit:
        print(
          f"train: error: process {jax.process_index()} on {socket.gethostname()} has "
          f"been {name} (step {step}) for {seconds:.0f} s, so it or another process "
          "hangs; start all processes again, they resume from the last checkpoint",
          file=sys.stderr,
          flush=True,
        )
        os._exit(EXIT_STALLED)
