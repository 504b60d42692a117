"""The project's own head as the package ships it: one file for every machine.

`python -m tdmm_jax.face.head.build` writes the file. Everything else reads it: as
arrays here, without JAX, or as a `FaceModel` in `load_model`. A head's version is the
hash of its file's bytes, so processors that round differently agree. NumPy is imported
by the first call that needs it: shell completion waits for the names of the heads.

Shape letters: V vertices, U action units, E expression coefficients.
"""

import functools
import hashlib
import pathlib
from typing import TYPE_CHECKING, NamedTuple

from tdmm_jax.errors import UserError

if TYPE_CHECKING:
  import numpy as np

DEFAULT = "default_v2"
NAMES = ("default_v1", DEFAULT)
REGION = "regions/"  # before a region's name
ACTIVATION_MATRIX = "activation_matrix"
_FOLDER = pathlib.Path(__file__).with_name("heads")


class HeadFile(NamedTuple):
  """A shipped head.

  Attributes:
    arrays: FaceModel's arrays by name, regions behind REGION, and `activation_matrix`.
    version: 12 hex digits.
  """

  arrays: dict[str, "np.ndarray"]
  version: str


def path_of(name: str) -> pathlib.Path:
  """The file of a head of NAMES."""
  return _FOLDER / f"{name}.safetensors"


@functools.cache
def read(name: str = DEFAULT) -> HeadFile:
  """A head of NAMES.

  Raises:
    UserError: its file is missing or damaged.
  """
  import safetensors.numpy

  path = path_of(name)
  try:
    content = path.read_bytes()
    return HeadFile(safetensors.numpy.load(content), version_of(content))
  except (OSError, safetensors.SafetensorError) as error:
    raise UserError(
      f"{path}: missing or damaged ({error}); install the package again"
    ) from error


def to_bytes(arrays: dict[str, "np.ndarray"]) -> bytes:
  """The content of a head's file; `HeadFile.arrays` is what it holds."""
  import numpy as np
  import safetensors.numpy

  return safetensors.numpy.save(
    {key: np.ascontiguousarray(value) for key, value in arrays.items()}
  )


def version_of(content: bytes) -> str:
  """12 hex digits that stand for a head file's bytes."""
  return hashlib.sha256(content).hexdigest()[:12]


def activation_matrix(name: str = DEFAULT) -> "np.ndarray":
  """float64[E, U]: expression coefficients of each action unit at activation 1."""
  return read(name).arrays[ACTIVATION_MATRIX]
