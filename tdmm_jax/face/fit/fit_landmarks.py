"""Fits a face model to 2-D landmarks: a tracked clip becomes a `FaceMotion`.

First the person, from a few frames (`fit_person`): how their face differs from others',
which is the same in every frame, against what it expresses in each. Then every frame's
expression, jaw, eyelids, gaze, head pose and weak-perspective camera, the person known.
Both are the maximum of a posterior with a robust landmark term: see `landmark_model`
for what is assumed of a face, `landmark_problem` for how its landmarks become numbers,
and `solver` for the mathematics.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import threadpoolctl

from tdmm_jax.face import motion
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.fit import fit_person, landmark_model
from tdmm_jax.face.fit.fit_person import Person
from tdmm_jax.face.fit.landmark_problem import Problem
from tdmm_jax.face.fit.landmarks import checked, landmark_error
from tdmm_jax.face.motion import FaceMotion

VERSION = "5"  # of the result: raise it when fits change
_STEPS_FRAMES, _STEPS_FROZEN = 12, 4  # at most


def fit_landmarks(
  face_model: FaceModel,
  landmarks_px,
  detected,
  fps: float,
  width: int,
  height: int,
  freeze_expression: bool = False,
  progress: Callable[[int, int], None] | None = None,
  neutral: slice | None = None,
  person: Person | None = None,
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
    neutral: frames of the clip in which the face rests, though it may talk.
    person: of `fit_person`; by default that of this clip.

  Returns:
    FaceMotion at 25 fps with `camera`, and diagnostics at the clip's own frame rate:
      landmark_error: see `landmark_error`; of the full fit.
      frozen_landmark_error: the same fit with expression, jaw and eyelids frozen at
        their clip mean, and head pose, gaze and camera fitted again.
      landmark_error_per_frame: float[T], NaN where not detected.
      projected_px: float[T, L, 2]; landmark_ids: int[L]; num_landmarks: L.
      expression_rms: of the coefficients over valid frames.
      held: name of an action unit that never rests -> (level, its deviation); either
        may be the person's own rest. Empty for a model without action units.
      rest_known: whether neutral frames were named.

  Raises:
    UserError: no face in any frame, no neutral frame with a face, or the model has too
      few landmarks.
  """
  points, detected = checked(face_model, landmarks_px, detected)
  assumed = landmark_model.landmark_model(face_model)
  total = fit_person.MAX_STEPS + _STEPS_FRAMES + _STEPS_FROZEN
  tell = progress or (lambda done, total: None)
  # The solver's small LAPACK calls lose far more to threads than they win.
  with threadpoolctl.threadpool_limits(1, user_api="blas"):
    if person is None:
      tracks = [{"landmarks_px": points, "detected": detected}]
      person = fit_person.fit_person(face_model, tracks, [neutral])
    tell(fit_person.MAX_STEPS, total)
    problem = Problem(assumed, points, detected, fps, person)
    count = fit_person.MAX_STEPS + np.arange(1, _STEPS_FRAMES + 1)
    everything = tuple(unknown.name for unknown in assumed.unknowns)
    full = problem.run(problem.start(), everything, count, tell, total)
    count = count[-1] + np.arange(1, _STEPS_FROZEN + 1)
    rigid = ("eye_pose", "head_pose", "camera")
    frozen = problem.restart(problem.freeze(full.frames_TP))
    frozen = problem.run(frozen, rigid, count, tell, total)
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
    "held": problem.held(full),
    "rest_known": person.from_neutral,
  }
  return motion.resample(result), diagnostics
