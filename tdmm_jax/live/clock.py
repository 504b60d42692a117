"""Frames on time: the model's 25 a second, sent at 60 by interpolation.

What is late is left out; nothing waits in a queue. Time comes from a clock and a
sleeper that are handed in, so that tests need no time.

Shape letters: A 52 ARKit shapes.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from scipy.spatial import transform

from tdmm_jax.data import tasks
from tdmm_jax.face.arkit import ArkitCurves

RATE_HZ = 60
# A pause longer than this, of a laptop that slept, is not caught up with.
_PAUSE_S = 1.0


class Frame(NamedTuple):
  """What is sent.

  Attributes:
    number: at RATE_HZ, since the start.
    weights_A: 0 .. 1, in the order of arkit.SHAPES.
    turns: three rotations of the face's own axes: head, left eye, right eye.
  """

  number: int
  weights_A: np.ndarray
  turns: transform.Rotation

  @property
  def time_s(self) -> float:
    return self.number / RATE_HZ


class Sender(Protocol):
  """Where frames go to."""

  def send(self, frame: Frame) -> None:
    """Sends it now or not at all; never waits."""

  def close(self) -> None:
    """Ends the connection."""


class Pose(NamedTuple):
  """A frame of the model."""

  weights_A: np.ndarray
  turns: transform.Rotation

  @classmethod
  def of(cls, curves: ArkitCurves) -> "Pose":
    """The last frame of some curves."""
    angles = np.concatenate([curves.head_T3[-1], curves.eyes_T6[-1]]).reshape(3, 3)
    return cls(curves.weights_TA[-1], transform.Rotation.from_euler("YXZ", angles))

  def towards(self, other: "Pose", share: float) -> "Pose":
    """What lies between two frames: weights linearly, rotations along SO(3)."""
    weights_A = self.weights_A + share * (other.weights_A - self.weights_A)
    way = (self.turns.inv() * other.turns).as_rotvec()
    return Pose(weights_A, self.turns * transform.Rotation.from_rotvec(share * way))


class Loop:
  """Asks for the model's frames and sends what lies between them.

  Attributes:
    sent, dropped: how many frames were, so far.
  """

  def __init__(
    self,
    next_frame: Callable[[], np.ndarray],
    pose_of: Callable[[np.ndarray], Pose],
    senders: Sequence[Sender],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    late: Callable[[float], None] = lambda seconds: None,
  ):
    """
    Args:
      next_frame: the model's next frame, as mixer.Mixer.frame.
      pose_of: the pose of such a frame.
      late: told of each frame sent how many seconds after its time that was done.
    """
    self._next_frame, self._pose_of, self._senders = next_frame, pose_of, senders
    self._clock, self._sleep, self._late = clock, sleep, late
    self.sent = self.dropped = 0

  def run(self, going: Callable[[], bool]) -> None:
    """Sends frames for as long as `going` says so, which is asked before each."""
    poses = [self._pose_of(self._next_frame()) for _ in range(2)]
    model, number, start = 0, 0, self._clock()  # poses: of the frames model, model + 1
    while going():
      due = start + number / RATE_HZ
      if (wait := due - self._clock()) > 0:
        self._sleep(wait)
      behind_s = self._clock() - due
      if behind_s > _PAUSE_S:
        start, behind_s = start + behind_s, 0.0
      skipped = int(behind_s * RATE_HZ + 1e-9)
      self.dropped += skipped
      number += skipped
      # Of frames that nobody will see, no pose is needed.
      wanted, sixtieths = divmod(number * tasks.FPS, RATE_HZ)
      while model < wanted:
        frame_P = self._next_frame()
        model += 1
        if model >= wanted - 1:
          poses = [poses[1], self._pose_of(frame_P)]
      pose = poses[0].towards(poses[1], sixtieths / RATE_HZ)
      for sender in self._senders:
        sender.send(Frame(number, pose.weights_A, pose.turns))
      self.sent += 1
      self._late(max(self._clock() - (start + number / RATE_HZ), 0.0))
      number += 1
