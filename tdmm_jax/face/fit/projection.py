"""Landmarks in the picture and their derivatives, for `fit`.

The derivatives are written out: automatic ones push every unknown through skinning by
itself and take fifteen times as long. A test compares the two.

One frame's vector is [expression E, eyelids 2, jaw 3, eyes 6, head 3, log scale, tx,
ty], in rad and model metres; y is up. Shape letters: T frames, P = E + 17, C vertices
of the landmark model, L landmarks of K corners, S identity coefficients, D directions,
J the three joints that move (jaw, left eye, right eye).
"""

import jax
import jax.numpy as jnp

from tdmm_jax.face import face_model as face_model_lib
from tdmm_jax.face import rotations

_NUM_FEATURES = 27  # R - I of jaw, left eye, right eye


def project(model, frames_TP, shape_S, offsets_L3=0.0) -> jax.Array:
  """Landmarks in the image plane, float[T, L, 2].

  Args:
    model: FaceModel, of the landmarks' vertices only (`vertex_subset`): C vertices.
    frames_TP: float[T, P].
    shape_S: float[S].
    offsets_L3: added to the landmarks, m; they turn with the head.
  """
  linear, joint_pose, head_pose, camera = _split(model, frames_TP)
  vertices = face_model_lib.posed_vertices(
    model,
    expression=linear[:, :-2],
    eyelids=linear[:, -2:],
    jaw_pose=joint_pose[:, :3],
    eye_pose=joint_pose[:, 3:],
    neck_pose=jnp.zeros_like(head_pose),
    head_pose=head_pose,
    shape=shape_S,
  )
  turned = jnp.einsum(
    "tab,lb->tla",
    rotations.rodrigues(head_pose),
    jnp.broadcast_to(offsets_L3, (len(model.landmark_ids), 3)),
  )
  flat = (face_model_lib.landmarks(model, vertices) + turned)[..., :2]
  return flat * jnp.exp(camera[:, None, :1]) + camera[:, None, 1:]


def jacobian(model, frames_TP, shape_S, offsets_L3=0.0) -> jax.Array:
  """Derivatives of `project`, float[T, L, 2, P + S]: frame's vector, then identity.

  A vertex x goes to R (x + Σ_j w_j K_j (x - J_j) - J_0) + J_0, with R the head's
  rotation and K_j = R_j - I. x and the joints J are linear in the coefficients and,
  through the correctives, in the entries of K.
  """
  T = len(frames_TP)
  linear, joint_pose, head_pose, camera = _split(model, frames_TP)
  turns, d_turns = _rotation_and_derivative(joint_pose.reshape(T, 3, 3))
  head, d_head = _rotation_and_derivative(head_pose)
  K = turns - jnp.eye(3)  # [T, J, 3, 3]
  scale = jnp.exp(camera[:, :1])
  rows = head[:, :2] * scale[..., None]  # the two rows that the picture shows
  rows_K = jnp.einsum("tab,tjbc->tjac", rows, K)
  d_rows_K = jnp.einsum("tab,tjbcw->tjacw", rows, d_turns)

  weights = model.lbs_weights[:, 2:]
  bary, triangles = model.landmark_barycentric, model.landmark_triangles
  landmark_weights = jnp.einsum("lk,lkj->lj", bary, weights[triangles])
  point_dirs, joint_dirs = _directions(model)

  # Coefficients and correctives: each landmark is a [2 T, 3 K] x [3 K, D] product.
  blend = rows[:, None] + jnp.einsum("cj,tjab->tcab", weights, rows_K)
  blend = blend[:, triangles] * bary[:, :, None, None]
  blend = jnp.moveaxis(blend, (1, 2), (0, 3)).reshape(len(bary), 2 * T, -1)
  by_linear = (blend @ point_dirs).reshape(len(bary), T, 2, -1)
  by_root = jnp.eye(3)[:2] * scale[..., None] - rows
  by_joint = -jnp.einsum("tjab,jbd->jtad", rows_K, joint_dirs[2:])
  by_root = jnp.einsum("tab,bd->tad", by_root, joint_dirs[0])
  by_linear = by_linear + by_root + jnp.tensordot(landmark_weights, by_joint, axes=1)
  by_linear = jnp.moveaxis(by_linear, 0, 1)  # [T, L, 2, D]

  # Jaw and eyes: through the correctives, and by turning what hangs on the joint.
  points, joints = _at_rest(model, linear, shape_S, K.reshape(T, -1))
  split = by_linear.shape[-1] - _NUM_FEATURES
  by_feature = by_linear[..., split:].reshape(T, -1, 2, 3, 9)
  by_joint_pose = jnp.einsum(
    "tlajf,tjfw->tlajw", by_feature, d_turns.reshape(T, 3, 9, 3)
  )
  lever = jnp.einsum(
    "lk,lkj,tlkb->tljb", bary, weights[triangles], points[:, triangles]
  )
  lever = lever - landmark_weights[..., None] * joints[:, None, 2:]
  by_joint_pose = by_joint_pose + jnp.einsum("tjabw,tljb->tlajw", d_rows_K, lever)

  # Head and camera: rigid.
  fixed = jnp.einsum("lk,tlkb->tlb", bary, points[:, triangles])
  fixed = fixed + jnp.einsum("tjab,tljb->tla", K, lever) - joints[:, None, 0]
  fixed = fixed + offsets_L3
  by_head = jnp.einsum("tabw,tlb->tlaw", d_head[:, :2] * scale[..., None, None], fixed)
  seen = jnp.einsum("tab,tlb->tla", rows, fixed) + (
    joints[:, :1, :2] * scale[..., None]
  )
  by_offset = jnp.broadcast_to(jnp.eye(2), (*seen.shape, 2))
  return jnp.concatenate(
    [
      by_linear[..., : linear.shape[1]],
      by_joint_pose.reshape(T, -1, 2, 9),
      by_head,
      seen[..., None],
      by_offset,
      by_linear[..., linear.shape[1] : split],
    ],
    axis=-1,
  )


def _split(model, frames_TP):
  """[expression, eyelids], [jaw, eyes], head, camera."""
  D = model.num_expression + 2
  return jnp.split(frames_TP, (D, D + 9, D + 12), axis=-1)


def _rotation_and_derivative(axis_angle):
  """R [..., 3, 3] and its derivative by the vector, [..., 3, 3, 3]."""
  flat = axis_angle.reshape(-1, 3)
  derivative = jax.vmap(jax.jacfwd(rotations.rodrigues))(flat)
  return (
    rotations.rodrigues(axis_angle),
    derivative.reshape(*axis_angle.shape[:-1], 3, 3, 3),
  )


def _directions(model):
  """Landmark corners [L, 3 K, D] and joints [5, 3, D] per unit.

  Directions: expression, eyelids, identity, correctives of jaw and eyes.
  """
  basis = jnp.concatenate(
    [
      model.motion_basis[: model.num_expression + 2],
      model.shape_basis,
      model.motion_basis[-_NUM_FEATURES:],
    ]
  )
  corners = basis.reshape(len(basis), 3, -1)[:, :, model.landmark_triangles]
  corners = jnp.moveaxis(corners, (1, 3), (3, 2))  # [D, L, corner, 3]
  corners = jnp.moveaxis(corners.reshape(*corners.shape[:2], -1), 0, -1)
  none = lambda width: jnp.zeros((5, 3, width))
  joints = [model.joint_exprdirs, none(2), model.joint_shapedirs, none(_NUM_FEATURES)]
  return corners, jnp.concatenate(joints, axis=-1)


def _at_rest(model, linear, shape_S, features):
  """Vertices [T, C, 3] and joints [T, 5, 3] before skinning."""
  D, S = linear.shape[1], len(shape_S)
  points = (
    linear @ model.motion_basis[:D] + features @ model.motion_basis[-_NUM_FEATURES:]
  )
  points = points + model.v_template.T.reshape(-1)
  joints = model.joint_template + jnp.einsum(
    "te,jae->tja", linear[:, :-2], model.joint_exprdirs
  )
  if S:
    points = points + shape_S @ model.shape_basis
    joints = joints + jnp.einsum("s,jas->ja", shape_S, model.joint_shapedirs)
  return jnp.swapaxes(points.reshape(len(points), 3, -1), 1, 2), joints
