"""Which emotion a motion shows: what the encoder reads, and what a FACS coder would.

An encoder that learned from simulated faces is sure of what it reads, of real faces
wrongly so. Of motion that a camera saw, the action units of the fitted face, read by
what coders of real faces counted (language/coded_emotions.py), have their say, too.
"""

import math

import numpy as np

from tdmm_jax.face import facs, head_file, mouth_beats
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.language import act_reading, coded_emotions
from tdmm_jax.language.emotion_words import NEUTRAL

# The encoder is right in half of the simulated clips that are tracked, in 3 of 16 clips
# of people, and surer than that: most of its probability is shared out evenly. Of the
# action units' likelihoods, powers from 1 to 1.5 are as probable as actors turn out to
# be (RAVDESS); 1 reads more of simulated faces' emotions that nobody coded.
_SURE, _READING = 0.2, 1.5
_LID_CLOSES = 3.0  # a closing lid goes three times as far as AU 5 raises it


def read_by_coders(face, motion: FaceMotion) -> bool:
  """Whether a motion's action units are heard.

  Where a camera saw it, the head has units, and the run knows simulated faces: one that
  was trained on tracked ones, with captions of their own, needs no help.
  """
  has_units = face.codec.face.name in head_file.NAMES
  return motion.camera is not None and has_units and face.heard_simulation


def probabilities(face, motion: FaceMotion, shares_TR) -> dict[str, float]:
  """Family -> probability, the likeliest first.

  Args:
    face: a generate.face.Face.
    motion: in the run's basis.
    shares_TR: float[T, R], what `reading.shares` gives of it.
  """
  total = act_reading.families(shares_TR)
  if read_by_coders(face, motion):
    seen = _seen(face, motion)
    unknown = coded_emotions.average(seen)
    for name, share in total.items():
      doubted = _SURE * share + (1 - _SURE) / len(total)
      total[name] = doubted * math.exp(_READING * seen.get(name, unknown))
    whole = sum(total.values())
    total = {name: value / whole for name, value in total.items()}
  return dict(sorted(total.items(), key=lambda item: -item[1]))


def agreed(face, motion: FaceMotion, shares_TR, read: dict) -> dict:
  """What is read of a motion, with the emotion that coders would see in it, and speech
  where the mouth moves as in talk.

  Args:
    read: `act_reading.acts_read` of the shares; comes back as it is where no coder is
      asked.
  """
  if not read_by_coders(face, motion):
    return read
  family = next(iter(probabilities(face, motion, shares_TR)))
  read = act_reading.with_family(read, family) | {"faint": family == NEUTRAL}
  if read["speaking"] != "silent":
    return read
  beat = mouth_beats.syllable_beat(motion, face.codec.face)
  return read | {"speaking": "speaking"} if beat > mouth_beats.TALKS else read


def _seen(face, motion) -> dict[str, float]:
  tracks = facs.tracks(motion, face.codec.face)
  sides: dict[str, list] = {}
  for (code, _), level in tracks.items():
    sides.setdefault(code, []).append(level)
  levels = {code: float(np.mean(rows)) for code, rows in sides.items()}
  # A fit raises a lid and closes it at once; of people's eyes one can be seen.
  levels["5"] -= _LID_CLOSES * float(np.median(sides["43"]))
  # Who smiles does so with both corners of the mouth; contempt draws one of them in.
  left, right = (float(level.mean()) for level in sides["12"])
  levels["12"] = min(left, right)
  levels["14"] = max(levels["14"], abs(left - right))
  return coded_emotions.log_likelihoods(levels)
