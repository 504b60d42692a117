"""A person's pose before the camera, taken away: what is left is what the face does.

A camera stands higher or lower than the head, and its owner looks beside it: a constant
turn and gaze that nobody means. A model that learned from faces which begin at rest
hears "looks up and holds it".
"""

import numpy as np

from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.face.turns import transform

_BEGINNING_S = 0.3  # in which the head hardly has begun a motion
# A head turned farther, or eyes, are posed: of 16 tracked clips one begins beyond.
_HEAD_RAD, _GAZE_RAD = np.radians(20.0), np.radians(15.0)


def before_camera(motion: FaceMotion) -> FaceMotion:
  """The motion, its head and gaze beside how they are in the first 0.3 s.

  At most 20 degrees of the head's turn and 15 of each eye's are taken away, so that a
  profile stays one. A motion without `camera` was not seen by one: it stays as it is.
  The neck's rotation is folded into the head's.
  """
  if motion.camera is None:
    return motion
  count = max(round(_BEGINNING_S * motion.fps), 1)
  first = np.flatnonzero(motion.valid)[:count] if motion.valid.any() else [0]
  turns = transform.Rotation.from_rotvec(motion_lib.world_head_rotation(motion))
  rest = turns[first].mean().as_rotvec()
  rest = transform.Rotation.from_rotvec(_shorter(rest, _HEAD_RAD))
  eyes = motion.eye_pose.reshape(-1, 2, 3)
  gaze = np.stack([_shorter(eye, _GAZE_RAD) for eye in eyes[first].mean(0)])
  return motion.replace(
    head_pose=(rest.inv() * turns).as_rotvec().astype(np.float32),
    neck_pose=np.zeros_like(motion.neck_pose),
    eye_pose=(eyes - gaze).reshape(-1, 6).astype(np.float32),
  )


def _shorter(vector, longest: float):
  """A vector of the same direction, at most so long."""
  return vector * min(1.0, longest / max(np.linalg.norm(vector), 1e-9))
