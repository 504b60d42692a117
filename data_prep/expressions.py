"""What each label looks like: activations of facial action units at full intensity.

A recipe is written in FACS numbers: "6=.6 12L=.8" is cheek raiser 0.6 on both sides and
lip corner puller 0.8 on the left; `jaw` (rad), `lids` (closure 0..1), `gaze_pitch`,
`gaze_yaw`, `head_pitch`, `head_yaw` and `head_roll` (rad; down, subject's left and the
tilt to the subject's right are positive) complete it. A label starts from its family's
recipe and changes what it names. Combinations follow EMFACS and Ekman & Friesen,
"Facial Action Coding System", 1978; Keltner 1995 for embarrassment; Prkachin &
Solomon 2008 for pain; Tracy & Robins 2004 for pride.

Asymmetric recipes are written for the left; the simulator mirrors half of the clips.
Channels: the 50 action units, then `EXTRAS`.
"""

import dataclasses
import functools

import numpy as np

from tdmm_jax.face.action_units import ACTION_UNITS
from tdmm_jax.language import lexicon

EXTRAS = (
  *("jaw_open", "jaw_side", "lid_l", "lid_r", "gaze_pitch", "gaze_yaw"),
  *("head_pitch", "head_yaw", "head_roll"),
)
CHANNELS = (*ACTION_UNITS, *EXTRAS)
NUM_ACTION_UNITS = len(ACTION_UNITS)
CHANNEL_INDEX = {name: i for i, name in enumerate(CHANNELS)}

FACS_NAMES = {
  "1": "inner_brow_raiser",
  "2": "outer_brow_raiser",
  "4": "brow_lowerer",
  "5": "upper_lid_raiser",
  "6": "cheek_raiser",
  "7": "lid_tightener",
  "9": "nose_wrinkler",
  "10": "upper_lip_raiser",
  "11": "nasolabial_deepener",
  "12": "lip_corner_puller",
  "13": "sharp_lip_puller",
  "14": "dimpler",
  "15": "lip_corner_depressor",
  "16": "lower_lip_depressor",
  "17": "chin_raiser",
  "18": "lip_pucker",
  "20": "lip_stretcher",
  "22": "lip_funneler",
  "23": "lip_tightener",
  "24": "lip_pressor",
  "25": "lips_part",
  "28": "lip_suck",
  "29": "jaw_thrust",
  "33": "cheek_puff",
  "38": "nostril_dilator",
  "39": "nostril_compressor",
  "lids": "lid",
  "jaw": "jaw_open",
  "mouthL": "mouth_left",
}

# family -> (recipe of the family, label -> what it changes)
RECIPES = {
  "happiness": (
    "6=.7 12=1 25=.25",
    {
      "happy": "25=.6 16=.25",
      "joyful": "6=.9 12=1.1 25=.65 16=.3 jaw=.06",
      "smiling": "6=.5 12=1 25=0",
      "grinning": "6=.65 12=1.1 13=.35 25=.85 16=.6 10=.2",
      "laughing": "6=.95 12=1.1 25=.7 16=.35 jaw=.3 lids=.25 head_pitch=-.05",
      "amused": "6=.5 12=.85 7=.3 25=0 lids=.08",
      "cheerful": "12=1.05 25=.6 1=.2 2=.2",
      "loving": "6=.5 12=.8 1=.3 25=0 lids=.2 head_roll=.05",
    },
  ),
  "sadness": (
    "1=.8 4=.35 15=.75 17=.35 lids=.15 gaze_pitch=.12 head_pitch=.05",
    {
      "sad": "",
      "grieving": "1=.95 4=.6 15=.9 17=.6 lids=.22",
      "crying": "1=.85 4=.6 6=.4 7=.4 15=.75 20=.35 25=.35 jaw=.04 lids=.3",
      "melancholic": "1=.65 4=.15 15=.6 17=.15 lids=.28 gaze_pitch=.2",
      "disappointed": "1=.55 15=.9 17=.5 24=.25 head_pitch=.06",
      "frowning": "1=.4 4=.5 15=1 17=.7",
      "despairing": "1=1 4=.5 15=.75 25=.35 jaw=.05 lids=.25",
    },
  ),
  "anger": (
    "4=.9 5=.45 7=.45 23=.55 24=.3 38=.5 head_pitch=.03",
    {
      "angry": "",
      "furious": "4=1 5=.7 7=.55 10=.5 16=.5 25=.6 23=.35 24=0 jaw=.08 38=.8",
      "annoyed": "4=.75 5=.2 24=.5 14=.2",
      "glaring": "4=1 5=.8 7=.6 head_pitch=.07 gaze_pitch=-.07",
      "frustrated": "4=.85 5=.3 24=.75 17=.4 33=.2",
      "hostile": "4=.95 5=.55 10=.4 25=.35 29=.5 24=.1",
    },
  ),
  "fear": (
    "1=.9 2=.5 4=.5 5=.75 20=.75 25=.3",
    {
      "afraid": "jaw=.04",
      "terrified": "1=1 2=.6 4=.5 5=1 20=1 25=.6 jaw=.15 38=.3 head_pitch=-.03",
      "panicked": "1=.9 2=.65 5=.95 20=.8 25=.5 jaw=.1",
      "nervous": "1=.8 2=.35 4=.5 5=.5 20=.65 28=.45 25=0",
      "anxious": "1=.85 2=.35 4=.6 5=.55 20=.7 24=.3 25=0",
      "worried": "1=1 2=.35 4=.6 5=.5 20=.65 17=.2 25=.1",
    },
  ),
  "surprise": (
    "1=1 2=1.1 5=.8 25=.45 jaw=.2",
    {
      "surprised": "",
      "astonished": "1=1.15 2=1.2 5=.95 jaw=.27",
      "amazed": "2=1 5=.7 12=.3",
      "shocked": "2=1 5=1.1 jaw=.3 20=.15 head_pitch=-.04",
      "gasping": "1=.85 2=.95 jaw=.24 22=.4 38=.4",
    },
  ),
  "disgust": (
    "9=.9 10=.65 17=.3 4=.3",
    {
      "disgusted": "15=.25",
      "revolted": "9=1 10=.9 16=.5 25=.45 jaw=.06 head_yaw=.05",
      "nauseated": "9=.75 10=.6 15=.45 25=.25 lids=.25 jaw=.05",
      "distaste": "9=.75 10=.45 15=.5 24=.3",
      "loathing": "9=.9 10=.75 4=.65 7=.35",
    },
  ),
  "contempt": (
    "12L=.75 14L=.9 14R=.2 lids=.14 head_pitch=-.03",
    {
      "contemptuous": "",
      "scornful": "10L=.5 14L=.8",
      "smirking": "12L=1 13L=.4 14L=.7",
      "sneering": "10L=1 9L=.45 12L=.35 14L=.7",
      "disdainful": "14L=.9 lids=.25 17=.3 head_pitch=-.06 gaze_pitch=.08",
      "mocking": "12L=.85 14L=.8 2R=.55 head_roll=.04",
    },
  ),
  "interest": (
    "1=.75 2=.85 5=.45 12=.4 25=.2",
    {
      "interested": "",
      "curious": "2=.95 5=.55 head_roll=.06",
      "attentive": "5=.6 12=.3 25=.1",
      "engaged": "12=.55 25=.35",
      "fascinated": "1=.85 5=.65 25=.4 jaw=.05",
    },
  ),
  "confusion": (
    "4=.5 4R=.65 1L=.4 2L=.95 7R=.4 18=.2 head_roll=.05",
    {
      "confused": "",
      "puzzled": "18=.4 mouthL=.35",
      "bewildered": "4=.6 2R=.2 25=.4 jaw=.05",
      "doubtful": "15=.5 17=.5 2L=.85",
      "skeptical": "2L=1 4R=.75 7R=.5 24=.3 14R=.25",
    },
  ),
  "calm": (
    "lids=.2 12=.15",
    {
      "neutral": "lids=0 12=0",
      "calm": "",
      "relaxed": "lids=.28 25=.2 jaw=.02",
      "serene": "lids=.36 12=.32",
      "composed": "lids=.14 24=.22 12=.1",
    },
  ),
  "embarrassment": (
    "12=.45 24=.55 gaze_pitch=.28 gaze_yaw=.14 head_pitch=.07 head_yaw=.07 lids=.2",
    {
      "embarrassed": "17=.25",
      "ashamed": "12=.05 15=.35 1=.3 gaze_pitch=.38 head_pitch=.09 lids=.3",
      "shy": "12=.5 1=.3 head_roll=.04",
      "bashful": "12=.7 6=.3 gaze_yaw=.22",
      "sheepish": "12=.5 28=.4 20=.35 1=.35",
      "guilty": "12=.05 1=.4 4=.25 15=.3 gaze_yaw=.24",
    },
  ),
  "pride": (
    "12=.5 17=.55 23=.2 head_pitch=-.08 gaze_pitch=.06",
    {
      "proud": "lids=.1",
      "confident": "12=.6 7=.3 17=.45",
      "triumphant": "12=.85 6=.35 25=.4 17=.45",
      "determined": "12=.15 4=.35 23=.5 24=.4 17=.7",
      "defiant": "12=.15 17=.75 29=.6 4=.25",
    },
  ),
  "tiredness": (
    "lids=.52 gaze_pitch=.08 1=.2 15=.2 head_pitch=.03",
    {
      "tired": "25=.1",
      "bored": "lids=.46 mouthL=.35 gaze_yaw=.2 head_roll=.05",
      "sleepy": "lids=.66",
      "exhausted": "lids=.58 25=.4 jaw=.05 1=.4 head_pitch=.06",
      "yawning": "lids=.7 jaw=.4 25=.2 4=.3 15=.3 head_pitch=-.03",
      "apathetic": "lids=.46 15=.3 1=0",
    },
  ),
  "pain": (
    "4=.85 6=.7 7=.75 lids=.55 10=.4 20=.55 25=.3",
    {
      "pained": "",
      "agonized": "lids=.75 25=.65 20=.85 16=.4 jaw=.12",
      "wincing": "lids=.65 12L=.3 6L=.9 25=.2",
      "grimacing": "20=1 25=.7 16=.65 10=.5 lids=.45",
      "suffering": "1=.45 15=.35 lids=.6",
      "cringing": "20=.75 9=.35 17=.35 lids=.55 head_yaw=.05",
    },
  ),
  "pout": (
    "17=1 18=.75 22=.35 lips_toward=.3",
    {
      "pouting": "",
      "sulking": "4=.45 15=.3 head_pitch=.05 gaze_pitch=.1",
      "petulant": "4=.3 33=.3 head_yaw=.05",
      "kissing": "18=1 22=.55 17=.3 lids=.3",
      "pleading": "1=.8 4=.2 5=.3 gaze_pitch=-.06",
    },
  ),
  "concentration": (
    "4=.55 7=.85 lids=.1",
    {
      "focused": "24=.2",
      "concentrating": "24=.5 17=.25",
      "squinting": "7=1.1 6=.5 4=.4 lids=.24",
      "suspicious": "7=1 head_yaw=.07 gaze_yaw=-.09 24=.2",
      "thoughtful": "7=.7 gaze_pitch=-.16 gaze_yaw=.18 24=.3",
      "scrutinizing": "7=1 25=.15 head_pitch=.05 lids=.18",
    },
  ),
}


@dataclasses.dataclass(frozen=True)
class Manner:
  """How a label moves in time, where it does more than rise, hold and fall.

  pulse_hz, pulse_depth: a rhythm of the whole expression (laughing, sobbing).
  pulses: the expression comes this many times and goes again; 0 = it stays.
  blink_factor: blinks against the usual rate.
  gaze_factor: amplitude and rate of gaze shifts against the usual.
  onset_factor: duration of the onset against the usual.
  """

  pulse_hz: float = 0.0
  pulse_depth: float = 0.0
  pulses: int = 0
  blink_factor: float = 1.0
  gaze_factor: float = 1.0
  onset_factor: float = 1.0


USUAL = Manner()
MANNERS = {
  "laughing": Manner(pulse_hz=4.0, pulse_depth=0.3),
  "crying": Manner(pulse_hz=2.6, pulse_depth=0.2, blink_factor=1.5),
  "gasping": Manner(onset_factor=0.4),
  "surprised": Manner(onset_factor=0.6),
  "shocked": Manner(onset_factor=0.5),
  "panicked": Manner(onset_factor=0.6, gaze_factor=2.0),
  "nervous": Manner(gaze_factor=2.5),
  "anxious": Manner(gaze_factor=2.0),
  "wincing": Manner(pulses=2, onset_factor=0.6),
  "yawning": Manner(pulses=1, onset_factor=2.0),
  "kissing": Manner(pulses=2),
  "tired": Manner(onset_factor=1.6),
  "sleepy": Manner(onset_factor=1.8, gaze_factor=0.4),
  "serene": Manner(onset_factor=1.8, gaze_factor=0.4),
  "calm": Manner(onset_factor=1.6, gaze_factor=0.5),
  "focused": Manner(blink_factor=0.4, gaze_factor=0.3),
  "glaring": Manner(blink_factor=0.2, gaze_factor=0.2),
}

# Micro-actions, as a short action at full strength.
MICRO_RECIPES = {
  "brow_raise": "1=.85 2=.95",
  "brow_furrow": "4=1",
  "lip_press": "24=1 23=.5 17=.2",
  "lip_bite": "28=.6 lower_lip_press=.9 jaw=.03",
  "pucker": "18=1 22=.35",
  "jaw_drop": "jaw=.26 25=.3",
  "squint": "7=1 6=.3 lids=.22",
  "nose_wrinkle": "9=1 10=.25",
  "cheek_puff": "33=1 24=.4",
}


def recipe_vector(text: str) -> np.ndarray:
  """float32[C]: the channels of a recipe such as "6=.6 12L=.8 jaw=.1".

  Raises:
    KeyError: names what no channel is called.
  """
  vector = np.zeros(len(CHANNELS), np.float32)
  for part in text.split():
    name, value = part.split("=")
    for channel in _channels(name):
      vector[CHANNEL_INDEX[channel]] = float(value)
  return vector


def _channels(name: str) -> tuple[str, ...]:
  """Channel names of "12" (both sides), "12L", "17" (in the middle) or "jaw"."""
  if name in FACS_NAMES:
    base = FACS_NAMES[name]
    return (base,) if base in CHANNEL_INDEX else (f"{base}_l", f"{base}_r")
  if name[-1] in "LR" and name[:-1] in FACS_NAMES:
    return (f"{FACS_NAMES[name[:-1]]}_{name[-1].lower()}",)
  return (name,)


@functools.cache
def label_vectors() -> dict[str, np.ndarray]:
  """Label -> float32[C] at full intensity."""
  vectors = {}
  for family, (base, changes) in RECIPES.items():
    for label, change in changes.items():
      if lexicon.LABELS[label].family != family:
        raise ValueError(f"'{label}' is not a {family} word in the lexicon")
      vectors[label] = recipe_vector(f"{base} {change}")
  missing = set(lexicon.LABELS) - set(vectors)
  if missing:
    raise ValueError(f"labels without a recipe: {sorted(missing)}")
  return vectors


@functools.cache
def micro_vectors() -> dict[str, np.ndarray]:
  """Micro-action -> float32[C]; blink, wink and gaze_shift are acted out apart."""
  return {name: recipe_vector(text) for name, text in MICRO_RECIPES.items()}


def _mirror() -> tuple[np.ndarray, np.ndarray]:
  """Permutation and signs that swap left and right."""
  other = {"mouth_left": "mouth_right", "mouth_right": "mouth_left"}
  order, signs = [], []
  for name in CHANNELS:
    swapped = name[:-2] + {"_l": "_r", "_r": "_l"}.get(name[-2:], name[-2:])
    order.append(CHANNEL_INDEX[other.get(name, swapped)])
    signs.append(-1.0 if name.endswith(("_yaw", "_roll", "_side")) else 1.0)
  return np.array(order), np.array(signs, np.float32)


MIRROR_ORDER, MIRROR_SIGNS = _mirror()


def mirrored(vector: np.ndarray) -> np.ndarray:
  """The channels (last axis) with the subject's left and right swapped."""
  return vector[..., MIRROR_ORDER] * MIRROR_SIGNS
