"""A tracked clip's landmarks: their file, and how far a fit is from them.

They are mediapipe's 478, in pixels, x to the image's right, y down.
"""

import os
from typing import Any

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion

NUM_POINTS = 478
CANTHI = (33, 263)  # outer corners of the right and the left eye
_MIN_LANDMARKS = 20


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


def checked(face_model, landmarks_px, detected):
  """The arguments of `fit_landmarks` as float32[T, 478, 2] and bool[T].

  Raises:
    UserError: of another shape, no face in it, or the model has too few landmarks.
  """
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
