"""Sentences in, a face that never stops out: what `tdmm live` runs."""

import functools
import itertools
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import arkit, motion_vector
from tdmm_jax.live import clock, idle, live_link, mixer

SCHEMES = ("live-link", "vmc", "ws")
EXAMPLE = "ws://127.0.0.1:8765"
_WARM_UP = "She smiles."


def parse(line: str | bytes, seconds: float) -> tuple[str, float]:
  """The sentence and its length in seconds of what was typed or sent.

  Args:
    line: a sentence, or a JSON object of "prompt" and, if need be, "seconds".
    seconds: where it says none.

  Raises:
    UserError: it begins like JSON and is none, or not such an object.
  """
  if isinstance(line, bytes):
    line = line.decode("utf-8", errors="replace")
  line = line.strip()
  if not line.startswith(("{", "[")):
    return line, seconds
  try:
    content = json.loads(line)
  except (ValueError, RecursionError) as error:
    raise UserError(
      f'{line[:40]!r}: not JSON ({error}); write {{"prompt": "..."}}'
    ) from error
  if not isinstance(content, dict) or not isinstance(content.get("prompt"), str):
    raise UserError(f'{line[:40]!r}: has no "prompt" that is text; add it')
  if unknown := content.keys() - {"prompt", "seconds"}:
    raise UserError(f'{min(unknown)!r}: not known; give "prompt" and "seconds"')
  seconds = content.get("seconds", seconds)
  if isinstance(seconds, bool) or not isinstance(seconds, int | float):
    raise UserError(f"seconds {seconds!r}: is no number; give one, as 4")
  return content["prompt"], seconds


def address(to: str) -> tuple[str, str, int]:
  """The scheme, host and port of such as "live-link://127.0.0.1:11111".

  Raises:
    UserError: it is not understood.
  """
  try:
    parts = urllib.parse.urlsplit(to)
    scheme, host, port = parts.scheme, parts.hostname, parts.port
  except ValueError as error:
    raise UserError(f"to: {to!r} is no address ({error}); e.g. {EXAMPLE}") from error
  if scheme not in SCHEMES:
    known = ", ".join(f"{name}://HOST:PORT" for name in SCHEMES)
    raise UserError(f"to: {to!r} is none of {known}; choose one")
  if not host or port is None or (port == 0 and scheme != "ws"):
    raise UserError(f"to: {to!r} lacks a host or a port; write {scheme}://HOST:PORT")
  return scheme, host, port


def connect(to: str, hear) -> clock.Sender:
  """Where frames go to.

  Args:
    to: see `address`.
    hear: see web_socket.WebSocket.

  Raises:
    UserError: the address is not understood, cannot be used, or needs a package that is
      not installed.
  """
  scheme, host, port = address(to)
  if scheme == "live-link":
    return live_link.LiveLink(host, port)
  try:
    if scheme == "vmc":
      from tdmm_jax.live import vmc

      return vmc.Vmc(host, port)
    from tdmm_jax.live import web_socket

    return web_socket.WebSocket(host, port, hear)
  except ImportError as error:
    raise UserError(
      f"to: {scheme} needs {error.name}; pip install 'tdmm-jax[live]'"
    ) from error


class Session:
  """A face, its worker and its idle motion.

  Attributes:
    mixer: whose frames are shown.
  """

  def __init__(self, face, seconds: float = 4.0, seed: int = 0, **sampling):
    """
    Args:
      face: generate.face.Face.
      seconds: of sentences that do not say how long they are.
      seed: of the idle motion and the first sentence; each one has its own.
      sampling: as in `Face.stream`.

    Raises:
      UserError: the seconds or the sampling are out of range.
    """
    face.check_request(_WARM_UP, seconds)
    self._face, self._seconds = face, seconds
    self._seeds, self._sampling = itertools.count(seed), sampling
    name, std_P = face.codec.face.name, face.codec.std_P
    self.mixer = mixer.Mixer(idle.frames(len(std_P), name, seed), std_P)
    next(iter(self._make(_WARM_UP, seconds)))  # compiles
    self._seeds = itertools.count(seed)
    self._worker = mixer.Worker(self.mixer, self._make)

  def _make(self, prompt: str, seconds: float) -> Iterable[np.ndarray]:
    pieces = self._face.stream(prompt, seconds, next(self._seeds), **self._sampling)
    return map(motion_vector.from_motion, pieces)

  @functools.cached_property
  def _fit(self) -> arkit.QuickFit:  # tables, of which the studio needs none
    return arkit.QuickFit(self._face.codec.face)

  def pose_of(self, frame_P: np.ndarray) -> clock.Pose:
    """The curves of one of the mixer's frames."""
    motion = motion_vector.to_motion(frame_P[None], self._face.codec.face.name)
    return clock.Pose.of(self._fit.curves(motion))

  def hear(self, line: str | bytes, answer: Callable[[str], None]) -> None:
    """Takes a sentence, or says in one line why not; see `parse`. Never waits."""
    if not line.strip():
      return
    try:
      prompt, seconds = parse(line, self._seconds)
      self._face.check_request(prompt, seconds)
      self._worker.ask(mixer.Request(prompt, seconds, answer))
    except UserError as error:
      answer(str(error))

  @property
  def speaking(self) -> bool:
    """Whether a sentence is being made or shown."""
    return self._worker.busy or self.mixer.speaking

  def close(self) -> None:
    self._worker.close()


def run(
  session: Session,
  senders: Sequence[clock.Sender],
  lines: Iterable[str | bytes],
  answer: Callable[[str], None],
  **timing,
) -> clock.Loop:
  """Streams until the lines end and what they asked for is over, or until Ctrl-C.

  Args:
    lines: see `parse`; they may come at any time, and are waited for in a thread.
    answer: is told in one line what is wrong with one of them.
    timing: clock, sleep and late of clock.Loop.
  """
  ended = threading.Event()

  def listen():
    for line in lines:
      session.hear(line, answer)
    ended.set()

  loop = clock.Loop(session.mixer.frame, session.pose_of, senders, **timing)
  try:
    threading.Thread(target=listen, daemon=True, name="lines").start()
    loop.run(lambda: not ended.is_set() or session.speaking)
  except KeyboardInterrupt:
    pass
  finally:
    session.close()
    for sender in senders:
      sender.close()
  return loop
