"""Motions from one of the heads that the package ships to another.

They are one skin, one skeleton and one set of identities; what differs is where their
action units move the face, and with it the expression's basis. So all of a motion is
kept but its expression, which becomes the one that looks most alike on the other head.
Some faces are the sums of many units that nearly cancel: there each unit stays about as
active as it was. The map is linear, a matrix, and needs no JAX.

Shape letters: U action units, E expression coefficients, N coordinates of points.
"""

import functools
import logging

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file
from tdmm_jax.face.motion import FaceMotion

_LOG = logging.getLogger(__name__)
# Of "as active as before" against the face's looks: of the units' mean square. Less
# brings faces closer, a unit by 0.1 mm at most, and makes a smile of everything but
# the lip corners' puller, a pucker of lips that part 13 times over.
_PRIOR = 0.1
_LIP_WEIGHT = 4.0  # millimetres tell more there


def carry(clip: FaceMotion, target: str, where: str = "motion") -> FaceMotion:
  """The motion on another head of `head_file.NAMES`, identity and all.

  Args:
    clip: T frames, of such a head too.
    target: the other head's name.
    where: what an error calls the motion.

  Raises:
    UserError: the motion has more or fewer coefficients than its head.
  """
  if clip.face_model == target:
    return clip
  matrix_EE = _matrix(clip.face_model, target)
  if clip.num_expression != len(matrix_EE):
    raise UserError(
      f"{where}: {clip.num_expression} expression coefficients, '{clip.face_model}' "
      f"has {len(matrix_EE)}; export it again with that many"
    )
  expression = (clip.expression @ matrix_EE).astype(np.float32)
  return clip.replace(face_model=target, expression=expression)


def adopt(clip: FaceMotion, target: str, where: str = "motion") -> FaceMotion:
  """`carry`, with a warning: for where nobody asked for another head."""
  if clip.face_model != target:
    text = "%s: of '%s', another release's head; carried over to '%s'"
    _LOG.warning(text, where, clip.face_model, target)
  return carry(clip, target, where)


@functools.cache
def _matrix(source: str, target: str) -> np.ndarray:
  """float64[E, E]: rows of coefficients times this are the target's."""
  wanted_UN, can_UN = _units(source), _units(target)
  normal = can_UN @ can_UN.T
  prior = _PRIOR * np.trace(normal) / len(normal) * np.eye(len(normal))
  units_UU = np.linalg.solve(normal + prior, can_UN @ wanted_UN.T + prior)
  to_units = np.linalg.inv(head_file.activation_matrix(source))
  return (head_file.activation_matrix(target) @ units_UU @ to_units).T


def _units(name: str) -> np.ndarray:
  """float64[U, N]: how each unit moves the face, roots of areas as weights."""
  arrays = head_file.read(name).arrays
  face, matrix = arrays[f"{head_file.REGION}face"], head_file.activation_matrix(name)
  lips = np.isin(face, arrays[f"{head_file.REGION}lips"])
  weight = arrays["vertex_areas"][face] * np.where(lips, _LIP_WEIGHT, 1.0)
  fields_E = np.asarray(arrays["basis"][1 : 1 + len(matrix)], np.float64)
  fields_E3V = fields_E.reshape(len(matrix), 3, -1)[:, :, face]
  return matrix.T @ (fields_E3V * np.sqrt(weight)).reshape(len(matrix), -1)
