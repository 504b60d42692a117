"""How a set of motions jitters.

Shape letters: B batch, T frames, V vertices of the face region, G = 3V coordinates.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax.face import face_model as face_lib

_BATCH, _LENGTH_MULTIPLE = 8, 64


@jax.jit
def _jitter(face, vectors_BTP, valid_BT):
  """(sum over windows of the mean norm of the third difference, windows)."""
  x_BTG = face_lib.vector_geometry(face, vectors_BTP)
  third = x_BTG[:, 3:] - 3 * x_BTG[:, 2:-1] + 3 * x_BTG[:, 1:-2] - x_BTG[:, :-3]
  third = third.reshape(*third.shape[:2], 3, -1)  # planar: all x, then all y, then z
  ok = valid_BT[:, 3:] * valid_BT[:, 2:-1] * valid_BT[:, 1:-2] * valid_BT[:, :-3]
  return jnp.sum(jnp.linalg.norm(third, axis=-2).mean(-1) * ok), ok.sum()


class Jitter:
  """Mean third difference of the face region's vertices, in m/s³."""

  def __init__(self, face):
    region = np.sort(np.asarray(face.regions["face"]))
    self._face = face_lib.vertex_subset(face, region)

  def mean(self, vectors: Sequence[np.ndarray], valid: Sequence[np.ndarray]) -> float:
    """Over all windows of four valid frames; NaN where there is none.

    Args:
      vectors: motion vectors float32[T, P] at 25 fps. valid: bool[T] of each.
    """
    order = sorted(range(len(vectors)), key=lambda i: len(vectors[i]))
    total = windows = 0.0
    for start in range(0, len(order), _BATCH):
      group = order[start : start + _BATCH]
      longest = max(len(vectors[i]) for i in group)
      length = -(-longest // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
      params = np.zeros((_BATCH, length, vectors[group[0]].shape[1]), np.float32)
      mask = np.zeros((_BATCH, length), np.float32)
      for row, i in enumerate(group):
        params[row, : len(vectors[i])] = vectors[i]
        mask[row, : len(vectors[i])] = valid[i]
      found = jax.device_get(_jitter(self._face, params, mask))
      total, windows = total + float(found[0]), windows + float(found[1])
    return total / windows * 25.0**3 if windows else float("nan")
