"""Turns a motion into what other tools animate: morph targets and joints.

FLAME's forward map has two things that a skinned mesh with morph targets lacks, and
both can be expressed exactly in its terms. Pose correctives are linear in R - I of the
joints, so they are 36 more morph targets whose weights are R - I. Joints follow the
expression, so each joint's translation is animated: a vertex goes to R v + o by its
joint, and a joint that is bound at J0 does the same from R J0 + o.

Shape letters: T frames, V vertices, K morph targets, J 5 joints, E expression.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from tdmm_jax.face import face_model as face_model_lib
from tdmm_jax.face.face_model import JOINTS, NUM_POSE_FEATURES, PARENTS, FaceModel
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.face.turns import transform
from tdmm_jax.render import looks

# Region -> linear RGB; a later row wins where regions share a vertex.
SKIN_COLOR = (0.52, 0.33, 0.25)
REGION_COLORS = {
  "lips": (0.42, 0.17, 0.15),
  "eyebrows": (0.10, 0.06, 0.04),
  "inner_mouth": (0.20, 0.05, 0.05),
  "tongue": (0.40, 0.14, 0.14),
  "teeth": (0.80, 0.77, 0.68),
  "eyeballs": (0.80, 0.80, 0.78),
  "iris": (0.10, 0.14, 0.18),
  "pupil": (0.005, 0.005, 0.005),
}
EXPRESSION_SCALE = 4.0  # coefficients that a weight of 1 stands for, in `unit_weights`


@dataclasses.dataclass(frozen=True)
class Rig:
  """A skinned mesh with morph targets, and the tracks of one clip.

  Attributes:
    vertices_V3: float32[V, 3], m; the identity is in it.
    faces_F3: int32[F, 3].
    colors_V3: float32[V, 3], linear RGB.
    target_names: of the K targets: expression_000 .., eyelid_left, eyelid_right and,
      unless light, corrective_neck_0 .. corrective_right_eye_8.
    targets_KV3: float32[K, V, 3], m at weight 1.
    joints_J3: float32[J, 3], m, where the joints are bound; the order is JOINTS'.
    skin_VJ: float32[V, J], rows sum to 1.
    weights_TK: float32[T, K].
    rotations_TJ4: float32[T, J, 4], unit quaternions x, y, z, w, relative to the
      parent; neighbours in time have the same sign.
    translations_TJ3: float32[T, J, 3], m, relative to the parent.
    fps: frames per second.
  """

  vertices_V3: np.ndarray
  faces_F3: np.ndarray
  colors_V3: np.ndarray
  target_names: tuple[str, ...]
  targets_KV3: np.ndarray
  joints_J3: np.ndarray
  skin_VJ: np.ndarray
  weights_TK: np.ndarray
  rotations_TJ4: np.ndarray
  translations_TJ3: np.ndarray
  fps: float

  @property
  def num_frames(self) -> int:
    return len(self.weights_TK)

  @property
  def local_joints_J3(self) -> np.ndarray:
    """float32[J, 3]: where each joint is bound, relative to its parent."""
    parents = np.array(PARENTS)
    origin = np.where(parents[:, None] < 0, 0.0, self.joints_J3[parents])
    return (self.joints_J3 - origin).astype(np.float32)


def build_rig(
  face: FaceModel, motion: FaceMotion, light: bool = False, identity: bool = True
) -> Rig:
  """Turns a motion of this face model into a rig.

  Args:
    face: the motion's own face model.
    motion: T frames.
    light: leave out the correctives and the joints' following of the expression.
    identity: bake `motion.shape` into the mesh; otherwise the mean head.

  Raises:
    UserError: the motion does not fit the model (as `motion_vertices`).
  """
  # Checked by the forward map itself, on one frame, so that there is one rule.
  still = motion.replace(
    expression=np.zeros_like(motion.expression[:1]),
    **{
      name: np.zeros_like(getattr(motion, name)[:1])
      for name in ("jaw_pose", "neck_pose", "head_pose", "eyelids", "eye_pose")
    },
    translation=np.zeros_like(motion.translation[:1]),
  )
  neutral_V3 = face_model_lib.motion_vertices(face, still, identity=identity)[0]
  num_vertices = face.num_vertices
  kept = face.num_expression + 2 + (0 if light else NUM_POSE_FEATURES)
  basis = np.asarray(face.motion_basis, np.float32)[:kept]
  targets_KV3 = np.moveaxis(basis.reshape(kept, 3, num_vertices), 1, 2)
  expression_TE = np.zeros((motion.num_frames, face.num_expression))
  expression_TE[:, : motion.num_expression] = motion.expression
  joints_J3 = np.asarray(face.joint_template, np.float64)
  if identity and np.any(motion.shape):
    directions = np.asarray(face.joint_shapedirs, np.float64)
    joints_J3 = joints_J3 + directions[..., : len(motion.shape)] @ motion.shape
  turns = [motion.head_pose, motion.neck_pose, motion.jaw_pose, motion.eye_pose]
  turns_TJ3 = np.concatenate(turns, axis=1).reshape(-1, len(JOINTS), 3)
  rotation = transform.Rotation.from_rotvec(turns_TJ3.reshape(-1, 3))
  matrices_TJ33 = rotation.as_matrix().reshape(*turns_TJ3.shape, 3)
  weights = [expression_TE, motion.eyelids]
  if not light:
    features = matrices_TJ33[:, 1:] - np.eye(3)
    weights.append(features.reshape(len(features), -1))
  follow = np.zeros((motion.num_frames, len(JOINTS), 3))
  if not light:
    exprdirs = np.asarray(face.joint_exprdirs, np.float64)
    follow = np.einsum("jae,te->tja", exprdirs, expression_TE)
  return Rig(
    vertices_V3=neutral_V3,
    faces_F3=np.asarray(face.faces, np.int32),
    colors_V3=looks.by_region(face, SKIN_COLOR, REGION_COLORS),
    target_names=_target_names(face.num_expression, light),
    targets_KV3=np.ascontiguousarray(targets_KV3),
    joints_J3=joints_J3.astype(np.float32),
    skin_VJ=np.asarray(face.lbs_weights, np.float32),
    weights_TK=np.concatenate(weights, axis=1).astype(np.float32),
    rotations_TJ4=_continuous(rotation.as_quat().reshape(*turns_TJ3.shape[:2], 4)),
    translations_TJ3=_local_translations(
      matrices_TJ33, joints_J3, joints_J3 + follow, motion.translation
    ),
    fps=motion.fps,
  )


def unit_weights(rig: Rig) -> Rig:
  """The same rig with every weight in 0 .. 1, the range of most tools' sliders.

  Blender's importer clamps a shape key to the range that its first key frame needs, and
  game engines may clamp to 0 .. 1, so a coefficient that changes its sign is lost.
  Here each signed target becomes two, `_plus` and `_minus`, one of which is active;
  expression targets are made EXPRESSION_SCALE times as strong. Eyelids, which are never
  negative in a motion, stay one target.

  A coefficient beyond the scale keeps a weight beyond 1.
  """
  names, targets, weights = [], [], []
  for k, name in enumerate(rig.target_names):
    scale = EXPRESSION_SCALE if name.startswith("expression_") else 1.0
    target_V3, weight_T = rig.targets_KV3[k] * scale, rig.weights_TK[:, k] / scale
    if name.startswith("eyelid_") and (weight_T >= 0).all():
      signs = {"": 1.0}
    else:
      signs = {"_plus": 1.0, "_minus": -1.0}
    for suffix, sign in signs.items():
      names.append(name + suffix)
      targets.append(sign * target_V3)
      weights.append(np.maximum(sign * weight_T, 0.0))
  return dataclasses.replace(
    rig,
    target_names=tuple(names),
    targets_KV3=np.float32(targets),
    weights_TK=np.stack(weights, axis=1).astype(np.float32),
  )


def play(rig: Rig) -> Iterator[np.ndarray]:
  """What a viewer shows, a frame at a time, float32[V, 3]: morph targets, skinning."""
  matrices = transform.Rotation.from_quat(rig.rotations_TJ4.reshape(-1, 4)).as_matrix()
  matrices = matrices.reshape(*rig.rotations_TJ4.shape[:2], 3, 3)
  world_R, world_o = _chain(matrices, rig.translations_TJ3)
  offset = world_o - np.einsum("tjab,jb->tja", world_R, rig.joints_J3)
  flat_K = rig.targets_KV3.reshape(len(rig.targets_KV3), -1)
  for t, weights in enumerate(rig.weights_TK):
    morphed = rig.vertices_V3 + (weights @ flat_K).reshape(-1, 3)
    blended = np.einsum("vj,jab->vab", rig.skin_VJ, world_R[t])
    turned = np.einsum("vab,vb->va", blended, morphed) + rig.skin_VJ @ offset[t]
    yield turned.astype(np.float32)


def _target_names(num_expression, light) -> tuple[str, ...]:
  names = [f"expression_{i:03}" for i in range(num_expression)]
  names += ["eyelid_left", "eyelid_right"]
  if not light:
    names += [f"corrective_{joint}_{i}" for joint in JOINTS[1:] for i in range(9)]
  return tuple(names)


def _continuous(quaternions_TJ4) -> np.ndarray:
  """Signs chosen so that neighbours in time lie in one half of the sphere."""
  cosine = np.sum(quaternions_TJ4[1:] * quaternions_TJ4[:-1], axis=-1)
  flips = np.cumprod(np.where(cosine < 0, -1.0, 1.0), axis=0)
  fixed = quaternions_TJ4.copy()
  fixed[1:] *= flips[..., None]
  return fixed.astype(np.float32)


def _chain(matrices_TJ33, translations_TJ3):
  """World rotation and origin of each joint from those relative to its parent."""
  world_R, world_o = [matrices_TJ33[:, 0]], [translations_TJ3[:, 0]]
  for j in range(1, len(JOINTS)):
    parent = world_R[PARENTS[j]]
    moved = np.einsum("tab,tb->ta", parent, translations_TJ3[:, j])
    world_o.append(world_o[PARENTS[j]] + moved)
    world_R.append(parent @ matrices_TJ33[:, j])
  return np.stack(world_R, axis=1), np.stack(world_o, axis=1)


def _local_translations(matrices_TJ33, bound_J3, joints_TJ3, translation_T3):
  """Joint translations under which a rig bound at `bound_J3` turns about `joints_TJ3`.

  FLAME carries a point by joint j to R_j (v - J_j) + p_j, with p_j the joint's posed
  place. A rig carries it to R_j (v - B_j) + g_j, so g_j = p_j - R_j (J_j - B_j).
  """
  parents = np.array(PARENTS)
  bones = joints_TJ3 - np.where(
    parents[:, None] < 0, 0.0, joints_TJ3[:, np.maximum(parents, 0)]
  )
  world_R, world_p = _chain(matrices_TJ33, bones)
  world_g = world_p - np.einsum("tjab,tjb->tja", world_R, joints_TJ3 - bound_J3)
  world_g = world_g + np.asarray(translation_T3, np.float64)[:, None]
  local = world_g.copy()
  for j in range(1, len(JOINTS)):
    step = world_g[:, j] - world_g[:, PARENTS[j]]
    local[:, j] = np.einsum("tba,tb->ta", world_R[:, PARENTS[j]], step)
  return local.astype(np.float32)
