"""Acts as motion: each one in its span, with its side, direction, count and tempo.

Head rotations, rad: pitch > 0 looks down, yaw > 0 turns to the subject's left, roll > 0
tilts to the subject's right. Shape letters: T frames, C channels.
"""

import functools

import numpy as np

from data_prep import expressions, recipes
from data_prep.envelopes import hold, ramp
from data_prep.expressions import CHANNEL_INDEX
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import placing
from tdmm_jax.language.acts import KINDS, STILL, Act

PITCH, YAW, ROLL = (CHANNEL_INDEX[f"head_{axis}"] for axis in ("pitch", "yaw", "roll"))
GAZE_PITCH, GAZE_YAW = CHANNEL_INDEX["gaze_pitch"], CHANNEL_INDEX["gaze_yaw"]
LIDS = [CHANNEL_INDEX["lid_l"], CHANNEL_INDEX["lid_r"]]
_DEGREE = np.pi / 180
# How large an act of size 1 .. 5 is against the usual one.
SIZES = (0.5, 0.65, 1.0, 1.25, 1.45)
_MOVES_GAZE = {"left": (0.0, 1.0), "right": (0.0, -1.0), "up": (-0.9, 0.0)}
_MOVES_GAZE |= {"down": (0.95, 0.0)}
_STAYING_GAZE = 0.25  # of what the head turns: eyes lead a turn


def add(channels_TC, attributes: dict, times_T, rng) -> np.ndarray:
  """Adds all acts but emotions, in place.

  Returns:
    float[T, 3]: pitch, yaw and roll of the head that the eyes make up for: whoever nods
    keeps looking where they look.
  """
  steady_T3 = np.zeros((len(times_T), 3))
  for act in acts_lib.acts_of(attributes):
    if act.emotion or act.absent or act.name in (STILL, "blink"):
      continue
    if KINDS[act.name].what == "head":
      _add_head(channels_TC, steady_T3, act, times_T, rng)
    elif KINDS[act.name].what == "gaze":
      _add_gaze(channels_TC, act, times_T, rng)
    else:
      _add_face(channels_TC, act, times_T, rng)
  return steady_T3


def _sign(act: Act) -> float:
  """1 to the left or left first, -1 to the right."""
  return 1.0 if placing.lateral(act) == "left" else -1.0


def size_of(act: Act, rng) -> float:
  return SIZES[act.size - 1] * rng.uniform(0.92, 1.12)


def _pulses(act: Act, times_T, rng) -> np.ndarray:
  """float[T] in 0 .. 1: comes and goes as often as is said, or comes and stays."""
  start, end, last = act.start_s, act.end_s, float(times_T[-1])
  rise = min(rng.uniform(*placing.rise_s(act)), placing.longest_rise_s(act))
  if placing.comes_and_goes(act):
    times = placing.count_of(act)
    each = (end - start) / times
    shape = np.zeros(len(times_T))
    for i in range(times):
      at = start + i * each
      shape += hold(times_T, at, at + placing.UP_OF_EACH * each, rise, rise)
    return np.minimum(shape, 1.0)
  if act.hold == "held" and end > last - placing.LAST_S:
    return ramp(times_T, start, rise)
  return hold(times_T, start, end, rise, rise)


@functools.cache
def _sided(name: str) -> tuple[np.ndarray, np.ndarray]:
  """float32[C] of an act on the left side, and on the right."""
  left = expressions.recipe_vector(recipes.LEFT_RECIPES[name])
  return left, expressions.mirrored(left)


def _vector(act: Act, rng) -> np.ndarray:
  """float32[C] of an act of the face at full strength."""
  one_sided = act.side in ("left", "right", "one")
  if act.name in expressions.micro_vectors() and not one_sided:
    return expressions.micro_vectors()[act.name]
  return _sided(act.name)[placing.lateral(act) == "right"]


def _add_face(channels_TC, act: Act, times_T, rng) -> None:
  shape_T = _pulses(act, times_T, rng)
  vector_C = _vector(act, rng) * size_of(act, rng)
  vector_C[LIDS] = np.minimum(vector_C[LIDS], 1.0)
  channels_TC += np.outer(shape_T, vector_C).astype(np.float32)


def _add_gaze(channels_TC, act: Act, times_T, rng) -> None:
  size = size_of(act, rng)
  if act.name == "eye_roll":
    side = _sign(act)
    count = placing.count_of(act)
    for i in range(count):
      each = (act.end_s - act.start_s) / count
      x = np.clip((times_T - act.start_s - i * each) / (0.92 * each), 0.0, 1.0)
      # Up one side, over the top, down the other.
      channels_TC[:, GAZE_PITCH] -= 0.42 * size * np.sin(np.pi * x) ** 0.8
      swing = np.sin(np.pi * x) ** 0.5 * np.cos(np.pi * x)
      channels_TC[:, GAZE_YAW] += side * 0.34 * size * swing
    return
  direction = act.direction or placing.lateral(act)
  pitch, yaw = _MOVES_GAZE[direction]
  shape_T = size * rng.uniform(0.34, 0.44) * _pulses(act, times_T, rng)
  channels_TC[:, GAZE_PITCH] += pitch * shape_T
  channels_TC[:, GAZE_YAW] += yaw * shape_T


def _cycles(act: Act, times_T, both_ways: bool) -> np.ndarray:
  """float[T]: as many cycles as are said, in -1 .. 1 (both ways) or 0 .. 1."""
  x = (times_T - act.start_s) / (act.end_s - act.start_s)
  inside = (x > 0) & (x < 1)
  phase = 2 * np.pi * placing.count_of(act) * np.clip(x, 0.0, 1.0)
  return inside * (np.sin(phase) if both_ways else 0.5 - 0.5 * np.cos(phase))


def _add_head(channels_TC, steady_T3, act: Act, times_T, rng) -> None:
  """Sizes of the usual ones: nods 9-14 degrees, shakes 7-11 to each side, tilts 10-15,
  turns 16-26, looks up or down 12-18, leans 8-12, dips 9-13."""
  size = size_of(act, rng) * _DEGREE
  if act.name == "nod":
    steady_T3[:, 0] += rng.uniform(9, 14) * size * _cycles(act, times_T, False)
    return
  if act.name == "shake":
    steady_T3[:, 1] += (
      _sign(act) * rng.uniform(7, 11) * size * _cycles(act, times_T, True)
    )
    return
  if act.name == "dip":
    steady_T3[:, 0] += rng.uniform(9, 13) * size * _dips(act, times_T)
    return
  if act.name == "double_take":
    _add_double_take(channels_TC, act, size, times_T, rng)
    return
  shape_T = _pulses(act, times_T, rng)
  left = _sign(act)
  if act.name == "tilt":
    channels_TC[:, ROLL] -= left * rng.uniform(10, 15) * size * shape_T
  elif act.name == "turn":
    turn_T = left * rng.uniform(16, 26) * size * shape_T
    channels_TC[:, YAW] += turn_T
    channels_TC[:, GAZE_YAW] += _STAYING_GAZE * turn_T
  elif act.name == "look_away":
    channels_TC[:, YAW] += left * rng.uniform(12, 18) * size * shape_T
    channels_TC[:, GAZE_YAW] += left * rng.uniform(14, 20) * size * shape_T
  elif act.name == "lean":
    forward = -1.0 if act.direction == "back" else 1.0
    steady_T3[:, 0] += forward * rng.uniform(8, 12) * size * shape_T
  else:
    down = 1.0 if act.name == "look_down" else -1.0
    channels_TC[:, PITCH] += down * rng.uniform(12, 18) * size * shape_T
    channels_TC[:, GAZE_PITCH] += down * 7 * size * shape_T


def _dips(act: Act, times_T) -> np.ndarray:
  """float[T] in 0 .. 1: quickly down, slowly up again."""
  count = placing.count_of(act)
  each = (act.end_s - act.start_s) / count
  shape = np.zeros(len(times_T))
  for i in range(count):
    at = act.start_s + i * each
    shape += ramp(times_T, at, 0.32 * each) * (
      1.0 - ramp(times_T, at + 0.36 * each, 0.6 * each)
    )
  return shape


def _add_double_take(channels_TC, act: Act, size, times_T, rng) -> None:
  """A glance to the side, back, and a quick second look with brows raised."""
  left = _sign(act)
  start, length = act.start_s, act.end_s - act.start_s
  first = hold(times_T, start, start + 0.42 * length, 0.18 * length, 0.18 * length)
  second = hold(times_T, start + 0.52 * length, act.end_s, 0.09 * length, 0.2 * length)
  turn_T = left * (rng.uniform(10, 13) * first + rng.uniform(14, 18) * second) * size
  channels_TC[:, YAW] += turn_T
  channels_TC[:, GAZE_YAW] += 0.5 * turn_T
  brows_C = expressions.micro_vectors()["brow_raise"]
  channels_TC += np.outer(second, 0.8 * brows_C).astype(np.float32)
