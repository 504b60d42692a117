"""Shapes in time: ramps, holds, bumps and slow noise, all smooth in velocity."""

import numpy as np


def ramp(times_T: np.ndarray, start_s: float, length_s) -> np.ndarray:
  """0 before start_s, 1 after start_s + length_s; minimum jerk between.

  Source: Flash & Hogan 1985, "The coordination of arm movements".
  """
  x = np.clip((times_T - start_s) / length_s, 0.0, 1.0)
  return x * x * x * (10.0 + x * (6.0 * x - 15.0))


def hold(times_T, start_s: float, end_s: float, rise_s: float, fall_s: float):
  """float[T]: rises from start_s, is 1, and has fallen at end_s."""
  return ramp(times_T, start_s, rise_s) * (1.0 - ramp(times_T, end_s - fall_s, fall_s))


def bump(times_T, centres_K: np.ndarray, width_s: float, edge_s: float) -> np.ndarray:
  """float[T, K]: bumps of about width_s at half height with edges of edge_s."""
  before = times_T[:, None] - (centres_K - 0.5 * (width_s + edge_s))
  after = times_T[:, None] - (centres_K + 0.5 * (width_s - edge_s))
  return ramp(before, 0.0, edge_s) * (1.0 - ramp(after, 0.0, edge_s))


def slow_noise(rng, times_T, channels: int, max_hz: float, waves: int = 3):
  """float[T, channels] of about unit variance: a few random sines below max_hz."""
  hz = rng.uniform(0.2 * max_hz, max_hz, (waves, 1, channels))
  phase = rng.uniform(0.0, 2 * np.pi, (waves, 1, channels))
  angle = (2 * np.pi) * hz * times_T[:, None] + phase
  return np.sin(angle).sum(0) * np.sqrt(2.0 / waves)
