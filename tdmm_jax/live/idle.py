"""A face at rest that is alive: it breathes, looks about and blinks, without end.

Shape letters: P motion vector.
"""

from collections.abc import Iterator

import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.face import motion_vector
from tdmm_jax.generate import blinks
from tdmm_jax.generate.windows import Span

_BREATH_HZ, _BREATH_RAD = 0.25, 0.005  # 15 breaths a minute nod the head a little
# The head drifts along slow waves: of each axis (pitch, yaw, roll) their sum's size.
_DRIFT_HZ = np.array(
  [[0.061, 0.107, 0.173], [0.047, 0.083, 0.139], [0.053, 0.097, 0.151]]
)
_DRIFT_RAD = np.array([0.014, 0.022, 0.010])
# The eyes rest on a point for a while and move on to the next one, near the first.
_FIXATION_S = (1.2, 4.0)
_GAZE_RAD = np.array([0.025, 0.05])  # pitch, yaw: standard deviations around ahead
_SACCADE = 0.6  # share of the way to the next point that is covered in a frame
_FOREVER = 2**62


def frames(width: int, face_model: str, seed: int = 0) -> Iterator[np.ndarray]:
  """Yields motion vectors float32[P], one for each frame at 25 fps, without end.

  Args:
    width: P.
    face_model: the name of the motion's basis.
    seed: the same unrest for the same one.
  """
  span = Span(0, _FOREVER, _FOREVER, "")
  pieces = (frame_P[None] for frame_P in _unrest(width, seed))
  for piece in blinks.follow(pieces, [span], face_model, (seed, 1)):
    yield piece[0]


def _unrest(width: int, seed: int) -> Iterator[np.ndarray]:
  rng = np.random.default_rng(seed)
  phases_33 = rng.uniform(0, 2 * np.pi, (3, 3))
  aim_2, gaze_2, until, frame = np.zeros(2), np.zeros(2), 0, 0
  while True:
    turn = 2 * np.pi * frame / tasks.FPS
    head_3 = _DRIFT_RAD * np.sin(_DRIFT_HZ * turn + phases_33).mean(axis=1)
    head_3[0] += _BREATH_RAD * np.sin(_BREATH_HZ * turn)
    if frame >= until:
      aim_2 = rng.normal(0, _GAZE_RAD)
      until = frame + int(rng.uniform(*_FIXATION_S) * tasks.FPS)
    gaze_2 = gaze_2 + _SACCADE * (aim_2 - gaze_2)
    frame_P = np.zeros(width, np.float32)
    fields = motion_vector.split(frame_P)
    fields["head_pose"][:] = head_3
    for eye in (0, 3):  # they stay on their point while the head drifts
      fields["eye_pose"][eye : eye + 2] = gaze_2 - head_3[:2]
    yield frame_P
    frame += 1
