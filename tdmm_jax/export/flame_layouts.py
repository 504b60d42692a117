"""FLAME parameters under the names that other FLAME tools use, as npz without pickles.

SMIRK, as TDMM-LM saves it: expression, pose, eyelid, jaw, identity, camera_pose.
`flame_param.npz` of VHAP and GaussianAvatars: translation, rotation, neck_pose,
jaw_pose, eyes_pose, shape, expr, static_offset. Both get an `fps` besides.
"""

import os
import pathlib

import numpy as np

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion
from tdmm_jax.face.files import read
from tdmm_jax.face.motion import FaceMotion

_SHAPE_WIDTH = 300  # FLAME's identity; both layouts carry all of it
_NUM_VERTICES = 5023


def smirk_arrays(clip: FaceMotion) -> tuple[dict[str, np.ndarray], list[str]]:
  """SMIRK's tracks, and what they cannot carry.

  The neck is folded into the global pose. `camera_pose` is that of SMIRK's 224-pixel
  crop, the identity camera where the motion has none.
  """
  width = 50
  losses = _over(clip, width)
  for name, what in (("eye_pose", "gaze"), ("translation", "translation")):
    if np.any(getattr(clip, name)):
      losses.append(f"{what} is left out: SMIRK has none")
  half = read.SMIRK_CROP_PX / 2
  camera = np.tile(np.float32([8.0, 0.0, 0.0]), (clip.num_frames, 1))
  if clip.camera is not None:
    scale, x, y = (clip.camera / half).T
    camera = np.stack([scale, (x - 1) / scale, (1 - y) / scale], axis=1)
  return {
    "expression": _fitted(clip.expression, width),
    "pose": motion.world_head_rotation(clip),
    "eyelid": clip.eyelids,
    "jaw": clip.jaw_pose,
    "identity": np.tile(_fitted(clip.shape[None], _SHAPE_WIDTH), (clip.num_frames, 1)),
    "camera_pose": camera.astype(np.float32),
    "fps": np.float32(clip.fps),
  }, losses


def flame_param_arrays(clip: FaceMotion) -> tuple[dict[str, np.ndarray], list[str]]:
  """VHAP's and GaussianAvatars' tracks, and what they cannot carry."""
  width = 100
  losses = _over(clip, width)
  if np.any(clip.eyelids):
    losses.append("eyelids are left out: this layout has none")
  return {
    "translation": clip.translation,
    "rotation": clip.head_pose,
    "neck_pose": clip.neck_pose,
    "jaw_pose": clip.jaw_pose,
    "eyes_pose": clip.eye_pose,
    "shape": _fitted(clip.shape[None], _SHAPE_WIDTH)[0],
    "expr": _fitted(clip.expression, width),
    "static_offset": np.zeros((1, _NUM_VERTICES, 3), np.float32),
    "fps": np.float32(clip.fps),
  }, losses


def write_layout(path: str | os.PathLike, clip: FaceMotion, layout: str) -> list[str]:
  """Writes the npz.

  Args:
    path: the file; appears under this name only when complete.
    clip: a motion in a FLAME basis.
    layout: "smirk" or "flame".

  Returns:
    Sentences on what the layout cannot carry.

  Raises:
    UserError: the motion is not FLAME's.
  """
  path = pathlib.Path(path)
  if not clip.face_model.startswith("flame"):
    raise UserError(
      f"{path}: a FLAME layout, but the motion's coefficients are "
      f"'{clip.face_model}''s and mean nothing in FLAME; export meshes, GLB or ARKit"
    )
  make = smirk_arrays if layout == "smirk" else flame_param_arrays
  arrays, losses = make(clip)
  with files.then_rename(path) as temporary, temporary.open("wb") as stream:
    np.savez(stream, **arrays)
  return losses


def _fitted(rows, width) -> np.ndarray:
  """Cut or padded with zeros to `width` columns."""
  rows = np.asarray(rows, np.float32)[:, :width]
  return np.pad(rows, ((0, 0), (0, width - rows.shape[1])))


def _over(clip, width) -> list[str]:
  if not np.any(clip.expression[:, width:]):
    return []
  return [
    f"expression coefficients from {width} on are left out: the layout has {width}"
  ]
