"""Layers of T5.1.1: RMS norm, relative-position bias, attention, gated MLP.

Shape letters: B batch, L query tokens, M key tokens, D embedding, H heads, K head
width, F mlp.
"""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from tdmm_jax import sharding

NEG_INF = -1e9  # finite, so that a fully masked (padding) row stays NaN free
FIXED = ("vectors", "reading")  # parameters that training does not change
_PERIODS = (8, 16, 32, 64, 128, 256, 512)  # of a decoder's places, in tokens
ATTENDED = "attended"  # what a remat policy calls attention's result


def dense(features: int, name: str, *axes: str, dtype=jnp.float32, stddev=None):
  """Bias-free linear layer with logical axes; fan-in variance scaling by default."""
  if stddev is None:
    init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
  else:
    init = nn.initializers.normal(stddev)
  return nn.Dense(
    features,
    use_bias=False,
    dtype=dtype,
    kernel_init=sharding.partitioned(init, *axes),
    dot_general=lambda x, kernel, *_, **kwargs: flat_product(
      x, sharding.gathered(kernel, *axes), **kwargs
    ),
    name=name,
  )


def flat_product(x, kernel_DF, *_, **kwargs):
  """float[..., F] of x float[..., D]: one product of matrices, forward and backward.

  The gradient of a product with leading axes sums over two axes. XLA's CPU backend
  transposes its operands for that, and computes what they are made of, GELU's
  derivative, column by column: 15 times as slow.

  It can stand in for `nn.Dense`'s `dot_general`, whose axes are these.

  Args:
    kwargs: of `jax.lax.dot_general`.
  """
  flat_ND = x.reshape(-1, x.shape[-1])
  product_NF = jax.lax.dot_general(
    flat_ND, kernel_DF, (((1,), (0,)), ((), ())), **kwargs
  )
  return product_NF.reshape(*x.shape[:-1], -1)


class RMSNorm(nn.Module):
  """T5's layer norm: no mean, no bias, eps 1e-6, statistics in float32."""

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x_BLD):
    scale_D = self.param(
      "scale", sharding.partitioned(nn.initializers.ones, "embed"), x_BLD.shape[-1:]
    )
    x_BLD = x_BLD.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x_BLD), axis=-1, keepdims=True)
    return (x_BLD * jax.lax.rsqrt(mean_square + 1e-6) * scale_D).astype(self.dtype)


class MlpBlock(nn.Module):
  """Feed-forward block: gated GELU of T5.1.1 (arXiv:2002.05202), or ReLU of T5.0."""

  mlp_dim: int
  dropout_rate: float = 0.0
  dtype: Any = jnp.float32
  gated: bool = True

  @nn.compact
  def __call__(self, x_BLD, deterministic: bool = True):
    wide = lambda name: dense(self.mlp_dim, name, "embed", "mlp", dtype=self.dtype)
    if self.gated:
      x_BLF = nn.gelu(wide("wi_0")(x_BLD)) * wide("wi_1")(x_BLD)
    else:
      x_BLF = nn.relu(wide("wi")(x_BLD))
    x_BLF = nn.Dropout(self.dropout_rate)(x_BLF, deterministic=deterministic)
    x_BLF = sharding.constrain(x_BLF, "act_batch", "act_length", "act_mlp")
    return dense(x_BLD.shape[-1], "wo", "mlp", "embed", dtype=self.dtype)(x_BLF)


# Up to so many numbers a window is gathered on CPUs. XLA compiles a kernel for each
# shifted copy, which takes longer than all that one motion's windows are needed for.
_SMALL = 2**19


def window(x_BLN, radius: int, dilation: int = 1, after: int | None = None):
  """float[B, L, K N]: each beside its neighbours, zeros outside.

  Args:
    radius: neighbours before.
    after: neighbours after; default: as many. K is the sum of both and 1.
  """
  after = radius if after is None else after
  length, shifts = x_BLN.shape[1], np.arange(radius + after + 1) * dilation
  padded = jnp.pad(x_BLN, ((0, 0), (radius * dilation, after * dilation), (0, 0)))
  if x_BLN.size * len(shifts) <= _SMALL and sharding.for_cpus():
    copies = padded[:, np.arange(length)[:, None] + shifts]
    return copies.reshape(*x_BLN.shape[:2], -1)
  return jnp.concatenate([padded[:, k : k + length] for k in shifts], axis=-1)


class TokenContext(nn.Module):
  """A convolution over tokens of one kind, added to them before a T5's first layer.

  Over motion tokens: a frame's face is spread over the tokens around it; neighbours
  have different phases (motion_tokenizer.py) and say different things. Attention looks
  at tokens one at a time, each weighed by itself; this looks at a whole neighbourhood
  and can undo the tokenizer. Over text: "a smile, then a frown" is not the same words
  in another order, and relative positions alone teach a small model nothing of it. T5
  has no such thing: off (radius 0) for its checkpoints.

  Beside what it learns it may be given a fixed reading of the tokens, the parameters
  named FIXED, which are zero here (motion_reading.py computes them), and the place of a
  token in its motion.

  A causal one, for a decoder, looks back only; a token that is not of its kind (a
  hidden one) also learns of those before it.
  """

  radius: int  # tokens to each side
  mlp_dim: int
  num_codes: int = 0  # that it is given a reading of; 0: it has none
  dtype: Any = jnp.float32
  token_dim: int = 32  # a token's width inside
  causal: bool = False
  places: bool = False  # whether it tells a token where it is, see `_places`

  @nn.compact
  def __call__(self, x_BMD, codes_BM, segments_BM, history_BRN=None, index=None):
    """x_BMD, changed; no other segment's tokens are looked at.

    Args:
      codes_BM: int32, below 0 where there is no token of its kind.
      history_BRN: of a causal one, what the last call returned, or `init_history`:
        the tokens before these, which are then as many as `x_BMD` has.
      index: int32[], with history_BRN: the token's place in its segment.

    Returns:
      x_BMD; with history_BRN, (x_BMD, the next history).
    """
    is_mine_BM1 = (codes_BM >= 0)[..., None]
    y_BMD = RMSNorm(self.dtype, name="norm")(x_BMD) * is_mine_BM1
    y_BMN = dense(self.token_dim, "token", "embed", "kv", dtype=self.dtype)(y_BMD)
    parts = [y_BMN]
    if self.num_codes:
      vectors_KN = self._fixed("vectors", (self.num_codes, self.token_dim))
      parts.append(vectors_KN[jnp.maximum(codes_BM, 0)] * is_mine_BM1)
    if history_BRN is not None:
      joined_BMN = jnp.concatenate(parts, axis=-1)
      joined_BMN = jnp.concatenate([history_BRN, joined_BMN], axis=1)
      history_BRN = joined_BMN[:, 1:]
      parts = jnp.split(joined_BMN, len(parts), axis=-1)
      around = lambda each_BMN: each_BMN.reshape(len(each_BMN), 1, -1)
    else:
      around = self._neighbourhoods(segments_BM)
    wide = dense(self.mlp_dim, "wi", "embed", "mlp", dtype=self.dtype)
    y_BMF = wide(around(parts[0]))
    if self.num_codes:
      read_BMN = around(parts[1])
      reading_NF = self._fixed("reading", (read_BMN.shape[-1], self.mlp_dim))
      y_BMF = jnp.concatenate([y_BMF, flat_product(read_BMN, reading_NF)], axis=-1)
    y_BMF = nn.gelu(y_BMF)
    y_BMF = sharding.constrain(y_BMF, "act_batch", "act_length", "act_mlp")
    # No layer has a bias: what has none of its kind around it is left as it is.
    y_BMD = dense(x_BMD.shape[-1], "wo", "mlp", "embed", dtype=self.dtype)(y_BMF)
    if self.places:
      place = dense(x_BMD.shape[-1], "place", "features", "embed", dtype=self.dtype)
      y_BMD += place(self._places(codes_BM, segments_BM, index))
    if not self.causal:
      y_BMD = y_BMD * is_mine_BM1
    if history_BRN is not None:
      return x_BMD + y_BMD, history_BRN
    return x_BMD + y_BMD

  def _neighbourhoods(self, segments_BM):
    """A function: float[B, M, N], each beside its segment's neighbours: [B, M, K N]."""
    after = 0 if self.causal else self.radius
    around_BMK = window(segments_BM[..., None], self.radius, after=after)
    same_BMK1 = (around_BMK == segments_BM[..., None])[..., None]

    def around(each_BMN):
      around_BMKN = window(each_BMN, self.radius, after=after)
      around_BMKN = around_BMKN.reshape(*same_BMK1.shape[:3], -1) * same_BMK1
      return around_BMKN.reshape(*segments_BM.shape, -1)

    return around

  def _places(self, codes_BM, segments_BM, index):
    """Waves float[B, M, N] of where a token is: of the whole motion's length, ...

    ... or, where that is not known yet (causal), of _PERIODS tokens.
    """
    if self.causal:
      if index is None:
        starts_BM = segments_BM[:, 1:] != segments_BM[:, :-1]
        starts_BM = jnp.pad(starts_BM, ((0, 0), (1, 0)))
        index_M = jnp.arange(segments_BM.shape[1])
        index = index_M - jax.lax.cummax(jnp.where(starts_BM, index_M, 0), axis=1)
      index_BM = jnp.broadcast_to(index, segments_BM.shape)
      angle_BMN = index_BM[..., None] * (2 * np.pi / np.float32(_PERIODS))
      waves = (jnp.sin(angle_BMN), jnp.cos(angle_BMN))
      return jnp.concatenate(waves, axis=-1).astype(self.dtype)
    # Counted in matrix products: a token's own kind, in its segment, before it.
    is_mine_BM = (codes_BM >= 0).astype(jnp.float32)
    same_BMM = segments_BM[:, :, None] == segments_BM[:, None, :]
    same_BMM = same_BMM.astype(jnp.float32)
    all_BM = jnp.einsum("bmn,bn->bm", same_BMM, is_mine_BM)
    before_BM = jnp.einsum("bmn,bn->bm", jnp.tril(same_BMM, -1), is_mine_BM)
    part_BM = (before_BM + 0.5) / jnp.maximum(all_BM, 1.0)
    angle_BMN = np.pi * part_BM[..., None] * np.arange(1, 9)
    return jnp.cos(angle_BMN).astype(self.dtype)

  def _fixed(self, name: str, shape):
    # Whole on each device: they are small and have no gradient to share out.
    init = sharding.partitioned(nn.initializers.zeros, "codes", "features")
    return jax.lax.stop_gradient(self.param(name, init, shape).astype(self.dtype))

  def init_history(self, batch_size: int):
    """The history before the first token."""
    width = self.token_dim * (2 if self.num_codes else 1)
    return jnp.zeros((batch_size, self.radius, width), self.dtype)


def pool_segments(encoded_BMD, tokens_BM, segments_BM, token: int):
  """The encodings, with one vector for each segment that has `token` in it.

  All words of such a segment become their mean. Attention to keys that are all alike is
  attention to one: what is decoded knows the words through their mean alone.
  """
  same_BMM = segments_BM[:, :, None] == segments_BM[:, None, :]
  share_BMM = same_BMM / same_BMM.sum(-1, keepdims=True)
  mean_BMD = jnp.einsum("BMN,BND->BMD", share_BMM, encoded_BMD.astype(jnp.float32))
  mean_BMD = mean_BMD.astype(encoded_BMD.dtype)
  pooled_BM = jnp.einsum("BMN,BN->BM", same_BMM, tokens_BM == token) > 0
  return jnp.where(pooled_BM[..., None], mean_BMD, encoded_BMD)


def relative_position_bucket(
  relative_position, bidirectional: bool, num_buckets: int = 32, max_distance: int = 128
):
  """T5's buckets: half exact, half logarithmic (arXiv:1910.10683, section 2.1).

  Args:
    relative_position: int array, key index minus query index.
    bidirectional: whether keys after the query get buckets of their own.

  Returns:
    int32 array of the same shape, values in [0, num_buckets).
  """
  relative_position = jnp.asarray(relative_position, jnp.int32)
  offset = 0
  if bidirectional:
    num_buckets //= 2
    offset = (relative_position > 0).astype(jnp.int32) * num_buckets
    distance = jnp.abs(relative_position)
  else:
    distance = jnp.maximum(-relative_position, 0)
  max_exact = num_buckets // 2
  log_ratio = jnp.log(jnp.maximum(distance, 1) / max_exact) / np.log(
    max_distance / max_exact
  )
  large = max_exact + (log_ratio * (num_buckets - max_exact)).astype(jnp.int32)
  large = jnp.minimum(large, num_buckets - 1)
  return offset + jnp.where(distance < max_exact, distance, large)


class RelativePositionBias(nn.Module):
  """Attention bias by bucketed distance, one table shared by all layers of a stack."""

  num_heads: int
  bidirectional: bool

  @nn.compact
  def __call__(self, query_L, key_M):
    """Returns float32[1, H, L, M] for query and key positions."""
    table_RH = self.param(
      "rel_embedding",
      sharding.partitioned(nn.initializers.normal(1.0), "relpos_buckets", "heads"),
      (32, self.num_heads),
    )
    buckets_LM = relative_position_bucket(
      key_M[None, :] - query_L[:, None], self.bidirectional
    )
    return jnp.moveaxis(table_RH[buckets_LM], -1, 0)[None]


@jax.custom_vjp
def _scores(query_BHLK, key_BHMK):
  """float32[B, H, L, M]: each query by each key, whatever type these have."""
  return jnp.einsum(
    "...LK,...MK->...LM", query_BHLK, key_BHMK, preferred_element_type=jnp.float32
  )


@jax.custom_vjp
def _weighted(weights_BHLM, value_BHMK):
  """float[B, H, L, K]: each query's sum of values by weight."""
  return jnp.einsum("...LM,...MK->...LK", weights_BHLM, value_BHMK)


def _gradient_of_memory(query_BHLK, scores_BHLM):
  """float[B, H, M, K]: each key's sum of queries, by the scores' gradients.

  A CPU computes K x L by L x M and turns that over when it is done. XLA turns over the
  large operand instead, scores of L x M, if nothing keeps it from that, which takes
  twice as long.
  """
  if not sharding.for_cpus():
    return jnp.einsum("...LK,...LM->...MK", query_BHLK, scores_BHLM)
  product_BHKM = jnp.einsum("...LK,...LM->...KM", query_BHLK, scores_BHLM)
  return jnp.swapaxes(jax.lax.optimization_barrier(product_BHKM), -1, -2)


def _scores_gradients(saved, gradient_BHLM):
  query_BHLK, key_BHMK = saved
  gradient_BHLM = gradient_BHLM.astype(query_BHLK.dtype)
  return (
    _weighted(gradient_BHLM, key_BHMK),
    _gradient_of_memory(query_BHLK, gradient_BHLM),
  )


def _weighted_gradients(saved, gradient_BHLK):
  weights_BHLM, value_BHMK = saved
  return (
    _scores(gradient_BHLK, value_BHMK).astype(weights_BHLM.dtype),
    _gradient_of_memory(gradient_BHLK, weights_BHLM),
  )


_scores.defvjp(
  lambda query, key: (_scores(query, key), (query, key)), _scores_gradients
)
_weighted.defvjp(
  lambda weights, value: (_weighted(weights, value), (weights, value)),
  _weighted_gradients,
)


class FusedBias(flax.struct.PyTreeNode):
  """What fused attention adds to its scores, in place of written-out biases."""

  query_segments_BL: jax.Array
  key_segments_BM: jax.Array
  position_HLM: jax.Array | None
  causal: bool = flax.struct.field(pytree_node=False)


class MultiHeadAttention(nn.Module):
  """Multi-head attention; the caller brings the biases: position and mask."""

  num_heads: int
  head_dim: int
  emb_dim: int
  dropout_rate: float = 0.0
  dtype: Any = jnp.float32

  def setup(self):
    width = self.num_heads * self.head_dim
    # No 1/sqrt(K) on the logits: it is folded into the query's initialiser.
    self.query = dense(
      width,
      None,
      "embed",
      "heads",
      dtype=self.dtype,
      stddev=(self.emb_dim * self.head_dim) ** -0.5,
    )
    self.key = dense(width, None, "embed", "heads", dtype=self.dtype)
    self.value = dense(width, None, "embed", "heads", dtype=self.dtype)
    self.out = dense(self.emb_dim, None, "heads", "embed", dtype=self.dtype)
    self.dropout = nn.Dropout(self.dropout_rate)

  def _split(self, x_BLD):
    """[B, L, H * K] -> [B, H, L, K]: heads beside the batch make fast products."""
    x_BLHK = x_BLD.reshape(*x_BLD.shape[:-1], self.num_heads, self.head_dim)
    return sharding.constrain(
      jnp.swapaxes(x_BLHK, 1, 2), "act_batch", "act_heads", "act_length", "act_kv"
    )

  def project_kv(self, x_BMD):
    """Keys and values, float[B, H, M, K] each; what a decoding cache holds."""
    return self._split(self.key(x_BMD)), self._split(self.value(x_BMD))

  def __call__(self, x_BLD, key_BHMK, value_BHMK, biases, deterministic=True):
    """Attends.

    Args:
      biases: a FusedBias, or float32 arrays that broadcast to [B, H, L, M]. They come
        apart so that a long stack of layers need not read their sum from memory once
        for each layer.

    Raises:
      ValueError: dropout is asked of fused attention. Raised at trace time.
    """
    query_BHLK = self._split(self.query(x_BLD))
    if isinstance(biases, FusedBias):
      if self.dropout_rate and not deterministic:
        raise ValueError("fused attention has no dropout; set fused_attention = False")
      x_BHLK = self._fused(query_BHLK, key_BHMK, value_BHMK, biases)
    else:
      rows = key_BHMK.shape[:-2]  # B, H, or the product of them: a decoding cache's
      query = query_BHLK.reshape(*rows, *query_BHLK.shape[2:])
      logits_BHLM = _scores(query, key_BHMK)
      logits_BHLM = logits_BHLM.reshape(*query_BHLK.shape[:3], -1)
      for bias_BHLM in biases:
        logits_BHLM = logits_BHLM + bias_BHLM
      weights_BHLM = jax.nn.softmax(logits_BHLM)
      weights_BHLM = self.dropout(
        weights_BHLM.astype(self.dtype), deterministic=deterministic
      )
      weights = weights_BHLM.reshape(*rows, *weights_BHLM.shape[2:])
      x_BHLK = _weighted(weights, value_BHMK).reshape(query_BHLK.shape)
    x_BHLK = checkpoint_name(x_BHLK, ATTENDED)
    x_BLHK = jnp.swapaxes(x_BHLK, 1, 2)
    return self.out(x_BLHK.reshape(*x_BLD.shape[:-1], -1))

  def _fused(self, query_BHLK, key_BHMK, value_BHMK, bias: FusedBias):
    """Each device attends with the examples and heads that it holds."""
    if self.is_initializing():  # one example may not divide over the devices
      return query_BHLK
    heads = ("act_batch", "act_heads", "act_length", "act_kv")
    from tdmm_jax.models import fused_attention  # its Pallas is slow to import

    segments = ("act_batch", "act_length")
    names = [heads, heads, heads, segments, segments]
    operands = [query_BHLK, key_BHMK, value_BHMK]
    operands += [bias.query_segments_BL, bias.key_segments_BM]
    if bias.position_HLM is not None:
      names.append(("act_heads", "act_length", "act_length"))
      operands.append(bias.position_HLM)

    def attend(*operands):
      position_HLM = None if bias.position_HLM is None else operands[5]
      return fused_attention.attend(*operands[:5], position_HLM, bias.causal)

    return sharding.per_shard(attend, names, heads)(*operands)
