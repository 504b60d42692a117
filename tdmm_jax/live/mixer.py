"""Idle and sentences as one motion that never stops and never jumps.

Frames are asked for one at a time, at the model's rate, and are there at once. What a
worker makes meanwhile of a sentence takes over with the first frame asked for after it
is ready; where it comes too slowly, or ends, the idle motion goes on from the face as
it is.

Shape letters: P motion vector, K kept frames.
"""

import collections
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.generate import joins


class Request(NamedTuple):
  """A sentence to be acted out.

  Attributes:
    answer: called with one line of what there is to be said about it.
  """

  prompt: str
  seconds: float
  answer: Callable[[str], None]


class Sentence:
  """The frames of one sentence, while they are made; written by one thread only."""

  def __init__(self):
    self.frames: collections.deque[np.ndarray] = collections.deque()
    self.complete = False

  @property
  def over(self) -> bool:
    return self.complete and not self.frames


class Mixer:
  """The motion that is shown, frame by frame."""

  def __init__(self, idle: Iterator[np.ndarray], std_P):
    """
    Args:
      idle: motion vectors float32[P] without end.
      std_P: standard deviations of the motion vector, which say how fast is too fast.
    """
    self._idle, self._most = idle, joins.limits(std_P)
    self._current: Sentence | None = None
    self._next: Sentence | None = None
    self._lock = threading.Lock()  # of the two above: two threads hand them over
    self._source: object = None  # of the last frame: a sentence, or the idle motion
    self._takeover: joins.Takeover | None = None
    self._kept: list[np.ndarray] = []

  def say(self, sentence: Sentence) -> None:
    """From the next frame on a sentence that has frames is shown."""
    with self._lock:
      self._next = sentence

  @property
  def speaking(self) -> bool:
    """Whether there are, or will be, frames of a sentence to be shown."""
    with self._lock:
      sentences = (self._current, self._next)
    return any(sentence is not None and not sentence.over for sentence in sentences)

  def frame(self) -> np.ndarray:
    """float32[P], the next frame."""
    with self._lock:
      if self._next is not None:
        self._current, self._next = self._next, None
    idle_P = next(self._idle)  # its time goes on while it is not seen
    if self._current is not None and self._current.frames:
      source, frame_P = self._current, self._current.frames.popleft()
    else:
      source, frame_P = self._idle, idle_P
    if source is not self._source and self._kept:
      self._takeover = joins.Takeover(np.stack(self._kept), frame_P, self._most)
    self._source = source
    if self._takeover is not None:
      frame_P = self._takeover.move(frame_P)
    self._kept = [*self._kept, frame_P][-joins.MOST_KEPT :]
    return frame_P


class Worker:
  """A thread that turns requests into sentences of a mixer; the newest one wins."""

  def __init__(self, mixer: Mixer, make: Callable[[str, float], Iterable[np.ndarray]]):
    """
    Args:
      make: (prompt, seconds) -> pieces float32[n, P] while they are made; a UserError
        of it becomes the answer to the request.
    """
    self._mixer, self._make = mixer, make
    self._wanted, self._closed = threading.Condition(), False
    self._request: Request | None = None
    self._busy = False
    self._thread = threading.Thread(target=self._run, daemon=True, name="sentences")
    self._thread.start()

  @property
  def busy(self) -> bool:
    """Whether there is a request that has not become a whole sentence yet."""
    with self._wanted:
      return self._busy or self._request is not None

  def ask(self, request: Request) -> None:
    """Whatever is being made is given up for it."""
    with self._wanted:
      self._request = request
      self._wanted.notify()

  def close(self) -> None:
    """Ends the thread, at the latest when the piece it is at has been made."""
    with self._wanted:
      self._closed = True
      self._wanted.notify()
    self._thread.join()

  def _run(self) -> None:
    while True:
      with self._wanted:
        self._wanted.wait_for(lambda: self._closed or self._request is not None)
        if self._closed:
          return
        request, self._request, self._busy = self._request, None, True
      self._say(request)
      self._busy = False

  def _say(self, request: Request) -> None:
    sentence, told = Sentence(), False
    try:
      for piece in self._make(request.prompt, request.seconds):
        sentence.frames.extend(piece)
        if not told:
          self._mixer.say(sentence)
          told = True
        if self._closed or self._request is not None:
          break
    except UserError as error:
      request.answer(str(error))
    except Exception as error:  # the face goes on, whatever a sentence does
      request.answer(f"{request.prompt!r} could not be acted out: {error!r}")
    finally:
      sentence.complete = True
