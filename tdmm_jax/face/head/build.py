"""The project's own head: a `FaceModel` in FLAME's form, of nobody's data.

    python -m tdmm_jax.face.head.build NAME    # writes face/heads/NAME.safetensors

Built from anthropometric averages (`surface`), facial action units
(`actions`) and proportions (`identity`) by formulas alone; from `default_v2` on, units
are corrected by figures of how people move (`people_units`). What everything uses is
the file that this writes (`head_file`). The head has the fields, joints and conventions
of a licensed head, and no code asks which it is.

Shape letters: V vertices, U action units, E expression and S identity coefficients.
"""

import functools
import sys

import numpy as np

from tdmm_jax.face import face_model, head_file, load_model
from tdmm_jax.face.action_units import ACTION_UNITS
from tdmm_jax.face.head import (
  actions,
  head_landmarks,
  head_mesh,
  identity,
  people_units,
  rig,
)
from tdmm_jax.face.head import anatomy as head_anatomy

_METRES = 0.01  # per cm, the unit the head is sculpted in


@functools.cache
def build_default_head(name: str = head_file.DEFAULT) -> face_model.FaceModel:
  """A head of `head_file.NAMES`, sculpted anew. Last bits depend on the processor."""
  parts = anatomy()
  directions, _ = _expression_basis(name)
  shape = identity.identity_fields(parts)
  triangles = head_landmarks.build_landmarks(parts.mesh)
  return face_model.from_arrays(
    v_template=parts.mesh.vertices * _METRES,
    shapedirs=np.moveaxis(shape, 0, -1) * _METRES,
    exprdirs=directions,
    eyelid_dirs=rig.eyelid_directions(parts) * _METRES,
    posedirs=rig.pose_correctives(parts) * _METRES,
    lbs_weights=rig.skinning_weights(parts),
    J_regressor=rig.joint_regressor(parts),
    faces=parts.mesh.faces,
    regions=regions(parts),
    landmark_ids=triangles[0],
    landmark_triangles=triangles[1],
    landmark_barycentric=triangles[2],
    name=name,
  )


def activation_matrix(name: str = head_file.DEFAULT) -> np.ndarray:
  """float64[E, U]: the coefficients of each action unit at activation 1."""
  return _expression_basis(name)[1]


@functools.cache
def anatomy() -> head_anatomy.Anatomy:
  """The neutral mesh in cm, with its masks."""
  return head_anatomy.study(head_mesh.build_head_mesh())


@functools.cache
def _expression_basis(name):
  """Principal components of the action units' fields, and the units in them.

  The components are those of random mixtures of actions, so that a coefficient vector
  is dense and ordered by how much it moves the face, as FLAME's is. Each is scaled to
  unit deviation under those mixtures.

  Returns:
    float64[V, 3, E] metres per unit coefficient; float64[E, U].
  """
  parts = anatomy()
  fields = actions.action_fields(parts)
  if name != "default_v1":
    fields = people_units.correct(parts, fields)
  stacked = np.stack([fields[unit] for unit in ACTION_UNITS], axis=-1) * _METRES
  area = _vertex_areas(parts.mesh)
  weight = np.sqrt(area / area.sum())[:, None, None]
  weighted = (weight * stacked).reshape(-1, len(ACTION_UNITS))
  mixing = _usual_mixtures()
  # activations are mixing @ white, so the directions of most movement are eigenvectors
  # of this Gram matrix, and coefficients along them are white too
  moved = weighted @ mixing
  _, vectors = np.linalg.eigh(moved.T @ moved)
  matrix = vectors[:, ::-1].T @ np.linalg.inv(mixing)
  # the sign is free: fixed by weights under which left and right cannot cancel
  matrix *= np.sign(matrix @ np.linspace(1.0, 2.0, len(ACTION_UNITS)))[:, None]
  directions = np.einsum("vau,ue->vae", stacked, np.linalg.inv(matrix), optimize=True)
  return directions, matrix


def _usual_mixtures():
  """float64[U, U]: a root of the covariance of usual activations.

  Activations deviate by about a quarter, and the two sides of the face mostly agree.
  """
  covariance = np.eye(len(ACTION_UNITS))
  for i, name in enumerate(ACTION_UNITS):
    if name.endswith("_l"):
      j = ACTION_UNITS.index(name[:-2] + "_r")
      covariance[i, j] = covariance[j, i] = 0.8
  return np.linalg.cholesky(covariance) * 0.25


def _vertex_areas(mesh):
  corners = mesh.vertices[mesh.faces]
  normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  area = np.linalg.norm(normal, axis=1) / 6.0
  return np.bincount(mesh.faces.ravel(), np.repeat(area, 3), len(mesh.vertices))


def regions(parts: head_anatomy.Anatomy) -> dict[str, np.ndarray]:
  """Named sets of vertex ids."""
  mesh = parts.mesh
  p = mesh.vertices
  skin = np.zeros(len(p), bool)
  skin[mesh.both("skin")] = True
  inner = parts.lip_ring >= 6
  pocket = parts.lid_ring == 0
  frontal = skin & (parts.lip_ring < 7) & ~pocket & (p[:, 2] > 2.2) & (p[:, 1] < 7.6)
  frontal &= p[:, 1] > -9.2 - 0.33 * p[:, 2]  # down to the jaw's edge
  red = (parts.lip_ring >= 2) & (parts.lip_ring <= 6)
  ids = np.flatnonzero
  return {
    "lips": ids(red),
    "upper_face": ids(frontal & (p[:, 1] > -1.6)),
    "face": ids(frontal),
    "eyeballs": mesh.both("eyeball"),
    "iris": mesh.both("iris"),
    "pupil": mesh.both("pupil"),
    "eyebrows": mesh.both("brow"),
    "teeth": mesh.both("upper_crowns", "lower_crowns"),
    "tongue": mesh.both("tongue"),
    "inner_mouth": ids(inner),
    "ears": mesh.both("ear"),
    "neck": ids(skin & (p[:, 1] < -11.0 + 0.5 * np.maximum(2.0 - p[:, 2], 0))),
  }


def main() -> None:
  name = sys.argv[1]
  path = head_file.path_of(name)
  content = load_model.head_bytes(build_default_head(name), activation_matrix(name))
  path.write_bytes(content)
  print(f"{path}: version {head_file.version_of(content)}")


if __name__ == "__main__":
  main()
