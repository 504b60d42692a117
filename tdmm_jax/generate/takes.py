"""Several takes of one prompt, of which the one that does what it says is kept.

The lexicon's parser reads "nods twice", "to the left", "without blinking" rightly, also
where a model has not learnt them; geometry (`metrics.acts`) says which take obeys.
"""

from collections.abc import Sequence

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon, understanding

MAX_TAKES = 64


def check(takes: int) -> None:
  """Raises UserError for a number of takes that is out of range."""
  if not 1 <= takes <= MAX_TAKES:
    raise UserError(f"takes: {takes} is out of range; choose 1 to {MAX_TAKES}")


def obeyed(face: FaceModel, motion: FaceMotion, prompt: str) -> float:
  """Share of what a prompt asks for that a motion does; 1 where nothing can be judged.

  Args:
    face: the motion's face model.
    motion: T frames.
    prompt: as it is understood, a guessed emotion included.
  """
  asked = _judged(prompt, motion)
  if not asked:
    return 1.0
  from tdmm_jax.metrics import acts as measures  # scipy.signal takes a while

  right = [ok for _, ok in measures.aspects(measures.tracks_of(face, motion), asked)]
  return float(np.mean(right))


def best(face: FaceModel, motions: Sequence[FaceMotion], prompt: str) -> FaceMotion:
  """The motion that does most of what the prompt asks for; the first of equals."""
  if len(motions) == 1 or not _judged(prompt, motions[0]):
    return motions[0]
  kept, highest = motions[0], -1.0
  for motion in motions:
    score = obeyed(face, motion, prompt)
    if score > highest:
      kept, highest = motion, score
    if highest == 1.0:  # the fit of ARKit's curves is what takes time
      break
  return kept


def _judged(prompt: str, motion: FaceMotion) -> list[acts_lib.Act]:
  """The acts of a prompt that geometry can judge."""
  attributes = understanding.read(prompt, motion.num_frames / motion.fps)
  return [act for act in acts_lib.acts_of(attributes) if act.name != lexicon.NEUTRAL]
