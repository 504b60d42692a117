"""What a T5's attention adds to its scores: where tokens are, and which are seen.

Shape letters as in t5.py. Segment ids mark packed examples; 0 is padding.
"""

import functools

import jax
import jax.numpy as jnp

from tdmm_jax import sharding
from tdmm_jax.models import layers


def segment_bias(query_segments_BL, key_segments_BM):
  """float32[B, 1, L, M]: 0 within a segment, -1e9 across segments and to padding."""
  same_BLM = query_segments_BL[:, :, None] == key_segments_BM[:, None, :]
  allowed_BLM = same_BLM & (key_segments_BM > 0)[:, None, :]
  return jnp.where(allowed_BLM, 0.0, layers.NEG_INF)[:, None]


def repeated(position_1HLM, batch_size: int):
  """float[B, H, L, M]: the same for each example."""
  if sharding.for_cpus():
    return _repeated(position_1HLM, batch_size)
  return jnp.broadcast_to(position_1HLM, (batch_size, *position_1HLM.shape[1:]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _repeated(position_1HLM, batch_size: int):
  """The gradient sums over the examples as a product.

  XLA's CPU backend fuses the sum that it would make of it with the sum over layers, to
  a loop five times as slow.
  """
  return jnp.broadcast_to(position_1HLM, (batch_size, *position_1HLM.shape[1:]))


_repeated.defvjp(
  lambda position_1HLM, batch_size: (_repeated(position_1HLM, batch_size), None),
  lambda batch_size, _, gradient_BHLM: (
    jnp.einsum("B,BHLM->HLM", jnp.ones(batch_size), gradient_BHLM)[None],
  ),
)


def of(stack, position_1HLM, segments_BL, segments_BM, causal: bool):
  """What a stack's attention adds to its scores, in the form that it takes.

  Written-out biases are summed once, or come apart where layers are scanned: the sum is
  [B, H, L, M], and reading it in each of many layers costs more than adding.

  Args:
    stack: Encoder or Decoder.
    position_1HLM: relative-position bias, or None.
    segments_BL, segments_BM: of the query's tokens and of the key's.
    causal: whether tokens attend to themselves and those before them only.
  """
  if stack.fused_attention:
    position = None if position_1HLM is None else position_1HLM[0]
    return layers.FusedBias(segments_BL, segments_BM, position, causal)
  mask_B1LM = segment_bias(segments_BL, segments_BM)
  if causal:
    row, column = jnp.arange(segments_BL.shape[1]), jnp.arange(segments_BM.shape[1])
    mask_B1LM += jnp.where(row[:, None] >= column[None, :], 0.0, layers.NEG_INF)
  if position_1HLM is None:
    return (mask_B1LM,)
  if stack.scan_layers:
    return (position_1HLM, mask_B1LM)
  return (repeated(position_1HLM, len(mask_B1LM)) + mask_B1LM,)
