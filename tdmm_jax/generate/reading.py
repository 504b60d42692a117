"""What a run's encoder reads of motions, place by place.

Shape letters: B motions, M encoder tokens, D their width, T frames, R readings
(language/cues.py).
"""

import functools

import jax
import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.decoding import sample
from tdmm_jax.runs import kept_programs


def shares(face, tokens_BM: np.ndarray, encoded_BMD=None) -> list[np.ndarray] | None:
  """How much of each reading is on in each motion, float32[T, R], 0 .. 1.

  None of a run that was not asked for acts in training.

  Args:
    face: a generate.face.Face.
    tokens_BM: int32, of the encoder, 0 = padding.
    encoded_BMD: what `sample.encode` made of them, where that is known.
  """
  if not tasks.tells_acts(face.config):
    return None
  if encoded_BMD is None:
    encoded_BMD = sample.encode(face.model, face.params, tokens_BM)
  shares_BMR = np.asarray(_shares(face.model, face.params, encoded_BMD))
  first, last = (
    face.vocab.motion_offset,
    face.vocab.motion_offset + face.vocab.num_codes,
  )
  is_frame_BM = (tokens_BM >= first) & (tokens_BM < last)
  return [row[frames] for row, frames in zip(shares_BMR, is_frame_BM, strict=True)]


@functools.partial(kept_programs.jit, static_argnames=("model",))
def _shares(model, params, encoded_BMD):
  logits_BMR = model.apply({"params": params}, encoded_BMD, method="read_acts")
  return jax.nn.sigmoid(logits_BMR)
