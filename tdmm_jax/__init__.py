"""Facial motion as a language, both ways: text to 3D face motion, and back.

    import tdmm_jax
    face = tdmm_jax.load("release")
    motion = face.generate("A woman looks very happy, nodding.", seconds=4)
    print(face.describe(motion))
    motion.save("smile.mp4")

Importing this is cheap: JAX is imported by the first call that needs it.
"""

from typing import TYPE_CHECKING

from tdmm_jax.errors import UserError

if TYPE_CHECKING:
  from tdmm_jax.face.motion import FaceMotion
  from tdmm_jax.generate.face import Face

__all__ = ["UserError", "__version__", "load", "load_motion"]

__version__ = "0.4.0"


def load(run=None) -> "Face":
  """Loads a trained run, ready to generate and describe motions.

  Args:
    run: "release", the checkpoint that comes with the package, or a run directory; by
      default the release if there is one, else runs/train.

  Raises:
    UserError: no such run, or it is unfinished.

  Compiled programs are kept on disk for the next time; see `host.keep_compiled`.
  """
  from tdmm_jax import host

  host.keep_compiled()
  from tdmm_jax.generate.face import Face
  from tdmm_jax.runs import locate

  return Face(locate.find(run))


def load_motion(path, fps: float | None = None) -> "FaceMotion":
  """Reads a motion file of any known layout; see `tdmm_jax.face.files.read`.

  Args:
    path: the file.
    fps: frame rate of a layout that does not carry it; 25 if not given.

  Returns:
    FaceMotion at 25 fps.

  Raises:
    UserError: the file is missing, damaged or unsafe, or its layout is not supported.
  """
  from tdmm_jax.export import save  # noqa: F401 gives motions their `save`
  from tdmm_jax.face.files import read

  return read.load_motion(path, fps)
