"""Jitter: how much motions tremble.

Shape letters: B batch, T frames, V points, P motion vector.
"""

from collections.abc import Sequence

import jax
import numpy as np

from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion_vector

_BATCH, _LENGTH_MULTIPLE = 8, 64


def jitter(points, valid) -> tuple:
  """(sum of the mean norms of the third difference, how many windows it has).

  Args:
    points: float[..., T, V, 3], numpy or jax. The unit of the result is theirs a
      cubed frame: times fps³ it is one a cubed second.
    valid: bool or 0/1 [..., T]; only windows of four valid frames count.
  """
  difference = points[..., 1:, :, :] - points[..., :-1, :, :]
  second = difference[..., 1:, :, :] - difference[..., :-1, :, :]
  third = second[..., 1:, :, :] - second[..., :-1, :, :]
  ok = valid[..., 3:] * valid[..., 2:-1] * valid[..., 1:-2] * valid[..., :-3]
  norms = (third**2).sum(-1) ** 0.5
  return (norms.mean(-1) * ok).sum(), ok.sum()


@jax.jit
def _jitter(face, vectors_BTP, valid_BT):
  planar_BTG = face_lib.vector_geometry(face, vectors_BTP)  # all x, all y, all z
  points_BT3V = planar_BTG.reshape(*planar_BTG.shape[:2], 3, -1)
  return jitter(points_BT3V.mT, valid_BT)


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
    total = windows = 0.0
    for batch in motion_vector.batches(vectors, _BATCH, _LENGTH_MULTIPLE, valid):
      summed, count = jax.device_get(_jitter(self._face, batch.values, batch.mask))
      total, windows = total + float(summed), windows + float(count)
    return total / windows * 25.0**3 if windows else float("nan")
