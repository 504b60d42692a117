"""Fits a face model to 2-D landmarks: a tracked clip becomes a `FaceMotion`.

The whole clip at once: one identity, one weak-perspective camera per frame, and per
frame head pose, expression, jaw, eyelids and gaze, as the maximum of a posterior with
Gaussian priors and a robust landmark term. See `fit_solver` for the mathematics.

Conventions: landmarks are mediapipe's 478, in pixels, x to the image's right, y down.
A subject who faces the camera has their left at the image's right, so x agrees with the
model's x (to the subject's left) and y changes sign:
u = scale * x + tx, v = -scale * y + ty.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import threadpoolctl

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_model_lib
from tdmm_jax.face import motion
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.fit import landmark_offsets, projection, solver
from tdmm_jax.face.motion import FaceMotion

VERSION = "2"  # of the result: raise it when fits change
NUM_POINTS = 478
CANTHI = (33, 263)  # outer corners of the right and the left eye
_MIN_LANDMARKS = 20
_BUCKET = 50  # clips are padded to a multiple of this: one compilation for many lengths
_NOISE = 0.005  # sigma of a landmark, of the distance between the canthi
# Of a plausible person, seen in one frame: what a landmark is off by is much the same
# in all frames, so many say no more on identity than one. Weaker, and identity bends.
_SHAPE_SIGMA = 1.3
_STEPS_RIGID, _STEPS_FULL, _STEPS_FROZEN = 8, 16, 8  # at most
_CONVERGED = 1e-3  # relative drop of the cost that ends a stage


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


def _unknowns(num_expression: int) -> tuple[Unknown, ...]:
  """One frame's vector, laid out as `projection` takes it."""
  return (
    Unknown("expression", num_expression, 1.0, 0.2, -4.0, 4.0),
    Unknown("eyelids", 2, 0.5, 0.3, 0.0, 1.0),
    Unknown("jaw_open", 1, 0.2, 0.05, -0.02, 0.6),
    Unknown("jaw_side", 2, 0.03, 0.01, -0.2, 0.2),
    Unknown("eye_pose", 6, 0.25, 0.15, -0.7, 0.7),
    Unknown("head_pose", 3, 1.0, 0.03),
    Unknown("camera", 3, 1.0, 0.005),
  )


def read_landmarks(path) -> dict[str, Any]:
  """Reads a tracked clip: the keyword arguments of `fit_landmarks`.

  Args:
    path: npz of landmarks_px [T, 478, 3], detected [T], fps, width, height.

  Raises:
    UserError: missing, damaged, of other keys or shapes, or no face in it.
  """
  path = os.fspath(path)
  arrays = motion.read_arrays(path)
  needed = ("landmarks_px", "detected", "fps", "width", "height")
  missing = [name for name in needed if name not in arrays]
  if missing:
    raise UserError(
      f"{path}: lacks {', '.join(missing)}: not a landmark file; track the clip again"
    )
  points, detected = arrays["landmarks_px"], arrays["detected"]
  if points.ndim != 3 or points.shape[1] != NUM_POINTS or points.shape[2] not in (2, 3):
    raise UserError(
      f"{path}: 'landmarks_px' has shape {list(points.shape)}, not "
      f"[frames, {NUM_POINTS}, 3]; track the clip with mediapipe's iris model"
    )
  if detected.shape != points.shape[:1] or points.dtype.kind != "f":
    raise UserError(
      f"{path}: 'detected' has {detected.size} frames but 'landmarks_px' has "
      f"{len(points)}; track the clip again"
    )
  detected = detected.astype(bool)
  if not np.isfinite(points[detected, :, :2]).all():
    raise UserError(f"{path}: NaN in a detected frame; track the clip again")
  scalars = {}
  for name in ("fps", "width", "height"):
    value = arrays[name]
    if value.size != 1 or value.dtype.kind not in "fiu" or not value.item() > 0:
      raise UserError(f"{path}: '{name}' must be one number above 0, not {value!r}")
    scalars[name] = value.item()
  return {"landmarks_px": points, "detected": detected, **scalars}


def fit_landmarks(
  face_model: FaceModel,
  landmarks_px,
  detected,
  fps: float,
  width: int,
  height: int,
  freeze_expression: bool = False,
  progress: Callable[[int, int], None] | None = None,
) -> tuple[FaceMotion, dict[str, Any]]:
  """Fits the face model to a clip's landmarks.

  Args:
    face_model: a model with at least 20 mediapipe landmarks.
    landmarks_px: float[T, 478, 2 or 3], pixels; depth is not used.
    detected: bool[T]; frames without a face are interpolated and marked not valid.
    fps: of the clip; the result is resampled to 25.
    width, height: of the video, pixels.
    freeze_expression: return the frozen fit (see below) instead of the full one.
    progress: called with (steps done, steps in all).

  Returns:
    FaceMotion at 25 fps with `camera`, and diagnostics at the clip's own frame rate:
      landmark_error: see `landmark_error`; of the full fit.
      frozen_landmark_error: the same fit with expression, jaw and eyelids frozen at
        their clip mean, and head pose, gaze and camera fitted again.
      landmark_error_per_frame: float[T], NaN where not detected.
      projected_px: float[T, L, 2]; landmark_ids: int[L]; num_landmarks: L.
      expression_rms: of the coefficients over valid frames.

  Raises:
    UserError: no face in any frame, or the model has too few landmarks.
  """
  points, detected = _check_input(face_model, landmarks_px, detected)
  problem = _Problem(face_model, points, detected, fps)
  total = _STEPS_RIGID + _STEPS_FULL + _STEPS_FROZEN
  done = 0

  def run(state, steps, free_names, free_shape):
    nonlocal done
    # The solver's small LAPACK calls lose far more to threads than they win.
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
      for step in range(steps):
        cost = float(state.cost)
        state = problem.step(state, free_names, free_shape)
        if progress:
          progress(done + step + 1, total)
        if cost - float(state.cost) < _CONVERGED * cost and float(state.cost) < cost:
          break
    done += steps
    return state

  everything = tuple(unknown.name for unknown in problem.unknowns)
  rigid = run(problem.start(), _STEPS_RIGID, ("head_pose", "camera"), False)
  full = run(
    problem.restart(rigid.frames_TP, rigid.shape_S), _STEPS_FULL, everything, True
  )
  frozen = problem.restart(problem.freeze(full.frames_TP), full.shape_S)
  frozen = run(frozen, _STEPS_FROZEN, ("eye_pose", "head_pose", "camera"), False)
  projected = {
    name: problem.project(s) for name, s in (("", full), ("frozen_", frozen))
  }
  observed = points[:, face_model.landmark_ids]
  diagnostics = {
    name + "landmark_error": landmark_error(pixels, observed, points, detected)[0]
    for name, pixels in projected.items()
  }
  kept = "frozen_" if freeze_expression else ""
  _, per_frame = landmark_error(projected[kept], observed, points, detected)
  result = problem.to_motion(frozen if freeze_expression else full)
  diagnostics |= {
    "landmark_error_per_frame": per_frame,
    "projected_px": projected[kept],
    "landmark_ids": face_model.landmark_ids,
    "num_landmarks": len(face_model.landmark_ids),
    "expression_rms": float(np.sqrt(np.mean(result.expression[result.valid] ** 2))),
  }
  return motion.resample(result), diagnostics


def landmark_error(projected_px, observed_px, points_px, detected):
  """Mean 2-D distance over the landmarks, over the outer-canthi distance.

  Both distances are of the same frame, so a turned head, whose eyes are closer
  together in the picture, is measured strictly.

  Args:
    projected_px, observed_px: float[T, L, 2], the head's landmarks.
    points_px: float[T, 478, 2], for the canthi (points 33 and 263).
    detected: bool[T].

  Returns:
    mean over detected frames, and float[T], NaN where not detected.
  """
  distance = np.linalg.norm(projected_px - observed_px[..., :2], axis=-1).mean(axis=1)
  right, left = (points_px[:, i, :2] for i in CANTHI)
  per_frame = distance / np.linalg.norm(left - right, axis=-1)
  per_frame = np.where(detected, per_frame, np.nan)
  return float(per_frame[detected].mean()), per_frame


def _check_input(face_model, landmarks_px, detected):
  points = np.asarray(landmarks_px, np.float32)[..., :2]
  detected = np.asarray(detected, bool)
  if len(face_model.landmark_ids) < _MIN_LANDMARKS:
    raise UserError(
      f"{face_model.name}: has {len(face_model.landmark_ids)} landmarks, a fit needs "
      f"{_MIN_LANDMARKS}; put mediapipe_landmark_embedding.npz beside the model file"
    )
  if points.ndim != 3 or points.shape[1:] != (NUM_POINTS, 2):
    raise UserError(
      f"landmarks of shape {list(points.shape)}; give [frames, {NUM_POINTS}, 3]"
    )
  if detected.shape != points.shape[:1] or not detected.any():
    raise UserError(
      f"a face is detected in {int(detected.sum())} of {len(points)} frames; "
      "give a clip that shows a face"
    )
  return points, detected


class _Problem:
  """One clip in the solver's form: lengths in units of the model, T padded."""

  def __init__(self, face_model, points, detected, fps):
    self.model, self.fps, self.detected = face_model, fps, detected
    self.num_frames = len(points)
    corners = np.unique(face_model.landmark_triangles)
    self.small = face_model_lib.vertex_subset(face_model, corners)
    self.unknowns = _unknowns(face_model.num_expression)
    self.offsets = jnp.asarray(
      landmark_offsets.offsets(face_model.name, face_model.landmark_ids)
    )
    neutral = face_model_lib.landmarks(face_model, np.asarray(face_model.v_template))
    neutral = neutral + self.offsets
    self.center = np.asarray(neutral.mean(axis=0))
    # Pixels -> metres of the mean head at rest: a first guess of the camera.
    observed = points[:, face_model.landmark_ids]
    self.origin = observed[detected].mean(axis=(0, 1))
    spread = lambda x: np.sqrt(((x - x.mean(-2, keepdims=True)) ** 2).sum(-1).mean())
    self.px_per_m = spread(observed[detected]) / spread(np.asarray(neutral)[:, :2])
    padded = -(-self.num_frames // _BUCKET) * _BUCKET
    length = ((0, padded - self.num_frames), (0, 0), (0, 0))
    target = (observed - self.origin) / self.px_per_m * np.array([1.0, -1.0])
    right, left = (points[detected][:, i] for i in CANTHI)
    canthi_m = np.linalg.norm(left - right, axis=-1).mean() / self.px_per_m
    self.sigma_m = jnp.float32(_NOISE * canthi_m)
    self.target = jnp.asarray(
      np.pad(np.where(detected[:, None, None], target, 0), length)
    )
    weights = np.pad(detected.astype(np.float32), length[0])
    self.weights = jnp.repeat(jnp.asarray(weights)[:, None], observed.shape[1] * 2, 1)
    shape_sigma = _SHAPE_SIGMA / np.sqrt(detected.sum())
    self.prior = _prior(self.unknowns, face_model.num_shape, shape_sigma, fps)

  def start(self):
    width = sum(unknown.width for unknown in self.unknowns)
    frames = np.zeros((len(self.target), width), np.float32)
    target = np.asarray(self.target)
    last = self.columns("camera")[0]
    frames[:, last + 1 :] = target.mean(axis=1) - self.center[:2]
    observed = np.flatnonzero(self.detected)
    for column in (last + 1, last + 2):
      frames[:, column] = np.interp(
        np.arange(len(frames)), observed, frames[observed, column]
      )
    return self.restart(jnp.asarray(frames), jnp.zeros(self.model.num_shape))

  def restart(self, frames, shape):
    return solver.State(frames, shape, jnp.float32(1e-2), jnp.float32(jnp.inf))

  def columns(self, name) -> np.ndarray:
    first = 0
    for unknown in self.unknowns:
      if unknown.name == name:
        return np.arange(first, first + unknown.width)
      first += unknown.width
    raise KeyError(name)

  def step(self, state, free_names, free_shape):
    free = [
      np.full(unknown.width, unknown.name in free_names, np.float32)
      for unknown in self.unknowns
    ]
    return _step(
      self.small,
      state,
      self.target,
      self.sigma_m,
      self.weights,
      jnp.asarray(np.concatenate(free)),
      jnp.float32(free_shape),
      self.prior,
      self.offsets,
    )

  def freeze(self, frames):
    """Expression, jaw and eyelids at their mean over the detected frames."""
    frames = np.array(frames)
    observed = frames[: self.num_frames][self.detected]
    for name in ("expression", "jaw_open", "jaw_side", "eyelids"):
      columns = self.columns(name)
      frames[:, columns] = observed[:, columns].mean(axis=0)
    return jnp.asarray(frames)

  def project(self, state) -> np.ndarray:
    """Landmarks in pixels, float[T, L, 2]."""
    metres = np.asarray(
      _project(self.small, state.frames_TP, state.shape_S, self.offsets)
    )
    pixels = metres * np.array([1.0, -1.0]) * self.px_per_m + self.origin
    return pixels[: self.num_frames]

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
    result = motion.zeros(self.num_frames, self.model.name, self.model.num_expression)
    result = result.replace(
      expression=take("expression"),
      jaw_pose=np.concatenate([take("jaw_open"), take("jaw_side")], axis=1),
      eyelids=take("eyelids"),
      eye_pose=take("eye_pose"),
      head_pose=take("head_pose"),
      shape=np.asarray(state.shape_S),
      camera=np.stack(camera, axis=1).astype(np.float32),
      valid=self.detected,
      fps=float(self.fps),
    )
    return motion.fill_invalid(motion.validate(result, "fit"))


def _prior(unknowns, num_shape, shape_sigma, fps) -> solver.Prior:
  per_group = lambda value: jnp.asarray(
    np.concatenate([np.full(u.width, value(u), np.float32) for u in unknowns])
  )
  pairs = np.zeros((sum(u.width for u in unknowns),) * 2, np.float32)
  first = sum(u.width for u in unknowns[:4])
  assert unknowns[4].name == "eye_pose"
  for axis, sigma in enumerate((0.03, 0.05, 0.03)):  # both eyes look at one point
    left, right = first + axis, first + 3 + axis
    pairs[[left, right], [left, right]] = 1 / sigma**2
    pairs[[left, right], [right, left]] = -1 / sigma**2
  pairs[[first + 2, first + 5], [first + 2, first + 5]] += 1 / 0.02**2  # no torsion
  # The second difference of one motion goes with the square of the frame's length.
  slow = (25.0 / fps) ** 2
  return solver.Prior(
    frame_P=per_group(lambda u: u.sigma**-2),
    frame_PP=jnp.asarray(pairs),
    acceleration_P=per_group(lambda u: (u.sigma_acceleration * slow) ** -2),
    shape_S=jnp.full(num_shape, shape_sigma**-2),
    lower_P=per_group(lambda u: u.lower),
    upper_P=per_group(lambda u: u.upper),
  )


@jax.jit
def _project(model, frames_TP, shape_S, offsets):
  return projection.project(model, frames_TP, shape_S, offsets)


@jax.jit
def _step(model, state, target, sigma_m, weights, free, free_shape, prior, offsets):
  T = len(target)

  def residuals(frames, shape):
    points = projection.project(model, frames, shape, offsets)
    return ((points - target) / sigma_m).reshape(T, -1)

  def jacobian(frames, shape):
    derivative = projection.jacobian(model, frames, shape, offsets) / sigma_m
    return derivative.reshape(T, -1, derivative.shape[-1])

  return solver.step(residuals, jacobian, state, weights, free, free_shape, prior)
