"""Eyes of a living face: what they make up for, idle saccades and blinks.

Shape letters: T frames, C channels.
"""

import numpy as np

from data_prep.acting import GAZE_PITCH, GAZE_YAW
from data_prep.envelopes import bump, ramp
from tdmm_jax.language import placing

# The vestibulo-ocular reflex: eyes turn against the head, so that the look stays.
VOR_GAIN = 0.95
# Idle saccades stay below what counts as a glance.
_IDLE_RAD = 0.04
_IDLE_MOST_RAD = 0.10


def add_gaze(channels_TC, steady_T3, times_T, factor: float, rng) -> None:
  """Small saccades, 1.3 a second, and the eyes' answer to a head that moves.

  Args:
    channels_TC: changed in place.
    steady_T3: pitch, yaw and roll of the head, rad, that the look does not follow.
    times_T: s.
    factor: of the saccades' size and rate.
    rng: np.random.Generator.
  """
  end_s = float(times_T[-1])
  count = max(1, int(end_s * 1.3 * min(factor, 2.5) ** 0.5))
  starts = np.sort(rng.uniform(0.0, end_s, count))
  targets = rng.normal(0.0, _IDLE_RAD * factor**0.8, (count + 1, 2)) * (0.6, 1.0)
  targets = np.clip(targets, -_IDLE_MOST_RAD, _IDLE_MOST_RAD)
  steps = np.diff(targets, axis=0)
  # A saccade takes 30-80 ms: about two frames.
  arrived_TK = ramp(times_T[:, None] - starts, 0.0, 0.09)
  gaze_T2 = targets[0] + arrived_TK @ steps
  for axis, channel in enumerate((GAZE_PITCH, GAZE_YAW)):
    channels_TC[:, channel] += gaze_T2[:, axis] - VOR_GAIN * steady_T3[:, axis]


def idle_blinks(times_T, rate_hz: float, rng) -> np.ndarray:
  """float[T] in 0..1: closure of both lids; 80 ms to close, 160 to open."""
  end_s = float(times_T[-1])
  count = int(rng.poisson(rate_hz * end_s))
  return _closure(times_T, rng.uniform(0.0, end_s, min(count, 3)), 0.10)


def asked_blinks(times_T, act, rng) -> np.ndarray:
  """float[T] in 0..1: the blinks of an act, which are slower than idle ones."""
  count = placing.count_of(act)
  room = (act.end_s - act.start_s) / count
  centres = act.start_s + room * (np.arange(count) + rng.uniform(0.45, 0.55, count))
  return _closure(times_T, centres, min(rng.uniform(0.17, 0.24), 0.45 * room))


def _closure(times_T, centres, width_s: float) -> np.ndarray:
  if not len(centres):
    return np.zeros(len(times_T))
  closing = bump(times_T, centres, width_s, 0.11)
  opening = bump(times_T, centres + 0.05, width_s, 0.17)
  return np.clip(np.maximum(closing, opening).max(1), 0.0, 1.0)
