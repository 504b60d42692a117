"""What a fit assumes of a face: where landmarks are, and what can move them.

A head with action units is fitted in activations: bounded, sparse, and moving the
landmarks as people's do (`people`). Its person is mediapipe's mean face and what people
deviate from it by; a rest that frowns a little is that person's, not an expression. Any
other face model keeps its own coefficients, with a Gaussian prior on them.

Shape letters: L landmarks, U units, E expression and S identity coefficients, K ways in
which persons differ.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from tdmm_jax.face import action_units, face_arrays, face_model, head_file, people
from tdmm_jax.face.action_units import ACTION_UNITS
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.fit import landmark_offsets

# Units that a talking mouth uses all the time, beside jaw and lids.
SPEECH_UNITS = (
  *("lips_part", "lip_pucker", "lip_funneler", "lip_tightener", "lip_pressor"),
  *("lips_toward", "lip_suck", "upper_lip_press", "lower_lip_press"),
  *("lower_lip_depressor_l", "lower_lip_depressor_r", "lip_stretcher_l"),
  *("lip_stretcher_r", "jaw_sideways_l", "jaw_sideways_r"),
)
# Units that are seldom seen alone, or hardly seen from the front.
_RARE = (
  *("nasolabial_deepener", "sharp_lip_puller", "cheek_puff", "cheek_suck"),
  *("jaw_thrust", "jaw_sideways", "lip_suck", "nostril_dilator", "nostril_compressor"),
  *("mouth_left", "mouth_right", "upper_lip_press", "lips_toward"),
)
# Of emotion: an exponential prior shares what is held through a clip out between unit
# and rest, and gave a third of a smile to the rest. A smile has none.
_COMMON = ("brow_lowerer", "cheek_raiser", "upper_lip_raiser")
_SMILE = ("lip_corner_puller",)
# Misfit along a unit's own displacement, in sigmas, that wakes the unit. Upper lids
# differ most between people at rest.
_SPARSITY, _COMMON_SPARSITY, _SMILE_SPARSITY = 0.6, 0.35, 0.0
_LID_SPARSITY, _RARE_SPARSITY = 1.3, 2.0
# Where the rest is known there is nothing to share out with it.
_UPPER_FACE = ("inner_brow_raiser", "outer_brow_raiser", "upper_lid_raiser")
_UPPER_FACE += ("lid_tightener",)
_ASYMMETRY = 0.3  # sigma of the difference of left and right
_MAX_ACTIVATION = 1.35
_FIRST_IRIS = 468
_LEFT_EYE, _RIGHT_EYE = (263, 362, 386, 374), (33, 133, 159, 145)
_SHAPE_SIGMA = 1.3  # of a plausible person's identity coefficients
# Of the ways in which persons differ, where 1 is the scans' own deviation: at 1, half
# of a smile that is held through the clip would be taken for the person's rest.
_PERSON_SIGMA = 0.4


class Unknown(NamedTuple):
  """A group of per-frame unknowns and its priors.

  Attributes:
    name: what it is. width: how many.
    sigma: of the value. sigma_acceleration: of its second difference at 25 fps.
    lower, upper: bounds.
  """

  name: str
  width: int
  sigma: float
  sigma_acceleration: float
  lower: float = -np.inf
  upper: float = np.inf


@dataclasses.dataclass(frozen=True)
class LandmarkModel:
  """A face as a fit sees it.

  Attributes:
    head: the face model that motions are of.
    model: landmarks alone, each a vertex or between three; its expression is what is
      solved for, its identity the person.
    offsets_L3: added to the landmarks, m.
    unknowns: a frame's vector, laid out as `projection` takes it.
    in_units: whether the expression solved for is action units.
    sparsity_U: misfit, in sigmas, that wakes a unit; 0 for coefficients.
    sparsity_beside_rest_U: the same, of a person whose rest is known.
    pairs_UU: precision of pairs of units.
    person_sigma: of each of the K ways in which persons differ.
  """

  head: FaceModel
  model: FaceModel
  offsets_L3: np.ndarray
  unknowns: tuple[Unknown, ...]
  in_units: bool
  sparsity_U: np.ndarray
  sparsity_beside_rest_U: np.ndarray
  pairs_UU: np.ndarray
  person_sigma: float

  def to_expression(self, solved_TU) -> np.ndarray:
    """Expression coefficients of the head, float32[T, E]."""
    if self.in_units:
      return action_units.activations_to_expression(solved_TU, self.head.name)
    return np.asarray(solved_TU, np.float32)

  def to_shape(self, person_K) -> np.ndarray:
    """The head's identity nearest to a person, float32[S]."""
    if not self.in_units:
      return np.asarray(person_K, np.float32)
    own = landmark_subset(self.head)
    flat = lambda rows: np.asarray(rows, np.float64).reshape(len(rows), -1)
    wanted = np.asarray(self.model.basis[0], np.float64) - own.basis[0]
    wanted = wanted + person_K @ flat(self.model.shape_basis)
    basis = flat(own.shape_basis)
    noise = 0.003  # m, what is not worth an unlikely identity
    gram = basis @ basis.T / noise**2 + np.eye(len(basis)) / _SHAPE_SIGMA**2
    return np.linalg.solve(gram, basis @ wanted / noise**2).astype(np.float32)


class _Key:
  """A head as a key of a cache: face models themselves do not hash."""

  def __init__(self, head: FaceModel):
    self.head, self.words = head, (head.name, head.version, head.num_expression)

  def __hash__(self):
    return hash(self.words)

  def __eq__(self, other):
    return self.words == other.words


def landmark_model(head: FaceModel) -> LandmarkModel:
  """What a fit to this head assumes; made once per head."""
  return _cached(_Key(head))


@functools.cache
def _cached(key: _Key) -> LandmarkModel:
  return _make(key.head)


def _unknowns(width: int, sigma, acceleration, lower, upper) -> tuple[Unknown, ...]:
  return (
    Unknown("expression", width, sigma, acceleration, lower, upper),
    Unknown("eyelids", 2, 0.5, 0.3, 0.0, 1.0),
    Unknown("jaw_open", 1, 0.2, 0.05, -0.02, 0.6),
    Unknown("jaw_side", 2, 0.03, 0.01, -0.2, 0.2),
    Unknown("eye_pose", 6, 0.25, 0.15, -0.7, 0.7),
    Unknown("head_pose", 3, 1.0, 0.03),
    Unknown("camera", 3, 1.0, 0.005),
  )


def _make(head: FaceModel) -> LandmarkModel:
  offsets = landmark_offsets.offsets(head.name, head.landmark_ids)
  if head.name not in head_file.NAMES:
    corners = np.unique(head.landmark_triangles)
    E = head.num_expression
    return LandmarkModel(
      head=head,
      model=face_model.vertex_subset(head, corners),
      offsets_L3=offsets,
      unknowns=_unknowns(E, 1.0, 0.2, -4.0, 4.0),
      in_units=False,
      sparsity_U=np.zeros(E),
      sparsity_beside_rest_U=np.zeros(E),
      pairs_UU=np.zeros((E, E)),
      person_sigma=_SHAPE_SIGMA,
    )
  U = len(ACTION_UNITS)
  base = [name.removesuffix("_l").removesuffix("_r") for name in ACTION_UNITS]
  sparsity = np.full(U, _SPARSITY)
  for groups, value in (
    (_COMMON, _COMMON_SPARSITY),
    (_SMILE, _SMILE_SPARSITY),
    (("upper_lid_raiser",), _LID_SPARSITY),
    (_RARE, _RARE_SPARSITY),
  ):
    sparsity[[name in groups for name in base]] = value
  beside_rest = sparsity.copy()
  beside_rest[[name in _UPPER_FACE for name in base]] = _COMMON_SPARSITY
  pairs = np.zeros((U, U))
  for i, name in enumerate(ACTION_UNITS):
    if name.endswith("_l") and base[i] not in ("jaw_sideways",):
      j = ACTION_UNITS.index(name[:-2] + "_r")
      pairs[[i, j], [i, j]] += _ASYMMETRY**-2
      pairs[[i, j], [j, i]] -= _ASYMMETRY**-2
  model, irises = _of_people(head, offsets)
  return LandmarkModel(
    head=head,
    model=model,
    offsets_L3=irises,
    unknowns=_unknowns(U, 0.7, 0.06, 0.0, _MAX_ACTIVATION),
    in_units=True,
    sparsity_U=sparsity,
    sparsity_beside_rest_U=beside_rest,
    pairs_UU=pairs,
    person_sigma=_PERSON_SIGMA,
  )


def landmark_subset(head: FaceModel) -> FaceModel:
  """A model whose vertices are the head's landmarks, in their order; in NumPy."""
  triangles, bary = head.landmark_triangles, head.landmark_barycentric
  rows = np.asarray(head.basis, np.float64).reshape(len(head.basis), 3, -1)
  rows = np.einsum("ralk,lk->ral", rows[:, :, triangles], bary)
  weights = np.einsum("lkj,lk->lj", np.asarray(head.lbs_weights)[triangles], bary)
  L = len(triangles)
  joints = ("joint_template", "joint_shapedirs", "joint_exprdirs")
  return dataclasses.replace(
    head,
    **{name: np.asarray(getattr(head, name)) for name in joints},
    basis=rows.reshape(len(rows), -1).astype(np.float32),
    lbs_weights=weights.astype(np.float32),
    vertex_areas=np.ones(L, np.float32),
    faces=np.zeros((0, 3), np.int32),
    regions=face_arrays.Regions({}),
    landmark_triangles=np.arange(L, dtype=np.int32)[:, None],
    landmark_barycentric=np.ones((L, 1), np.float32),
    version=head.version + "-landmarks",
  )


def _of_people(head, offsets):
  """The landmark model whose units and persons are people's, and iris offsets."""
  own = landmark_subset(head)
  L, E = len(head.landmark_ids), head.num_expression
  ids = np.asarray(head.landmark_ids)
  known = ids < _FIRST_IRIS
  figures = people.load()
  rows = np.asarray(own.basis, np.float64).reshape(len(own.basis), 3, L)
  template = rows[0].T  # [L, 3]
  at = {int(number): i for i, number in enumerate(ids)}
  span = lambda points: np.linalg.norm(points[0] - points[1])
  scale = span(template[[at[33], at[263]]]) / people.CANTHI_MM  # m per figure's mm
  # The mean face where the head's is, by the canthi and the bridge of the nose.
  stable = [at[i] for i in (33, 133, 362, 263, 168, 6, 197, 195)]
  mean = figures.mean_N3[ids[known]] * scale
  place = np.zeros(L, int)
  place[known] = np.arange(known.sum())
  turn, shift = _rigid(mean[place[stable]], template[stable])
  new = template.copy()
  new[known] = mean @ turn + shift
  modes = np.zeros((len(figures.modes_KN3) + 1, L, 3))
  modes[:-1, known] = figures.modes_KN3[:, ids[known]] @ turn * scale
  modes[-1] = template + offsets - new  # the head's own mean is as likely a person
  joints = np.asarray(own.joint_template, np.float64).copy()
  joint_modes = np.zeros((5, 3, len(modes)))
  iris_offsets = np.where(known[:, None], 0.0, offsets)
  for joint, rim, irises in (
    (3, _LEFT_EYE, range(473, 478)),
    (4, _RIGHT_EYE, range(468, 473)),
  ):
    rim = [at[i] for i in rim]
    moved = (new[rim] - template[rim]).mean(0)
    joints[joint] += moved
    joint_modes[joint] = modes[:, rim].mean(1).T
    for i in irises:
      if i in at:
        new[at[i]] += moved
        modes[:, at[i]] = modes[:, rim].mean(1)
  matrix = head_file.activation_matrix(head.name)
  fields = (rows[1 : 1 + E].reshape(E, -1).T @ matrix).T
  fields = fields.reshape(-1, 3, L).transpose(0, 2, 1)
  for u, name in enumerate(ACTION_UNITS):
    theirs = people.unit_field(name)
    if theirs is not None:  # people's direction, the head's size
      theirs = theirs[ids[known]] @ turn
      size = np.linalg.norm(fields[u, known]) / np.linalg.norm(theirs)
      fields[u, known] = size * theirs
  planar = lambda points: np.moveaxis(points, -1, -2).reshape(*points.shape[:-2], -1)
  features = len(own.pose_features)
  basis = np.concatenate(
    [
      planar(new)[None],
      planar(fields),
      rows[1 + E : 3 + E + features].reshape(2 + features, -1),
      planar(modes),
    ]
  )
  model = dataclasses.replace(
    own,
    basis=basis.astype(np.float32),
    joint_template=joints.astype(np.float32),
    joint_shapedirs=joint_modes.astype(np.float32),
    joint_exprdirs=(own.joint_exprdirs @ matrix).astype(np.float32),
    version=own.version + "-people",
  )
  return model, iris_offsets.astype(np.float32)


def _rigid(points, targets):
  """The rotation (of rows) and shift that bring points nearest to targets."""
  middle, target = points.mean(0), targets.mean(0)
  u, _, v = np.linalg.svd((points - middle).T @ (targets - target))
  turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
  return turn, target - middle @ turn
