"""What a tracker gives of a simulated clip: landmarks of a person, misfit, the fit.

A model that learns from simulated motion alone knows what a face does; what it is
shown of real people is what a tracker and a fit leave of that. `landmarks` is what a
tracker sees of a drawn person; `tracked` is what `fit_landmarks` makes of it, at a
fraction of the cost: the same posterior, linear around a face at rest that looks into
the camera.

Shape letters: T frames, L landmarks, R = 2 L residuals, K ways in which persons differ,
Q what moves a head's landmarks, P unknowns of a frame (see `projection`).
"""

import dataclasses
import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import threadpoolctl
from scipy.spatial import transform

from tdmm_jax.data import records
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.fit import fit_landmarks, landmark_model, projection
from tdmm_jax.face.fit.fit_person import Person
from tdmm_jax.face.fit.landmark_problem import Problem
from tdmm_jax.face.fit.landmarks import CANTHI, NUM_POINTS
from tdmm_jax.face.motion import FaceMotion

TRACKER = records.HEARD_TRACKER
# Raise the first when `tracked` gives another motion.
VERSION = f"1-fit-{fit_landmarks.VERSION}"
# What is left between real landmarks and their fits, in 15 clips of people (7 of them
# generated): sd of x and y of each part, of the distance between the outer canthi.
_SD_XY = {"lips": (0.0067, 0.0089), "chin": (0.0041, 0.0082), "irises": (0.0016,) * 2}
_SD_ELSEWHERE_XY = (0.0040, 0.0037)
_PARTS = {
  "lips": (
    *(0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178),
    *(181, 185, 191, 267, 269, 270, 291, 308, 310, 311, 312, 314, 317, 318, 321),
    *(324, 375, 402, 405, 409, 415),
  ),
  "chin": (
    *(18, 148, 149, 152, 171, 175, 176, 199, 200, 201, 208, 369, 377, 378, 396, 400),
    *(421, 428),
  ),
  "irises": tuple(range(468, 478)),
}
_CLIP_LOG_SD = 0.29  # of one factor for all of a clip's misfit
_REACH_M = 0.011  # the misfit's correlation falls with exp(-distance / reach)
_AR = 0.72  # its correlation from one frame to the next, at 25 fps
_STATIC_M = 0.0009  # sd of what stays constant, and no known face explains
_PERSON_SD = 1.1  # of the ways in which persons differ, in the scans' deviations
GAINS = (0.4, 1.2)  # of a person's expression: people show the same so differently
_DROPS = 0.15  # share of clips in which the tracker loses the face for a moment
_LONGEST_DROP = 6  # frames
_PX_PER_M, _CENTER_PX = 2000.0, (400.0, 300.0)
_FPS = 25.0
_STEPS_PERSON, _STEPS_FRAMES = 150, 150
_PERSON_FRAMES = 32


class _Key:
  """A face model as a key of a cache: models themselves do not hash."""

  def __init__(self, face: FaceModel):
    self.face, self.version = face, (face.name, face.version)

  def __hash__(self):
    return hash(self.version)

  def __eq__(self, other):
    return self.version == other.version


class _Known(NamedTuple):
  """What a head's fit assumes, and how the misfit is spread.

  Attributes:
    assumed: of the fit. own: the head's landmarks alone.
    canthi_m: distance of the outer canthi of the mean face.
    mean_L3: mediapipe's mean face, beside the head's own landmarks.
    modes_KL3: how persons differ.
    smooth_LL: a root of the misfit's correlation. sd_L2: its size, of the canthi.
    acts_QR: what expression, eyelids, jaw and eyes do to landmarks, m.
    persons, frames: the two stages of the fit.
  """

  assumed: landmark_model.LandmarkModel
  own: FaceModel
  canthi_m: float
  mean_L3: np.ndarray
  modes_KL3: np.ndarray
  smooth_LL: np.ndarray
  sd_L2: np.ndarray
  acts_QR: np.ndarray
  persons: "_Stage"
  frames: "_Stage"


class _Stage(NamedTuple):
  """A stage of the fit, its priors as in `solver.Prior`; lengths in m."""

  sigma_m: float
  weight_R: np.ndarray
  moves_PR: np.ndarray
  modes_KR: np.ndarray
  frame_PP: np.ndarray
  linear_P: np.ndarray
  acceleration_P: np.ndarray
  shape_K: np.ndarray
  lower_P: np.ndarray
  upper_P: np.ndarray


def facts_of(face: FaceModel) -> _Known:
  return _cached(_Key(face))


@functools.cache
def _cached(key: _Key) -> _Known:
  face = key.face
  assumed = landmark_model.landmark_model(face)
  if not assumed.in_units:
    raise ValueError(f"{face.name}: has no action units, nobody can be drawn of it")
  own = landmark_model.landmark_subset(face)
  ids = np.asarray(face.landmark_ids)
  mean = assumed.model.basis[0].reshape(3, -1).T + assumed.offsets_L3
  mean = np.asarray(mean, np.float64)
  K = assumed.model.num_shape
  modes = np.asarray(assumed.model.shape_basis, np.float64).reshape(K, 3, -1)
  apart = np.linalg.norm(mean[:, None] - mean[None], axis=-1)
  size, turn = np.linalg.eigh(np.exp(-apart / _REACH_M))
  sd = np.tile(_SD_ELSEWHERE_XY, (len(ids), 1))
  for part, numbers in _PARTS.items():
    sd[np.isin(ids, numbers)] = _SD_XY[part]
  points = np.zeros((_PERSON_FRAMES, NUM_POINTS, 2), np.float32)
  points[:, ids] = mean[:, :2] * [1, -1]
  seen = np.ones(_PERSON_FRAMES, bool)
  nobody = Person(
    np.zeros(K), np.zeros((len(ids), 3)), False, np.zeros(face.num_expression)
  )
  stages = [
    _stage(Problem(assumed, points, seen, *rest), assumed)
    for rest in ((None, None), (_FPS, nobody))
  ]
  right, left = (mean[list(ids).index(i)] for i in CANTHI)
  acts = _derivatives(own, np.zeros(own.num_shape), 0.0)
  return _Known(
    assumed=assumed,
    own=own,
    canthi_m=float(np.linalg.norm(left - right)),
    mean_L3=mean - np.asarray(own.basis[0], np.float64).reshape(3, -1).T,
    modes_KL3=np.swapaxes(modes, 1, 2),
    smooth_LL=turn * np.sqrt(np.maximum(size, 0.0)),
    sd_L2=sd,
    acts_QR=acts[: face.num_expression + 11],
    persons=stages[0],
    frames=stages[1],
  )


def _derivatives(model, shape, offsets) -> np.ndarray:
  """What each unknown does to landmarks at rest, float64[P + S, R]."""
  width = model.num_expression + 17
  found = projection.jacobian(
    model, jnp.zeros((1, width)), jnp.asarray(shape, jnp.float32), offsets
  )
  return np.asarray(found[0], np.float64).reshape(-1, found.shape[-1]).T


def _stage(problem, assumed) -> _Stage:
  prior = problem.prior
  model = assumed.model
  rows = _derivatives(model, np.zeros(model.num_shape), assumed.offsets_L3)
  width = model.num_expression + 17
  pairs = np.asarray(prior.frame_PP, np.float64) + np.diag(prior.frame_P)
  return _Stage(
    sigma_m=float(problem.sigma_m),
    weight_R=problem.weight_R,
    moves_PR=rows[:width],
    modes_KR=rows[width:],
    frame_PP=pairs,
    linear_P=np.asarray(prior.linear_P, np.float64),
    acceleration_P=np.zeros(len(pairs))
    if prior.acceleration_P is None
    else np.asarray(prior.acceleration_P, np.float64),
    shape_K=np.full(model.num_shape, assumed.person_sigma**-2.0),
    lower_P=np.asarray(prior.lower_P, np.float64),
    upper_P=np.asarray(prior.upper_P[0], np.float64),
  )


def draw_person(face: FaceModel, rng) -> np.ndarray:
  """Somebody's rest: float64[L, 3], m, beside the head's own landmarks.

  Mediapipe's mean face, deviations as of scans, and what neither knows.
  """
  known = facts_of(face)
  modes = known.modes_KL3
  # The last way to differ is towards the head's own mean, which is as likely a face.
  weights = np.append(rng.normal(0.0, _PERSON_SD, len(modes) - 1), rng.uniform())
  noise = known.smooth_LL @ rng.normal(size=known.mean_L3.shape)
  return known.mean_L3 + np.tensordot(weights, modes, 1) + _STATIC_M * noise


def draw_misfit(face: FaceModel, num_frames: int, rng) -> np.ndarray:
  """A tracker's errors: float64[T, L, 2], of the distance between the canthi."""
  known = facts_of(face)
  white = rng.normal(size=(num_frames, 2, len(known.smooth_LL)))
  rows = np.empty_like(white)
  rows[0] = white[0]
  for t in range(1, num_frames):
    rows[t] = _AR * rows[t - 1] + np.sqrt(1 - _AR**2) * white[t]
  size = np.exp(rng.normal(0.0, _CLIP_LOG_SD))
  return size * np.swapaxes(rows @ known.smooth_LL.T, 1, 2) * known.sd_L2


def landmarks(motion: FaceMotion, face: FaceModel, rest_L3, misfit_TL2=None):
  """What a tracker sees: float32[T, 478, 2], px; points that are no landmarks are 0.

  Args:
    motion: of the face model; its own identity is left out.
    face: a head with action units.
    rest_L3: of `draw_person`.
    misfit_TL2: of `draw_misfit`; none by default.
  """
  known = facts_of(face)
  basis = known.own.basis.copy()
  basis[0] += np.asarray(rest_L3, np.float32).T.ravel()
  own = dataclasses.replace(known.own, basis=basis)
  seen = np.asarray(face_lib.motion_vertices(own, motion, identity=False))[..., :2]
  if misfit_TL2 is not None:
    seen = seen + misfit_TL2 * known.canthi_m
  points = np.zeros((motion.num_frames, NUM_POINTS, 2), np.float32)
  points[:, face.landmark_ids] = seen * [_PX_PER_M, -_PX_PER_M] + _CENTER_PX
  return points


def tracked(
  motion: FaceMotion, face: FaceModel, rng, gains: tuple[float, float] = GAINS
) -> FaceMotion:
  """What a tracker and the fit would make of the motion, shown by somebody.

  Args:
    motion: at 25 fps, of the face model.
    face: a head with action units.
    rng: np.random.Generator; who shows it, and the tracker's errors.
    gains: the expression is shown weaker or stronger, by a factor between these.

  Returns:
    A motion of the same length; frames that the tracker drops are interpolated and not
    valid.
  """
  known = facts_of(face)
  with threadpoolctl.threadpool_limits(1, user_api="blas"):  # small matrices
    return _tracked(motion, face, known, rng, gains)


def _tracked(motion, face, known, rng, gains) -> FaceMotion:
  gain = np.exp(rng.uniform(*np.log(gains)))
  rest = draw_person(face, rng)
  misfit = draw_misfit(face, motion.num_frames, rng)
  return fitted(motion, known, gain, rest, misfit, _seen(motion.num_frames, rng))


def fitted(motion, known, gain, rest_L3, misfit_TL2, valid) -> FaceMotion:
  """The fit's result from all that `tracked` draws; `known` is of `facts_of`."""
  shown = [gain * motion.expression, motion.eyelids, motion.jaw_pose, motion.eye_pose]
  missing = (rest_L3 - known.mean_L3)[:, :2].ravel()
  misfit = misfit_TL2.reshape(motion.num_frames, -1) * known.canthi_m
  target_TR = np.concatenate(shown, 1) @ known.acts_QR + missing + misfit
  found_TP, person_K = _solve(known, target_TR, valid)
  U = known.assumed.model.num_expression
  lids, jaw, eyes, head = np.split(found_TP[:, U:], (2, 5, 11), 1)
  turn = transform.Rotation.from_rotvec
  head = turn(motion.head_pose) * turn(head[:, :3])
  made = motion.replace(
    expression=known.assumed.to_expression(found_TP[:, :U]),
    eyelids=lids.astype(np.float32),
    jaw_pose=jaw.astype(np.float32),
    eye_pose=eyes.astype(np.float32),
    head_pose=head.as_rotvec().astype(np.float32),
    shape=known.assumed.to_shape(person_K),
    valid=valid,
  )
  return motion_lib.fill_invalid(made)


def _seen(num_frames: int, rng) -> np.ndarray:
  """bool[T]: trackers lose a face for a moment now and then."""
  seen = np.ones(num_frames, bool)
  if rng.random() < _DROPS:
    start = int(rng.integers(1, max(num_frames - _LONGEST_DROP, 2)))
    seen[start : start + int(rng.integers(1, _LONGEST_DROP + 1))] = False
  return seen


def _solve(known, target_TR, valid):
  """The fit's two stages: unknowns [T, P], and the person [K]."""
  stage = known.persons
  frames = np.flatnonzero(valid)
  frames = frames[np.linspace(0, len(frames) - 1, _PERSON_FRAMES).round().astype(int)]
  few = target_TR[frames]
  found, person_K = _minimise(stage, few, np.ones(len(few)), _STEPS_PERSON, True)
  person_R = person_K @ stage.modes_KR
  rest_R = np.median(few - found @ stage.moves_PR - person_R, axis=0)
  stage = known.frames
  target = target_TR - person_R - rest_R
  found, _ = _minimise(stage, target, valid.astype(float), _STEPS_FRAMES, False)
  return found, person_K


def _minimise(stage: _Stage, target_TR, weight_T, steps: int, with_person: bool):
  """Accelerated projected gradient descent, every unknown in a unit of its own.

  Source: Beck and Teboulle 2009, "A fast iterative shrinkage-thresholding algorithm";
  restarted where it overshoots (O'Donoghue and Candes 2015).
  """
  T, P = len(target_TR), len(stage.moves_PR)
  moves = stage.moves_PR / stage.sigma_m
  modes = stage.modes_KR / stage.sigma_m
  target = target_TR / stage.sigma_m
  curvature_PP = (moves * stage.weight_R) @ moves.T
  curvature_PP += stage.frame_PP + np.diag(16 * stage.acceleration_P)
  unit_P = 1 / np.sqrt(np.diag(curvature_PP))
  unit_K = 1 / np.sqrt((stage.weight_R * modes**2).sum(1) + stage.shape_K)
  moves_u, modes_u = moves * unit_P[:, None], modes * unit_K[:, None]
  gram = curvature_PP * unit_P * unit_P[:, None]
  if with_person:
    cross = (moves_u * stage.weight_R) @ modes_u.T
    own = (modes_u * stage.weight_R) @ modes_u.T + np.diag(stage.shape_K * unit_K**2)
    gram = np.block([[gram, cross], [cross.T, own]])
  step = 1 / np.linalg.eigvalsh(gram)[-1]
  pairs_u = stage.frame_PP * unit_P * unit_P[:, None]
  linear_u = 0.5 * stage.linear_P * unit_P
  smooth_u = stage.acceleration_P * unit_P**2
  low, high = stage.lower_P / unit_P, stage.upper_P / unit_P
  weight_TR = weight_T[:, None] * stage.weight_R
  to32 = lambda *arrays: [np.asarray(a, np.float32) for a in arrays]
  moves_u, modes_u, target, pairs_u, linear_u, smooth_u, low, high, weight = to32(
    moves_u, modes_u, target, pairs_u, linear_u, smooth_u, low, high, weight_TR
  )
  shape_u = np.float32(stage.shape_K * unit_K**2)
  x = ahead = np.zeros((T, P), np.float32)
  k = k_ahead = np.zeros(len(modes), np.float32)
  momentum = 1.0
  for _ in range(steps):
    residual = ahead @ moves_u + k_ahead @ modes_u - target
    residual = weight * residual / np.sqrt(1 + residual**2)
    second = np.diff(ahead * 1.0, n=2, axis=0)
    bend = np.diff(np.pad(second, ((2, 2), (0, 0))), n=2, axis=0)
    slope = residual @ moves_u.T + linear_u + ahead @ pairs_u + smooth_u * bend
    new = np.clip(ahead - np.float32(step) * slope, low, high)
    k_new = k
    if with_person:  # in units of 1 / sqrt(T): all frames pull at it
      slope_k = residual.mean(0) @ modes_u.T + shape_u * k_ahead
      k_new = k_ahead - np.float32(step) * slope_k
    if np.vdot(ahead - new, new - x) > 0:
      momentum = 1.0
    after = 0.5 + np.sqrt(0.25 + momentum**2)
    swing = np.float32((momentum - 1) / after)
    ahead, k_ahead = new + swing * (new - x), k_new + swing * (k_new - k)
    x, k, momentum = new, k_new, after
  return x * unit_P, k * unit_K
