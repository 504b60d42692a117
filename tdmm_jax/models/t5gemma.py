"""T5Gemma: Gemma 2's layers as an encoder-decoder, with the interface of t5.T5.

Shape letters: B batch, L decoder tokens, M encoder tokens, D embedding, H heads, G
heads of keys and values, K head width, V vocabulary, N layers. Segment ids mark packed
examples; 0 is padding.

Source: Zhang et al. 2025, arXiv:2504.06225; Gemma 2: arXiv:2408.00118. Where those are
silent, Hugging Face's `transformers` decides.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from tdmm_jax import sharding
from tdmm_jax.models import attention_biases, layer_stacks, layers

_INIT_STDDEV = 0.02  # of the tables, as Gemma's


class StackSizes(NamedTuple):
  """What the weights determine of an encoder or a decoder."""

  emb_dim: int
  num_heads: int
  num_kv_heads: int
  head_dim: int
  mlp_dim: int
  sliding: tuple[bool, ...]  # of each layer, whether it sees a window alone
  window: int  # tokens that a sliding layer sees: see `_biases`
  query_scalar: float  # scores are divided by its root
  scores_cap: float  # soft, of attention scores; 0: none
  rope_theta: float
  norm_eps: float


class Sizes(NamedTuple):
  """What the weights determine of a T5Gemma."""

  encoder: StackSizes
  decoder: StackSizes
  logits_cap: float  # soft; 0: none
  bos_id: int  # the decoder's first token

  def to_dict(self) -> dict:
    """For a config, and JSON."""
    stacks = {"encoder": self.encoder._asdict(), "decoder": self.decoder._asdict()}
    return self._asdict() | stacks

  @classmethod
  def from_dict(cls, stored: dict) -> "Sizes":
    """The inverse of `to_dict`."""
    stack = lambda given: StackSizes(**given | {"sliding": tuple(given["sliding"])})
    stacks = {name: stack(stored[name]) for name in ("encoder", "decoder")}
    return cls(**stored | stacks)


def soft_cap(x, cap: float):
  """`x`, bent so that it stays between -cap and cap; 0: as it is."""
  return cap * jnp.tanh(x / cap) if cap else x


def rotate(x_BHLK, positions_L, theta: float):
  """Rotary position embedding (arXiv:2104.09864), of the halves of K as pairs.

  In float32, whatever `x_BHLK` is: an angle of many turns has no bits to spare.
  """
  half = x_BHLK.shape[-1] // 2
  rates = np.float32(theta) ** -(np.arange(half, dtype=np.float32) / half)
  angles_LK = positions_L[:, None] * rates
  sin_LK, cos_LK = jnp.sin(angles_LK), jnp.cos(angles_LK)
  first, second = jnp.split(x_BHLK.astype(jnp.float32), 2, axis=-1)
  turned = [first * cos_LK - second * sin_LK, second * cos_LK + first * sin_LK]
  return jnp.concatenate(turned, axis=-1).astype(x_BHLK.dtype)


def _biases(segments_BL, sizes: StackSizes, causal: bool):
  """float32[2, B, 1, L, L]: what a layer adds to its scores: a full one, a sliding one.

  Packed segments are contiguous: index differences are positions' differences.
  """
  mask_B1LL = attention_biases.segment_bias(segments_BL, segments_BL)
  index_L = jnp.arange(segments_BL.shape[1])
  before_LL = index_L[:, None] - index_L[None, :]
  if causal:
    mask_B1LL += jnp.where(before_LL >= 0, 0.0, layers.NEG_INF)
  # As transformers counts: a window to each side, or this token and those before it.
  far_LL = before_LL >= sizes.window if causal else abs(before_LL) > sizes.window
  return jnp.stack([mask_B1LL, mask_B1LL + jnp.where(far_LL, layers.NEG_INF, 0.0)])


class RMSNorm(nn.Module):
  """Gemma's: the scale counts from 1, statistics in float32."""

  eps: float
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x_BLD):
    scale_D = self.param(
      "scale", sharding.partitioned(nn.initializers.zeros, "embed"), x_BLD.shape[-1:]
    )
    x_BLD = x_BLD.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x_BLD), axis=-1, keepdims=True)
    x_BLD = x_BLD * jax.lax.rsqrt(mean_square + self.eps) * (1 + scale_D)
    return x_BLD.astype(self.dtype)


class Attention(nn.Module):
  """Grouped-query attention with soft-capped scores."""

  sizes: StackSizes
  dtype: Any = jnp.float32

  def setup(self):
    sizes = self.sizes
    dense = functools.partial(layers.dense, dtype=self.dtype)
    kv_width = sizes.num_kv_heads * sizes.head_dim
    self.query = dense(sizes.num_heads * sizes.head_dim, None, "embed", "heads")
    self.key = dense(kv_width, None, "embed", "heads")
    self.value = dense(kv_width, None, "embed", "heads")
    self.out = dense(sizes.emb_dim, None, "heads", "embed")

  def _split(self, x_BLD):
    """[B, L, H * K] -> [B, H, L, K]."""
    x_BLHK = x_BLD.reshape(*x_BLD.shape[:-1], -1, self.sizes.head_dim)
    return sharding.constrain(
      jnp.swapaxes(x_BLHK, 1, 2), "act_batch", "act_heads", "act_length", "act_kv"
    )

  def _placed(self, x_BHLK, positions_L):
    if positions_L is None:
      return x_BHLK
    return rotate(x_BHLK, positions_L, self.sizes.rope_theta)

  def project_kv(self, x_BMD, positions_M=None):
    """Keys and values, float[B, G, M, K] each; what a decoding cache holds.

    Args:
      positions_M: int32; None: there are none, as across from decoder to encoder.
    """
    key_BGMK = self._placed(self._split(self.key(x_BMD)), positions_M)
    return key_BGMK, self._split(self.value(x_BMD))

  def __call__(self, x_BLD, key_BGMK, value_BGMK, bias_B1LM, positions_L=None):
    """Attends; keys and values may have B and G in one axis, as a decoding cache's."""
    query_BHLK = self._placed(self._split(self.query(x_BLD)), positions_L)
    batch, heads, length, width = query_BHLK.shape
    # The queries that share a head of keys lie one after the other.
    rows = key_BGMK.shape[:-2]
    query = query_BHLK.reshape(*rows, -1, width)
    scores = jnp.einsum(
      "...LK,...MK->...LM", query, key_BGMK, preferred_element_type=jnp.float32
    )
    scores_BHLM = scores.reshape(batch, heads, length, -1)
    scores_BHLM *= self.sizes.query_scalar**-0.5
    scores_BHLM = soft_cap(scores_BHLM, self.sizes.scores_cap) + bias_B1LM
    weights_BHLM = jax.nn.softmax(scores_BHLM).astype(self.dtype)
    weights = weights_BHLM.reshape(*rows, -1, weights_BHLM.shape[-1])
    x_BHLK = jnp.einsum("...LM,...MK->...LK", weights, value_BGMK)
    x_BHLK = checkpoint_name(x_BHLK.reshape(query_BHLK.shape), layers.ATTENDED)
    return self.out(jnp.swapaxes(x_BHLK, 1, 2).reshape(batch, length, -1))


class Layer(nn.Module):
  """Attention, of a decoder also to the encoder, and MLP; normalised before and after.

  Its parameters have T5's names, with a norm behind each part.
  """

  sizes: StackSizes
  is_decoder: bool
  dropout_rate: float = 0.0
  dtype: Any = jnp.float32

  def setup(self):
    sizes = self.sizes
    norm = lambda: RMSNorm(sizes.norm_eps, self.dtype)
    self.pre_self_attention_layer_norm = norm()
    self.self_attention = Attention(sizes, self.dtype)
    self.post_self_attention_layer_norm = norm()
    if self.is_decoder:
      self.pre_cross_attention_layer_norm = norm()
      self.encoder_decoder_attention = Attention(sizes, self.dtype)
      self.post_cross_attention_layer_norm = norm()
    self.pre_mlp_layer_norm = norm()
    self.mlp = layers.MlpBlock(sizes.mlp_dim, self.dropout_rate, self.dtype)
    self.post_mlp_layer_norm = norm()
    self.dropout = nn.Dropout(self.dropout_rate)

  def _rest(self, x_BLD, y_BLD, cross, deterministic):
    """Everything after the self-attention, whose output is y_BLD.

    Args:
      cross: (keys, values, bias) of the encoder's tokens; None in an encoder.
    """
    drop = functools.partial(self.dropout, deterministic=deterministic)
    x_BLD = x_BLD + drop(self.post_self_attention_layer_norm(y_BLD))
    if self.is_decoder:
      y_BLD = self.pre_cross_attention_layer_norm(x_BLD)
      y_BLD = self.encoder_decoder_attention(y_BLD, *cross)
      x_BLD = x_BLD + drop(self.post_cross_attention_layer_norm(y_BLD))
    y_BLD = self.mlp(self.pre_mlp_layer_norm(x_BLD), deterministic)
    x_BLD = x_BLD + drop(self.post_mlp_layer_norm(y_BLD))
    return sharding.constrain(x_BLD, "act_batch", "act_length", "act_embed")

  def __call__(self, x_BLD, positions_L, biases_2B1LL, *inputs, deterministic):
    """The layer.

    Args:
      inputs: of a decoder, the encodings and the bias towards them; last, whether the
        layer is a sliding one.
    """
    *encoder, sliding = inputs
    y_BLD = self.pre_self_attention_layer_norm(x_BLD)
    key, value = self.self_attention.project_kv(y_BLD, positions_L)
    bias_B1LL = biases_2B1LL[jnp.int32(sliding)]
    y_BLD = self.self_attention(y_BLD, key, value, bias_B1LL, positions_L)
    cross = None
    if self.is_decoder:
      encoded_BMD, cross_bias = encoder
      cross = (*self.cross_kv(encoded_BMD), cross_bias)
    return self._rest(x_BLD, y_BLD, cross, deterministic)

  def cross_kv(self, encoded_BMD):
    return self.encoder_decoder_attention.project_kv(encoded_BMD)

  def step(self, x_B1D, cache, index, bias, cross_bias):
    """One token with a cache; returns (x_B1D, cache with this token's key, value)."""
    y_B1D = self.pre_self_attention_layer_norm(x_B1D)
    key, value = self.self_attention.project_kv(y_B1D, index[None])
    key = layer_stacks.written(cache["cached_key"], key, index)
    value = layer_stacks.written(cache["cached_value"], value, index)
    cache = {**cache, "cached_key": key, "cached_value": value}
    y_B1D = self.self_attention(y_B1D, key, value, bias, index[None])
    cross = (cache["cross_key"], cache["cross_value"], cross_bias)
    return self._rest(x_B1D, y_B1D, cross, True), cache


class Stack(nn.Module):
  """An encoder's or a decoder's layers over embedded tokens, and the norm behind."""

  sizes: StackSizes
  is_decoder: bool
  dropout_rate: float = 0.0
  dtype: Any = jnp.float32
  scan_layers: bool = False
  remat: str = "none"

  def setup(self):
    layer = lambda: Layer(self.sizes, self.is_decoder, self.dropout_rate, self.dtype)
    if self.scan_layers:
      self.layers = layer()  # with a leading axis, see layer_stacks.run_layers
    else:
      self.layers = [layer() for _ in range(self.num_layers)]
    self.norm = RMSNorm(self.sizes.norm_eps, self.dtype)
    self.dropout = nn.Dropout(self.dropout_rate)

  @property
  def num_layers(self) -> int:
    return len(self.sizes.sliding)

  def __call__(self, x_BLD, segments_BL, deterministic, encoded_BMD=None, cross=None):
    """Args: encoded_BMD, cross: of a decoder, the encodings and their segments."""
    inputs = [
      jnp.arange(x_BLD.shape[1]),
      _biases(segments_BL, self.sizes, self.is_decoder),
    ]
    if self.is_decoder:
      inputs += [encoded_BMD, attention_biases.segment_bias(segments_BL, cross)]
    drop = functools.partial(self.dropout, deterministic=deterministic)
    x_BLD = layer_stacks.run_layers(
      self,
      drop(x_BLD),
      *inputs,
      deterministic=deterministic,
      kinds_N=np.array(self.sizes.sliding),
    )
    return drop(self.norm(x_BLD))

  def init_cache(self, encoded_BMD, max_decode_length: int):
    """An empty cache; the cross-attention's keys and values are made here, once."""
    if self.scan_layers:
      raise ValueError("scanned layers do not decode; see t5_layouts.unscanned")
    heads = (self.sizes.num_kv_heads, max_decode_length, self.sizes.head_dim)
    caches = []
    for layer in self.layers:
      key, value = layer.cross_kv(encoded_BMD)
      empty = jnp.zeros((len(encoded_BMD), *heads), key.dtype)
      caches.append(
        {
          "cached_key": empty,
          "cached_value": empty,
          "cross_key": key,
          "cross_value": value,
        }
      )
    return {"layers": caches, "cache_index": jnp.zeros((), jnp.int32)}

  def step(self, x_B1D, cache, cross_bias):
    index = cache["cache_index"]
    before_M = index - jnp.arange(cache["layers"][0]["cached_key"].shape[-2])
    full_M = jnp.where(before_M >= 0, 0.0, layers.NEG_INF)
    near_M = full_M + jnp.where(before_M >= self.sizes.window, layers.NEG_INF, 0.0)
    new_caches = []
    for layer, layer_cache, sliding in zip(
      self.layers, cache["layers"], self.sizes.sliding, strict=True
    ):
      bias_M = near_M if sliding else full_M
      x_B1D, layer_cache = layer.step(x_B1D, layer_cache, index, bias_M, cross_bias)
      new_caches.append(layer_cache)
    return self.norm(x_B1D), {"layers": new_caches, "cache_index": index + 1}


class T5Gemma(nn.Module):
  """T5Gemma with separate tables of encoder and decoder, as its checkpoints have them.

  Batches start a decoder's row with 0, which it hears as its own `bos_id`.
  """

  vocab_size: int
  sizes: Sizes
  dropout_rate: float = 0.0
  logits_via_embedding: bool = True
  dtype: Any = jnp.float32
  scan_layers: bool = False  # one compiled layer; parameters gain a leading axis
  remat: str = "none"  # see layer_stacks.REMAT_POLICIES
  pooled_token: int = -1  # what has this token is heard as one vector; -1: nothing

  # Of what T5 has here beside Raffel et al.'s, it has nothing.
  text_context = motion_context = motion_history = motion_cues = 0
  motion_reading = False

  @property
  def emb_dim(self) -> int:
    return self.sizes.decoder.emb_dim

  @property
  def logits_scale(self) -> float:
    """What a tied table is multiplied by to make logits."""
    return 1.0

  def setup(self):
    stack = (self.dropout_rate, self.dtype, self.scan_layers, self.remat)
    table = lambda sizes: nn.Embed(
      self.vocab_size,
      sizes.emb_dim,
      embedding_init=sharding.partitioned(
        nn.initializers.normal(_INIT_STDDEV), "vocab", "embed"
      ),
    )
    self.encoder_embedder = table(self.sizes.encoder)
    self.token_embedder = table(self.sizes.decoder)
    self.encoder = Stack(self.sizes.encoder, False, *stack)
    self.decoder = Stack(self.sizes.decoder, True, *stack)
    if not self.logits_via_embedding:
      self.logits_dense = layers.dense(
        self.vocab_size, None, "embed", "vocab", dtype=jnp.float32
      )

  def _embed(self, embedder, tokens_BL):
    # The whole table on each device, and cast after the lookup: see t5.T5.
    table_VD = sharding.constrain(embedder.embedding, None, None)
    x_BLD = jnp.take(table_VD, tokens_BL, axis=0).astype(self.dtype)
    x_BLD *= np.sqrt(table_VD.shape[1]).astype(self.dtype)
    return sharding.constrain(x_BLD, "act_batch", "act_length", "act_embed")

  def _embed_targets(self, tokens_BL):
    tokens_BL = jnp.where(tokens_BL == 0, self.sizes.bos_id, tokens_BL)
    return self._embed(self.token_embedder, tokens_BL)

  def _logits(self, x_BLD):
    x_BLD = x_BLD.astype(jnp.float32)
    if self.logits_via_embedding:
      logits_BLV = x_BLD @ self.token_embedder.embedding.astype(jnp.float32).T
    else:
      logits_BLV = self.logits_dense(x_BLD)
    logits_BLV = soft_cap(logits_BLV, self.sizes.logits_cap)
    return sharding.constrain(logits_BLV, "act_batch", "act_length", "act_vocab")

  def __call__(
    self,
    encoder_input_tokens_BM,
    decoder_input_tokens_BL,
    encoder_segment_ids_BM,
    decoder_segment_ids_BL,
    deterministic: bool = True,
    decoder_cues_BNF=None,
    with_acts: bool = False,
  ):
    """Teacher-forced float32 logits [B, L, V]; cues are not heard.

    Args:
      with_acts: whether there comes (logits, None), as T5 has it that reads no acts.
    """
    del decoder_cues_BNF
    encoded_BMD = self.encode(
      encoder_input_tokens_BM, encoder_segment_ids_BM, deterministic
    )
    x_BLD = self.decoder(
      self._embed_targets(decoder_input_tokens_BL),
      decoder_segment_ids_BL,
      deterministic,
      encoded_BMD,
      encoder_segment_ids_BM,
    )
    logits_BLV = self._logits(x_BLD)
    return (logits_BLV, None) if with_acts else logits_BLV

  def encode(self, tokens_BM, segment_ids_BM, deterministic: bool = True):
    """One vector per input token, float[B, M, D]; see t5.T5.encode."""
    x_BMD = self._embed(self.encoder_embedder, tokens_BM)
    x_BMD = self.encoder(x_BMD, segment_ids_BM, deterministic)
    if self.pooled_token < 0:
      return x_BMD
    return layers.pool_segments(x_BMD, tokens_BM, segment_ids_BM, self.pooled_token)

  def init_cache(self, encoded_BMD, max_decode_length: int, cues_BNF=None):
    """An empty cache for so many tokens; cues are not heard."""
    del cues_BNF
    return self.decoder.init_cache(encoded_BMD, max_decode_length)

  def decode_step(self, tokens_B, cache, encoder_segment_ids_BM):
    """Logits float32[B, V] of the next token and the cache moved on by one."""
    cross_bias = attention_biases.segment_bias(
      jnp.ones_like(tokens_B)[:, None], (encoder_segment_ids_BM > 0).astype(jnp.int32)
    )
    x_B1D = self._embed_targets(tokens_B[:, None])
    x_B1D, cache = self.decoder.step(x_B1D, cache, cross_bias)
    return self._logits(x_B1D)[:, 0], cache
