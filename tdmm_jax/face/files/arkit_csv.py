"""Reads Live Link Face's CSV: a timecode, 52 ARKit weights, head and eye angles.

The timecode is HH:MM:SS:FF.sss, FF counting frames within the second. Rotations are in
radians. Express4D uses the same columns.
"""

import csv
import os

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face.arkit import SHAPES, ArkitCurves

ANGLES = (
  *("HeadYaw", "HeadPitch", "HeadRoll"),
  *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll"),
  *("RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
)
HEADER = ("Timecode", "BlendshapeCount", *SHAPES, *ANGLES)


def read_csv(path: str | os.PathLike, fps: float | None = None) -> ArkitCurves:
  """Reads a recording; columns are found by name, case aside.

  Args:
    path: the file.
    fps: frames per second; by default read off the timecodes, which takes more than a
      second of recording.

  Raises:
    UserError: no ARKit columns, a value that is no number, or an unknown rate.
  """
  path = os.fspath(path)
  try:
    with open(path, newline="", encoding="utf-8-sig") as stream:
      rows = [row for row in csv.reader(stream) if row]
  except FileNotFoundError as error:
    raise UserError(f"{path}: no such file; check the name") from error
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise UserError(f"{path}: cannot be read as CSV ({error}); export again") from error
  if len(rows) < 2:
    raise UserError(f"{path}: has no frames; record or export it again")
  names = [name.strip().lower() for name in rows[0]]
  missing = [name for name in SHAPES if name.lower() not in names]
  if missing:
    raise UserError(
      f"{path}: lacks {len(missing)} of ARKit's 52 columns ({', '.join(missing[:3])} "
      "...); export it from Live Link Face"
    )
  values = {}
  for name in (*SHAPES, *ANGLES):
    if name.lower() in names:
      values[name] = _column(rows, names.index(name.lower()), name, path)
    else:
      values[name] = np.zeros(len(rows) - 1)
  table = np.stack([values[name] for name in (*SHAPES, *ANGLES)], axis=1)
  if fps is not None:
    table = table.astype(np.float32)
  elif "timecode" in names:
    fps, table = _evenly(rows, names.index("timecode"), table, path)
  else:
    raise UserError(f"{path}: no Timecode column; give the frame rate, fps")
  weights, head, eyes = np.split(table.astype(np.float32), (52, 55), axis=1)
  return ArkitCurves(np.clip(weights, 0.0, 1.0), head, eyes, float(fps))


def _column(rows, index, name, path) -> np.ndarray:
  column = np.zeros(len(rows) - 1)
  for number, row in enumerate(rows[1:], start=2):
    try:
      column[number - 2] = float(row[index])
    except (ValueError, IndexError) as error:
      raise UserError(
        f"{path}:{number}: {name} is no number; export the recording again"
      ) from error
  if not np.isfinite(column).all():
    raise UserError(f"{path}: {name} is NaN or infinite; export the recording again")
  return column


def _evenly(rows, index, table, path) -> tuple[float, np.ndarray]:
  """The frame rate that the timecodes show, and the rows at an even pace."""
  try:
    parts = np.array([row[index].split(":") for row in rows[1:]], np.float64)
    seconds, frames = parts[:, :3] @ [3600.0, 60.0, 1.0], parts[:, 3]
  except (ValueError, IndexError) as error:
    raise UserError(
      f"{path}: a Timecode is not HH:MM:SS:FF.sss; give the frame rate, fps"
    ) from error
  if len(np.unique(seconds)) < 2:
    raise UserError(
      f"{path}: too short to tell its frame rate; give fps (25 if it is ours)"
    )
  fps = float(np.floor(frames.max() + 1e-6) + 1)
  times = seconds + frames / fps
  if (np.diff(times) <= 0).any():
    raise UserError(f"{path}: the Timecodes do not rise; give the frame rate, fps")
  count = int(np.floor((times[-1] - times[0]) * fps + 1e-3)) + 1
  even = times[0] + np.arange(count) / fps
  return fps, np.stack([np.interp(even, times, column) for column in table.T], axis=1)
