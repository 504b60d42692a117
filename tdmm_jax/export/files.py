"""`tdmm export`: the file's suffix chooses the format.

Shape letters: T frames, V vertices.
"""

import os
import pathlib

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.export import flame_layouts, gltf, live_link, meshes, rig, usd
from tdmm_jax.face import arkit
from tdmm_jax.face import face_model as face_model_lib
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.motion import FaceMotion

# Suffix -> what it is. The longest that fits wins.
FORMATS = {
  ".glb": "animated binary glTF: morph targets, joints; Blender, Unity, Unreal, web",
  ".usd": "USD (binary): UsdSkel blend shapes, joints; Blender, Houdini, Omniverse",
  ".usda": "USD as text",
  ".usdc": "USD (binary)",
  ".csv": "ARKit's 52 blend shapes as a Live Link Face recording (fitted)",
  ".obj": "OBJ sequence, one file a frame: NAME_0000.obj ...",
  ".ply": "PLY sequence (binary), one file a frame: NAME_0000.ply ...",
  ".npz": "this project's motion",
  ".smirk.npz": "FLAME parameters in SMIRK's layout (FLAME motions only)",
  ".flame.npz": "FLAME parameters as flame_param.npz: VHAP, GaussianAvatars "
  "(FLAME motions only)",
}


def format_of(path: str | os.PathLike, others: tuple[str, ...] = ()) -> str:
  """The entry of FORMATS that a file name asks for.

  Args:
    path: the file's name.
    others: suffixes that the caller writes itself, for the message.

  Raises:
    UserError: no format has this suffix.
  """
  name = pathlib.Path(path).name.lower()
  known = [
    suffix for suffix in FORMATS if name.endswith(suffix) and len(name) > len(suffix)
  ]
  if known:
    return max(known, key=len)
  hint = ""
  if name.endswith((".abc", ".fbx")):
    hint = "; Blender makes it from a .glb"
  elif name.endswith((".mp4", ".gif", ".png")) and not others:
    hint = "; render writes pictures and video"
  raise UserError(
    f"{path}: cannot write a {pathlib.Path(path).suffix or 'suffixless'} file; end the "
    f"name in one of {', '.join((*FORMATS, *others))}{hint}"
  )


def export_motion(
  path: str | os.PathLike,
  face: FaceModel,
  motion: FaceMotion,
  light: bool = False,
  identity: bool = True,
  signed: bool = False,
) -> list[str]:
  """Writes a motion in the format that the file name asks for.

  Args:
    path: see FORMATS; an existing file is replaced.
    face: the motion's own face model.
    motion: T frames.
    light: GLB and USD without pose correctives and moving joints: a smaller file, less
      exact.
    signed: GLB with one target a coefficient, of either sign, instead of weights in
      0 .. 1; half the file, but Blender and some engines clamp it.
    identity: with the motion's own identity; otherwise the mean head.

  Returns:
    Sentences to show: what was written, how exact it is, what was left out.

  Raises:
    UserError: an unknown suffix, a motion that does not fit the model or the format.
  """
  suffix = format_of(path)
  if light and suffix not in (".glb", ".usd", ".usda", ".usdc"):
    raise UserError(f"light: {suffix} has no correctives; it is for .glb and .usd")
  if signed and suffix != ".glb":
    raise UserError(f"signed: is for .glb, not for {suffix}")
  if suffix == ".npz":
    motion_lib.save_motion(path, motion)
    return []
  if suffix in (".smirk.npz", ".flame.npz"):
    return flame_layouts.write_layout(path, motion, suffix.split(".")[1])
  if suffix == ".csv":
    curves, fit = arkit.from_motion(face, motion)
    live_link.write_csv(path, curves)
    return [
      f"ARKit fit: off by {fit['residual_mm']:.2f} mm in the mean and by "
      f"{fit['residual_max_mm']:.2f} mm at most; the face moves "
      f"{fit['motion_mm']:.2f} mm in the mean"
    ]
  vertices_TV3 = face_model_lib.frames(face, motion, identity)
  if suffix in (".obj", ".ply"):
    paths = meshes.write_sequence(path, vertices_TV3, face.faces)
    return [f"{len(paths)} files: {paths[0]} .. {paths[-1].name}"]
  built = rig.build_rig(face, motion, light=light, identity=identity)
  if suffix == ".glb":
    built = built if signed else rig.unit_weights(built)
    gltf.write_glb(path, built, motion_extras(face, motion, identity, signed))
  else:
    usd.write_usd(path, built)
  errors_V = (
    np.linalg.norm(played - true, axis=-1) * 1e3
    for played, true in zip(rig.play(built), vertices_TV3, strict=True)
  )
  mean_T, most_T = zip(*((error_V.mean(), error_V.max()) for error_V in errors_V))
  return [
    f"played vertices against the face model: {np.mean(mean_T):.4f} mm mean, "
    f"{np.max(most_T):.4f} mm at most"
  ]


def motion_extras(
  face: FaceModel, motion: FaceMotion, identity: bool, signed: bool
) -> dict:
  """What a GLB must keep so that it can be read back as a motion."""
  return {
    "face_model": face.name,
    "face_model_version": face.version,
    "fps": float(motion.fps),
    "expression_scale": None if signed else rig.EXPRESSION_SCALE,
    "shape": [float(x) for x in motion.shape] if identity else [],
    "not_valid": [int(t) for t in np.flatnonzero(~motion.valid)],
  }
