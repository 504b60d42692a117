"""Keys: poses that a motion meets at given times.

At its frame the motion is the pose, exactly. Before and after it, the motion as the
model made it is drawn towards the pose and let go again, along the path of least jerk;
further away nothing changes. What is shown always lies between the two, so no mouth
smiles the wrong way round on its way to a pose.

Units: frames. Shape letters: T frames, P motion vector, D width of a track.
"""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face import motion_vector
from tdmm_jax.face.files import read
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.generate import joins, takes
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import understanding

NEUTRAL = "neutral"
# Frames to each side in which a pose is approached and left: 0.4 s at least. More, up
# to a second, where expression, jaw or head would be faster than they usually are.
_SHORTEST, _LONGEST = 10.0, 25.0
_PEAK_SPEED = 1.875  # of the path of least jerk, where a steady one's is 1
# A pose in words is looked for in the best of up to so many takes of so many seconds.
_TAKES, SECONDS = 4, 2.0
_AS_GOOD = 0.9  # of the highest score: frames that show the words as well


class Key(NamedTuple):
  """A pose at a time.

  Attributes:
    seconds: from the clip's start; the nearest frame is meant.
    pose: a FaceMotion of one frame; "neutral"; or a few words, "eyes closed".
  """

  seconds: float
  pose: FaceMotion | str


def parse(text: str, files: bool = True) -> Key:
  """The key of "2.0:pose.npz@17", "0:neutral" or "3.5:eyes closed".

  Args:
    files: whether files of this machine may be read.

  Raises:
    UserError: no time, no pose, or a file that has no such frame or may not be read.
  """
  time, mark, pose = (part.strip() for part in text.partition(":"))
  seconds = _number(time)
  if not mark or seconds is None or not pose:
    raise UserError(
      f"key {text!r}: not a time and a pose; write it like 2.0:pose.npz@17, 0:neutral "
      'or 3.5:"eyes closed"'
    )
  file, at, frame = pose.rpartition("@")
  is_file = at or re.fullmatch(r"\S*(/\S*|\.\w{2,5})", pose)
  if is_file and not files:
    raise UserError(f"key {text!r}: no files are read here; say the pose in words")
  if at:
    if not frame.strip().isdecimal():
      raise UserError(
        f"key {text!r}: {frame!r} is no frame of {file}; write it like {file}@17"
      )
    return Key(seconds, read.load_frame(file, int(frame)))
  if is_file or (files and os.path.isfile(pose)):
    raise UserError(f"key {text!r}: which frame of the file? write it like {pose}@17")
  return Key(seconds, pose)


def _number(text: str) -> float | None:
  try:
    return float(text.removesuffix("s"))
  except ValueError:
    return None


def posed(face, keys: Sequence[Key | tuple], num_frames: int) -> list[Key]:
  """The keys with poses of one frame in the run's basis, in their order in time.

  Args:
    face: generate.face.Face, which acts poses in words out.
    num_frames: of the clip.

  Raises:
    UserError: a key outside the clip, two at one frame, words without a pose, or a pose
      of another face model.
  """
  found = {}
  for seconds, pose in keys:
    name = f"key {seconds:g}"
    frame = _frame(seconds, num_frames, name)
    if frame in found:
      raise UserError(
        f"{name}: a second key at frame {frame} ({frame / tasks.FPS:g} s); a frame "
        "has one pose: keep one of them, or move one by 0.04 s"
      )
    found[frame] = Key(seconds, _pose(face, pose, name))
  return [found[frame] for frame in sorted(found)]


def _frame(seconds: float, num_frames: int, name: str) -> int:
  """A key's frame; the very end of the clip is its last frame."""
  length = num_frames / tasks.FPS
  if not 0 <= seconds <= length + 1e-6:
    raise UserError(
      f"{name}: outside the clip, which is {length:g} s long; choose 0 to {length:g}"
    )
  return min(round(seconds * tasks.FPS), num_frames - 1)


def _pose(face, pose, name: str) -> FaceMotion:
  if isinstance(pose, str):
    return of_words(face, pose, name)
  if pose.num_frames != 1:
    raise UserError(
      f"{name}: a pose of {pose.num_frames} frames; cut one out "
      "(tdmm_jax.face.motion.trim)"
    )
  return face.codec.adopt(pose, name)


def of_words(face, words: str, name: str = "pose") -> FaceMotion:
  """The pose that a few words name: the frame that shows them most of a short motion.

  The same words are the same pose of a run, whatever the clip's seed.

  Args:
    face: generate.face.Face.
    words: "neutral", "eyes closed", "a broad smile, looking up".
    name: what an error calls it.

  Returns:
    one frame.

  Raises:
    UserError: nothing, or nothing that is certain, is understood of the words.
  """
  if words.strip().lower() == NEUTRAL:
    return motion_lib.zeros(1, face.codec.face.name, face.codec.face.num_expression)
  text, warnings = face.understand(words, SECONDS)
  if warnings or not text:
    why = warnings[0] if warnings else f"no pose is read in {words!r}"
    raise UserError(
      f'{name}: {why}; name a pose such as "eyes closed", "a broad smile", neutral, '
      "or a frame of a file, pose.npz@17"
    )
  motion = _acted(face, words)
  apex = _apex(face, motion, words)
  return motion_lib.take(motion, slice(apex, apex + 1))


def _acted(face, words: str) -> FaceMotion:
  """A short motion without added blinks that does all the words say, or the most."""
  made, highest = None, -1.0
  for seed in range(_TAKES):
    codes = face.generate_codes([words], [SECONDS], seed)
    (motion,) = face.codec.decode(codes)
    score = takes.obeyed(face.codec.face, motion, words)
    if score > highest:
      made, highest = motion, score
    if highest == 1.0:
      break
  return made


def _apex(face, motion: FaceMotion, words: str) -> int:
  """The most usual one of the frames in which all acts of the words are at their peak.

  The most usual one, for a blink may pass through any of them.
  """
  from tdmm_jax.metrics import acts as measures  # scipy.signal takes a while

  told = acts_lib.acts_of(understanding.read(words, SECONDS))
  tracks = measures.tracks_of(face.codec.face, motion)
  rows = [measures.track(tracks, act) for act in told if not act.absent]
  score_T = sum((row / max(row.max(), 1e-6) for row in rows), np.zeros(1))
  score_T = np.broadcast_to(score_T, motion.num_frames)
  best = np.flatnonzero(score_T >= _AS_GOOD * score_T.max())
  vectors_NP = motion_vector.from_motion(motion)[best] / face.codec.std_P
  unlike_N = np.linalg.norm(vectors_NP - np.median(vectors_NP, axis=0), axis=1)
  return int(best[np.argmin(unlike_N)])


def lead(motion: FaceMotion, keys: Sequence[Key], std_P) -> FaceMotion:
  """The motion, led through the keys; what no token carries stays as it is.

  Args:
    motion: T frames.
    keys: see `posed`.
    std_P: standard deviations of the motion vector; see joins.limits.
  """
  if not keys:
    return motion
  frames = [_frame(key.seconds, motion.num_frames, "key") for key in keys]
  poses_NP = np.concatenate([motion_vector.from_motion(key.pose) for key in keys])
  drawn_TP = motion_vector.from_motion(motion).astype(np.float64)
  made_TP = drawn_TP.copy()
  most = joins.limits(std_P, [drawn_TP])
  for track, limit in zip(joins.tracks_of(drawn_TP.shape[1]), most, strict=True):
    drawn_TD, poses_ND = drawn_TP[:, track.part], poses_NP[:, track.part]
    offset_TD = np.zeros_like(drawn_TD)
    for i, at in enumerate(frames):
      far = np.linalg.norm(joins.minus(poses_ND[i : i + 1], drawn_TD[[at]], track))
      reach = _SHORTEST
      if not track.jumps:
        reach = float(np.clip(_PEAK_SPEED * far / limit, _SHORTEST, _LONGEST))
      before = min(reach, at - frames[i - 1] if i else np.inf)
      after = min(reach, frames[i + 1] - at if i + 1 < len(frames) else np.inf)
      towards_TD = joins.minus(
        np.tile(poses_ND[i], (len(drawn_TD), 1)), drawn_TD, track
      )
      offset_TD += _pull(len(drawn_TD), at, before, after)[:, None] * towards_TD
    made_TP[:, track.part] = joins.plus(offset_TD, drawn_TD, track)
  made_TP[frames] = poses_NP
  made = motion_vector.to_motion(made_TP, motion.face_model)
  return motion.replace(
    **{name: getattr(made, name) for name in motion_vector.split(made_TP)}
  )


def _pull(num_frames: int, at: int, before: float, after: float) -> np.ndarray:
  """float64[T]: 1 at a key's frame, 0 from `before` and `after` frames away.

  Source: Flash and Hogan 1985, "The coordination of arm movements", the path from rest
  to rest of least jerk.
  """
  way_T = np.arange(num_frames) - at
  s_T = np.clip(np.where(way_T < 0, -way_T / before, way_T / after), 0.0, 1.0)
  return 1.0 - s_T**3 * (10.0 - 15.0 * s_T + 6.0 * s_T**2)
