"""Several motions, one after another, as one: without a jump where they meet."""

from collections.abc import Sequence

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face.motion import FaceMotion

_TRACKS = (
  *("expression", "jaw_pose", "neck_pose", "head_pose"),
  *("eyelids", "eye_pose", "translation"),
)


def join(motions: Sequence[FaceMotion], blend_s: float = 0.4) -> FaceMotion:
  """Lays motions end to end; both sides of a seam lean towards its middle.

  The jump at a seam is shared: the frames before it are moved by half of the jump, the
  frames after it by minus half, fading out smoothly over `blend_s` on each side (or
  half of the shorter neighbour). Rotations are moved as axis-angle vectors, which is
  exact for small jumps. The result is as long as its parts together.

  Args:
    motions: at least one; of one face model, width and frame rate. The first one's
      identity is kept; cameras are dropped.
    blend_s: how far a seam reaches to each side, s.

  Raises:
    UserError: no motions, or motions that do not fit together.
  """
  if not motions:
    raise UserError("join: no motions; give at least one")
  first = motions[0]
  for motion in motions[1:]:
    same = lambda m: (m.face_model, m.num_expression, m.fps)
    if same(motion) != same(first):
      raise UserError(
        f"join: {same(motion)} does not fit {same(first)} (face model, expression "
        "coefficients, fps); convert one of them first"
      )
  reach = round(blend_s * first.fps)
  joined = {
    name: _join_tracks([getattr(m, name) for m in motions], reach) for name in _TRACKS
  }
  joined["eyelids"] = np.clip(joined["eyelids"], 0.0, 1.0)
  valid = np.concatenate([motion.valid for motion in motions])
  return first.replace(**joined, valid=valid, camera=None)


def _join_tracks(tracks: list[np.ndarray], reach: int) -> np.ndarray:
  """One track float32[sum T, D] of several [T, D]."""
  moved = [track.astype(np.float64) for track in tracks]
  for before, after, old_before, old_after in zip(
    moved, moved[1:], tracks, tracks[1:], strict=False
  ):
    jump = old_after[0].astype(np.float64) - old_before[-1]
    left = min(reach, len(old_before) // 2)
    right = min(reach, len(old_after) // 2)
    if left:
      before[-left:] += 0.5 * _rise(left)[:, None] * jump
    if right:
      after[:right] -= 0.5 * _rise(right)[::-1, None] * jump
  return np.concatenate(moved).astype(np.float32)


def _rise(length: int) -> np.ndarray:
  """Weights from near 0 to 1, flat at both ends: half a cosine."""
  share = np.arange(1, length + 1) / length
  return 0.5 - 0.5 * np.cos(np.pi * share)
