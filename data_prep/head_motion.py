"""Head motion, gaze and blinks of the simulator.

Head rotations, rad: pitch > 0 looks down, yaw > 0 turns to the subject's left, roll > 0
tilts to the subject's right. Shape letters: T frames, C channels.
"""

import numpy as np

from data_prep.envelopes import bump, hold, ramp
from data_prep.expressions import CHANNEL_INDEX

_PITCH, _YAW, _ROLL = (
  CHANNEL_INDEX[f"head_{axis}"] for axis in ("pitch", "yaw", "roll")
)
_GAZE_PITCH, _GAZE_YAW = CHANNEL_INDEX["gaze_pitch"], CHANNEL_INDEX["gaze_yaw"]
_DEGREE = np.pi / 180


def _repeated(times_T, rng, tempo: float, both_ways: bool) -> np.ndarray:
  """float[T]: 2-4 cycles of 1-2 Hz in -1..1 (both ways) or 0..1 (nodding)."""
  end_s = float(times_T[-1])
  hz = np.clip(rng.uniform(1.1, 1.8) * tempo, 1.0, 2.0)
  cycles = min(int(rng.integers(2, 5)), max(1, int((end_s - 0.4) * hz)))
  length = cycles / hz
  start = rng.uniform(0.1, max(0.15, end_s - length - 0.1))
  phase = 2 * np.pi * hz * (times_T - start)
  inside = hold(times_T, start, start + length, 0.25 / hz, 0.25 / hz)
  return inside * (np.sin(phase) if both_ways else 0.5 - 0.5 * np.cos(phase))


def _held(times_T, rng, tempo: float) -> np.ndarray:
  """float[T] in 0..1: goes there in the first half; may come back at the end."""
  end_s = float(times_T[-1])
  start = rng.uniform(0.05, 0.3) * end_s
  rise = rng.uniform(0.4, 0.7) / tempo
  back = rng.uniform(0.85, 1.0) * end_s if rng.random() < 0.4 else end_s + 1.0
  return ramp(times_T, start, rise) * (1.0 - ramp(times_T, back - 0.4, 0.6))


def add(channels_TC, names, times_T, tempo: float, rng) -> None:
  """Adds the named head motions in place.

  Sizes: nodding 9-15 degrees peak to peak, shaking 14-22, tilting 10-15, turning 16-26,
  looking up or down 12-18 (the eyes go with it).
  """
  for name in names:
    side = rng.choice((-1.0, 1.0))
    if name == "nod":
      reach = rng.uniform(9, 15) * _DEGREE
      channels_TC[:, _PITCH] += reach * _repeated(times_T, rng, tempo, False)
    elif name == "shake":
      reach = rng.uniform(7, 11) * _DEGREE
      channels_TC[:, _YAW] += side * reach * _repeated(times_T, rng, tempo, True)
    elif name == "tilt":
      shape = side * _held(times_T, rng, tempo)
      channels_TC[:, _ROLL] += rng.uniform(10, 15) * _DEGREE * shape
    elif name == "turn":
      shape = side * _held(times_T, rng, tempo)
      channels_TC[:, _YAW] += rng.uniform(16, 26) * _DEGREE * shape
      channels_TC[:, _GAZE_YAW] += 4 * _DEGREE * shape
    elif name in ("look_up", "look_down"):
      shape = (1.0 if name == "look_down" else -1.0) * _held(times_T, rng, tempo)
      channels_TC[:, _PITCH] += rng.uniform(12, 18) * _DEGREE * shape
      channels_TC[:, _GAZE_PITCH] += 7 * _DEGREE * shape
    else:
      raise ValueError(f"unknown head motion '{name}'")


def add_gaze(channels_TC, times_T, factor: float, rng) -> None:
  """Small saccades, 1.3 a second; the eyes make up for a third of head motion."""
  end_s = float(times_T[-1])
  count = max(1, int(end_s * 1.3 * min(factor, 2.5) ** 0.5))
  starts = np.sort(rng.uniform(0.0, end_s, count))
  targets = rng.normal(0.0, 0.045 * factor**0.8, (count + 1, 2)) * (0.6, 1.0)
  steps = np.diff(targets, axis=0)
  # A saccade takes 30-80 ms: about two frames.
  arrived_TK = ramp(times_T[:, None] - starts, 0.0, 0.09)
  gaze_T2 = targets[0] + arrived_TK @ steps
  for axis, head in enumerate((_PITCH, _YAW)):
    channel = (_GAZE_PITCH, _GAZE_YAW)[axis]
    quick = channels_TC[:, head] - channels_TC[:, head].mean()
    channels_TC[:, channel] += gaze_T2[:, axis] - 0.35 * quick


def blinks(times_T, rate_hz: float, asked: bool, rng) -> np.ndarray:
  """float[T] in 0..1: closure of both lids.

  A blink closes in 80 ms and opens in 160 ms. Asked for, there are 3-5 slow ones.
  """
  end_s = float(times_T[-1])
  if asked:
    count = int(rng.integers(3, 6))
    room = 0.9 * end_s / count
    centres = 0.05 * end_s + room * (np.arange(count) + rng.uniform(0.3, 0.7, count))
    width = min(rng.uniform(0.18, 0.26), 0.5 * room)
  else:
    count = int(rng.poisson(rate_hz * end_s))
    centres, width = rng.uniform(0.0, end_s, min(count, 3)), 0.10
  if not len(centres):
    return np.zeros(len(times_T))
  closing = bump(times_T, centres, width, 0.11)
  opening = bump(times_T, centres + 0.05, width, 0.17)
  return np.clip(np.maximum(closing, opening).max(1), 0.0, 1.0)
