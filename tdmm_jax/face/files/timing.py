"""When a frame was: the rate of a file, and rows brought to an even pace.

Every reader decides its rate here: the option that was given, else what the file says,
else 25 with a warning.

Shape letters: R rows of a recording, T frames at an even pace.
"""

import logging
import re

import numpy as np

from tdmm_jax.errors import UserError

DEFAULT_FPS = 25.0
_RATES = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 90.0, 100.0, 120.0)
_GAP_S = 0.1  # a longer pause between two rows is not observed
_MAX_GAPS_S = 60.0  # of a whole file; more are two recordings, or a broken clock
_DAY_S = 86400.0
_LOG = logging.getLogger(__name__)


def decide_fps(where, option, of_file=None) -> float:
  """The rate of a file's frames: `option`, else `of_file`, else 25 with a warning.

  Raises:
    UserError: not one number from 1 to 1000.
  """
  for value in (option, of_file):
    if value is None:
      continue
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiu" or not 1 <= array.item() <= 1e3:
      raise UserError(
        f"{where}: 'fps' must be one number from 1 to 1000, not {value!r}"
      )
  if option is None and of_file is None:
    _LOG.warning("%s: does not say its frame rate; taken as 25 (give fps)", where)
    return DEFAULT_FPS
  if option is None:
    return float(np.asarray(of_file).item())
  if of_file is not None and abs(np.asarray(of_file).item() - option) > 1e-3:
    said = np.asarray(of_file).item()
    _LOG.warning("%s: says %g fps; read at %g, as asked", where, said, option)
  return float(option)


def timecode_seconds(texts, where) -> np.ndarray:
  """float64[R], s, of HH:MM:SS:FF.sss, HH:MM:SS;FF (drop frame), HH:MM:SS:mmm or
  HH:MM:SS.sss.

  FF counts frames within the second. How many a second has shows where it starts anew,
  so that 30 rows a second on a clock of 60 are read as such.

  Raises:
    UserError: another form, less than a second of FF, or times that go back.
  """
  match = [
    re.fullmatch(r"(\d+):(\d+):(\d+)(?:([:;.,])(\d+(?:[.,]\d+)?))?", text.strip())
    for text in texts
  ]
  if not all(match):
    row = next(i for i, m in enumerate(match) if not m)
    raise UserError(
      f"{where}: Timecode {texts[row]!r} is not HH:MM:SS:FF.sss; give the "
      "frame rate, fps"
    )
  parts = [m.groups(default="0") for m in match]
  whole = np.array([p[:3] for p in parts], np.float64) @ [3600.0, 60.0, 1.0]
  marks, last = {p[3] for p in parts}, [p[4].replace(",", ".") for p in parts]
  if marks <= {".", ",", "0"}:
    return rising(whole + np.array([float("0." + text) for text in last]), where)
  if all(len(text) == 3 and text.isdigit() for text in last):
    return rising(whole + np.array(last, np.float64) / 1e3, where)
  frames = np.array(last, np.float64)
  base = _frames_a_second(whole, frames, where)
  if ";" not in marks:
    return rising(whole + frames / base, where)
  # Drop frame: each minute but every tenth leaves out its first numbers, because the
  # frames are 1001 / 1000 of their nominal length (SMPTE ST 12-1).
  minutes = np.floor(whole / 60)
  dropped = round(base / 15) * (minutes - np.floor(minutes / 10))
  return rising((whole * base + frames - dropped) * 1.001 / base, where)


def _frames_a_second(whole, frames, where) -> float:
  if len(np.unique(whole)) < 2:
    raise UserError(
      f"{where}: too short to tell its frame rate; give fps (25 if it is ours)"
    )
  kept = np.r_[True, (np.diff(whole) != 0) | (np.diff(frames) != 0)]
  whole, frames = whole[kept], frames[kept]
  seconds, steps = np.diff(whole), np.diff(frames)
  within = steps[seconds == 0]
  wraps = frames[:-1][seconds == 1] - frames[1:][seconds == 1]
  least = np.floor(frames.max() + 1e-6) + 1
  seen = np.median(wraps) + np.median(within) if len(wraps) and len(within) else least
  base = max(seen, least)
  near = min(_RATES, key=lambda rate: abs(rate - base))
  above = min((rate for rate in _RATES if rate >= least), default=least)
  if abs(near - base) <= 1.0 and near >= least:
    return near
  return above if base == least else float(np.round(base))


def rising(seconds, where) -> np.ndarray:
  """Over midnight the clock goes on; any other way back is an error."""
  seconds = seconds + _DAY_S * np.cumsum(np.r_[0, np.diff(seconds) < -_DAY_S / 2])
  back = np.flatnonzero(np.diff(seconds) < 0)
  if len(back):
    raise UserError(
      f"{where}: the Timecodes do not rise at row {back[0] + 2}; sort the rows, "
      "or give the frame rate, fps"
    )
  return seconds


def evenly(seconds, table, where) -> tuple[float, np.ndarray, np.ndarray]:
  """Rows at the times they were seen, brought to an even pace.

  Args:
    seconds: float[R], not falling; equal times share the time until the next.
    table: float[R, width].
    where: the file, for errors.

  Returns:
    the rate, rows [T, width], and valid bool[T]: false inside a pause of the clock.

  Raises:
    UserError: fewer than two times, or pauses of more than a minute in all.
  """
  unique, starts, counts = np.unique(seconds, return_index=True, return_counts=True)
  if len(unique) < 2:
    raise UserError(f"{where}: all frames have one time; give the frame rate, fps")
  if counts.max() > 1:
    repeats = int((counts > 1).sum())
    _LOG.warning("%s: %d times repeat; their frames share the time", where, repeats)
    usual = np.median(np.diff(unique))
    share = np.minimum(np.append(np.diff(unique), usual), usual) / counts
    offset = np.arange(len(seconds)) - np.repeat(starts, counts)
    seconds = np.repeat(unique, counts) + offset * np.repeat(share, counts)
  steps = np.diff(seconds)
  usual = np.median(steps)
  typical = steps[steps < 1.5 * usual]
  fps = _snapped(1.0 / typical.mean())
  if not 1 <= fps <= 1000:
    raise UserError(f"{where}: its times show {fps:g} frames a second; give fps")
  gap = steps > max(_GAP_S, 2.5 * usual)
  if steps[gap].sum() > _MAX_GAPS_S:
    row = int(np.argmax(steps))
    raise UserError(
      f"{where}: the clock jumps by {steps[row]:.0f} s after frame {row}; split the "
      "file there, or give fps to count the frames without the clock"
    )
  count = int(np.floor((seconds[-1] - seconds[0]) * fps + 0.5)) + 1
  even = np.minimum(seconds[0] + np.arange(count) / fps, seconds[-1])
  rows = np.stack([np.interp(even, seconds, column) for column in table.T], axis=1)
  valid = np.ones(count, bool)
  for row in np.flatnonzero(gap):
    inside = (even > seconds[row] + 0.5 / fps) & (even < seconds[row + 1] - 0.5 / fps)
    valid &= ~inside
  if not valid.all():
    _LOG.warning(
      "%s: the clock jumps %d times; %d frames are not valid",
      where,
      int(gap.sum()),
      int((~valid).sum()),
    )
  return fps, rows, valid


def _snapped(fps: float) -> float:
  """A rate in use where it is within a hundredth, with 1000 / 1001 of it."""
  rates = [*_RATES, *(rate / 1.001 for rate in (24.0, 30.0, 60.0))]
  near = min(rates, key=lambda rate: abs(rate - fps))
  return near if abs(near - fps) < 0.01 * fps else float(fps)
