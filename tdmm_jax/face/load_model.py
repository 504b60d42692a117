"""A face model by its name or its file."""

from tdmm_jax.face import head_file
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.files import flame_model


def load_face_model(spec: str) -> FaceModel:
  """The default head by its name, or a FLAME model by its file.

  Args:
    spec: "default_v1", or the path of generic_model.pkl / flame2023.pkl; masks,
      landmark embedding and eyelids are looked for beside it.

  Raises:
    UserError: no such file, or not a FLAME model.
  """
  if spec in head_file.NAMES:
    return head_file.load(spec)
  return flame_model.load_flame(spec)
