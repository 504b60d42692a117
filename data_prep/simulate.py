"""The behaviour simulator: acts attributes out as a `FaceMotion`.

Everything is added up in one matrix of channels over frames (the 50 action units, then
jaw, lids, gaze and head), each act with an envelope of its own: emotions with onset,
apex and offset, speech, micro-actions, head motion, and the restlessness of a living
face. The action units become expression coefficients of the default head at the end.

  python -m data_prep.simulate "A woman smiles, then nods." --seconds 4 --out motion.npz

Shape letters: T frames, C channels (data_prep.expressions).
"""

import argparse
import dataclasses
import functools
import hashlib
import json
import sys

import numpy as np

from data_prep import acting, expressions, eyes, recipes, speech
from data_prep.envelopes import bump, hold, ramp, slow_noise
from data_prep.expressions import CHANNEL_INDEX, NUM_ACTION_UNITS
from tdmm_jax import errors
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file
from tdmm_jax.face.motion import FaceMotion, save_motion
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon, placing

REVISION = 8  # raise it when `simulate` gives another motion with the same recipes
FPS = 25
# Amplitude of intensity 1..5: even steps of loudness; people differ by LOG_STD.
AMPLITUDES = (0.27, 0.39, 0.57, 0.83, 1.2)
AMPLITUDE_LOG_STD = 0.15
# Strong feeling also comes sooner, and lets the head rest less.
ONSETS = (1.4, 1.2, 1.0, 0.85, 0.7)
UNREST = (0.75, 0.87, 1.0, 1.15, 1.3)
# Effort shows in every face: nostrils flare, the folds beside the mouth deepen.
EFFORT = "38=.9 11=1"
# Onset of an emotion that comes slowly or quickly, s.
# What is left of what must not be seen.
ABSENT = 0.08
# An emotion's own pose of the head stays below what counts as a motion of it.
POSE = 0.6
POSE_MOST_RAD = 0.05
# Manner of speaking -> tempo, vigour.
MANNERS = {
  "plain": (1.0, 1.0),
  "soft": (0.95, 0.5),
  "loud": (1.0, 1.6),
  "fast": (1.5, 0.9),
  "slow": (0.55, 1.1),
}
_JAW, _GAZE_PITCH, _GAZE_YAW = (
  CHANNEL_INDEX[name] for name in ("jaw_open", "gaze_pitch", "gaze_yaw")
)
_LIDS = [CHANNEL_INDEX["lid_l"], CHANNEL_INDEX["lid_r"]]
_HEAD = [CHANNEL_INDEX[f"head_{axis}"] for axis in ("pitch", "yaw", "roll")]
# What speech takes over from the emotion's mouth.
_LIP_CLOSERS = [
  CHANNEL_INDEX[name]
  for name in ("lip_tightener", "lip_pressor", "lip_suck", "lips_part", "lips_toward")
]


@dataclasses.dataclass(frozen=True)
class Generator:
  """A style of acting; several, so that no habit of one is taken for a face's."""

  amplitude: float = 1.0
  tempo: float = 1.0
  sway_rad: float = 0.0065
  asymmetry: float = 0.06
  blinks_hz: float = 0.16


GENERATORS = {
  "sim_plain": Generator(),
  "sim_lively": Generator(1.08, 1.12, 0.008, 0.06, 0.2),
  "sim_restrained": Generator(0.92, 0.92, 0.005, 0.04, 0.13),
  "sim_brisk": Generator(1.0, 1.2, 0.0065, 0.08, 0.17),
  "sim_loose": Generator(1.03, 0.9, 0.0078, 0.11, 0.14),
}
# Tracker -> standard deviation of its noise: action units and lids; head and jaw, rad;
# gaze, rad.
TRACKERS = {
  "sim_clean": (0.004, 0.0023, 0.0050),
  "sim_noisy": (0.008, 0.0041, 0.0092),
}


@dataclasses.dataclass(frozen=True)
class HeadBasis:
  """What the simulator needs of the default head; small enough to send to workers.

  activation_matrix: float64[E, U], expression coefficients of each action unit.
  """

  version: str
  num_shape: int
  activation_matrix: np.ndarray


@functools.cache
def head_basis() -> HeadBasis:
  """The default head's basis."""
  arrays, version = head_file.read()
  num_shape = arrays["joint_shapedirs"].shape[-1]
  return HeadBasis(version, num_shape, head_file.activation_matrix())


def simulate(
  attributes: dict,
  seed,
  duration_s: float,
  generator: str = "sim_plain",
  tracker: str = "sim_clean",
  basis: HeadBasis | None = None,
) -> FaceMotion:
  """Acts the attributes out.

  Args:
    attributes: of a record, or of a text, whose acts are then given times; segments may
      overlap, and times past the end are cut.
    seed: int or sequence of ints; the same seed gives the same motion.
    duration_s: s, rounded to whole frames of 25 fps.
    generator: a key of GENERATORS.
    tracker: a key of TRACKERS.
    basis: of the head that is driven; by default that of the default head.

  Returns:
    A motion of the default head at 25 fps; neck and translation are zero.
  """
  rng = np.random.default_rng(seed)
  style = GENERATORS[generator]
  times_T = np.arange(max(2, round(duration_s * FPS))) / FPS
  attributes = placing.placed(attributes, len(times_T) / FPS, rng)
  channels_TC = _emotions(attributes, times_T, style, rng)
  _leave_out(channels_TC, attributes)
  steady_T3 = np.zeros((len(times_T), 3))
  _add_speech(channels_TC, steady_T3, attributes, times_T, style, rng)
  steady_T3 += acting.add(channels_TC, attributes, times_T, rng)
  _add_life(channels_TC, steady_T3, attributes, times_T, style, rng)
  return _as_motion(channels_TC, tracker, basis or head_basis(), rng)


def _emotions(attributes, times_T, style, rng) -> np.ndarray:
  """float32[T, C] of all segments; overlapping ones share the face."""
  channels_TC = np.zeros((len(times_T), len(expressions.CHANNELS)), np.float32)
  side = rng.random() < 0.5
  segments = attributes["segments"]
  end_s = float(times_T[-1])
  told = {
    (a.name, round(a.start_s, 3)): a
    for a in acts_lib.acts_of(attributes)
    if a.emotion and not a.absent
  }
  for segment in segments:
    act = told.get((segment["emotion"], round(segment["start_s"], 3)))
    vector_C = expressions.label_vectors()[segment["emotion"]].copy()
    vector_C[_HEAD] = np.clip(POSE * vector_C[_HEAD], -POSE_MOST_RAD, POSE_MOST_RAD)
    if vector_C.any():
      vector_C = vector_C + _effort()
    vector_C = expressions.mirrored(vector_C) if side else vector_C
    own = np.exp(rng.normal(0.0, 0.1, len(vector_C)))  # nobody acts by the book
    amplitude = AMPLITUDES[segment["intensity"] - 1] * style.amplitude
    amplitude *= np.exp(rng.normal(0.0, AMPLITUDE_LOG_STD))
    at_once = sum(
      other["start_s"] < segment["end_s"] and segment["start_s"] < other["end_s"]
      for other in segments
    )
    amplitude *= 1.0 if at_once == 1 else 0.8
    lean = 1.0 + style.asymmetry * rng.normal(0.0, 0.7)
    own = own * np.where(_IS_LEFT, lean, 2.0 - lean)
    manner = recipes.MANNERS.get(segment["emotion"], recipes.USUAL)
    envelope_TC = _envelope(segment, act, manner, times_T, end_s, style.tempo, rng)
    channels_TC += envelope_TC * (amplitude * own * vector_C).astype(np.float32)
  return channels_TC


@functools.cache
def _effort() -> np.ndarray:
  return expressions.recipe_vector(EFFORT)


_IS_LEFT = np.array([name.endswith(("_l", "_left")) for name in expressions.CHANNELS])
_MOUTH_WORDS = ("lip", "jaw", "chin", "mouth", "dimpler", "nasolabial", "cheek_puff")
_IS_MOUTH = np.array(
  [any(word in name for word in _MOUTH_WORDS) for name in expressions.CHANNELS]
)


def _envelope(segment, act, manner, times_T, end_s, tempo, rng) -> np.ndarray:
  """float32[T, C] in 0..1: onset, apex and offset; brows and mouth not in step.

  An emotion whose tempo or time is told shows its onset within the clip, and stays.
  """
  start, end = segment["start_s"], min(segment["end_s"], end_s + 1 / FPS)
  onset = rng.uniform(0.25, 0.55) * manner.onset_factor / tempo
  onset *= ONSETS[segment["intensity"] - 1]
  told = act is not None and bool(act.tempo or act.when in ("start", "after"))
  if act is not None and act.tempo:
    onset = min(rng.uniform(*placing.rise_s(act)), 0.9 * (end - start))
  first, last = start < 0.2 and not told, end > end_s - 0.2
  lag = rng.uniform(-0.06, 0.06)
  wave = 1.0 + 0.07 * slow_noise(rng, times_T, 1, 0.6)[:, 0]
  level_T = []
  for shift in (-lag, lag):
    if manner.pulses and not told:
      length = (end - start) / manner.pulses
      centres = start + length * (np.arange(manner.pulses) + rng.uniform(0.4, 0.6))
      level = bump(times_T - shift, centres, 0.34 * length, onset).sum(1)
      level = np.minimum(0.4 * hold(times_T, start, end, onset, onset) + level, 1.0)
    else:
      # A first segment is under way when the clip begins; a last one may fade.
      begun = rng.uniform(0.05, 0.4) if first else 0.0
      rise = ramp(times_T - shift, start - onset * begun, onset)
      fade = (0.0 if told else rng.uniform(0.0, 0.5)) if last else 1.0
      fall_s = rng.uniform(0.4, 0.7) / tempo
      fall_at = end - (fall_s * rng.uniform(0.3, 1.0) if last else 0.5 * fall_s)
      level = rise * (1.0 - fade * ramp(times_T - shift, fall_at, fall_s))
    level_T.append(level * wave)
  levels_T2 = np.stack(level_T, 1)
  if manner.pulse_hz:
    beat = np.cos(2 * np.pi * (manner.pulse_hz * tempo * times_T + rng.random()))
    levels_T2 *= (1.0 - manner.pulse_depth * (0.5 + 0.5 * beat))[:, None]
  envelope_TC = levels_T2[:, _IS_MOUTH.astype(int)]
  # The head takes part, but neither nods nor shakes with laughter.
  rise_s, fall_s = max(onset, 0.6), 0.8
  start, end = (start - rise_s if first else start), (end + 1 if last else end)
  envelope_TC[:, _HEAD] = hold(times_T, start, end, rise_s, fall_s)[:, None]
  return envelope_TC.astype(np.float32)


def _leave_out(channels_TC, attributes) -> None:
  """What is denied is not seen, whatever the emotion would have it."""
  for act in acts_lib.acts_of(attributes):
    if not act.absent:
      continue
    if act.emotion:
      vector_C = expressions.label_vectors()[act.name]
    else:
      vector_C = expressions.micro_vectors().get(act.name)
    if vector_C is not None and vector_C.any():
      marks = np.abs(vector_C) > 0.35 * np.abs(vector_C).max()
      channels_TC[:, marks] *= ABSENT


def _add_speech(channels_TC, steady_T3, attributes, times_T, style, rng) -> None:
  mode = attributes["speaking"]
  if mode == "silent":
    return
  act = speech.speaking if mode == "speaking" else speech.singing
  tempo, vigour = MANNERS[attributes.get("manner", lexicon.PLAIN)]
  vigour *= style.amplitude * np.exp(rng.normal(0.0, 0.12))
  mouth_TC = act(rng, times_T, style.tempo * tempo, vigour)
  channels_TC[:, _LIP_CLOSERS] *= 0.6
  channels_TC[:, _JAW] *= 0.7
  channels_TC += mouth_TC
  # Talkers move their heads with the phrase; singers sway.
  reach, speed = (0.0075, 1.4) if mode == "speaking" else (0.009, 0.8)
  sway = slow_noise(rng, times_T, 3, speed * style.tempo)
  steady_T3 += _calm(attributes) * reach * sway * (1.0, 0.7, 0.6)


def _calm(attributes) -> float:
  """How much of its unrest a head keeps that is to be still."""
  acts = acts_lib.acts_of(attributes)
  return 0.35 if any(act.name == acts_lib.STILL for act in acts) else 1.0


def _add_life(channels_TC, steady_T3, attributes, times_T, style, rng) -> None:
  """Adds what no caption mentions: rest face, sway, gaze shifts, blinks."""
  units = slice(0, NUM_ACTION_UNITS)
  rest_C = np.abs(rng.normal(0.0, 0.03, NUM_ACTION_UNITS))
  drift_TC = slow_noise(rng, times_T, NUM_ACTION_UNITS, 0.5, waves=2)
  channels_TC[:, units] += (rest_C * (1.0 + 0.5 * drift_TC)).astype(np.float32)
  unrest = UNREST[attributes["intensity"] - 1] * _calm(attributes)
  sway = slow_noise(rng, times_T, 3, 0.45 * style.tempo) * (style.sway_rad * unrest)
  steady_T3 += sway
  channels_TC[:, _HEAD] += (steady_T3 + rng.normal(0.0, 0.012, 3)).astype(np.float32)
  label = attributes["emotion"]
  manner = recipes.MANNERS.get(label, recipes.USUAL)
  eyes.add_gaze(channels_TC, steady_T3, times_T, manner.gaze_factor, rng)
  acts = acts_lib.acts_of(attributes)
  blinking = [a for a in acts if a.name == "blink"]
  closure_T = eyes.idle_blinks(times_T, style.blinks_hz * manner.blink_factor, rng)
  # Where lids are asked to do something, or not to, they do nothing else.
  if any(a.what == "lids" for a in acts):
    closure_T = np.zeros(len(times_T))
  for act in blinking:
    if not act.absent:
      closure_T = np.maximum(closure_T, eyes.asked_blinks(times_T, act, rng))
  lids = np.clip(channels_TC[:, _LIDS], 0.0, 1.0)
  # The upper lid follows the eye downwards.
  lids = lids + 0.6 * np.maximum(channels_TC[:, [_GAZE_PITCH]], 0.0)
  channels_TC[:, _LIDS] = 1.0 - (1.0 - lids) * (1.0 - closure_T[:, None])


def _as_motion(channels_TC, tracker: str, basis: HeadBasis, rng) -> FaceMotion:
  num_frames = len(channels_TC)
  unit_noise, angle_noise, gaze_noise = TRACKERS[tracker]
  sizes = np.full(channels_TC.shape[1], angle_noise, np.float32)
  sizes[:NUM_ACTION_UNITS] = unit_noise
  sizes[_LIDS] = unit_noise
  sizes[[_GAZE_PITCH, _GAZE_YAW]] = gaze_noise
  channels_TC = channels_TC + _tracker_noise(num_frames, sizes, rng)
  units_TU = np.clip(channels_TC[:, :NUM_ACTION_UNITS], -0.05, 1.35)
  column = lambda name: channels_TC[:, CHANNEL_INDEX[name]]
  zero = np.zeros(num_frames, np.float32)
  gaze = np.stack([column("gaze_pitch"), column("gaze_yaw"), zero], 1)
  jaw = np.stack([np.clip(column("jaw_open"), 0.0, 0.6), column("jaw_side"), zero], 1)
  return FaceMotion(
    face_model=head_file.DEFAULT,
    expression=(units_TU @ basis.activation_matrix.T).astype(np.float32),
    jaw_pose=jaw,
    neck_pose=np.zeros((num_frames, 3), np.float32),
    head_pose=np.ascontiguousarray(channels_TC[:, _HEAD]),
    eyelids=np.clip(channels_TC[:, _LIDS], 0.0, 1.0),
    eye_pose=np.concatenate([gaze, gaze], 1),
    shape=rng.normal(0.0, 0.8, basis.num_shape).astype(np.float32),
    translation=np.zeros((num_frames, 3), np.float32),
    valid=np.ones(num_frames, bool),
    fps=float(FPS),
  )


def _tracker_noise(num_frames: int, sizes_C, rng) -> np.ndarray:
  """float32[T, C]: noise as trackers leave it, mostly slower than a few hertz."""
  white = rng.standard_normal((num_frames + 6, len(sizes_C)), np.float32)
  sums = np.cumsum(white, 0)
  smooth = (sums[6:] - sums[:-6]) / np.sqrt(6.0)
  rough_C = np.full(len(sizes_C), 0.8, np.float32)  # angles are tracked frame by frame
  rough_C[:NUM_ACTION_UNITS] = 0.1
  return (0.97 * smooth + rough_C * white[:num_frames]) * sizes_C


def _version() -> str:
  content = [REVISION, recipes.RECIPES, recipes.MICRO_RECIPES, recipes.LEFT_RECIPES]
  content += [str(recipes.MANNERS), str(GENERATORS), TRACKERS, AMPLITUDES]
  content += [AMPLITUDE_LOG_STD, ONSETS, UNREST, EFFORT, MANNERS, ABSENT]
  content += [placing.EMOTIONS_RISES]
  content += [POSE, POSE_MOST_RAD, acting.SIZES]
  content += [speech.VOWELS, speech.SUNG_VOWELS, speech.CONSONANTS]
  text = json.dumps(content, sort_keys=True)
  return hashlib.sha1(text.encode()).hexdigest()[:12]


VERSION = _version()


@errors.entry_point("data_prep.simulate")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.simulate",
    description="Act a prompt out by rule and write the motion as an npz.",
  )
  parser.add_argument("prompt", help="what the face does, in words")
  parser.add_argument("--seconds", type=float, default=4.0, help="default: 4")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--generator", choices=GENERATORS, default="sim_plain")
  parser.add_argument("--out", required=True, help="the npz to write")
  args = parser.parse_args(argv)
  if not 0.2 <= args.seconds <= 600:
    raise UserError(f"--seconds: {args.seconds} is not between 0.2 and 600")
  attributes = lexicon.parse(args.prompt, args.seconds)
  motion = simulate(attributes, args.seed, args.seconds, args.generator)
  save_motion(args.out, motion)
  print(f"{args.out}: {motion.num_frames} frames, {json.dumps(attributes)}")


if __name__ == "__main__":
  sys.exit(main())
