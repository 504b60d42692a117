"""The encoder's and the decoder's layers of a T5, one after another.

Shape letters as in t5.py.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from tdmm_jax import sharding
from tdmm_jax.models import attention_biases, layer_stacks, layers


class EncoderLayer(nn.Module):
  """Self-attention and MLP, each pre-normalised with a residual around it."""

  num_heads: int
  head_dim: int
  emb_dim: int
  mlp_dim: int
  dropout_rate: float
  dtype: Any
  gated_mlp: bool = True

  def setup(self):
    self.pre_attention_layer_norm = layers.RMSNorm(self.dtype)
    self.self_attention = layers.MultiHeadAttention(
      self.num_heads, self.head_dim, self.emb_dim, self.dropout_rate, self.dtype
    )
    self.pre_mlp_layer_norm = layers.RMSNorm(self.dtype)
    self.mlp = layers.MlpBlock(
      self.mlp_dim, self.dropout_rate, self.dtype, self.gated_mlp
    )
    self.dropout = nn.Dropout(self.dropout_rate)

  def __call__(self, x_BMD, biases, *, deterministic):
    y_BMD = self.pre_attention_layer_norm(x_BMD)
    key, value = self.self_attention.project_kv(y_BMD)
    y_BMD = self.self_attention(y_BMD, key, value, biases, deterministic)
    x_BMD = x_BMD + self.dropout(y_BMD, deterministic=deterministic)
    y_BMD = self.mlp(self.pre_mlp_layer_norm(x_BMD), deterministic)
    x_BMD = x_BMD + self.dropout(y_BMD, deterministic=deterministic)
    return sharding.constrain(x_BMD, "act_batch", "act_length", "act_embed")


class DecoderLayer(nn.Module):
  """Causal self-attention, cross-attention to every prompt word, MLP."""

  num_heads: int
  head_dim: int
  emb_dim: int
  mlp_dim: int
  dropout_rate: float
  dtype: Any
  gated_mlp: bool = True

  def setup(self):
    attention = lambda: layers.MultiHeadAttention(
      self.num_heads, self.head_dim, self.emb_dim, self.dropout_rate, self.dtype
    )
    self.pre_self_attention_layer_norm = layers.RMSNorm(self.dtype)
    self.self_attention = attention()
    self.pre_cross_attention_layer_norm = layers.RMSNorm(self.dtype)
    self.encoder_decoder_attention = attention()
    self.pre_mlp_layer_norm = layers.RMSNorm(self.dtype)
    self.mlp = layers.MlpBlock(
      self.mlp_dim, self.dropout_rate, self.dtype, self.gated_mlp
    )
    self.dropout = nn.Dropout(self.dropout_rate)

  def _rest(self, x_BLD, y_BLD, cross_kv, cross_biases, deterministic):
    """Everything after the self-attention, whose output is y_BLD."""
    x_BLD = x_BLD + self.dropout(y_BLD, deterministic=deterministic)
    y_BLD = self.pre_cross_attention_layer_norm(x_BLD)
    y_BLD = self.encoder_decoder_attention(
      y_BLD, *cross_kv, cross_biases, deterministic
    )
    x_BLD = x_BLD + self.dropout(y_BLD, deterministic=deterministic)
    y_BLD = self.mlp(self.pre_mlp_layer_norm(x_BLD), deterministic)
    x_BLD = x_BLD + self.dropout(y_BLD, deterministic=deterministic)
    return sharding.constrain(x_BLD, "act_batch", "act_length", "act_embed")

  def __call__(self, x_BLD, encoded_BMD, biases, cross_biases, *, deterministic):
    y_BLD = self.pre_self_attention_layer_norm(x_BLD)
    key, value = self.self_attention.project_kv(y_BLD)
    y_BLD = self.self_attention(y_BLD, key, value, biases, deterministic)
    cross_kv = self.encoder_decoder_attention.project_kv(encoded_BMD)
    return self._rest(x_BLD, y_BLD, cross_kv, cross_biases, deterministic)

  def cross_kv(self, encoded_BMD):
    return self.encoder_decoder_attention.project_kv(encoded_BMD)

  def step(self, x_B1D, cache, index, biases, cross_biases):
    """One token with a cache; returns (x_B1D, cache with this token's key, value)."""
    y_B1D = self.pre_self_attention_layer_norm(x_B1D)
    key, value = self.self_attention.project_kv(y_B1D)
    key = layer_stacks.written(cache["cached_key"], key, index)
    value = layer_stacks.written(cache["cached_value"], value, index)
    cache = {**cache, "cached_key": key, "cached_value": value}
    y_B1D = self.self_attention(y_B1D, key, value, biases)
    cross_kv = (cache["cross_key"], cache["cross_value"])
    return self._rest(x_B1D, y_B1D, cross_kv, cross_biases, True), cache


class Encoder(nn.Module):
  """Stack of encoder layers over embedded tokens."""

  num_layers: int
  layer: dict[str, Any]
  scan_layers: bool = False
  remat: str = "none"
  fused_attention: bool = False

  def setup(self):
    self.relpos_bias = layers.RelativePositionBias(self.layer["num_heads"], True)
    if self.scan_layers:
      self.layers = EncoderLayer(**self.layer)  # with a leading axis, see layer_stacks
    else:
      self.layers = [EncoderLayer(**self.layer) for _ in range(self.num_layers)]
    self.encoder_norm = layers.RMSNorm(self.layer["dtype"])
    self.dropout = nn.Dropout(self.layer["dropout_rate"])

  def __call__(self, x_BMD, segments_BM, deterministic):
    positions = jnp.arange(x_BMD.shape[1])
    # Packed segments are contiguous, so index differences are positions' differences.
    position = self.relpos_bias(positions, positions)
    biases = attention_biases.of(self, position, segments_BM, segments_BM, causal=False)
    x_BMD = self.dropout(x_BMD, deterministic=deterministic)
    x_BMD = layer_stacks.run_layers(self, x_BMD, biases, deterministic=deterministic)
    return self.dropout(self.encoder_norm(x_BMD), deterministic=deterministic)


class Decoder(nn.Module):
  """Stack of decoder layers; `step` decodes one token with a KV cache."""

  num_layers: int
  layer: dict[str, Any]
  scan_layers: bool = False
  remat: str = "none"
  fused_attention: bool = False

  def setup(self):
    self.relpos_bias = layers.RelativePositionBias(self.layer["num_heads"], False)
    if self.scan_layers:
      self.layers = DecoderLayer(**self.layer)  # with a leading axis, see layer_stacks
    else:
      self.layers = [DecoderLayer(**self.layer) for _ in range(self.num_layers)]
    self.decoder_norm = layers.RMSNorm(self.layer["dtype"])
    self.dropout = nn.Dropout(self.layer["dropout_rate"])

  def __call__(self, x_BLD, segments_BL, encoded_BMD, segments_BM, deterministic):
    positions = jnp.arange(x_BLD.shape[1])
    position = self.relpos_bias(positions, positions)
    biases = attention_biases.of(self, position, segments_BL, segments_BL, causal=True)
    cross_biases = attention_biases.of(
      self, None, segments_BL, segments_BM, causal=False
    )
    x_BLD = self.dropout(x_BLD, deterministic=deterministic)
    x_BLD = layer_stacks.run_layers(
      self, x_BLD, encoded_BMD, biases, cross_biases, deterministic=deterministic
    )
    return self.dropout(self.decoder_norm(x_BLD), deterministic=deterministic)

  def init_cache(self, encoded_BMD, max_decode_length: int):
    """An empty cache; the cross-attention's keys and values are made here, once."""
    if self.scan_layers:
      raise ValueError("scanned layers do not decode; see t5_layouts.unscanned")
    shape = (
      encoded_BMD.shape[0],
      self.layer["num_heads"],
      max_decode_length,
      self.layer["head_dim"],
    )
    caches = []
    for layer in self.layers:
      key, value = layer.cross_kv(encoded_BMD)
      empty = jnp.zeros(shape, key.dtype)
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
    positions = jnp.arange(cache["layers"][0]["cached_key"].shape[-2])
    bias = self.relpos_bias(index[None], positions)
    bias = bias + jnp.where(positions <= index, 0.0, layers.NEG_INF)
    new_caches = []
    for layer, layer_cache in zip(self.layers, cache["layers"], strict=True):
      x_B1D, layer_cache = layer.step(x_B1D, layer_cache, index, (bias,), (cross_bias,))
      new_caches.append(layer_cache)
    cache = {"layers": new_caches, "cache_index": index + 1}
    return self.decoder_norm(x_B1D), cache
