"""Motions from one face model to another: between the release's head and FLAME.

Two templates are laid over each other once: a similarity and a smooth warp on the
mediapipe landmarks that both have, drawn to the other's surface in between. A motion
then goes over in three parts. Turns of head, neck and eyes, and lids that both have,
are copied. The jaw turns as far as opens the mouth equally, in proportion. Expressions
become those of the target that move the same points of the face, and the lips against
each other, alike. All of it is linear in the motion, so the map is a matrix, made once.

Identity stays behind: the mean head of the target moves. Two heads that the package
ships have a map of their own, which keeps it (`between_heads`).

Shape letters: T frames, L landmarks, N pairs of points, E expression coefficients.
"""

import dataclasses
import functools
import hashlib

import numpy as np
import scipy  # parts of it are imported when they are used

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file, load_model, motion
from tdmm_jax.face.face_model import JOINTS, FaceModel
from tdmm_jax.face.fit import between_heads
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.face.turns import transform

_FORMAT = 1  # of the cached file; changes with how a correspondence is made
_MIN_LANDMARKS = 20
_INSIDE = (
  *("eyeballs", "left_eyeball", "right_eyeball"),
  *("inner_mouth", "teeth", "tongue"),
)
_ROUNDS = 3  # of drawing the warp to the surface
_CONTROLS = 300  # points of the face that the warp is drawn by
_TOO_FAR_M = 0.015  # from the other's surface: a point that it does not have
_JAW = JOINTS.index("jaw")
_JAW_RAD = 0.1  # at which the openings of two jaws are compared
_LEAST_OPENING = 1e-3  # m per rad; a jaw moves the lips by much more
_LANDMARK_WEIGHT = 4.0  # of all landmarks together, against the whole face
_LIP_GAP_WEIGHT = 4.0  # of the gaps between lips, likewise
# Where the face does not tell, the smaller coefficients: of the mean diagonal.
_RIDGE = 1e-5
# mediapipe's inner rims: a point of the upper lip and the one below it.
_RIMS = (
  *((191, 95), (80, 88), (81, 178), (82, 87), (13, 14)),
  *((312, 317), (311, 402), (310, 318), (415, 324)),
)


@dataclasses.dataclass(frozen=True)
class Correspondence:
  """Pairs of points of two templates, first the shared landmarks, then the face.

  Attributes:
    landmark_ids: int[L], mediapipe's numbers of the first L pairs.
    corners_a, corners_b: int[N, 3], vertices around each point of either.
    weights_a, weights_b: float[N, 3], barycentric.
    area_N: m^2 of `a`; 0 at landmarks.
  """

  landmark_ids: np.ndarray
  corners_a: np.ndarray
  weights_a: np.ndarray
  corners_b: np.ndarray
  weights_b: np.ndarray
  area_N: np.ndarray

  def swapped(self) -> "Correspondence":
    """The same pairs, seen from the other side."""
    return dataclasses.replace(
      self,
      corners_a=self.corners_b,
      weights_a=self.weights_b,
      corners_b=self.corners_a,
      weights_b=self.weights_a,
    )


def correspondence(source: FaceModel, target: FaceModel) -> Correspondence:
  """The pairs of two face models, of this pair of versions kept on disk.

  One pair serves both directions, so that there and back is the identity where the
  bases allow.

  Raises:
    UserError: the models share too few landmarks.
  """
  first, second = sorted((source, target), key=lambda m: (m.name, m.version))
  content = f"{_FORMAT} {first.version} {second.version}"
  key = hashlib.sha256(content.encode()).hexdigest()[:16]
  path = files.cache_folder() / "correspondence" / f"{key}.npz"
  names = [field.name for field in dataclasses.fields(Correspondence)]
  try:
    with np.load(path, allow_pickle=False) as arrays:
      pairs = Correspondence(**{name: arrays[name] for name in names})
  except Exception:  # none yet, or a damaged one: np.load raises many kinds
    pairs = _register(first, second)
    try:
      with files.then_rename(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **{name: getattr(pairs, name) for name in names})
    except UserError:
      pass  # a cache that cannot be written costs seconds the next time
  return pairs if first is source else pairs.swapped()


def _register(a: FaceModel, b: FaceModel) -> Correspondence:
  ids = np.intersect1d(a.landmark_ids, b.landmark_ids)
  if len(ids) < _MIN_LANDMARKS:
    poor = min((a, b), key=lambda model: len(model.landmark_ids))
    raise UserError(
      f"{a.name} and {b.name} share {len(ids)} landmarks, retargeting needs "
      f"{_MIN_LANDMARKS}; put mediapipe_landmark_embedding.npz beside the model file "
      f"of {poor.name}"
    )
  corners, weights, points = {}, {}, {}
  for side, model in (("a", a), ("b", b)):
    rows = [list(model.landmark_ids).index(i) for i in ids]
    corners[side] = model.landmark_triangles[rows]
    weights[side] = np.asarray(model.landmark_barycentric, np.float64)[rows]
    vertices = np.asarray(model.v_template, np.float64)
    points[side] = np.einsum("lca,lc->la", vertices[corners[side]], weights[side])
  vertices_a = np.asarray(a.v_template, np.float64)
  surface = _Surface(b)
  face = np.unique(_face_triangles(a))
  normals = _normals(vertices_a, a.faces)
  warp = _warp(points["a"], points["b"], 0.0)
  rng = np.random.default_rng(0)
  controls = rng.permutation(len(face))[:_CONTROLS]
  for _ in range(_ROUNDS):
    chosen = face[controls]
    found, _, _, distance = surface.closest(warp(vertices_a[chosen]), normals[chosen])
    near = distance < _TOO_FAR_M
    warp = _warp(
      np.concatenate([points["a"], vertices_a[chosen][near]]),
      np.concatenate([points["b"], found[near]]),
      np.concatenate([np.full(len(ids), 1e-6), np.full(near.sum(), 1e-3)]),
    )
  _, near_corners, near_weights, distance = surface.closest(
    warp(vertices_a[face]), normals[face]
  )
  kept = distance < _TOO_FAR_M
  alone = np.stack([face, face, face], axis=1)[kept]
  corner_weights = np.tile([1.0, 0.0, 0.0], (kept.sum(), 1))
  area = np.asarray(a.vertex_areas, np.float64)[face][kept]
  return Correspondence(
    landmark_ids=ids,
    corners_a=np.concatenate([corners["a"], alone]),
    weights_a=np.concatenate([weights["a"], corner_weights]),
    corners_b=np.concatenate([corners["b"], near_corners[kept]]),
    weights_b=np.concatenate([weights["b"], near_weights[kept]]),
    area_N=np.concatenate([np.zeros(len(ids)), area]),
  )


def _similarity(points_a, points_b):
  """scale, rotation and offset that lay points [L, 3] of `a` over those of `b`."""
  middle_a, middle_b = points_a.mean(axis=0), points_b.mean(axis=0)
  turn, _ = transform.Rotation.align_vectors(points_b - middle_b, points_a - middle_a)
  # The ratio of the sizes, not the best factor: there and back is 1.
  scale = np.linalg.norm(points_b - middle_b) / np.linalg.norm(points_a - middle_a)
  matrix = scale * turn.as_matrix()
  return matrix, middle_b - matrix @ middle_a


def _warp(points_a, points_b, smoothing):
  """A similarity and, on top, the smoothest way through the pairs that are left."""
  matrix, offset = _similarity(points_a, points_b)
  rest = scipy.interpolate.RBFInterpolator(
    points_a,
    points_b - points_a @ matrix.T - offset,
    kernel="linear",  # r is the thin plate's kernel in three dimensions
    smoothing=smoothing,
    degree=1,
  )
  return lambda points: points @ matrix.T + offset + rest(points)


def _face_triangles(model) -> np.ndarray:
  """Triangles of the face's skin, int[F, 3]."""
  if "face" not in model.regions:
    raise UserError(
      f"{model.name}: its face region is not known; put FLAME_masks.pkl beside the "
      "model file"
    )
  skin = np.zeros(model.num_vertices, bool)
  skin[model.regions["face"]] = True
  for name in _INSIDE:
    if name in model.regions:
      skin[model.regions[name]] = False
  return model.faces[skin[model.faces].all(axis=1)]


def _normals(vertices, faces) -> np.ndarray:
  """Unit normals [V, 3] of vertices."""
  a, b, c = (vertices[faces[:, i]] for i in range(3))
  cross = np.cross(b - a, c - a)
  normals = np.zeros_like(vertices)
  for corner in faces.T:
    np.add.at(normals, corner, cross)
  return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


class _Surface:
  """The skin of a model's face, to find the closest point on it."""

  _TRIANGLES = 24  # looked at for a point, those with the nearest middles
  _FACING = 0.3  # cosine; lips and lids that touch face each other

  def __init__(self, model):
    self.vertices = np.asarray(model.v_template, np.float64)
    self.triangles = _face_triangles(model)
    corners = self.vertices[self.triangles]
    self.tree = scipy.spatial.cKDTree(corners.mean(axis=1))
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(cross, axis=1, keepdims=True)
    self.normals = cross / np.maximum(length, 1e-20)

  def closest(self, points_N3, normals_N3):
    """The closest point of a triangle that faces the same way.

    Returns:
      points [N, 3], corners [N, 3], barycentric weights [N, 3], distances [N].
    """
    count = min(self._TRIANGLES, len(self.triangles))
    _, near = self.tree.query(points_N3, k=count)
    near = near.reshape(len(points_N3), count)
    weights = _barycentric(self.vertices[self.triangles[near]], points_N3[:, None])
    found = np.einsum("nkca,nkc->nka", self.vertices[self.triangles[near]], weights)
    distance = np.linalg.norm(found - points_N3[:, None], axis=-1)
    facing = np.einsum("nka,na->nk", self.normals[near], normals_N3)
    distance = np.where(facing > self._FACING, distance, np.inf)
    best = np.argmin(distance, axis=1)
    rows = np.arange(len(points_N3))
    return (
      found[rows, best],
      self.triangles[near[rows, best]],
      weights[rows, best],
      distance[rows, best],
    )


def _barycentric(corners, points) -> np.ndarray:
  """Weights [..., 3] of the closest point of a triangle [..., 3, 3].

  The plane's foot, or, outside, the best of the feet on the three edges.
  """
  a, b, c = (corners[..., i, :] for i in range(3))
  dot = lambda x, y: np.sum(x * y, axis=-1)
  ab, ac, ap = b - a, c - a, points - a
  d00, d01, d11 = dot(ab, ab), dot(ab, ac), dot(ac, ac)
  d20, d21 = dot(ap, ab), dot(ap, ac)
  scale = np.maximum(d00 * d11 - d01 * d01, 1e-30)
  v, w = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
  best = np.stack([1 - v - w, v, w], axis=-1)
  inside = (best >= 0).all(axis=-1)
  nearest = np.where(inside, 0.0, np.inf)
  for i, j in ((0, 1), (1, 2), (2, 0)):
    p, q = corners[..., i, :], corners[..., j, :]
    along = dot(points - p, q - p) / np.maximum(dot(q - p, q - p), 1e-30)
    along = np.clip(along, 0.0, 1.0)
    foot = p + along[..., None] * (q - p)
    distance = dot(foot - points, foot - points)
    edge = np.zeros_like(best)
    edge[..., i], edge[..., j] = 1 - along, along
    closer = ~inside & (distance < nearest)
    best = np.where(closer[..., None], edge, best)
    nearest = np.where(closer, distance, nearest)
  return best


class _Side:
  """The points of a correspondence on one model, and how they move.

  NumPy on the model's own arrays: nothing is compiled for a few sums.
  """

  def __init__(self, model: FaceModel, corners_N3, weights_N3):
    self.corners, self.weights = corners_N3, weights_N3
    basis = np.asarray(model.basis, np.float64)[: model.num_expression + 3]
    basis = self._points(np.moveaxis(basis.reshape(len(basis), 3, -1), 1, 2))
    self.neutral_N3, self.fields_KN3 = basis[0], basis[1:]
    self.has_lids = bool(self.fields_KN3[-2:].any())
    self.joint_3 = np.asarray(model.joint_template, np.float64)[_JAW]
    self.skin_V = np.asarray(model.lbs_weights, np.float64)[:, _JAW]

  def _points(self, vertices_KV3) -> np.ndarray:
    return np.einsum("knca,nc->kna", vertices_KV3[:, self.corners], self.weights)

  def fields(self, lids: bool) -> np.ndarray:
    """[K, N, 3], m at 1: of E expressions and, asked for, of the two eyelids."""
    return self.fields_KN3 if lids else self.fields_KN3[:-2]

  def opening(self, rows) -> float:
    """How far down the jaw takes these points, m per rad, its correctives left out."""
    skin_N = np.einsum("nc,nc->n", self.skin_V[self.corners], self.weights)[rows]
    arm_N3 = self.neutral_N3[rows] - self.joint_3
    turned_N3 = transform.Rotation.from_rotvec([_JAW_RAD, 0.0, 0.0]).apply(arm_N3)
    return float(np.mean(skin_N * (arm_N3 - turned_N3)[:, 1])) / _JAW_RAD


class Bridge:
  """Carries motions from one face model to another.

  Attributes:
    source, target: the models.
    scale: the target's size by the source's, at the landmarks.
    jaw_scale: the target's jaw angle by the source's, so that both open the mouth
      equally in proportion to the face; 0 where one has no jaw.
    matrix_KQ: the source's expression coefficients (and eyelids, where one of the two
      has none) to the target's.
    pairs: see `Correspondence`.
  """

  def __init__(self, source: FaceModel, target: FaceModel):
    """Makes the correspondence, or reads it, and the linear map.

    Raises:
      UserError: see `correspondence`.
    """
    self.source, self.target = source, target
    self.pairs = pairs = correspondence(source, target)
    one = _Side(source, pairs.corners_a, pairs.weights_a)
    two = _Side(target, pairs.corners_b, pairs.weights_b)
    count = len(pairs.landmark_ids)
    matrix, _ = _similarity(one.neutral_N3[:count], two.neutral_N3[:count])
    self.scale = float(np.cbrt(np.linalg.det(matrix)))
    rows = {int(number): row for row, number in enumerate(pairs.landmark_ids)}
    rims = [(rows[u], rows[d]) for u, d in _RIMS if u in rows and d in rows]
    self._rims = np.array(rims, int).reshape(-1, 2)
    chin = self._rims[:, 1] if rims else slice(0, count)
    opened = [side.opening(chin) for side in (one, two)]
    has_jaw = min(opened) > _LEAST_OPENING
    self.jaw_scale = self.scale * opened[0] / opened[1] if has_jaw else 0.0
    self._share_N = pairs.area_N / pairs.area_N.sum()
    self._share_N[:count] = _LANDMARK_WEIGHT / count
    self._lids_copied = one.has_lids and two.has_lids
    wanted = one.fields(not self._lids_copied) @ matrix.T
    can = self._rows(two.fields(not self._lids_copied and two.has_lids))
    normal = can @ can.T
    ridge = _RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal))
    self.matrix_KQ = np.linalg.solve(normal + ridge, can @ self._rows(wanted).T).T

  def _rows(self, field_KN3) -> np.ndarray:
    """What is compared [K, R]: displacements, and those of upper from lower lip."""
    upper, lower = self._rims.T
    gaps = field_KN3[:, upper] - field_KN3[:, lower]
    gaps = gaps * np.sqrt(_LIP_GAP_WEIGHT / max(len(upper), 1))
    points = field_KN3 * np.sqrt(self._share_N)[:, None]
    return np.concatenate([x.reshape(len(x), -1) for x in (points, gaps)], axis=1)

  def __call__(self, clip: FaceMotion, where: str = "motion") -> FaceMotion:
    """The motion on the target's mean head; identity and camera are left behind.

    Args:
      clip: T frames in the source's basis.
      where: what an error calls it.

    Raises:
      UserError: the motion is in another basis, or has more coefficients.
    """
    most = self.source.num_expression
    if clip.face_model != self.source.name or clip.num_expression > most:
      raise UserError(
        f"{where}: {clip.num_expression} coefficients of '{clip.face_model}', but the "
        f"model given is '{self.source.name}' with {most}; give the motion's own"
      )
    pad = np.zeros((clip.num_frames, most - clip.num_expression), np.float32)
    controls = [clip.expression, pad]
    if not self._lids_copied:
      controls.append(clip.eyelids)
    solved = np.concatenate(controls, axis=1) @ self.matrix_KQ
    expression, lids = np.split(solved, [self.target.num_expression], axis=1)
    if self._lids_copied:
      lids = clip.eyelids
    elif not lids.shape[1]:
      lids = np.zeros_like(clip.eyelids)
    made = FaceMotion(
      face_model=self.target.name,
      expression=expression,
      jaw_pose=clip.jaw_pose * self.jaw_scale,
      neck_pose=clip.neck_pose,
      head_pose=clip.head_pose,
      eyelids=np.clip(lids, 0.0, 1.0),
      eye_pose=clip.eye_pose,
      shape=np.zeros(0, np.float32),
      translation=clip.translation,
      valid=clip.valid,
      fps=clip.fps,
    )
    return motion.validate(made, where)


def retarget(
  clip: FaceMotion, source: FaceModel, target: FaceModel, where: str = "motion"
) -> FaceMotion:
  """One motion on another face model; a `Bridge` serves many.

  Raises:
    UserError: the motion is not in the source's basis, or the models share too few
      landmarks.
  """
  if clip.face_model == target.name:
    return clip
  if {clip.face_model, target.name} <= set(head_file.NAMES):
    return between_heads.carry(clip, target.name, where)
  return _bridge(source, target)(clip, where)


@functools.lru_cache(maxsize=4)
def _bridge(source, target) -> Bridge:
  return Bridge(source, target)


def between_files(
  clip: FaceMotion, target: str, source: str | None = None, where: str = "motion"
) -> FaceMotion:
  """`retarget` of models by name or file.

  Args:
    clip: T frames.
    target: the model to move: a name of `head_file.NAMES`, or the path of FLAME's file.
    source: the motion's own model; a head that the package ships needs none.
    where: what an error calls the motion.

  Raises:
    UserError: a file is missing or of another model, or as `retarget`.
  """
  to = load_model.load_face_model(target)
  if clip.face_model == to.name:
    return clip
  own = load_model.own_model(clip, source, where)
  return retarget(clip, own, to, where)
