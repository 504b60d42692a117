"""Frames of one person and their landmarks, in the form that the solver takes.

A subject who faces the camera has their left at the image's right, so a landmark's x in
pixels agrees with the model's x (to the subject's left), and y changes sign:
u = scale * x + tx, v = -scale * y + ty.
"""

import dataclasses

import numpy as np

from tdmm_jax.face import action_units, motion
from tdmm_jax.face import face_model as face_model_lib
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.fit import landmark_model, projection, solver
from tdmm_jax.face.fit.landmarks import CANTHI
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.face.turns import transform
from tdmm_jax.runs import kept_programs

_BUCKET = 50  # clips are padded to a multiple of this: one compilation for many lengths
# Sigma of a landmark, of the distance between the canthi. What a landmark is off by is
# much the same in all frames, so many frames say no more on the person than one.
_NOISE = 0.005
_MISFIT = 0.020  # of a person's landmarks, where no known face explains them
# Relative drop of the cost that ends a stage. Rest and expression part slowly.
_CONVERGED, _PERSON_CONVERGED = 1e-3, 1e-4
# Nothing marks a point along a brow: as brows are drawn together and down, mediapipe's
# points sink with them, but hardly come nearer each other.
_BROWS = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
_BROWS += (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
_ALONG_BROW = 0.05  # weight of a brow's x
_HELD = 0.1  # activation that a unit never goes below: held, or the person's rest


class Problem:
  """Frames of one person in the solver's form: lengths in units of the model, T padded.

  Without a person, the person is an unknown too, and the frames stand for themselves.
  """

  def __init__(self, assumed, points, detected, fps, person, resting=None):
    self.assumed, self.fps, self.detected = assumed, fps, detected
    self.person, self.num_frames, self.resting = person, len(points), resting
    self.unknowns = assumed.unknowns
    self.model, self.offsets = assumed.model, assumed.offsets_L3
    if person is not None:
      self.model = _of_person(assumed.model, np.asarray(person.person_K))
      self.offsets = self.offsets + person.rest_L3
    self.offsets = np.asarray(self.offsets, np.float32)
    ids = assumed.head.landmark_ids
    corners = np.asarray(self.model.v_template)[self.model.landmark_triangles]
    neutral = np.einsum("lka,lk->la", corners, self.model.landmark_barycentric)
    self.neutral = neutral + np.asarray(self.offsets)
    # Pixels -> metres of the mean head at rest: a first guess of the camera.
    observed = points[:, ids]
    self.origin = observed[detected].mean(axis=(0, 1))
    spread = lambda x: np.sqrt(((x - x.mean(-2, keepdims=True)) ** 2).sum(-1).mean())
    self.px_per_m = spread(observed[detected]) / spread(self.neutral[:, :2])
    padded = -(-self.num_frames // _BUCKET) * _BUCKET if fps else self.num_frames
    length = ((0, padded - self.num_frames), (0, 0), (0, 0))
    target = (observed - self.origin) / self.px_per_m * np.array([1.0, -1.0])
    right, left = (points[detected][:, i] for i in CANTHI)
    canthi_m = np.linalg.norm(left - right, axis=-1).mean() / self.px_per_m
    noise = _MISFIT if person is None and assumed.in_units else _NOISE
    self.sigma_m = np.float32(noise * canthi_m)
    self.target = np.pad(np.where(detected[:, None, None], target, 0), length)
    self.target = self.target.astype(np.float32)
    weights = np.pad(detected.astype(np.float32), length[0])
    each_L2 = np.ones((len(ids), 2), np.float32)
    each_L2[np.isin(ids, _BROWS), 0] = _ALONG_BROW
    self.weight_R = each_L2.ravel()
    self.weights = weights[:, None] * self.weight_R
    self.prior = self._prior(
      np.pad(resting, length[0]) if resting is not None else None
    )

  def _prior(self, resting_T) -> solver.Prior:
    assumed, fps = self.assumed, self.fps
    per_group = lambda value: np.concatenate(
      [np.full(u.width, value(u), np.float32) for u in self.unknowns]
    )
    pairs = np.zeros((sum(u.width for u in self.unknowns),) * 2, np.float32)
    E = self.unknowns[0].width
    pairs[:E, :E] = assumed.pairs_UU
    first = self.columns("eye_pose")[0]
    for axis, sigma in enumerate((0.03, 0.05, 0.03)):  # both eyes look at one point
      left, right = first + axis, first + 3 + axis
      pairs[[left, right], [left, right]] = 1 / sigma**2
      pairs[[left, right], [right, left]] = -1 / sigma**2
    pairs[[first + 2, first + 5], [first + 2, first + 5]] += 1 / 0.02**2  # no torsion
    linear = np.zeros(len(pairs), np.float32)
    fields = np.asarray(self.model.motion_basis[:E]).reshape(E, 3, -1)[:, :2]
    # A unit stays at rest below a misfit of `sparsity_U` sigmas along its own field.
    size = np.linalg.norm(fields.reshape(E, -1), axis=1) / float(self.sigma_m)
    known = self.person is not None and self.person.from_neutral
    sparsity_U = assumed.sparsity_beside_rest_U if known else assumed.sparsity_U
    linear[:E] = 2.0 * sparsity_U * size
    # The second difference of one motion goes with the square of the frame's length.
    slow = (25.0 / fps) ** 2 if fps else 0.0
    upper = np.tile(per_group(lambda u: u.upper), (len(self.target), 1))
    if resting_T is not None and assumed.in_units:
      quiet = [
        name not in landmark_model.SPEECH_UNITS for name in action_units.ACTION_UNITS
      ]
      upper[np.ix_(resting_T, np.flatnonzero(quiet))] = 0.0
    return solver.Prior(
      frame_P=per_group(lambda u: u.sigma**-2),
      frame_PP=pairs,
      linear_P=linear,
      acceleration_P=per_group(lambda u: (u.sigma_acceleration * slow) ** -2)
      if fps
      else None,
      shape_S=np.full(
        self.model.num_shape,
        self.num_frames / assumed.person_sigma**2,
        np.float32,
      ),
      lower_P=per_group(lambda u: u.lower),
      upper_P=upper,
    )

  def start(self):
    """Head pose and camera of each frame by linear least squares; the rest at rest."""
    width = sum(unknown.width for unknown in self.unknowns)
    frames = np.zeros((len(self.target), width), np.float32)
    observed = np.flatnonzero(self.detected)
    turns, cameras = _poses(
      self.neutral,
      np.asarray(self.model.joint_template)[0],
      np.asarray(self.target)[observed],
    )
    every = np.arange(len(frames))
    for name, values in (("head_pose", turns), ("camera", cameras)):
      for column, value in zip(self.columns(name), values.T, strict=True):
        frames[:, column] = np.interp(every, observed, value)
    return self.restart(frames)

  def restart(self, frames):
    shape = np.zeros(self.model.num_shape, np.float32)
    return solver.State(frames, shape, np.float32(1e-2), np.float32(np.inf))

  def columns(self, name) -> np.ndarray:
    first = 0
    for unknown in self.unknowns:
      if unknown.name == name:
        return np.arange(first, first + unknown.width)
      first += unknown.width
    raise KeyError(name)

  def run(self, state, free_names, counts, tell=None, total=0):
    """Steps until the cost hardly falls; `tell` hears of each count."""
    free = [
      np.full(unknown.width, unknown.name in free_names, np.float32)
      for unknown in self.unknowns
    ]
    free = np.concatenate(free)
    for count in counts:
      cost = float(state.cost)
      state = _step(
        self.model,
        state,
        self.target,
        self.sigma_m,
        self.weights,
        free,
        np.float32(self.person is None),
        self.prior,
        self.offsets,
      )
      if tell:
        tell(int(count), total)
      after = float(state.cost)
      enough = _PERSON_CONVERGED if self.person is None else _CONVERGED
      if cost - after < enough * cost and after < cost:
        break
    return state

  def freeze(self, frames):
    """Expression, jaw and eyelids at their mean over the detected frames."""
    frames = np.array(frames)
    observed = frames[: self.num_frames][self.detected]
    for name in ("expression", "jaw_open", "jaw_side", "eyelids"):
      columns = self.columns(name)
      frames[:, columns] = observed[:, columns].mean(axis=0)
    return frames

  def _metres(self, state):
    return np.asarray(
      _project(self.model, state.frames_TP, state.shape_S, self.offsets)
    )

  def project(self, state) -> np.ndarray:
    """Landmarks in pixels, float[T, L, 2]."""
    pixels = self._metres(state) * np.array([1.0, -1.0]) * self.px_per_m + self.origin
    return pixels[: self.num_frames]

  def rest(self, state) -> np.ndarray:
    """What no known face explains of the landmarks' mean place, m, head's frame [L, 3].

    Of frames at rest, where some are named: of others it would hold a part of what they
    express. Of a model that keeps its own coefficients, nothing.
    """
    if not self.assumed.in_units:
      return np.zeros((self.target.shape[1], 3), np.float32)
    missing_TL3 = self.missing(state)
    if self.resting is not None and self.resting.any():
      missing_TL3 = missing_TL3[self.resting]
    return np.median(missing_TL3, axis=0).astype(np.float32)

  def missing(self, state) -> np.ndarray:
    """Of each frame what is not explained, m, head's frame, [T, L, 3]."""
    missing = np.asarray(self.target) - self._metres(state)
    frames = np.asarray(state.frames_TP)
    scale = np.exp(frames[:, self.columns("camera")[0]])
    turn = transform.Rotation.from_rotvec(frames[:, self.columns("head_pose")])
    missing = missing / scale[:, None, None]
    return np.einsum("tba,tlb->tla", turn.as_matrix()[:, :2], missing)

  def deviation(self, state) -> np.ndarray:
    """Of an activation that is held, given that the rest may be like it, float[U]."""
    E = self.unknowns[0].width
    if not self.assumed.in_units:
      return np.zeros(E)
    fields = np.asarray(self.model.motion_basis[:E], np.float64)
    modes = np.asarray(self.model.shape_basis, np.float64)
    both = np.concatenate([fields, modes]).reshape(E + len(modes), 3, -1)[:, :2]
    both = both.reshape(len(both), -1) / float(self.sigma_m)
    precision = both @ both.T
    precision[:E, :E] += self.assumed.pairs_UU + np.eye(E) / self.unknowns[0].sigma ** 2
    precision[E:, E:] += np.eye(len(modes)) / self.assumed.person_sigma**2
    return np.sqrt(np.diag(np.linalg.inv(precision))[:E])

  def held(self, state) -> dict[str, tuple[float, float]]:
    """Units that are never at rest: name -> (level, deviation)."""
    if not self.assumed.in_units:
      return {}
    frames = np.asarray(state.frames_TP)[: self.num_frames][self.detected]
    level_U = np.percentile(frames[:, self.columns("expression")], 5, axis=0)
    return {
      action_units.ACTION_UNITS[u]: (
        float(level_U[u]),
        float(self.person.deviation_U[u]),
      )
      for u in np.argsort(-level_U)
      if level_U[u] > _HELD
    }

  def to_motion(self, state) -> FaceMotion:
    """At the clip's own frame rate; undetected frames interpolated."""
    frames = np.asarray(state.frames_TP)[: self.num_frames]
    take = lambda name: frames[:, self.columns(name)]
    log_scale, x, y = take("camera").T
    camera = [
      np.exp(log_scale) * self.px_per_m,
      x * self.px_per_m + self.origin[0],
      -y * self.px_per_m + self.origin[1],
    ]
    head = self.assumed.head
    result = motion.zeros(self.num_frames, head.name, head.num_expression)
    result = result.replace(
      expression=self.assumed.to_expression(take("expression")),
      jaw_pose=np.concatenate([take("jaw_open"), take("jaw_side")], axis=1),
      eyelids=take("eyelids"),
      eye_pose=take("eye_pose"),
      head_pose=take("head_pose"),
      shape=self.assumed.to_shape(self.person.person_K),
      camera=np.stack(camera, axis=1).astype(np.float32),
      valid=self.detected,
      fps=float(self.fps),
    )
    return motion.fill_invalid(motion.validate(result, "fit"))


def _of_person(model, person_K) -> FaceModel:
  """The landmarks of one person: one identity coefficient, which moves nothing."""
  model = face_model_lib.with_identity(model, person_K)
  return dataclasses.replace(
    model,
    basis=np.pad(model.basis, ((0, 1), (0, 0))),
    joint_shapedirs=np.zeros((*model.joint_template.shape, 1), np.float32),
  )


def _poses(points_L3, root_3, target_TL2):
  """Rotation vectors [T, 3] and cameras (log scale, x, y) [T, 3], weak perspective.

  The best affine map of each frame, then the rotation and scale nearest to it.
  """
  middle = points_L3.mean(0)
  around = target_TL2.mean(1)
  affine = np.einsum(
    "tla,lb->tab", target_TL2 - around[:, None], np.linalg.pinv(points_L3 - middle).T
  )
  u, size, v = np.linalg.svd(affine, full_matrices=False)
  rows = u @ v
  turn = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)
  scale = size.mean(1)
  center = turn @ (middle - root_3) + root_3
  shift = around - scale[:, None] * center[:, :2]
  turns = transform.Rotation.from_matrix(turn).as_rotvec()
  return turns, np.column_stack([np.log(scale), shift])


@kept_programs.jit
def _project(model, frames_TP, shape_S, offsets):
  return projection.project(model, frames_TP, shape_S, offsets)


@kept_programs.jit
def _step(model, state, target, sigma_m, weights, free, free_shape, prior, offsets):
  T = len(target)

  def residuals(frames, shape):
    points = projection.project(model, frames, shape, offsets)
    return ((points - target) / sigma_m).reshape(T, -1)

  def jacobian(frames, shape):
    derivative = projection.jacobian(model, frames, shape, offsets) / sigma_m
    return derivative.reshape(T, -1, derivative.shape[-1])

  return solver.step(residuals, jacobian, state, weights, free, free_shape, prior)
