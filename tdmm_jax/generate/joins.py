"""Joins two pieces of motion: the later one starts from where the earlier one ends.

At a join, the offset between the two pieces, in place and in speed, is added to the
later one and fades out along a cubic. Its length grows with the offset, so that no join
is fast. Game engines call it inertialisation (Bollo, GDC 2018). The decoder squeezes a
change of codes into the few frames that it blurs; a track that this moves too fast
begins behind these frames, at rest, and catches up.

Pure NumPy. Times are frames from the last kept one, which is 0.

Shape letters: T frames, N times, K kept frames, P motion vector, D width of a track.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tdmm_jax.face import motion_vector
from tdmm_jax.face.turns import transform

MOST_KEPT = 3  # kept frames that tell the speed at a join
SMEAR = 5  # frames to each side of a change of codes that the decoder blurs
# Frames in which a lack decays, at least (the tokenizer's error is one) and at most,
# and in which a difference of speed does.
_SHORTEST, _LONGEST, _SPEED_LENGTH = 8.0, 50.0, 5.0


class Track(NamedTuple):
  """A part of the motion vector that a join moves as one.

  Attributes:
    turning: whether it is a rotation vector.
    limit: how far a join may move it in a frame, in standard deviations: about the 95th
      percentile of the simulated corpus' steps.
    jumps: true of lids and eyes, whose fast steps are not mistaken for blur.
  """

  part: slice
  turning: bool
  limit: float
  jumps: bool


def tracks_of(width: int) -> list[Track]:
  e = width - motion_vector.NUM_POSE
  return [
    Track(slice(0, e), False, 0.25, False),  # expression
    Track(slice(e, e + 3), True, 0.4, False),  # jaw
    Track(slice(e + 3, e + 5), False, 0.5, True),  # lids
    Track(slice(e + 5, e + 8), True, 0.25, True),  # left eye
    Track(slice(e + 8, e + 11), True, 0.25, True),  # right eye
    Track(slice(e + 11, e + 14), True, 0.25, False),  # head
  ]


class _Lean(NamedTuple):
  """How one track leans to the kept frames.

  Attributes:
    skip: frames of the drawn track that are left out.
    lack_D, speed_D: what it lacks at time 0, and a frame.
    length: frames in which the lack decays.
  """

  skip: float
  lack_D: np.ndarray
  speed_D: np.ndarray
  length: float

  def warp(self, times_N) -> np.ndarray:
    """Times of the drawn track that are shown: from `skip` on, slowly at first."""
    rate, end = 1.0 - min(self.skip, 1.0), 2.0 * max(self.skip, 1.0)
    early_N = self.skip + rate * times_N + (1.0 - rate) * times_N**2 / (2.0 * end)
    return np.where(times_N < end, early_N, times_N)

  def offset(self, times_N) -> np.ndarray:
    """float64[N, D]: what is added to the drawn track; rotations from the left."""
    short = min(_SPEED_LENGTH, self.length)
    s = np.minimum(times_N / self.length, 1.0)[:, None]
    q = np.minimum(times_N / short, 1.0)[:, None]
    fading = self.lack_D * (1.0 - s * s * (3.0 - 2.0 * s))
    return fading + self.speed_D * (short * q * (1.0 - q) ** 2)


def limits(std_P, motions: Sequence[np.ndarray] = ()) -> list[float]:
  """What a join may move each track in a frame.

  Args:
    std_P: standard deviations of the motion vector.
    motions: float[T, P] each; what moves fast in these may do so at a join, too.
  """
  found = []
  for track in tracks_of(len(std_P)):
    tracks = [motion[:, track.part] for motion in motions if len(motion) > 1]
    usual = 1e-6  # where all stand still
    if tracks:
      sizes = [_sizes(x, track) for x in tracks]
      usual = max(usual, float(np.percentile(np.concatenate(sizes), 95)))
    found.append(max(usual, track.limit * float(np.linalg.norm(std_P[track.part]))))
  return found


def lean(
  kept_KP, drawn_TP, most: Sequence[float], smear: int, room: float = np.inf
) -> list[_Lean]:
  """How each track leans to the frames before a join.

  Args:
    kept_KP: the last frames before the join, 1 to MOST_KEPT.
    drawn_TP: what the decoder makes of the same K frames, and of those that follow:
      `smear` or more, or all there are.
    most: see `limits`.
    smear: frames after the last kept one that a change of codes may blur.
    room: frames until which all has decayed.
  """
  kept_KP, drawn_TP = (np.asarray(x, np.float64) for x in (kept_KP, drawn_TP))
  now = len(kept_KP) - 1
  found = []
  for track, limit in zip(tracks_of(drawn_TP.shape[1]), most, strict=True):
    kept, drawn = kept_KP[:, track.part], drawn_TP[:, track.part]
    near = drawn[now : now + 1 + smear]
    skip = 0.0
    if not track.jumps and len(near) > 1:
      # By degrees, so that a rounding error never decides.
      skip = np.clip(2.0 * (_sizes(near, track).max() / limit - 1.0), 0.0, 1.0)
      skip *= min(smear, room / 4)
    rate = 1.0 - min(skip, 1.0)
    speed_D = _speed(kept, track) - rate * _speed(drawn[: now + 1], track)
    shown = at(drawn, np.array([now + skip]), track)
    lack_D = minus(kept[now:], shown, track)[0]
    length = 1.5 * float(np.linalg.norm(lack_D)) / limit  # the cubic's fastest is 1.5
    length = float(np.clip(length, min(_SHORTEST, room), min(_LONGEST, room)))
    found.append(_Lean(float(skip), lack_D, speed_D, length))
  return found


def between(kept_TP, drawn_TP, start: int, stop: int, std_P) -> np.ndarray:
  """Frames start .. stop - 1 of a motion, whose others are kept: float64[N, P].

  Args:
    kept_TP: the motion.
    drawn_TP: what the decoder makes of it, with the new frames.
    std_P: see `limits`.
  """
  room = stop - start + 1.0
  times_N = np.arange(1.0, room)
  before = slice(max(start - MOST_KEPT, 0), start)
  after = slice(stop, min(stop + MOST_KEPT, len(kept_TP)))
  new = drawn_TP[start + SMEAR : max(stop - SMEAR, 0)]
  most = limits(std_P, (kept_TP[:start], kept_TP[stop:], new))
  ends = []
  if start > 0:
    drawn = drawn_TP[before.start : stop]
    ends.append((lean(kept_TP[before], drawn, most, SMEAR, room), False))
  if stop < len(kept_TP):  # backwards in time
    drawn = drawn_TP[start : after.stop][::-1]
    ends.append((lean(kept_TP[after][::-1], drawn, most, SMEAR, room), True))
  made_NP = np.empty((len(times_N), drawn_TP.shape[1]))
  for i, track in enumerate(tracks_of(drawn_TP.shape[1])):
    at_N, offsets = times_N, []
    for leans, backwards in ends:
      own_N = room - times_N if backwards else times_N
      later_N = leans[i].warp(own_N) - own_N
      at_N = at_N - later_N if backwards else at_N + later_N
      offsets.append(leans[i].offset(own_N))
    x = at(drawn_TP[:, track.part], start - 1 + at_N, track)
    for offset in offsets:
      x = plus(offset, x, track)
    made_NP[:, track.part] = x
  lids_N2 = motion_vector.split(made_NP)["eyelids"]
  np.clip(lids_N2, 0.0, 1.0, out=lids_N2)
  return made_NP


def follow(
  pieces: Iterable[np.ndarray], starts: Sequence[int], std_P
) -> Iterator[np.ndarray]:
  """Yields decoded frames; those at each start are joined to the ones before it.

  The result does not depend on how the frames are cut into pieces. Near a join it is
  delayed by 2 SMEAR frames.

  Args:
    pieces: float32[n, P], one after another.
    starts: rising frames at which the codes change what they do, from 1 on.
    std_P: see `limits`.

  Yields:
    float32[n, P]; as many frames in all as came.
  """
  begins = []
  for start in starts:
    begins.append(max(start - SMEAR, begins[-1] + 1 if begins else 1))
  held, leans, end, most = _Held(), None, 0, limits(std_P)
  for piece in itertools.chain(pieces, [None]):
    if piece is not None:
      held.add(piece)
    # A frame that leans may show what is drawn for 2 SMEAR frames later.
    clear = held.stop if piece is None else held.stop - 2 * SMEAR
    while held.done < held.stop:
      if begins and held.done == begins[0]:
        if clear <= held.done:
          break
        leans, origin = lean(held.kept, held.drawn, most, 2 * SMEAR), held.done - 1
        end = origin + 1 + int(max(max(x.length, 2 * x.skip + 2) for x in leans))
        begins.pop(0)
      if held.done >= end:
        leans = None
      ready = min([held.stop if leans is None else min(clear, end), *begins[:1]])
      if ready <= held.done:
        break
      times_N = np.arange(held.done, ready) - origin if leans else None
      yield held.hand_out(ready, leans, times_N)


class Takeover:
  """Another motion goes on from frames that were shown, of which it knows nothing.

  Unlike the pieces that `follow` joins, it is no change of codes within one motion, so
  nothing is blurred and no frame need be waited for.
  """

  def __init__(self, kept_KP, first_P, most: Sequence[float]):
    """
    Args:
      kept_KP: the last frames shown, 1 to MOST_KEPT.
      first_P: the other motion's first frame; it is taken to have rested there.
      most: see `limits`.
    """
    resting_KP = np.repeat(np.asarray(first_P)[None], len(kept_KP), axis=0)
    self._leans, self._time = lean(kept_KP, resting_KP, most, 0), 0.0
    self._length = max(max(one.length, _SPEED_LENGTH) for one in self._leans)

  def move(self, frame_P) -> np.ndarray:
    """float32[P]: the other motion's next frame, as it is shown."""
    self._time += 1.0
    if self._time >= self._length:
      return np.asarray(frame_P, np.float32)
    made_P, times_1 = np.array(frame_P, np.float32), np.array([self._time])
    for track, one in zip(tracks_of(len(made_P)), self._leans, strict=True):
      drawn_1D = made_P[None, track.part]
      made_P[track.part] = plus(one.offset(times_1), drawn_1D, track)[0]
    lids_2 = motion_vector.split(made_P)["eyelids"]
    np.clip(lids_2, 0.0, 1.0, out=lids_2)
    return made_P


class _Held:
  """Decoded frames that are still needed, and the last ones that were handed out.

  Attributes:
    kept: float32[K, P], handed out last. done: how many were, in all.
    drawn: float32[T, P], decoded: first the same K frames, then all that are known.
  """

  def __init__(self):
    self.kept = self.drawn = None
    self.done = 0

  @property
  def stop(self) -> int:
    """Frames that are known."""
    return 0 if self.drawn is None else self.done - len(self.kept) + len(self.drawn)

  def add(self, piece_TP) -> None:
    if self.drawn is None:
      self.kept = self.drawn = np.zeros((0, piece_TP.shape[1]), np.float32)
    self.drawn = np.concatenate([self.drawn, piece_TP])

  def hand_out(self, ready: int, leans, times_N) -> np.ndarray:
    """Frames done .. ready - 1, which are `times_N` of the leans, if there are any."""
    first = len(self.kept)
    made_NP = self.drawn[first : first + ready - self.done]
    if leans:
      made_NP = np.empty_like(made_NP)
      # Time t is row t + shift.
      shift = first - times_N[0]
      for track, one in zip(tracks_of(made_NP.shape[1]), leans, strict=True):
        shown = at(self.drawn[:, track.part], one.warp(times_N) + shift, track)
        made_NP[:, track.part] = plus(one.offset(times_N), shown, track)
    self.kept = np.concatenate([self.kept, made_NP])[-MOST_KEPT:]
    self.drawn = self.drawn[first + ready - self.done - len(self.kept) :]
    self.done = ready
    return made_NP


def at(track_TD, rows_N, track: Track) -> np.ndarray:
  """float64[N, D]: a track at any rows, between its frames too; held at its ends."""
  rows_N = np.clip(rows_N, 0.0, len(track_TD) - 1)
  low_N = np.floor(rows_N).astype(int)
  high_N = np.minimum(low_N + 1, len(track_TD) - 1)
  below_ND = track_TD[low_N].astype(np.float64)
  step_ND = minus(track_TD[high_N], below_ND, track)
  return plus((rows_N - low_N)[:, None] * step_ND, below_ND, track)


def minus(a_ND, b_ND, track: Track) -> np.ndarray:
  if not track.turning:
    return np.asarray(a_ND, np.float64) - b_ND
  return (
    transform.Rotation.from_rotvec(a_ND) * transform.Rotation.from_rotvec(b_ND).inv()
  ).as_rotvec()


def _speed(track_KD, track: Track) -> np.ndarray:
  """float64[D], a frame, on average; 0 of a single frame."""
  return minus(track_KD[-1:], track_KD[:1], track)[0] / max(len(track_KD) - 1, 1)


def _sizes(track_TD, track: Track) -> np.ndarray:
  """float64[T - 1]: of its steps."""
  return np.linalg.norm(minus(track_TD[1:], track_TD[:-1], track), axis=-1)


def plus(offset_ND, x_ND, track: Track) -> np.ndarray:
  if not track.turning:
    return offset_ND + x_ND
  return (
    transform.Rotation.from_rotvec(offset_ND) * transform.Rotation.from_rotvec(x_ND)
  ).as_rotvec()
