"""USD: a UsdSkel skeleton, blend shapes and one animation.

Shape letters: T frames, V vertices, K morph targets, J joints.
"""

import os
import pathlib

import numpy as np

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.export.rig import Rig
from tdmm_jax.face.face_model import JOINTS, PARENTS

_LEAST_MOVE_M = 1e-8  # a target's shorter vectors are left out


def write_usd(path: str | os.PathLike, rig: Rig) -> None:
  """Writes /face (a SkelRoot) with mesh, skeleton and animation: metres, y up.

  Args:
    path: ends in .usd, .usda or .usdc; appears under this name only when complete.
    rig: see `rig.build_rig`.

  Raises:
    UserError: usd-core is not installed, or the file cannot be written.
  """
  try:
    from pxr import Gf, Tf, Usd, UsdGeom, UsdSkel
  except ImportError as error:
    raise UserError(
      f"{path}: USD needs usd-core; pip install 'tdmm-jax[export]'"
    ) from error
  with files.then_rename(pathlib.Path(path)) as temporary:
    temporary.unlink()  # USD makes a new layer, and refuses one that is there
    stage = Usd.Stage.CreateNew(str(temporary))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(rig.fps)
    stage.SetFramesPerSecond(rig.fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(rig.num_frames - 1)
    root = UsdSkel.Root.Define(stage, "/face")
    stage.SetDefaultPrim(root.GetPrim())
    skeleton = UsdSkel.Skeleton.Define(stage, "/face/skeleton")
    skeleton.CreateJointsAttr(_joint_paths())
    place = lambda point: Gf.Matrix4d().SetTranslate(Gf.Vec3d(*map(float, point)))
    skeleton.CreateBindTransformsAttr([place(p) for p in rig.joints_J3])
    skeleton.CreateRestTransformsAttr([place(p) for p in rig.local_joints_J3])
    mesh = _mesh(stage, rig)
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1.0))
    _bind(stage, binding, rig)
    animation = _animation(stage, rig)
    owner = UsdSkel.BindingAPI.Apply(skeleton.GetPrim())
    owner.CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    try:
      stage.GetRootLayer().Save()
    except Tf.ErrorException as error:  # USD's own, where Python's is an OSError
      reason = str(error).strip().splitlines()[0].split(" : ")[-1].strip("' ")
      raise UserError(
        f"{path}: USD cannot write it ({reason}); make room, or choose another place"
      ) from error
    del stage


def _joint_paths() -> list[str]:
  paths = []
  for name, parent in zip(JOINTS, PARENTS, strict=True):
    paths.append(name if parent < 0 else f"{paths[parent]}/{name}")
  return paths


def _mesh(stage, rig: Rig):
  from pxr import UsdGeom, Vt

  mesh = UsdGeom.Mesh.Define(stage, "/face/mesh")
  vectors = lambda rows: Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(rows, np.float32))
  mesh.CreatePointsAttr(vectors(rig.vertices_V3))
  mesh.CreateFaceVertexCountsAttr([3] * len(rig.faces_F3))
  mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(rig.faces_F3.reshape(-1)))
  mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
  mesh.CreateDoubleSidedAttr(True)
  low, high = rig.vertices_V3.min(axis=0), rig.vertices_V3.max(axis=0)
  mesh.CreateExtentAttr(vectors(np.stack([low, high])))
  color = mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
  color.Set(vectors(rig.colors_V3))
  return mesh


def _bind(stage, binding, rig: Rig):
  from pxr import UsdSkel, Vt

  joints = np.tile(np.arange(len(JOINTS), dtype=np.int32), len(rig.skin_VJ))
  indices = binding.CreateJointIndicesPrimvar(False, len(JOINTS))
  indices.Set(Vt.IntArray.FromNumpy(joints))
  weights = binding.CreateJointWeightsPrimvar(False, len(JOINTS))
  weights.Set(Vt.FloatArray.FromNumpy(rig.skin_VJ.astype(np.float32).reshape(-1)))
  binding.CreateBlendShapesAttr(list(rig.target_names))
  paths = []
  for name, target_V3 in zip(rig.target_names, rig.targets_KV3, strict=True):
    shape = UsdSkel.BlendShape.Define(stage, f"/face/mesh/{name}")
    rows = np.flatnonzero(np.linalg.norm(target_V3, axis=1) > _LEAST_MOVE_M)
    offsets = np.ascontiguousarray(target_V3[rows], np.float32)
    shape.CreateOffsetsAttr(Vt.Vec3fArray.FromNumpy(offsets))
    shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(rows.astype(np.int32)))
    paths.append(shape.GetPath())
  binding.CreateBlendShapeTargetsRel().SetTargets(paths)


def _animation(stage, rig: Rig):
  from pxr import Gf, UsdSkel, Vt

  animation = UsdSkel.Animation.Define(stage, "/face/skeleton/motion")
  animation.CreateJointsAttr(_joint_paths())
  animation.CreateBlendShapesAttr(list(rig.target_names))
  animation.CreateScalesAttr([Gf.Vec3h(1, 1, 1)] * len(JOINTS))
  rotations = animation.CreateRotationsAttr()
  translations = animation.CreateTranslationsAttr()
  weights = animation.CreateBlendShapeWeightsAttr()
  for t in range(rig.num_frames):
    quaternions = [
      Gf.Quatf(float(w), float(x), float(y), float(z))
      for x, y, z, w in rig.rotations_TJ4[t]
    ]
    rotations.Set(quaternions, t)
    translations.Set(
      Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(rig.translations_TJ3[t])), t
    )
    weights.Set(Vt.FloatArray.FromNumpy(np.ascontiguousarray(rig.weights_TK[t])), t)
  return animation
