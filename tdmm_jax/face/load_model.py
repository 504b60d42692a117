"""A face model by its name or its file."""

import functools

import jax
import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_arrays, head_file
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.files import flame_model
from tdmm_jax.face.motion import FaceMotion

_STATIC = (
  "faces",
  "landmark_ids",
  "landmark_triangles",
  "landmark_barycentric",
  "pose_features",
)


def load_face_model(spec: str) -> FaceModel:
  """The default head by its name, or a FLAME model by its file.

  Args:
    spec: a name of `head_file.NAMES`, or the path of generic_model.pkl / flame2023.pkl;
      masks, landmark embedding and eyelids are looked for beside it.

  Raises:
    UserError: no such file, or not a FLAME model.
  """
  if spec in head_file.NAMES:
    return default_head(spec)
  return flame_model.load_flame(spec)


def load_for(motion: FaceMotion, spec: str | None) -> FaceModel:
  """The shipped head that a motion is of; of another basis the model named, unchecked.

  Args:
    motion: any basis.
    spec: as in `load_face_model`; None is the default head.

  Raises:
    UserError: as `load_face_model`.
  """
  named = load_face_model(spec) if spec else None  # a file that is missing is told
  if motion.face_model in head_file.NAMES:
    return load_face_model(motion.face_model)
  return named or load_face_model(head_file.DEFAULT)


def own_model(motion: FaceMotion, spec: str | None, where: str) -> FaceModel:
  """The face model that a motion's coefficients belong to, with as many of them.

  Args:
    motion: any basis.
    spec: the model's file; not needed for a head that the package ships.
    where: what an error calls the motion.

  Raises:
    UserError: the file is missing, or is that of another model.
  """
  if motion.face_model in head_file.NAMES:
    return default_head(motion.face_model)
  if spec is None or spec in head_file.NAMES:
    raise UserError(
      f"{where}: its coefficients belong to '{motion.face_model}', not to "
      f"'{spec or head_file.DEFAULT}'; give that model's file (generic_model.pkl is "
      "flame2020, flame2023.pkl is flame2023)"
    )
  own = flame_model.load_flame(spec, num_expression=max(motion.num_expression, 50))
  if own.name != motion.face_model:
    raise UserError(
      f"{where}: its coefficients belong to '{motion.face_model}', but {spec} is "
      f"'{own.name}'; give that model's file"
    )
  return own


@functools.cache
def default_head(name: str = head_file.DEFAULT) -> FaceModel:
  """A head that the package ships, of `head_file.NAMES`."""
  arrays, version = head_file.read(name)
  regions = {
    key.removeprefix(head_file.REGION): value
    for key, value in arrays.items()
    if key.startswith(head_file.REGION)
  }
  return FaceModel(
    **jax.device_put({key: arrays[key] for key in face_arrays.LEAVES}),
    **{key: arrays[key] for key in _STATIC},
    regions=face_arrays.Regions(regions),
    name=name,
    version=version,
  )


def head_bytes(model: FaceModel, matrix_EU: np.ndarray) -> bytes:
  """The content of a head's file.

  Args:
    model: FaceModel.
    matrix_EU: float64[E, U], see `head_file.activation_matrix`.
  """
  arrays = {key: getattr(model, key) for key in (*face_arrays.LEAVES, *_STATIC)}
  arrays |= {head_file.REGION + key: value for key, value in model.regions.items()}
  return head_file.to_bytes(arrays | {head_file.ACTIVATION_MATRIX: matrix_EU})
