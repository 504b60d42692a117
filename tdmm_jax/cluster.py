"""Runs many processes as one: joins them, watches them, and stops them together.

In a synchronous run all processes wait, inside a collective and in silence, for one
that is stuck or gone. So every process publishes what it is doing, and instead of
hanging each ends itself with a line that names the culprit.
"""

import contextlib
import ctypes
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils

from tdmm_jax.errors import UserError

EXIT_PREEMPTED = 75  # told to stop, saved, ended: start me again (sysexits' TEMPFAIL)
EXIT_PEER_LOST = 76  # another process died or hangs: start all of us again

_BEAT_SECONDS = 2.0
_SILENCE_SECONDS = 30.0  # no beat for so long, at most: the process is dead or stopped
_FIRST_SECONDS = 1_800.0  # the first time of a phase compiles
_KEY = "tdmm/process/"
_abort_handler = None  # C keeps no reference to it


class Preempted(Exception):
  """SIGTERM came, and the checkpoint of the last step is written."""


def join(address: str, num_processes: int | None, process_id: int | None) -> None:
  """Joins this process to the others; call it before any other use of JAX.

  Args:
    address: "auto" where JAX detects the cluster (TPU pods, Slurm, GKE), else the
      HOST:PORT at which process 0 serves.
    num_processes, process_id: needed with HOST:PORT.

  Raises:
    UserError: the arguments contradict each other, or no cluster was detected.
  """
  auto = address == "auto"
  if not auto and (":" not in address or num_processes is None or process_id is None):
    raise UserError(
      f"--cluster {address}: give auto, or HOST:PORT with --num_processes N and "
      "--process_id I"
    )
  if not auto and not 0 <= process_id < num_processes:
    raise UserError(f"--process_id {process_id}: must be 0 to {num_processes - 1}")
  # Only used where the devices are CPUs.
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  try:
    if auto:
      jax.distributed.initialize()
    else:
      jax.distributed.initialize(address, num_processes, process_id)
  except ValueError as error:
    raise UserError(
      "--cluster auto: JAX sees no cluster here; give --cluster HOST:PORT "
      "--num_processes N --process_id I, or leave --cluster out for one process"
    ) from error
  except jax.errors.JaxRuntimeError as error:
    raise UserError(f"--cluster {address}: cannot join ({error})") from error
  _notice_a_dead_coordinator()


def _notice_a_dead_coordinator() -> None:
  """JAX aborts this process when process 0 is gone; makes a line and a code of that.

  Its client takes a callback for this, which crashes (std::bad_cast), so the signal is
  caught. Aborts for other reasons are left to be crashes.
  """
  from jax._src import distributed  # JAX gives no public handle to the address

  host, port = distributed.global_state.coordinator_address.rsplit(":", 1)

  def aborting(signum) -> None:
    del signum
    try:
      socket.create_connection((host.strip("[]"), int(port)), timeout=2.0).close()
    except OSError:
      _end("process 0, which coordinates, does not answer: it died or stopped")
    faulthandler.dump_traceback()  # as without this handler

  # Python's own handlers run in the main thread, which waits and never comes to it.
  global _abort_handler
  _abort_handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(aborting)
  ctypes.CDLL(None).signal(signal.SIGABRT, _abort_handler)


def _end(why: str) -> None:
  print(
    f"train: error: process {jax.process_index()} ends, it cannot continue alone: "
    f"{why}; start all processes again, they resume from the last checkpoint",
    file=sys.stderr,
    flush=True,
  )
  os._exit(EXIT_PEER_LOST)


def is_primary() -> bool:
  """Whether this process is the one that writes files."""
  return jax.process_index() == 0


def barrier(name: str) -> None:
  """Waits until every process is here."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


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
  """Ends this process when it, or another one, is stuck or gone; idle if alone.

  Every process has a thread that publishes its phase through the coordinator; every
  phase has a limit: `stall_seconds`, or five times the longest that phase took so far.
  """

  def __init__(self, stall_seconds: float):
    self._stall = stall_seconds
    self._silence = min(stall_seconds, _SILENCE_SECONDS)
    self._phase, self._step, self._since = "starting", 0, time.monotonic()
    self._limit = float("inf")
    self._longest: dict[str, float] = {}
    self._peers: dict[int, tuple[str, float]] = {}  # their last words, and when
    self._stopped = threading.Event()
    self._thread = None

  def __enter__(self):
    if jax.process_count() > 1:
      # The service every JAX cluster has; JAX gives no public handle to it.
      from jax._src import distributed

      self._client = distributed.global_state.client
      self._publish(f"0|{socket.gethostname()}|starting")
      barrier("all are watched")  # so that there are words of every process
      self._thread = threading.Thread(target=self._watch, daemon=True)
      self._thread.start()
    return self

  def __exit__(self, exc_type, error, trace):
    if self._thread is None:
      return
    if isinstance(error, jax.errors.JaxRuntimeError):
      self._blame(error)
    self._stopped.set()
    self._thread.join()
    with contextlib.suppress(Exception):
      self._publish("done")

  @contextlib.contextmanager
  def phase(self, name: str, step: int) -> Iterator[None]:
    """Says what this process does now; a phase that takes too long is a stall."""
    start = time.monotonic()
    longest = self._longest.get(name)
    self._limit = _FIRST_SECONDS if longest is None else max(self._stall, 5 * longest)
    self._phase, self._step, self._since = name, step, start
    try:
      yield
    finally:
      self._longest[name] = max(longest or 0.0, time.monotonic() - start)
      self._limit = float("inf")

  def _watch(self) -> None:
    count = 0
    while not self._stopped.wait(_BEAT_SECONDS):
      count += 1
      seconds = time.monotonic() - self._since
      what = f"{self._phase} (step {self._step}, {seconds:.0f} s)"
      try:
        self._publish(f"{count}|{socket.gethostname()}|{what}")
        self._listen()
      except Exception:
        if not self._stopped.is_set():
          self._listen_failed()
        continue
      gone = self._gone()
      if gone:
        _end(gone)
      if seconds > self._limit:
        _end(f"stalled: {self._everyone()}")

  def _publish(self, words: str) -> None:
    key = f"{_KEY}{jax.process_index()}"
    self._client.key_value_set(key, words, allow_overwrite=True)
    self._reached = time.monotonic()

  def _listen(self) -> None:
    now = time.monotonic()
    for key, words in self._client.key_value_dir_get(_KEY):
      peer = int(key.rsplit("/", 1)[-1])
      if self._peers.get(peer, ("", 0.0))[0] != words:
        self._peers[peer] = (words, now)

  def _listen_failed(self) -> None:
    """The coordinator does not answer: it died with process 0."""
    if not is_primary() and time.monotonic() - self._reached > self._silence / 3:
      _end("process 0, which coordinates, does not answer: it died or stopped")

  def _gone(self) -> str:
    now = time.monotonic()
    silent = [
      f"process {peer} on {words.split('|')[1]} has been silent for {now - when:.0f} s "
      f"(it was {words.split('|')[2]}): it died or stopped"
      for peer, (words, when) in sorted(self._peers.items())
      if peer != jax.process_index() and words != "done" and now - when > self._silence
    ]
    return "; ".join(silent)

  def _everyone(self) -> str:
    return ", ".join(
      f"process {peer} is {words.split('|')[-1]}"
      for peer, (words, _) in sorted(self._peers.items())
    )

  def _blame(self, error) -> None:
    """A collective failed: waits until it is known whose fault that is."""
    deadline = time.monotonic() + self._silence + 3 * _BEAT_SECONDS
    while time.monotonic() < deadline and not self._stopped.is_set():
      time.sleep(_BEAT_SECONDS)  # the thread ends this process if a peer is gone
    first = (str(error).splitlines() or ["?"])[0]
    print(f"train: process {jax.process_index()}: {first}", file=sys.stderr)
