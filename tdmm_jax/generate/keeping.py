"""Parts of a motion that stay while the others are made anew.

Head, jaw, lids and gaze have tracks of their own, which are copied. The expression's
coefficients move lips and brows alike; those of two motions are mixed so that the lips
(or the brows) stay in place, and the other region comes as near to the new motion as
it then can. That is least squares, hence one matrix for all frames.

Shape letters: E expression coefficients, U action units, V vertices, N coordinates.
"""

from collections.abc import Sequence

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.motion import FaceMotion

HEAD, FACE, LIPS, UPPER = PARTS = ("head", "face", "lips", "upper")
# Tracks that each part has for itself, and that are copied.
_TRACKS = {
  HEAD: ("head_pose", "neck_pose", "translation"),
  FACE: ("expression", "jaw_pose", "eyelids", "eye_pose"),
  LIPS: ("jaw_pose",),
  UPPER: ("eyelids", "eye_pose"),
}
# Of squared distances of the region kept against those of the other one.
_KEPT_WEIGHT = 1_000.0
# Of "each unit is active as in the motion whose region it moves more" against the
# faces' looks: of the units' mean square. Less brings the other region closer, by
# 0.02 mm, and doubles how far units leave the range of the two motions.
_PRIOR = 0.1


def checked(keep: str | Sequence[str]) -> frozenset[str]:
  """The parts to keep; none of "" and ().

  Raises:
    UserError: a part that is none of `PARTS`, or all of them.
  """
  names = [keep] if isinstance(keep, str) and keep else list(keep)
  for name in names:
    if name not in PARTS:
      raise UserError(f"keep {name!r}: no such part; choose {', '.join(PARTS)}")
  parts = frozenset(names)
  if {LIPS, UPPER} <= parts or FACE in parts:
    parts = parts - {LIPS, UPPER} | {FACE}
  if {HEAD, FACE} <= parts:
    raise UserError(f"keep {', '.join(names)}: nothing would be new; keep fewer parts")
  return parts


def kept(
  face: FaceModel, motion: FaceMotion, made: FaceMotion, parts: frozenset[str]
) -> FaceMotion:
  """The motion made, with these parts of the other one.

  Args:
    face: the face model of both.
    motion: T frames; its parts stay.
    made: T frames; frames that are the motion's stay so, bit for bit.
    parts: see `checked`.

  Raises:
    UserError: the face model does not say which vertices are the lips'.
  """
  changes = {name: getattr(motion, name) for part in parts for name in _TRACKS[part]}
  for part in parts & {LIPS, UPPER}:
    new_EE = newness(face, part)
    step_TE = (made.expression - motion.expression).astype(np.float64)
    mixed_TE = motion.expression + step_TE @ new_EE.T
    changes["expression"] = mixed_TE.astype(np.float32)
  return made.replace(**changes)


def region(face: FaceModel, part: str) -> np.ndarray:
  """The vertex ids that stay where they are: the lips, or what is above the pupils."""
  if part == LIPS:
    return np.asarray(face.regions["lips"])
  upper = np.asarray(face.regions["upper_face"])
  pupils_y = float(np.mean(np.asarray(face.joint_template)[3:, 1]))
  return upper[np.asarray(face.v_template)[upper, 1] > pupils_y]


def newness(face: FaceModel, part: str) -> np.ndarray:
  """float64[E, E]: of a difference in expression, what is taken over."""
  lips_UU, upper_UU, to_units = _looks(face)
  stays, goes = (lips_UU, upper_UU) if part == LIPS else (upper_UU, lips_UU)
  share_U = np.diag(goes) / np.maximum(np.diag(stays) + np.diag(goes), 1e-12)
  prior = _PRIOR * np.trace(stays + goes) / len(stays)
  normal = _KEPT_WEIGHT * stays + goes + prior * np.eye(len(stays))
  new_UU = np.linalg.solve(normal, goes + prior * np.diag(share_U))
  return np.linalg.solve(to_units, new_UU @ to_units)


def _looks(face: FaceModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """How the units move the lips and the upper face, and the units of coefficients.

  Returns:
    float64[U, U] mean products of displacements of lips and upper face; [U, E]. The
    units of a head that the package does not ship are its coefficients.
  """
  matrix_EU = np.eye(face.num_expression)
  if face.name in head_file.NAMES:
    matrix_EU = head_file.activation_matrix(face.name)
  fields_V3E = np.asarray(face.exprdirs, np.float64)
  areas_V = np.asarray(face.vertex_areas, np.float64)
  products = []
  for part in (LIPS, UPPER):
    ids = region(face, part)
    root_V11 = np.sqrt(areas_V[ids] / areas_V[ids].sum())[:, None, None]
    moved_NU = (fields_V3E[ids] * root_V11).reshape(-1, len(matrix_EU)) @ matrix_EU
    products.append(moved_NU.T @ moved_NU)
  return *products, np.linalg.inv(matrix_EU)
