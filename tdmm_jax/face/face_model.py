"""FLAME's forward map: coefficients and rotations in, vertices out.

Every head, the project's own or a licensed one, is a `FaceModel`, so no code asks which
it is. Vertices in metres, y up, x to the subject's left, z out of the face.

Shape letters: V vertices, S identity and E expression coefficients, J 5 joints, F
triangles, L landmarks, K rows of the basis (E + 2 + 36). Inside, coordinates are planar
([3, V]), so that skinning is one fused elementwise loop over V.

Source: Li et al. 2017, "Learning a model of facial shape and expression from 4D scans".
"""

import dataclasses
import functools
import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import rotations
from tdmm_jax.face.motion import FaceMotion

JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
PARENTS = (-1, 0, 1, 1, 1)
NUM_POSE_FEATURES = 36  # R - I of neck, jaw, left eye, right eye
_CHUNK = 64  # frames per call of motion_vertices: 4 MB of vertices


class Regions(dict):
  """Region name -> vertex ids; a region that is not there is the user's to add."""

  def __missing__(self, name):
    known = ", ".join(sorted(self)) or "none"
    raise UserError(
      f"face model: no region '{name}' (known: {known}); "
      "put FLAME_masks.pkl beside the model file"
    )


class _Static:
  """What jit treats as constant. Equal where the version is: nothing else is compared,
  so a rebuilt model hits the compilation cache."""

  FIELDS = (
    "faces",
    "regions",
    "landmark_ids",
    "landmark_triangles",
    "landmark_barycentric",
    "name",
    "version",
  )

  def __init__(self, model):
    self.values = {name: getattr(model, name) for name in self.FIELDS}
    self.key = (model.name, model.version)

  def __hash__(self):
    return hash(self.key)

  def __eq__(self, other):
    return isinstance(other, _Static) and self.key == other.key


@dataclasses.dataclass(frozen=True, eq=False)
class FaceModel:
  """A face model; arrays are pytree leaves, the rest is static under jit.

  Attributes:
    v_template: float32[V, 3], m.
    shape_basis: float32[S, 3 * V], planar; see `shapedirs`.
    motion_basis: float32[K, 3 * V], planar rows: E expressions, 2 eyelids (m at 1 =
      closed), 36 pose correctives (neck, jaw, left eye, right eye: R - I, row-major).
    lbs_weights: float32[V, 5], rows sum to 1.
    joint_template, joint_shapedirs, joint_exprdirs: float32[5, 3], [5, 3, S] and
      [5, 3, E]: the joint regressor already applied, so that a subset of vertices
      keeps its joints.
    vertex_areas: float32[V], m^2, a third of the adjacent triangles.
    faces: int32[F, 3].
    regions: name -> int32 vertex ids; at least lips, upper_face, face where known.
    landmark_ids: int32[L], mediapipe's numbers, 0 .. 477.
    landmark_triangles: int32[L, 3], vertex ids.
    landmark_barycentric: float32[L, 3].
    name: the basis: default_v1, flame2020, flame2023.
    version: 12 hex digits, hash of the contents.
  """

  v_template: jax.Array
  shape_basis: jax.Array
  motion_basis: jax.Array
  lbs_weights: jax.Array
  joint_template: jax.Array
  joint_shapedirs: jax.Array
  joint_exprdirs: jax.Array
  vertex_areas: jax.Array
  faces: np.ndarray
  regions: Regions
  landmark_ids: np.ndarray
  landmark_triangles: np.ndarray
  landmark_barycentric: np.ndarray
  name: str
  version: str

  @property
  def num_vertices(self) -> int:
    return self.v_template.shape[0]

  @property
  def num_shape(self) -> int:
    return self.shape_basis.shape[0]

  @property
  def num_expression(self) -> int:
    return self.motion_basis.shape[0] - 2 - NUM_POSE_FEATURES

  @property
  def shapedirs(self):
    """float32[V, 3, S], m per unit coefficient."""
    return _interleave(self.shape_basis)

  @property
  def exprdirs(self):
    """float32[V, 3, E], m per unit coefficient."""
    return _interleave(self.motion_basis[: self.num_expression])

  @property
  def eyelid_dirs(self):
    """float32[V, 3, 2], m at 1 = closed; left, right."""
    e = self.num_expression
    return _interleave(self.motion_basis[e : e + 2])

  @property
  def posedirs(self):
    """float32[36, V, 3], m per unit of R - I."""
    return jnp.moveaxis(_interleave(self.motion_basis[-NUM_POSE_FEATURES:]), -1, 0)


_LEAVES = tuple(
  field.name
  for field in dataclasses.fields(FaceModel)
  if field.name not in _Static.FIELDS
)


def _flatten(model):
  keys = [(jax.tree_util.GetAttrKey(n), getattr(model, n)) for n in _LEAVES]
  return keys, _Static(model)


def _unflatten(static, leaves):
  return FaceModel(**dict(zip(_LEAVES, leaves)), **static.values)


jax.tree_util.register_pytree_with_keys(FaceModel, _flatten, _unflatten)


def _planar(dirs_V3C):
  """[V, 3, C] -> [C, 3 * V]."""
  dirs = np.asarray(dirs_V3C, np.float32)
  return np.ascontiguousarray(dirs.transpose(2, 1, 0).reshape(dirs.shape[2], -1))


def _interleave(basis):
  """[C, 3 * V] -> [V, 3, C]."""
  return basis.reshape(basis.shape[0], 3, -1).transpose(2, 1, 0)


def from_arrays(
  *,
  v_template,
  shapedirs,
  exprdirs,
  eyelid_dirs,
  posedirs,
  lbs_weights,
  J_regressor,
  faces,
  regions,
  landmark_ids,
  landmark_triangles,
  landmark_barycentric,
  name,
) -> FaceModel:
  """The one constructor: regresses the joints, measures areas, names the version.

  Args:
    v_template: [V, 3], m. shapedirs: [V, 3, S]. exprdirs: [V, 3, E].
    eyelid_dirs: [V, 3, 2]. posedirs: [36, V, 3]. lbs_weights: [V, 5].
    J_regressor: [5, V]. faces: [F, 3]. regions: name -> vertex ids.
    landmark_ids: [L]. landmark_triangles: [L, 3] vertex ids.
    landmark_barycentric: [L, 3].
    name: the basis.

  Raises:
    ValueError: shapes disagree, or skinning weights do not sum to 1.
  """
  template = np.asarray(v_template, np.float64)
  faces = np.asarray(faces, np.int32)
  V = len(template)
  expected = {
    "shapedirs": (np.shape(shapedirs), (V, 3, np.shape(shapedirs)[-1])),
    "exprdirs": (np.shape(exprdirs), (V, 3, np.shape(exprdirs)[-1])),
    "eyelid_dirs": (np.shape(eyelid_dirs), (V, 3, 2)),
    "posedirs": (np.shape(posedirs), (NUM_POSE_FEATURES, V, 3)),
    "lbs_weights": (np.shape(lbs_weights), (V, len(JOINTS))),
    "J_regressor": (np.shape(J_regressor), (len(JOINTS), V)),
  }
  for field, (actual, wanted) in expected.items():
    if tuple(actual) != wanted:
      raise ValueError(f"{name}: '{field}' has shape {actual}, not {wanted}")
  if np.abs(np.sum(lbs_weights, axis=1) - 1).max() > 1e-3:
    raise ValueError(f"{name}: skinning weights do not sum to 1")
  if faces.size and not (faces.min() >= 0 and faces.max() < V):
    raise ValueError(f"{name}: a triangle names a vertex that is not there")
  regress = lambda dirs: np.einsum(
    "jv,vac->jac", np.asarray(J_regressor, np.float64), dirs
  ).astype(np.float32)
  basis = [exprdirs, eyelid_dirs, np.moveaxis(np.asarray(posedirs), 0, -1)]
  arrays = {
    "v_template": template.astype(np.float32),
    "shape_basis": _planar(shapedirs),
    "motion_basis": np.concatenate([_planar(dirs) for dirs in basis]),
    "lbs_weights": np.asarray(lbs_weights, np.float32),
    "joint_template": regress(template[:, :, None])[..., 0],
    "joint_shapedirs": regress(shapedirs),
    "joint_exprdirs": regress(exprdirs),
    "vertex_areas": _vertex_areas(template, faces),
  }
  static = {
    "faces": faces,
    "regions": Regions({k: np.asarray(v, np.int32) for k, v in regions.items()}),
    "landmark_ids": np.asarray(landmark_ids, np.int32),
    "landmark_triangles": np.asarray(landmark_triangles, np.int32).reshape(-1, 3),
    "landmark_barycentric": np.asarray(landmark_barycentric, np.float32).reshape(-1, 3),
    "name": name,
  }
  version = _hash(arrays, static)
  arrays = {key: jnp.asarray(value) for key, value in arrays.items()}
  return FaceModel(**arrays, **static, version=version)


def _vertex_areas(vertices, faces):
  areas = np.zeros(len(vertices))
  if len(faces):
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    triangle = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    for corner in faces.T:
      np.add.at(areas, corner, triangle / 3)
  return areas.astype(np.float32)


def _hash(arrays, static) -> str:
  """Content hash; numbers to 1e-6, so that a last bit does not make another model."""
  digest = hashlib.sha256(static["name"].encode())
  items = {**arrays, **static, **static["regions"]}
  for key in sorted(items):
    if isinstance(items[key], np.ndarray):
      value = items[key]
      if value.dtype.kind == "f":
        value = np.rint(value.astype(np.float64) * 1e6).astype(np.int32)
      digest.update(f"{key}{value.shape}".encode() + value.tobytes())
  return digest.hexdigest()[:12]


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
  lead = jnp.broadcast_shapes(
    expression.shape[:-1], eyelids.shape[:-1], features.shape[:-1]
  )
  rows = [jnp.broadcast_to(x, (*lead, x.shape[-1])) for x in (expression, eyelids)]
  rows.append(jnp.broadcast_to(features, (*lead, NUM_POSE_FEATURES)))
  matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
  vertices = matmul(jnp.concatenate(rows, axis=-1), model.motion_basis)
  neutral = model.v_template.T.reshape(-1)
  joints = model.joint_template + jnp.einsum(
    "...e,jae->...ja", expression, model.joint_exprdirs
  )
  if shape is not None:
    neutral = neutral + matmul(shape, model.shape_basis)
    joints = joints + jnp.einsum("...s,jas->...ja", shape, model.joint_shapedirs)
  vertices = vertices + neutral
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


def skin(vertices, weights_VJ, rotation, offset):
  """Σ_j w_j (R_j v + o_j), planar, left to XLA to fuse into one loop over V.

  Args:
    vertices: [..., 3, V]. weights_VJ: [V, J].
    rotation: [..., J, 3, 3]. offset: [..., J, 3].

  Returns:
    three arrays [..., V]: x, y, z.
  """
  x, y, z = (vertices[..., axis, :] for axis in range(3))
  weights = [weights_VJ[:, j] for j in range(weights_VJ.shape[1])]

  def coordinate(i):
    total = 0.0
    for j, weight in enumerate(weights):
      r = lambda k, j=j: rotation[..., j, i, k, None]
      total += weight * (r(0) * x + r(1) * y + r(2) * z + offset[..., j, i, None])
    return total

  return coordinate(0), coordinate(1), coordinate(2)


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
  moved = skin(vertices, model.lbs_weights[:, 2:], moving, offset)
  parts = [vertices[..., i, :] + moved[i] for i in range(3)]
  return jnp.concatenate(parts, axis=-1)


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
  return jnp.stack(jnp.split(planar, 3, axis=-1), axis=-1)


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
  moved = skin(vertices, model.lbs_weights, rotation, offset)
  return jnp.stack(moved, axis=-1)


@functools.partial(jax.jit, static_argnames="head_fixed")
def _vertices_chunk(model, tracks, shape, head_fixed):
  if head_fixed:
    names = ("expression", "jaw_pose", "eyelids", "eye_pose")
    return head_fixed_vertices(model, **{n: tracks[n] for n in names}, shape=shape)
  return posed_vertices(model, **tracks, shape=shape)


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
    UserError: the motion is of another basis, or has more coefficients than the model.
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
  shape = tracks.pop("shape")
  vertices = np.empty((motion.num_frames, model.num_vertices, 3), np.float32)
  for start in range(0, motion.num_frames, _CHUNK):
    chunk = {name: track[start : start + _CHUNK] for name, track in tracks.items()}
    length = len(chunk["expression"])
    pad = ((0, _CHUNK - length), (0, 0))
    chunk = {name: np.pad(track, pad) for name, track in chunk.items()}
    result = _vertices_chunk(model, chunk, shape, head_fixed)
    vertices[start : start + length] = np.asarray(result)[:length]
  return vertices


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


def vertex_subset(model: FaceModel, ids) -> FaceModel:
  """A model of these vertices only, at the same places as in the full model.

  Joints and vertex areas are the full model's. Regions are cut to the subset;
  triangles and landmarks stay where all their vertices do.

  Args:
    model: FaceModel.
    ids: int[N], distinct vertex ids; the order becomes the new order.
  """
  ids = np.asarray(ids)
  remap = np.full(model.num_vertices, -1, np.int32)
  remap[ids] = np.arange(len(ids), dtype=np.int32)
  take = lambda basis: basis.reshape(len(basis), 3, -1)[:, :, ids].reshape(
    len(basis), -1
  )
  kept = (remap[model.landmark_triangles] >= 0).all(axis=1)
  faces = remap[model.faces]
  regions = {name: remap[region] for name, region in model.regions.items()}
  digest = hashlib.sha256(model.version.encode() + ids.astype(np.int64).tobytes())
  return dataclasses.replace(
    model,
    v_template=model.v_template[ids],
    shape_basis=take(model.shape_basis),
    motion_basis=take(model.motion_basis),
    lbs_weights=model.lbs_weights[ids],
    vertex_areas=model.vertex_areas[ids],
    faces=faces[(faces >= 0).all(axis=1)],
    regions=Regions({name: region[region >= 0] for name, region in regions.items()}),
    landmark_ids=model.landmark_ids[kept],
    landmark_triangles=remap[model.landmark_triangles[kept]],
    landmark_barycentric=model.landmark_barycentric[kept],
    version=digest.hexdigest()[:12],
  )


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


def load_face_model(spec: str) -> FaceModel:
  """The default head by its name, or a FLAME model by its file.

  Args:
    spec: "default_v1", or the path of generic_model.pkl / flame2023.pkl; masks,
      landmark embedding and eyelids are looked for beside it.

  Raises:
    UserError: no such file, or not a FLAME model.
  """
  from tdmm_jax.face import default_head, flame_files  # they build on this module

  if spec == "default_v1":
    return default_head.build_default_head()
  return flame_files.load_flame(spec)
