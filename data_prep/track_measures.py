"""How well a fitted motion follows the mouth and the eyes of its landmarks; summaries.

Openings in millimetres, where the outer canthi are 89 mm apart: of the landmarks, and
of the same points on the fitted face's vertices. Correlation over the clip tells
whether the fit moves with the person.
"""

import collections
import statistics
from typing import Any

import numpy as np

from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face.fit.landmarks import CANTHI

CANTHI_MM = 89.0
# mediapipe's numbers: inner lips; upper and lower lid of the right and left eye
_OPENINGS = {"mouth": ((13, 14),), "eyes": ((159, 145), (386, 374))}
MOVES_MM = {"mouth": 2.0, "eyes": 1.0}  # below this range a correlation is of noise
_ENOUGH = 10  # frames
_MEASURES = (
  "landmark_error",
  "frozen_landmark_error",
  "mouth_correlation",
  "eyes_correlation",
)


def openings_mm(points_TL3, ids) -> dict[str, np.ndarray]:
  """Mouth and mean eye opening of each frame, float[T].

  Args:
    points_TL3: in any unit, one for all axes.
    ids: mediapipe's numbers of the L points; must hold the lips, lids and canthi.
  """
  at = {int(number): i for i, number in enumerate(ids)}
  distance = lambda pair: np.linalg.norm(
    points_TL3[:, at[pair[0]]] - points_TL3[:, at[pair[1]]], axis=-1
  )
  scale = CANTHI_MM / distance(CANTHI)
  return {
    name: scale * np.mean([distance(pair) for pair in pairs], axis=0)
    for name, pairs in _OPENINGS.items()
  }


def opening_agreement(face_model, motion, landmarks_px, detected, fps) -> dict:
  """Compares a fit with its landmarks.

  Args:
    face_model: of the motion; has the lips', lids' and canthi's landmarks.
    motion: the fit, at its own rate, starting with the landmarks' first frame.
    landmarks_px: float[T, 478, 3]; z in the same scale as x and y.
    detected: bool[T]. fps: of the landmarks.

  Returns:
    For "mouth" and "eyes": NAME_range_mm of the landmarks' opening over valid frames,
    and NAME_correlation, None where it moves less than `MOVES_MM` or in fewer than 10
    frames.
  """
  needed = {number for pairs in _OPENINGS.values() for pair in pairs for number in pair}
  if not (needed | set(CANTHI)) <= set(face_model.landmark_ids.tolist()):
    return {}
  seen = np.flatnonzero(detected)
  truth = openings_mm(np.asarray(landmarks_px)[seen], range(landmarks_px.shape[1]))
  vertices = face_lib.motion_vertices(face_model, motion, identity=True)
  points = np.asarray(face_lib.landmarks(face_model, vertices))
  fitted = openings_mm(points, face_model.landmark_ids)
  frames = np.flatnonzero(motion.valid)
  at = frames * fps / motion.fps
  report = {}
  for name, values in truth.items():
    values = np.interp(at, seen, values)
    extent = float(np.ptp(values)) if len(values) else 0.0
    report[f"{name}_range_mm"] = extent
    moves = extent > MOVES_MM[name] and len(frames) >= _ENOUGH
    correlation = None
    if moves:
      correlation = float(np.corrcoef(values, fitted[name][frames])[0, 1])
    report[f"{name}_correlation"] = correlation
  return report


def summary(rows) -> dict[str, Any]:
  """Counts by reason, and the measures' means over the tracked clips.

  `fit_frames_per_cpu_s` is the median over the clips, of which the first few also
  compile.
  """
  tracked = [row for row in rows if row["status"] == "tracked"]
  reasons = collections.Counter(row["reason"] for row in rows if "reason" in row)
  rates = [row["frames"] / row["fit_cpu_s"] for row in tracked if row.get("fit_cpu_s")]
  return {
    "clips": len(rows),
    "tracked": len(tracked),
    "failed": dict(sorted(reasons.items())),
    "frames": sum(row["frames"] for row in tracked),
    "detected_frames": sum(row["detected_frames"] for row in tracked),
    **{key: _mean_of(tracked, key) for key in _MEASURES},
    "fit_frames_per_cpu_s": statistics.median(rates) if rates else None,
  }


def _mean_of(rows, key) -> float | None:
  """Mean over the clips in which the measure exists."""
  values = [row[key] for row in rows if row.get(key) is not None]
  return float(np.mean(values)) if values else None
