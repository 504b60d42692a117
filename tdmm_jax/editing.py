"""New frames in a motion that exists: the others are copied, the joins are blended.

Pure NumPy. Shape letters: T frames, D width of a track.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib

BLEND_FRAMES = 10  # at most, at each end of the new frames
_LINEAR = ("expression", "eyelids")
_TURNING = ("jaw_pose", "eye_pose")


def check_frames(motion: motion_lib.FaceMotion, start: int, stop: int) -> None:
  """Raises UserError unless start .. stop - 1 are frames of the motion."""
  if not 0 <= start < stop <= motion.num_frames:
    raise UserError(
      f"--frames {start}-{stop}: outside the motion of {motion.num_frames} frames; "
      f"choose 0 <= start < stop <= {motion.num_frames} (stop itself is kept)"
    )


def parse_frames(text: str) -> tuple[int, int]:
  """(40, 80) of "40-80"; half-open.

  Raises:
    UserError: not two whole numbers.
  """
  first, _, last = text.partition("-")
  if not (first.strip().isdecimal() and last.strip().isdecimal()):
    raise UserError(
      f"--frames {text!r}: not a range of frames; write it like 40-80, which is frames "
      "40 to 79"
    )
  return int(first), int(last)


def hold(motion: motion_lib.FaceMotion, num_frames: int) -> motion_lib.FaceMotion:
  """The motion, its last frame held for `num_frames` more."""
  index = np.minimum(np.arange(motion.num_frames + num_frames), motion.num_frames - 1)
  tracks = ("expression", "jaw_pose", "neck_pose", "head_pose", "eyelids", "eye_pose")
  held = {
    name: getattr(motion, name)[index] for name in (*tracks, "translation", "valid")
  }
  if motion.camera is not None:
    held["camera"] = motion.camera[index]
  return motion.replace(**held)


def splice(
  motion: motion_lib.FaceMotion, decoded: motion_lib.FaceMotion, start: int, stop: int
) -> motion_lib.FaceMotion:
  """The motion with frames start .. stop - 1 from `decoded`.

  What a decoded frame lacks to the copied one at a join (the tokenizer's error) is
  added to the new frames beside it, fading out within BLEND_FRAMES: the motion across
  the join is the decoded one's, and no copied frame changes. Identity, neck,
  translation and camera stay the motion's own.

  Args:
    decoded: as many frames as the motion; its frames outside the range are what the
      tokenizer makes of the motion's.
  """
  new = slice(start, stop)
  left_T, right_T = _fade(stop - start)
  if start == 0:
    left_T = np.zeros_like(left_T)
  if stop == motion.num_frames:
    right_T = np.zeros_like(right_T)
  changes = {name: getattr(motion, name).copy() for name in (*_LINEAR, *_TURNING)}
  for name in _LINEAR:
    ours, theirs = getattr(decoded, name), getattr(motion, name)
    track_TD = ours[new].astype(np.float64)
    for weight_T, at in ((left_T, start - 1), (right_T, stop)):
      if weight_T.any():
        track_TD += weight_T[:, None] * (theirs[at] - ours[at])
    changes[name][new] = track_TD
  changes["eyelids"][new] = np.clip(changes["eyelids"][new], 0.0, 1.0)
  joins = ((left_T, start - 1), (right_T, stop))
  for name in _TURNING:
    parts = zip(_parts(getattr(decoded, name)), _parts(getattr(motion, name)))
    turned = [_turn(ours, theirs, new, joins) for ours, theirs in parts]
    changes[name][new] = np.concatenate([t.as_rotvec() for t in turned], axis=1)
  world = _turn(
    Rotation.from_rotvec(motion_lib.world_head_rotation(decoded)),
    Rotation.from_rotvec(motion_lib.world_head_rotation(motion)),
    new,
    joins,
  )
  neck = Rotation.from_rotvec(motion.neck_pose[new])
  changes["head_pose"] = motion.head_pose.copy()
  changes["head_pose"][new] = (world * neck.inv()).as_rotvec()
  changes["valid"] = motion.valid.copy()
  changes["valid"][new] = True
  return motion.replace(**changes)


def _fade(length: int) -> tuple[np.ndarray, np.ndarray]:
  """Weights float[length] of the left and of the right join; flat at both ends."""
  reach = min(BLEND_FRAMES, max(length // 2, 1))
  share_T = np.clip(np.arange(1, length + 1) / (reach + 1), 0.0, 1.0)
  left_T = 0.5 + 0.5 * np.cos(np.pi * share_T)
  return left_T, left_T[::-1]


def _parts(track_TD) -> list[Rotation]:
  return [
    Rotation.from_rotvec(part) for part in np.split(track_TD, track_TD.shape[1] // 3, 1)
  ]


def _turn(ours: Rotation, theirs: Rotation, new: slice, joins) -> Rotation:
  """Our rotations of the new frames, leaning at the joins to theirs, on SO(3)."""
  turned = ours[new]
  for weight_T, at in joins:
    if weight_T.any():
      lack = (theirs[at] * ours[at].inv()).as_rotvec()
      turned = Rotation.from_rotvec(weight_T[:, None] * lack) * turned
  return turned
