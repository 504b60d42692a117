"""What a run's encoder reads of motions, place by place.

Shape letters: B motions, M encoder tokens, T frames, R readings (language/cues.py).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax.data import tasks


def shares(face, tokens_BM: np.ndarray) -> list[np.ndarray] | None:
  """How much of each reading is on in each motion, float32[T, R], 0 .. 1.

  None of a run that was not asked for acts in training.

  Args:
    face: a generate.face.Face.
    tokens_BM: int32, of the encoder, 0 = padding.
  """
  if not tasks.tells_acts(face.config):
    return None
  shares_BMR = np.asarray(_shares(face.model, face.params, tokens_BM))
  first, last = (
    face.vocab.motion_offset,
    face.vocab.motion_offset + face.vocab.num_codes,
  )
  is_frame_BM = (tokens_BM >= first) & (tokens_BM < last)
  return [row[frames] for row, frames in zip(shares_BMR, is_frame_BM, strict=True)]


@functools.partial(jax.jit, static_argnums=0)
def _shares(model, params, tokens_BM):
  apply = functools.partial(model.apply, {"params": params})
  segments_BM = (tokens_BM > 0).astype(jnp.int32)
  return jax.nn.sigmoid(apply(tokens_BM, segments_BM, method="read_acts"))
