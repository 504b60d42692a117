"""FLAME's forward map: coefficients and rotations in, vertices out.

Every head, the project's own or a licensed one, is a `FaceModel`, so no code asks which
it is. Vertices in metres, y up, x to the subject's left, z out of the face.

Shape letters: V vertices, S identity and E expression coefficients, J 5 joints, L
landmarks. Inside, coordinates are planar ([3, V]), so that skinning is one fused
elementwise loop over V.

Source: Li et al. 2017, "Learning a model of facial shape and expression from 4D scans".
"""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face import motion_vector, rotations
from tdmm_jax.face.face_arrays import (
  JOINTS,
  NUM_POSE_FEATURES,
  PARENTS,
  FaceModel,
  from_arrays,
  vertex_subset,
)
from tdmm_jax.face.motion import FaceMotion

__all__ = [  # the whole of a face model is had from here
  "JOINTS",
  "NUM_POSE_FEATURES",
  "PARENTS",
  "FaceModel",
  "frames",
  "from_arrays",
  "head_fixed_vertices",
  "landmarks",
  "motion_vertices",
  "posed_vertices",
  "skin",
  "vector_geometry",
  "vertex_subset",
  "with_identity",
  "world_transforms",
]

_CHUNK = 64  # frames per call of motion_vertices: 4 MB of vertices


def _check(model, expression, shape):
  if expression.shape[-1] != model.num_expression:
    raise ValueError(
      f"{expression.shape[-1]} expression coefficients given, but {model.name} "
      f"was loaded with {model.num_expression}"
    )
  if shape is not None and shape.shape[-1] != model.num_shape:
    raise ValueError(
      f"{shape.shape[-1]} identity coefficients given, but {model.name} "
      f"was loaded with {model.num_shape}"
    )


def _shaped(model, shape, expression, eyelids, pose_matrices):
  """Blend shapes: planar vertices [..., 3, V] and joints [..., 5, 3], before skinning.

  Args:
    shape: [S], [..., S] or None. expression: [..., E]. eyelids: [..., 2].
    pose_matrices: [..., 4, 3, 3], of neck, jaw, left eye, right eye.
  """
  _check(model, expression, shape)
  features = (pose_matrices - jnp.eye(3)).reshape(*pose_matrices.shape[:-3], -1)
  features = features[..., model.pose_features]
  lead = jnp.broadcast_shapes(
    expression.shape[:-1], eyelids.shape[:-1], features.shape[:-1]
  )
  per_frame = shape is not None and jnp.ndim(shape) > 1
  rows = [
    jnp.ones((1,)),
    expression,
    eyelids,
    features,
    *([shape] if per_frame else []),
  ]
  rows = [jnp.broadcast_to(x, (*lead, x.shape[-1])) for x in rows]
  matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
  coefficients = jnp.concatenate(rows, axis=-1)
  vertices = matmul(coefficients, model.basis[: coefficients.shape[-1]])
  joints = model.joint_template + jnp.einsum(
    "...e,jae->...ja", expression, model.joint_exprdirs
  )
  if shape is not None:
    joints = joints + jnp.einsum("...s,jas->...ja", shape, model.joint_shapedirs)
    if not per_frame:
      vertices = vertices + matmul(shape, model.shape_basis)
  return vertices.reshape(*vertices.shape[:-1], 3, -1), joints


def _apply(matrix, vector):
  """[..., 3, 3] x [..., 3]. Written out: thousands of 3 x 3 `dot`s do not fuse."""
  return jnp.sum(matrix * vector[..., None, :], axis=-1)


def _multiply(first, second):
  """[..., 3, 3] x [..., 3, 3], written out for the same reason."""
  return jnp.sum(first[..., :, :, None] * second[..., None, :, :], axis=-2)


def world_transforms(matrices, joints):
  """What each joint does to a point at rest: R p + o. Linear in the joints.

  Args:
    matrices: [..., 5, 3, 3], each joint's rotation relative to its parent.
    joints: [..., 5, 3], at rest.

  Returns:
    rotation [..., 5, 3, 3] and offset [..., 5, 3].
  """
  lead = jnp.broadcast_shapes(matrices.shape[:-3], joints.shape[:-2])
  joints = jnp.broadcast_to(joints, (*lead, len(JOINTS), 3))
  rotation, position = [matrices[..., 0, :, :]], [joints[..., 0, :]]
  for j in range(1, len(JOINTS)):
    parent = PARENTS[j]
    bone = joints[..., j, :] - joints[..., parent, :]
    position.append(position[parent] + _apply(rotation[parent], bone))
    rotation.append(_multiply(rotation[parent], matrices[..., j, :, :]))
  rotation = jnp.stack(rotation, axis=-3)
  return rotation, jnp.stack(position, axis=-2) - _apply(rotation, joints)


def _coordinates(planar):
  """x, y, z [..., V] of [..., 3, V]. Split, for the gradient of slices is sums."""
  return [part[..., 0, :] for part in jnp.split(planar, 3, axis=-2)]


def _moved(vertices, weights_VJ, rotation, offset=None):
  """Σ_j w_j (R_j v + o_j), left to XLA to fuse into one loop over V."""
  x, y, z = _coordinates(vertices)
  coordinates = []
  for i in range(3):
    total = 0.0
    for j in range(weights_VJ.shape[1]):
      r = lambda k, i=i, j=j: rotation[..., j, i, k, None]
      turned = r(0) * x + r(1) * y + r(2) * z
      if offset is not None:
        turned = turned + offset[..., j, i, None]
      total += weights_VJ[:, j] * turned
    coordinates.append(total)
  return jnp.stack(coordinates, axis=-2)


@jax.custom_jvp
def skin(vertices, weights_VJ, rotation, offset):
  """Σ_j w_j (R_j v + o_j), planar.

  Args:
    vertices: [..., 3, V]. weights_VJ: [V, J].
    rotation: [..., J, 3, 3]. offset: [..., J, 3].

  Returns:
    [..., 3, V].
  """
  return _moved(vertices, weights_VJ, rotation, offset)


@functools.partial(skin.defjvp, symbolic_zeros=True)
def _skin_jvp(primals, tangents):
  """The derivative, written so that its transpose is matrix products.

  Left to itself, the gradient by R_j is 45 sums over V, which XLA's CPU backend does
  one number at a time. Here it is the products of Σ_v (g_i v_k) w_j, 3 times, which
  hold no more memory than the vertices.
  """
  vertices, weights_VJ, rotation, offset = primals
  d_vertices, d_weights, d_rotation, d_offset = tangents
  is_zero = lambda t: isinstance(t, jax.custom_derivatives.SymbolicZero)
  blend = functools.partial(
    jnp.einsum, "...ji,vj->...iv", precision=jax.lax.Precision.HIGHEST
  )
  out = skin(*primals)
  tangent = jnp.zeros_like(out)
  if not is_zero(d_vertices):
    tangent = tangent + _moved(d_vertices, weights_VJ, rotation)
  if not is_zero(d_weights):
    tangent = tangent + _moved(vertices, d_weights, rotation, offset)
  if not is_zero(d_rotation):
    for k in range(3):
      blended = blend(d_rotation[..., k], weights_VJ)
      tangent = tangent + blended * vertices[..., k, None, :]
  if not is_zero(d_offset):
    tangent = tangent + blend(d_offset, weights_VJ)
  return out, tangent


@jax.custom_jvp
def _interleaved(planar):
  """[..., 3, V] -> [..., V, 3]. XLA's CPU backend stacks faster than it transposes."""
  return jnp.stack(_coordinates(planar), axis=-1)


@_interleaved.defjvp
def _interleaved_jvp(primals, tangents):
  return _interleaved(primals[0]), jnp.swapaxes(tangents[0], -1, -2)


def with_identity(model: FaceModel, shape) -> FaceModel:
  """The model of one person: `shape` is folded into the template and the joints.

  Made once per clip, it saves every frame the identity's share of the work.

  Args:
    model: FaceModel.
    shape: float[S].

  Returns:
    a FaceModel without identity coefficients, of the same name and version; in NumPy,
    if the model and the shape are.
  """
  if isinstance(model.basis, np.ndarray) and isinstance(shape, np.ndarray):
    precise, concatenate = np.matmul, np.concatenate
  else:
    precise = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    concatenate = jnp.concatenate
  template = model.basis[:1] + precise(shape, model.shape_basis)
  return dataclasses.replace(
    model,
    basis=concatenate([template, model.basis[1 : 1 + model.num_motion_rows]]),
    joint_template=model.joint_template + precise(model.joint_shapedirs, shape),
    joint_shapedirs=model.joint_shapedirs[..., :0],
  )


def head_fixed_planar(
  model, expression, jaw_pose, eyelids, eye_pose, shape=None
) -> jax.Array:
  """As `head_fixed_vertices`, but float32[..., 3 * V]: all x, then all y, then all z.

  The layout in which the vertices are made; losses and features need no other.
  """
  turns = jnp.concatenate([jnp.zeros_like(jaw_pose), jaw_pose, eye_pose], axis=-1)
  matrices = rotations.rodrigues(turns.reshape(*turns.shape[:-1], 4, 3))
  vertices, joints = _shaped(model, shape, expression, eyelids, matrices)
  moving = matrices[..., 1:, :, :] - jnp.eye(3)  # root and neck move nothing
  offset = -_apply(moving, joints[..., 2:, :])
  moved = vertices + skin(vertices, model.lbs_weights[:, 2:], moving, offset)
  return moved.reshape(*moved.shape[:-2], -1)


def vector_geometry(model: FaceModel, vectors_BTP) -> jax.Array:
  """Head-fixed vertices of motion vectors (`motion_vector`), planar.

  Returns:
    float32[B, T, G = 3V], m: all x, then all y, then all z.
  """
  fields = motion_vector.split(vectors_BTP)
  fields.pop("head_pose")
  return head_fixed_planar(model, **fields)


def head_fixed_vertices(
  model, expression, jaw_pose, eyelids, eye_pose, shape=None
) -> jax.Array:
  """Vertices with root and neck at rest: the expression alone.

  Args:
    model: FaceModel.
    expression: float[..., E], unitless.
    jaw_pose: float[..., 3], axis-angle, rad.
    eyelids: float[..., 2], 0 open .. 1 closed.
    eye_pose: float[..., 6], axis-angle, rad; left, right.
    shape: float[S] or [..., S]; None is the mean head.

  Returns:
    float32[..., V, 3], m.

  Raises:
    ValueError: E or S disagree with the model. At trace time.
  """
  planar = head_fixed_planar(model, expression, jaw_pose, eyelids, eye_pose, shape)
  return _interleaved(planar.reshape(*planar.shape[:-1], 3, -1))


def posed_vertices(
  model,
  *,
  expression,
  jaw_pose,
  eyelids,
  eye_pose,
  neck_pose,
  head_pose,
  shape=None,
  translation=None,
) -> jax.Array:
  """FLAME exactly: blend shapes, correctives, skinning; the root turns about joint 0.

  Args:
    model: FaceModel.
    expression, jaw_pose, eyelids, eye_pose, shape: as `head_fixed_vertices`.
    neck_pose, head_pose: float[..., 3], axis-angle, rad.
    translation: float[..., 3], m, or None.

  Returns:
    float32[..., V, 3], m.
  """
  turns = jnp.concatenate([head_pose, neck_pose, jaw_pose, eye_pose], axis=-1)
  matrices = rotations.rodrigues(turns.reshape(*turns.shape[:-1], 5, 3))
  vertices, joints = _shaped(model, shape, expression, eyelids, matrices[..., 1:, :, :])
  rotation, offset = world_transforms(matrices, joints)
  if translation is not None:
    offset = offset + translation[..., None, :]
  return _interleaved(skin(vertices, model.lbs_weights, rotation, offset))


@functools.partial(jax.jit, static_argnames="head_fixed")
def _vertices_chunk(model, tracks, head_fixed):
  if head_fixed:
    names = ("expression", "jaw_pose", "eyelids", "eye_pose")
    return head_fixed_vertices(model, **{n: tracks[n] for n in names})
  return posed_vertices(model, **tracks)


_with_identity = jax.jit(with_identity)


def motion_vertices(
  model: FaceModel, motion: FaceMotion, head_fixed=False, identity=True
) -> np.ndarray:
  """Vertices of a whole clip, in chunks, so that memory stays bounded.

  Args:
    model: the motion's own face model.
    motion: T frames; fewer coefficients than the model has are padded with zeros.
    head_fixed: leave out root, neck and translation.
    identity: use `motion.shape`; otherwise the mean head.

  Returns:
    float32[T, V, 3], m.

  Raises:
    UserError: the motion is in another basis, or has more coefficients than the model.
  """
  if motion.face_model != model.name:
    raise UserError(
      f"motion is in basis '{motion.face_model}' but the face model is "
      f"'{model.name}'; give that basis' model file, or convert the motion"
    )
  tracks = {
    "expression": _pad(motion.expression, model.num_expression, "expression"),
    "shape": _pad(motion.shape if identity else [0.0], model.num_shape, "identity"),
  }
  others = ("jaw_pose", "eyelids", "eye_pose", "neck_pose", "head_pose", "translation")
  tracks |= {name: np.asarray(getattr(motion, name), np.float32) for name in others}
  model = _with_identity(model, tracks.pop("shape"))
  vertices = np.empty((motion.num_frames, model.num_vertices, 3), np.float32)
  for start in range(0, motion.num_frames, _CHUNK):
    chunk = {name: track[start : start + _CHUNK] for name, track in tracks.items()}
    length = len(chunk["expression"])
    pad = ((0, _CHUNK - length), (0, 0))
    chunk = {name: np.pad(track, pad) for name, track in chunk.items()}
    result = _vertices_chunk(model, chunk, head_fixed)
    vertices[start : start + length] = np.asarray(result)[:length]
  return vertices


def frames(
  model: FaceModel, motion: FaceMotion, identity: bool = True
) -> Iterator[np.ndarray]:
  """`motion_vertices` of one frame after the other, float32[V, 3]; few are held."""
  for piece in motion_lib.pieces(motion):
    yield from motion_vertices(model, piece, identity=identity)


def _pad(array, width, what):
  array = np.asarray(array, np.float32)
  if identity_free := (what == "identity" and not np.any(array)):
    array = array[:0]
  if not identity_free and array.shape[-1] > width:
    raise UserError(
      f"motion has {array.shape[-1]} {what} coefficients but the face model was "
      f"loaded with {width}; load the model with as many"
    )
  pad = [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])]
  return np.pad(array, pad)


def landmarks(model: FaceModel, vertices) -> jax.Array:
  """The head's landmarks on posed vertices, in the order of `landmark_ids`.

  Args:
    model: FaceModel.
    vertices: float[..., V, 3].

  Returns:
    float[..., L, 3].
  """
  corners = vertices[..., model.landmark_triangles, :]
  return jnp.einsum("...lca,lc->...la", corners, model.landmark_barycentric)
