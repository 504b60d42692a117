"""What each label looks like: activations of facial action units at full intensity.

`recipes` has the tables. Channels: the 50 action units, then `EXTRAS`.
"""

import functools

import numpy as np

from data_prep import recipes
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

_LIDS = [CHANNEL_INDEX["lid_l"], CHANNEL_INDEX["lid_r"]]
_VISIBILITY = np.ones(len(CHANNELS), np.float32)  # of a unit of each channel
_VISIBILITY[NUM_ACTION_UNITS:] = 3.0  # rad
_VISIBILITY[_LIDS] = 1.0
_USUAL_SIZE = 1.7


def recipe_vector(text: str) -> np.ndarray:
  """float32[C]: the channels of a recipe such as "6=.6 12L=.8 jaw=.1".

  Raises:
    KeyError: names the unknown channel.
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


def _evened(vector_C: np.ndarray) -> np.ndarray:
  """Brings the size of a recipe closer to that of the others.

  Full intensity of a quiet feeling moves the face little, and then nobody could tell
  its intensities apart; most of the difference (of logarithms) is taken away.
  """
  size = float(np.linalg.norm(vector_C * _VISIBILITY))
  scale = np.clip((_USUAL_SIZE / max(size, 1e-6)) ** 0.8, 0.7, 1.6)
  lids = vector_C[_LIDS].max()
  scale = min(scale, max(1.0, 0.85 / lids)) if lids > 0 else scale
  return vector_C * np.float32(scale)


@functools.cache
def label_vectors() -> dict[str, np.ndarray]:
  """Label -> float32[C] at full intensity."""
  vectors = {}
  for family, (base, changes) in recipes.RECIPES.items():
    for label, change in changes.items():
      if lexicon.LABELS[label].family != family:
        raise ValueError(f"'{label}' is not a {family} word in the lexicon")
      vectors[label] = _evened(recipe_vector(f"{base} {change}"))
  missing = set(lexicon.LABELS) - set(vectors)
  if missing:
    raise ValueError(f"labels without a recipe: {sorted(missing)}")
  return vectors


@functools.cache
def micro_vectors() -> dict[str, np.ndarray]:
  """Micro-action -> float32[C]; blink, wink and gaze_shift are acted out apart."""
  return {name: recipe_vector(text) for name, text in recipes.MICRO_RECIPES.items()}


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
