"""Writes Live Link Face's CSV; `face.files.arkit_csv` describes and reads it."""

import csv
import io
import os

import numpy as np

from tdmm_jax import files
from tdmm_jax.face.arkit import SHAPES, ArkitCurves
from tdmm_jax.face.files.arkit_csv import ANGLES, FROM_FILE, HEADER


def write_csv(path: str | os.PathLike, curves: ArkitCurves) -> None:
  """Writes the curves; the first frame is at 00:00:00:00.000."""
  angles = np.concatenate([curves.head_T3, curves.eyes_T6], axis=1) * FROM_FILE
  rows = np.concatenate([curves.weights_TA, angles + 0.0], axis=1)  # no -0
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(HEADER)
  for t, row in enumerate(rows):
    writer.writerow(
      [_timecode(t, curves.fps), len(SHAPES) + len(ANGLES)]
      + [f"{value:.8f}" for value in row]
    )
  files.write_text(path, text.getvalue())


def _timecode(frame: int, fps: float) -> str:
  second = int((frame + 1e-6) / fps)
  within = frame - second * fps
  minute, hour = second // 60, second // 3600
  return f"{hour:02}:{minute % 60:02}:{second % 60:02}:{within:06.3f}"
