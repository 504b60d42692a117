"""What a decoder is told of the acts that are on at each place of a motion.

Attention finds which acts a prompt asks for, but hardly when: of a small T5 that read
their times in its encoder, half of the acts came at another one. Here each place is
given the sum of the vectors of its own acts.

Shape letters: B batch, L places, N cues, K features, D embedding.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from tdmm_jax import sharding
from tdmm_jax.language import cues

FEATURES = 8
_NEAR = 4.0  # places: what "soon" and "just over" mean


def features(cues_BNF, places_L):
  """float32[B, L, N, FEATURES] of each cue at each place.

  While it is on: its strength, how much of its rise has passed, where in its count it
  is (sine and cosine), that it has just begun and that it is soon over, in terms of its
  rise; before and after: that it comes soon, that it is just over.
  """
  each = jnp.moveaxis(cues_BNF.astype(jnp.float32), -1, 0)[..., None, :]
  place = places_L.astype(jnp.float32)[:, None]
  since, until = place - each[cues.START], each[cues.END] - place
  number = lambda truths: truths.astype(jnp.float32)
  is_on = number((since >= 0) & (until > 0))
  comes = number((since < 0) & (place >= each[cues.FIRST]))
  is_over = number((until <= 0) & (place < each[cues.LAST]))
  level, rise = each[cues.LEVEL], jnp.maximum(each[cues.RISE], 1.0)
  share = jnp.clip(since / jnp.maximum(since + until, 1.0), 0.0, 1.0)
  angle = 2 * np.pi * each[cues.COUNT] * share
  fade = lambda places: jnp.exp(-jnp.maximum(places, 0.0))
  while_on = (
    *(1.0, jnp.clip((since + 1) / rise, 0.0, 1.0)),
    *(jnp.sin(angle), jnp.cos(angle), fade(since / rise), fade(until / rise)),
  )
  shown = [is_on * level * value for value in while_on]
  around = [
    comes * level * fade(-since / _NEAR),
    is_over * level * fade(-until / _NEAR),
  ]
  return jnp.stack([*shown, *around], axis=-1)


class CueEmbedding(nn.Module):
  """The sum of the vectors of a place's cues, float[B, L, D]."""

  emb_dim: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, cues_BNF, places_L):
    shape = (len(cues.CHANNELS), FEATURES, self.emb_dim)
    table = self.param(
      "embedding",
      sharding.partitioned(nn.initializers.normal(0.5), "codes", "features", "embed"),
      shape,
      jnp.float32,
    )
    channels_BN = cues_BNF[..., cues.CHANNEL].astype(jnp.int32)
    vectors_BNKD = sharding.constrain(table, None, None, None)[channels_BN]
    x_BLD = jnp.einsum("blnk,bnkd->bld", features(cues_BNF, places_L), vectors_BNKD)
    return sharding.constrain(
      x_BLD.astype(self.dtype), "act_batch", "act_length", "act_embed"
    )
