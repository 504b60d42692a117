"""Action units that move as people's do: the sculpted fields, corrected at landmarks.

What a sculpted unit lacks to the scans' counterpart at the head's landmarks is spread
smoothly over the skin between them, the two lips apart. Sizes are the scans' own.

Units are centimetres (see `surface`). Shape letters: V vertices, L landmarks.
"""

import numpy as np
from scipy.interpolate import RBFInterpolator

from tdmm_jax.face import people
from tdmm_jax.face.head import head_landmarks
from tdmm_jax.face.head.anatomy import Anatomy, slide_on_eyeballs

_LIPS_APART = 3.0  # cm by which upper and lower lip count as farther apart
_FADE = 2.2  # cm from the landmarks over which a correction dies away
_CANTHI = (33, 263)


def correct(anatomy: Anatomy, fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The fields, with people's displacements at the landmarks where they are known.

  Args:
    anatomy: of the neutral head.
    fields: unit's name -> float64[V, 3], cm at activation 1.
  """
  ids, triangles, bary = head_landmarks.build_landmarks(anatomy.mesh)
  known = ids < len(people.load().mean_N3)
  ids, triangles, bary = ids[known], triangles[known], bary[known]
  at = lambda values: np.einsum("lk...,lk->l...", values[triangles], bary)
  points = at(anatomy.mesh.vertices)
  place = {int(number): i for i, number in enumerate(ids)}
  canthi = [points[place[number]] for number in _CANTHI]
  scale = np.linalg.norm(canthi[0] - canthi[1]) / people.CANTHI_MM  # cm per mm
  spread = _Spread(anatomy, points, at(anatomy.lower))
  corrected = {}
  for name, field in fields.items():
    theirs = people.unit_field(name)
    if theirs is None:
      corrected[name] = field
      continue
    wanted = theirs[ids] * scale
    if name.startswith("jaw"):  # the teeth go with the chin
      field = field * (np.linalg.norm(wanted) / np.linalg.norm(at(field)))
    missing = wanted - at(field)
    # Eyeballs, teeth and what lies in the mouth keep the sculpted motion.
    moved = field + spread(missing) * anatomy.gain[:, None]
    corrected[name] = slide_on_eyeballs(anatomy, moved)
  return corrected


class _Spread:
  """Carries displacements from landmarks to vertices."""

  def __init__(self, anatomy, points_L3, lower_L):
    self.anchors = np.column_stack([points_L3, _LIPS_APART * lower_L])
    self.unique = _apart(self.anchors)
    where = np.column_stack([anatomy.points, _LIPS_APART * anatomy.lower])
    self.where = where
    nearest = np.min(
      np.linalg.norm(anatomy.points[:, None] - points_L3[None], axis=-1), axis=1
    )
    self.fade = np.exp(-0.5 * (np.maximum(nearest - 0.8, 0.0) / _FADE) ** 2)

  def __call__(self, missing_L3) -> np.ndarray:
    spread = RBFInterpolator(
      self.anchors[self.unique],
      missing_L3[self.unique],
      kernel="linear",
      smoothing=0.01,
      degree=0,
    )
    return spread(self.where) * self.fade[:, None]


def _apart(points):
  """Ids of points that do not coincide with an earlier one."""
  kept = []
  for i, point in enumerate(points):
    if all(np.linalg.norm(point - points[j]) > 1e-3 for j in kept):
      kept.append(i)
  return np.array(kept)
