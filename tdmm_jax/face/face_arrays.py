"""What a face model is made of: its arrays, the constructor, subsets of vertices.

Shape letters: V vertices, S identity and E expression coefficients, F triangles, L
landmarks, K rows of the motion basis (E + 2 + 36). The bases are planar ([3, V]) and
one array, so that the forward map in `face_model` is one matrix product.
"""

import dataclasses
import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax.errors import UserError

JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
PARENTS = (-1, 0, 1, 1, 1)
NUM_POSE_FEATURES = 36  # R - I of neck, jaw, left eye, right eye


class Regions(dict):
  """Region name -> vertex ids; asking for a missing one is a UserError."""

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
    "pose_features",
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

  def __repr__(self):
    return f"_Static{self.key}"  # the same in every process: runs/kept_programs.py


@dataclasses.dataclass(frozen=True, eq=False)
class FaceModel:
  """A face model; arrays are pytree leaves, the rest is static under jit.

  Attributes:
    basis: float32[1 + E + 2 + P + S, 3 * V], planar rows, m: the template, expressions,
      eyelids, correctives of the P `pose_features`, identities.
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
    pose_features: int32[P], which of the 36 features of a pose (neck, jaw, left eye,
      right eye: R - I, row-major) move a vertex; the default head has 2 such.
    name: the basis: default_v2, flame2020, flame2023.
    version: 12 hex digits; of a shipped head, the hash of its file, else of the arrays
      that it was made from.
  """

  basis: jax.Array
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
  pose_features: np.ndarray
  name: str
  version: str

  @property
  def num_vertices(self) -> int:
    return self.lbs_weights.shape[0]

  @property
  def num_shape(self) -> int:
    return self.joint_shapedirs.shape[-1]

  @property
  def num_expression(self) -> int:
    return self.joint_exprdirs.shape[-1]

  @property
  def v_template(self):
    """float32[V, 3], m."""
    return self.basis[0].reshape(3, -1).T

  @property
  def num_motion_rows(self) -> int:
    """Rows of `basis` behind the template that a motion moves: E + 2 + P."""
    return self.num_expression + 2 + len(self.pose_features)

  @property
  def motion_basis(self):
    """float32[K, 3 * V], planar rows: E expressions, 2 eyelids (m at 1 = closed), 36
    pose correctives (neck, jaw, left eye, right eye: R - I, row-major)."""
    rows = self.basis[1 : 1 + self.num_motion_rows]
    linear, moving = rows[: self.num_expression + 2], rows[self.num_expression + 2 :]
    shape = (NUM_POSE_FEATURES, self.basis.shape[1])
    if isinstance(self.basis, np.ndarray):  # stays so: nothing is compiled
      all_rows = np.zeros(shape, self.basis.dtype)
      all_rows[self.pose_features] = moving
      return np.concatenate([linear, all_rows])
    all_rows = jnp.zeros(shape, self.basis.dtype)
    return jnp.concatenate([linear, all_rows.at[self.pose_features].set(moving)])

  @property
  def shape_basis(self):
    """float32[S, 3 * V], planar; see `shapedirs`."""
    return self.basis[1 + self.num_motion_rows :]

  @property
  def shapedirs(self):
    """float32[V, 3, S], m per unit coefficient."""
    return _interleave(self.shape_basis)

  @property
  def exprdirs(self):
    """float32[V, 3, E], m per unit coefficient."""
    return _interleave(self.basis[1 : 1 + self.num_expression])

  @property
  def eyelid_dirs(self):
    """float32[V, 3, 2], m at 1 = closed; left, right."""
    e = 1 + self.num_expression
    return _interleave(self.basis[e : e + 2])

  @property
  def posedirs(self):
    """float32[36, V, 3], m per unit of R - I."""
    return jnp.moveaxis(_interleave(self.motion_basis[-NUM_POSE_FEATURES:]), -1, 0)


LEAVES = tuple(
  field.name
  for field in dataclasses.fields(FaceModel)
  if field.name not in _Static.FIELDS
)


def _flatten(model):
  keys = [(jax.tree_util.GetAttrKey(n), getattr(model, n)) for n in LEAVES]
  return keys, _Static(model)


def _unflatten(static, leaves):
  return FaceModel(**dict(zip(LEAVES, leaves)), **static.values)


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
  inputs = {
    "v_template": v_template,
    "shapedirs": shapedirs,
    "exprdirs": exprdirs,
    "eyelid_dirs": eyelid_dirs,
    "posedirs": posedirs,
    "lbs_weights": lbs_weights,
    "J_regressor": J_regressor,
    "faces": faces,
    "regions": regions,
    "landmark_ids": landmark_ids,
    "landmark_triangles": landmark_triangles,
    "landmark_barycentric": landmark_barycentric,
  }
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
  correctives = _planar(np.moveaxis(np.asarray(posedirs), 0, -1))
  pose_features = np.flatnonzero(correctives.any(axis=1)).astype(np.int32)
  basis = [template[:, :, None], exprdirs, eyelid_dirs]
  basis = [*map(_planar, basis), correctives[pose_features], _planar(shapedirs)]
  arrays = {
    "basis": np.concatenate(basis),
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
    "pose_features": pose_features,
    "name": name,
  }
  arrays = {key: jnp.asarray(value) for key, value in arrays.items()}
  return FaceModel(**arrays, **static, version=_hash(name, inputs))


def _vertex_areas(vertices, faces):
  areas = np.zeros(len(vertices))
  if len(faces):
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    triangle = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    for corner in faces.T:
      np.add.at(areas, corner, triangle / 3)
  return areas.astype(np.float32)


def _hash(name: str, inputs: dict) -> str:
  """Hash of what a model was made from, which no processor rounds."""
  digest = hashlib.sha256(name.encode())
  items = {**inputs, **{f"regions/{k}": v for k, v in inputs["regions"].items()}}
  del items["regions"]
  for key in sorted(items):
    value = np.ascontiguousarray(items[key])
    digest.update(f"{key}{value.shape}{value.dtype.str}".encode() + value.tobytes())
  return digest.hexdigest()[:12]


def vertex_subset(model: FaceModel, ids) -> FaceModel:
  """A model of these vertices only, in the same places as in the full model.

  Joints and vertex areas are the full model's. Regions are cut to the subset;
  triangles and landmarks stay where all their vertices do.

  Args:
    model: FaceModel.
    ids: int[N], distinct vertex ids; the order becomes the new order.
  """
  ids = np.asarray(ids)
  remap = np.full(model.num_vertices, -1, np.int32)
  remap[ids] = np.arange(len(ids), dtype=np.int32)
  kept = (remap[model.landmark_triangles] >= 0).all(axis=1)
  faces = remap[model.faces]
  regions = {name: remap[region] for name, region in model.regions.items()}
  digest = hashlib.sha256(model.version.encode() + ids.astype(np.int64).tobytes())
  # In NumPy: JAX would compile a program for each of these.
  basis, lbs_weights, vertex_areas = map(
    np.asarray, (model.basis, model.lbs_weights, model.vertex_areas)
  )
  basis = basis.reshape(len(basis), 3, -1)[:, :, ids].reshape(len(basis), -1)
  arrays = {
    "basis": basis,
    "lbs_weights": lbs_weights[ids],
    "vertex_areas": vertex_areas[ids],
  }
  return dataclasses.replace(
    model,
    **jax.device_put(arrays),
    faces=faces[(faces >= 0).all(axis=1)],
    regions=Regions({name: region[region >= 0] for name, region in regions.items()}),
    landmark_ids=model.landmark_ids[kept],
    landmark_triangles=remap[model.landmark_triangles[kept]],
    landmark_barycentric=model.landmark_barycentric[kept],
    version=digest.hexdigest()[:12],
  )
