"""Reads ARKit's weights: tables (Live Link Face, mediapipe), JSON (BEAT and others).

Live Link Face writes a timecode, 52 weights, head and eye angles in radians, and spells
its second column BlendShapeCount or BlendshapeCount. Express4D has the same columns.
Its angles are those of a left-handed frame: yaw > 0 turns to the subject's right, pitch
> 0 down, roll > 0 towards the left shoulder; `FROM_FILE` makes ours of them. For the
eyes' yaw and pitch five takes of a phone show it, whose EyeLook weights say the same.
The head's, and roll, are inferred: Unreal Engine's ARKit plug-in makes them by the
eyes' formula, but no take with a turning head was at hand.

Shape letters: R rows of a file.
"""

import csv
import json
import logging
import os

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion
from tdmm_jax.face.arkit import SHAPES, ArkitCurves
from tdmm_jax.face.files import timing

ANGLES = (
  *("HeadYaw", "HeadPitch", "HeadRoll"),
  *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll"),
  *("RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
)
FROM_FILE = np.tile([-1.0, 1.0, -1.0], 3)  # ANGLES to ArkitCurves' signs, and back
HEADER = ("Timecode", "BlendshapeCount", *SHAPES, *ANGLES)
_NOT_NEEDED = ("TongueOut",)  # which the face has no parameter for
_PERCENT, _DEGREES = 100.0, 180.0
_MAX_WEIGHT = 1.5  # trackers overshoot 1 a little; percent go far beyond
_MAX_TURN_RAD = np.pi / 2  # no tracker follows a head or an eye further
_LOG = logging.getLogger(__name__)


def decode(content: bytes) -> str | None:
  """Text of UTF-8 or UTF-16, with a byte order mark or without; None: not text."""
  encoding = "utf-8-sig"
  if content.startswith((b"\xff\xfe", b"\xfe\xff")):
    encoding = "utf-16"
  elif content[1:2] == b"\0":
    encoding = "utf-16-le"
  elif content[:1] == b"\0":
    encoding = "utf-16-be"
  try:
    return content.decode(encoding)
  except UnicodeDecodeError:
    return None


def read_csv(path: str | os.PathLike, fps: float | None = None) -> ArkitCurves:
  """Reads a table; columns are found by name, case aside.

  Columns may be separated by commas, semicolons or tabs, and with the last two numbers
  may have a decimal comma. Weights in percent and angles in degrees are converted, with
  a warning. Lines before the names are left out.

  Args:
    path: the file.
    fps: frames per second; then the rows count, not their timecodes. By default it is
      read off the timecodes, which takes more than a second of recording.

  Raises:
    UserError: no ARKit columns, a value that is no number, or an unknown rate.
  """
  path = os.fspath(path)
  text = decode(_content(path))
  if text is None:
    raise UserError(f"{path}: cannot be read as CSV (not UTF-8 text); export again")
  lines = text.splitlines()
  first = next((i for i, line in enumerate(lines) if _is_header(line)), 0)
  header = lines[first] if lines else ""
  mark = max(",;\t|", key=header.count)
  try:
    rows = [row for row in csv.reader(lines[first:], delimiter=mark) if any(row)]
  except csv.Error as error:
    raise UserError(f"{path}: cannot be read as CSV ({error}); export again") from error
  if len(rows) < 2:
    raise UserError(f"{path}: has no frames; record or export it again")
  names = [name.strip().lower() for name in rows[0]]
  missing = [n for n in SHAPES if n.lower() not in names and n not in _NOT_NEEDED]
  if missing:
    raise UserError(
      f"{path}: lacks {len(missing)} of ARKit's 52 columns ({', '.join(missing[:3])} "
      "...); export it from Live Link Face"
    )
  values = {}
  for name in (*SHAPES, *ANGLES):
    if name.lower() in names:
      column = names.index(name.lower())
      values[name] = _column(rows, column, name, path, first, mark != ",")
  clock = next((n for n in ("timecode", "frame", "time") if n in names), None)
  times = None
  if clock is not None:
    times = [row[names.index(clock)] for row in rows[1:]]
  return _at_even_pace(_table(values, len(rows) - 1, path), times, fps, path)


def _content(path) -> bytes:
  try:
    if os.path.getsize(path) > motion.MAX_BYTES:
      raise UserError(f"{path}: larger than 1 GiB; cut the recording")
    with open(path, "rb") as stream:
      return stream.read()
  except FileNotFoundError as error:
    raise UserError(f"{path}: no such file; check the name") from error
  except OSError as error:
    raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _is_header(line) -> bool:
  return "eyeblinkleft" in line.lower() or "blendshapecount" in line.lower()


def _column(rows, index, name, path, first, decimal_comma) -> np.ndarray:
  column = np.zeros(len(rows) - 1)
  for number, row in enumerate(rows[1:]):
    where = f"{path}:{first + number + 2}: {name}"
    try:
      cell = row[index].replace(",", ".") if decimal_comma else row[index]
      column[number] = float(cell)
    except (ValueError, IndexError) as error:
      raise UserError(f"{where} is no number; export the recording again") from error
    if not np.isfinite(column[number]):
      raise UserError(
        f"{where} is NaN or infinite; export the recording again, or cut this row out"
      )
  return column


def _table(values, num_rows, where) -> np.ndarray:
  """float64[R, 52 + 9] of columns by name, in weights 0 .. 1 and radians."""
  zero = np.zeros(num_rows)
  table = np.stack([values.get(name, zero) for name in (*SHAPES, *ANGLES)], axis=1)
  weights, angles = table[:, : len(SHAPES)], table[:, len(SHAPES) :]
  largest, turn = np.abs(weights).max(), np.abs(angles).max()
  if largest > _MAX_WEIGHT * _PERCENT or turn > _DEGREES:
    what = "weights" if largest > _MAX_WEIGHT * _PERCENT else "angles"
    raise UserError(
      f"{where}: {what} up to {max(largest, turn):g} are neither ARKit's 0 .. 1 and "
      "radians nor percent and degrees; export the recording again"
    )
  if largest > _MAX_WEIGHT:
    _LOG.warning("%s: weights up to %g are read as percent", where, largest)
    weights /= _PERCENT
  if weights.min() < -0.05 or weights.max() > 1.05:
    _LOG.warning("%s: weights outside 0 .. 1 are clipped", where)
  if turn > _MAX_TURN_RAD:
    _LOG.warning("%s: angles up to %g are read as degrees", where, turn)
    angles *= np.pi / _DEGREES
  angles *= FROM_FILE
  return table


def _at_even_pace(table, times, fps, where) -> ArkitCurves:
  """Curves of rows whose times are texts, seconds (numbers), or unknown (None)."""
  valid = None
  if times is not None and not isinstance(times[0], str):
    if fps is None:
      fps, table, valid = timing.evenly(np.asarray(times, np.float64), table, where)
  elif times is None or all(text.strip().isdigit() for text in times):
    if fps is None:
      raise UserError(
        f"{where}: no Timecode says its frame rate; give the frame rate, fps"
      )
    if times is not None:
      fps, table, valid = _by_number(times, table, fps, where)
  elif fps is None:
    fps, table, valid = timing.evenly(_seconds(times, where), table, where)
  fps = timing.decide_fps(where, fps)
  weights, head, eyes = np.split(table.astype(np.float32), (52, 55), axis=1)
  return ArkitCurves(np.clip(weights, 0.0, 1.0), head, eyes, fps, valid)


def _by_number(times, table, fps, where):
  """Rows by the numbers of their frames, where some numbers are left out."""
  steps = np.diff([int(text) for text in times])
  if not len(steps) or steps.min() < 1 or (steps == steps[0]).all():
    return fps, table, None
  seconds = np.cumsum(np.r_[0, steps]) / (fps * steps.min())
  return timing.evenly(seconds, table, where)


def _seconds(texts, where) -> np.ndarray:
  try:  # a column of plain seconds
    return timing.rising(
      np.array([text.replace(",", ".") for text in texts], float), where
    )
  except ValueError:
    return timing.timecode_seconds(texts, where)


def read_json(path: str | os.PathLike, fps: float | None = None) -> ArkitCurves:
  """Reads BEAT's JSON (names, frames of weights and time) or Audio2Face's.

  Shapes that it does not name stay at rest; head rotations are left out.

  Raises:
    UserError: other JSON, or values that are no numbers.
  """
  path = os.fspath(path)
  try:
    content = json.loads(decode(_content(path)) or "")
  except (ValueError, RecursionError) as error:
    raise UserError(f"{path}: is not complete JSON; export it again") from error
  times = None
  try:
    if {"names", "frames"} <= set(content):
      names, frames = content["names"], content["frames"]
      rows = [frame["weights"] for frame in frames]
      times = [float(frame["time"]) for frame in frames]
      if any(frame.get("rotation") for frame in frames):
        _LOG.warning("%s: the head's rotations have no known axes; left out", path)
    else:
      names, rows = content["facsNames"], content["weightMat"]
      fps = timing.decide_fps(path, fps, content.get("exportFps"))
    table = np.array(rows, np.float64)
    if table.shape != (len(rows), len(names)) or not np.isfinite(table).all():
      raise ValueError("not one number a name in every frame")
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise UserError(
      f"{path}: JSON that is neither BEAT's (names, frames of weights and time) nor "
      f"Audio2Face's (facsNames, weightMat): {error}; export ARKit's weights as CSV"
    ) from error
  columns = {name.lower(): column for name, column in zip(names, table.T)}
  found = {name: columns[name.lower()] for name in SHAPES if name.lower() in columns}
  if not found or not len(rows):
    raise UserError(f"{path}: no frames, or none of ARKit's names; export it again")
  missing = [n for n in SHAPES if n not in found and n not in _NOT_NEEDED]
  if missing:
    _LOG.warning("%s: %d of ARKit's shapes are not in it", path, len(missing))
  return _at_even_pace(_table(found, len(rows), path), times, fps, path)
