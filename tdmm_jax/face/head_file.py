"""The project's own head as the package ships it: one file, the same on every machine.

`python -m tdmm_jax.face.head.build` makes the file; everything else reads it. A head's
version is the hash of the file's bytes, so processors that round differently agree.

Shape letters: V vertices, U action units, E expression coefficients.
"""

import functools
import hashlib
import pathlib

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_arrays
from tdmm_jax.face.face_arrays import FaceModel

DEFAULT = "default_v1"
NAMES = (DEFAULT,)
_FOLDER = pathlib.Path(__file__).with_name("heads")
_REGION, _MATRIX = "regions/", "activation_matrix"
_INTEGERS = (
  "faces",
  "landmark_ids",
  "landmark_triangles",
  "landmark_barycentric",
  "pose_features",
)


def path_of(name: str) -> pathlib.Path:
  """The file of a head of NAMES."""
  return _FOLDER / f"{name}.safetensors"


@functools.cache
def _read(name: str) -> tuple[dict[str, np.ndarray], str]:
  path = path_of(name)
  try:
    content = path.read_bytes()
    return safetensors.numpy.load(content), version_of(content)
  except (OSError, safetensors.SafetensorError) as error:
    raise UserError(
      f"{path}: missing or damaged ({error}); install the package again"
    ) from error


def version_of(content: bytes) -> str:
  """12 hex digits that stand for a head file's bytes."""
  return hashlib.sha256(content).hexdigest()[:12]


@functools.cache
def load(name: str = DEFAULT) -> FaceModel:
  """A head of NAMES.

  Raises:
    UserError: its file is missing or damaged.
  """
  arrays, version = _read(name)
  regions = {
    key.removeprefix(_REGION): value
    for key, value in arrays.items()
    if key.startswith(_REGION)
  }
  return FaceModel(
    **{key: jnp.asarray(arrays[key]) for key in face_arrays.LEAVES},
    **{key: arrays[key] for key in _INTEGERS},
    regions=face_arrays.Regions(regions),
    name=name,
    version=version,
  )


def activation_matrix(name: str = DEFAULT) -> np.ndarray:
  """float64[E, U]: expression coefficients of each action unit at activation 1."""
  return _read(name)[0][_MATRIX]


def to_bytes(model: FaceModel, matrix_EU: np.ndarray) -> bytes:
  """The content of a head's file.

  Args:
    model: FaceModel.
    matrix_EU: float64[E, U], see `activation_matrix`.
  """
  arrays = {key: getattr(model, key) for key in (*face_arrays.LEAVES, *_INTEGERS)}
  arrays |= {_REGION + key: value for key, value in model.regions.items()}
  arrays[_MATRIX] = matrix_EU
  return safetensors.numpy.save(
    {key: np.ascontiguousarray(value) for key, value in arrays.items()}
  )
