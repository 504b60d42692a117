"""Which emotion a motion shows: the language model's word and a FACS coder's.

A model that learned from simulated faces is sure of what it says, of real faces wrongly
so. Of motion that a camera saw it is therefore asked for the probabilities of all
emotions, and the action units of the fitted face, read by what coders of real faces
counted (language/coded_emotions.py), have their say.

Shape letters: N labels, F families.
"""

import math
from collections.abc import Sequence

import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.decoding import likelihood
from tdmm_jax.face import facs, head_file
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.generate import inputs
from tdmm_jax.language import coded_emotions, lexicon

# Two wordings of the default corpus' captions: emotions are compared in the first, and
# a caption that is to say one begins with the second, which no other emotion follows.
_COMPARED, _BEGINS = "He looks {},", "He keeps {} look"
# The model is right in half of the tracked clips, and surer than that: half of its
# probability is shared out evenly. How much more than the model the reading of action
# units counts hardly matters from 1 to 3: of 160 simulated clips that are tracked, 0.61
# to 0.64 are read rightly then, 0.55 without. Of real faces the model knows least.
_SURE, _READING = 0.5, 3.0
_WIDTH_MULTIPLE = 8


def read_by_coders(face, motion: FaceMotion) -> bool:
  """Whether a motion's action units are heard.

  Where a camera saw it, the head has units, and the run knows simulated faces: one that
  was trained on tracked ones, with captions of their own, needs no help.
  """
  has_units = face.codec.face.name in head_file.NAMES
  return motion.camera is not None and has_units and face.heard_simulation


def probabilities(face, motion: FaceMotion, codes) -> dict[str, float]:
  """Family -> probability, the likeliest first.

  Args:
    face: a generate.face.Face.
    motion: in the run's basis. codes: int[T], its tokens.
  """
  heard = _heard(face, codes)
  total = dict.fromkeys((label.family for label in lexicon.LABELS.values()), 0.0)
  for label, value in zip(lexicon.LABELS.values(), heard - heard.max(), strict=True):
    total[label.family] += math.exp(value)
  whole = sum(total.values())
  total = {name: value / whole for name, value in total.items()}
  if read_by_coders(face, motion):
    seen = _seen(face, motion)
    unknown = coded_emotions.average(seen)
    doubted = lambda share: _SURE * share + (1 - _SURE) / len(total)
    for name, share in total.items():
      reading = _READING * seen.get(name, unknown)
      total[name] = doubted(share) * math.exp(reading)
    whole = sum(total.values())
  order = sorted(total, key=lambda name: -total[name])
  return {name: total[name] / whole for name in order}


def beginning(face, codes, family: str) -> str:
  """How a caption begins that says this family: "He keeps a marked happy look".

  The word is the family's plainest, the intensity what the model finds likeliest.
  """
  label = next(x for x in lexicon.LABELS.values() if x.family == family)
  words = [words[0] for words, *_ in lexicon.INTENSITIES.values()]
  looks = [f"{word} {label.adjectives[0]}" for word in words]
  if family == lexicon.NEUTRAL:
    looks = [label.adjectives[0]]
  texts = [
    _BEGINS.format(f"{'an' if look[0] in 'aeiou' else 'a'} {look}") for look in looks
  ]
  return texts[int(np.argmax(_likely(face, codes, texts)))]


def _seen(face, motion) -> dict[str, float]:
  sides: dict[str, list] = {}
  for (code, _), level in facs.tracks(motion, face.codec.face).items():
    sides.setdefault(code, []).append(level.mean())
  levels = {code: float(np.mean(sides[code])) for code in coded_emotions.UNITS}
  return coded_emotions.log_likelihoods(levels)


def _heard(face, codes) -> np.ndarray:
  """Log-probability of every label, of medium intensity; float64[N]."""
  degree = lexicon.INTENSITIES[lexicon.DEFAULT_INTENSITY][1][0]
  words = [
    label.adjectives[0]
    if name == lexicon.NEUTRAL
    else f"{degree} {label.adjectives[0]}"
    for name, label in lexicon.LABELS.items()
  ]
  return _likely(face, codes, [_COMPARED.format(word) for word in words])


def _likely(face, codes, texts: Sequence[str]) -> np.ndarray:
  """Log-probability of each text as a caption's beginning; float64[N].

  As many rows whatever is asked: one program serves all.
  """
  pieces = [face.vocab.encode_text(text) for text in texts]
  width = -(-max(map(len, pieces)) // _WIDTH_MULTIPLE) * _WIDTH_MULTIPLE
  rows = np.zeros((len(lexicon.LABELS), width), np.int32)
  for row, ids in zip(rows, pieces, strict=False):
    row[: len(ids)] = ids
  encoder = tasks.m2l_encoder(face.vocab, codes)
  prompt = inputs.padded([encoder], len(encoder))
  found = likelihood.log_probabilities(face.model, face.params, prompt, rows)
  return np.asarray(found, np.float64)[: len(texts)]
