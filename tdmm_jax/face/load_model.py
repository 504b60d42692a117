"""A face model by its name or its file."""

from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.files import flame_model
from tdmm_jax.face.head import build


def load_face_model(spec: str) -> FaceModel:
  """The default head by its name, or a FLAME model by its file.

  Args:
    spec: "default_v1", or the path of generic_model.pkl / flame2023.pkl; masks,
      landmark embedding and eyelids are looked for beside it.

  Raises:
    UserError: no such file, or not a FLAME model.
  """
  if spec == "default_v1":
    return build.build_default_head()
  return flame_model.load_flame(spec)
