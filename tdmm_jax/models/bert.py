"""BERT's encoder: a vector for each WordPiece of a text, as MiniLM makes them.

An adapter changes what the layers compute without touching their parameters: to each
matrix that it names, "layers_5" -> "query" -> ("a": [in, R], "b": [R, out]), it adds
a @ b.

Shape letters: B batch, S WordPieces, D width, H heads, K head width, M tokens of a
language model's encoder, of which some are WordPieces, R an adapter's rank.

Source: Devlin et al. 2019, arXiv:1810.04805; MiniLM: Wang et al. 2020,
arXiv:2002.10957; adapters: Hu et al. 2021, arXiv:2106.09685.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from tdmm_jax import sharding
from tdmm_jax.models import layers


class Sizes(NamedTuple):
  """What the weights determine of a BERT; `cls_id` starts every text."""

  vocab_size: int
  emb_dim: int
  num_heads: int
  mlp_dim: int
  num_layers: int
  max_length: int  # absolute positions
  layer_norm_eps: float
  cls_id: int


LENGTHS = (64, 128)  # of the WordPieces of a row; see `word_vectors`


def _dense(features: int, name: str, dtype):
  """Replicated, as all of BERT: it is small beside what it is read for."""
  return nn.Dense(
    features,
    dtype=dtype,
    kernel_init=sharding.partitioned(nn.initializers.normal(0.02), "text", "features"),
    bias_init=sharding.partitioned(nn.initializers.zeros, "features"),
    dot_general=layers.flat_product,
    name=name,
  )


def _norm(sizes: Sizes, name: str, dtype):
  return nn.LayerNorm(
    sizes.layer_norm_eps,
    dtype=dtype,
    scale_init=sharding.partitioned(nn.initializers.ones, "features"),
    bias_init=sharding.partitioned(nn.initializers.zeros, "features"),
    name=name,
  )


class Layer(nn.Module):
  """Self-attention and MLP, each with a residual and normalised after it."""

  sizes: Sizes
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x_BSD, bias_B1SS, adapter=None):
    sizes = self.sizes
    head_dim = sizes.emb_dim // sizes.num_heads

    def dense(features, name, x):
      y = _dense(features, name, self.dtype)(x)
      if adapter is None or name not in adapter:
        return y
      # Flat, for a gradient that contracts two axes at once is slow on CPUs.
      flat = x.reshape(-1, x.shape[-1])
      return y + (flat @ adapter[name]["a"] @ adapter[name]["b"]).reshape(y.shape)

    def heads(name):
      x_BSHK = dense(sizes.emb_dim, name, x_BSD)
      x_BSHK = x_BSHK.reshape(*x_BSD.shape[:-1], sizes.num_heads, head_dim)
      return jnp.swapaxes(x_BSHK, 1, 2)

    query, key, value = heads("query"), heads("key"), heads("value")
    scores_BHSS = jnp.einsum("...LK,...MK->...LM", query * head_dim**-0.5, key)
    weights_BHSS = jax.nn.softmax(scores_BHSS.astype(jnp.float32) + bias_B1SS)
    y_BHSK = jnp.einsum("...LM,...MK->...LK", weights_BHSS.astype(self.dtype), value)
    y_BSD = jnp.swapaxes(y_BHSK, 1, 2).reshape(x_BSD.shape)
    y_BSD = dense(sizes.emb_dim, "out", y_BSD)
    x_BSD = _norm(sizes, "attention_norm", self.dtype)(x_BSD + y_BSD)
    y_BSF = nn.gelu(dense(sizes.mlp_dim, "wi", x_BSD), approximate=False)
    y_BSD = dense(sizes.emb_dim, "wo", y_BSF)
    return _norm(sizes, "mlp_norm", self.dtype)(x_BSD + y_BSD)


class Bert(nn.Module):
  """The encoder without its pooler."""

  sizes: Sizes
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, tokens_BS, positions_BS, segments_BS, adapter=None):
    """float[B, S, D]: a vector a WordPiece.

    Args:
      tokens_BS: int32 WordPieces; of segment 0, anything.
      positions_BS: int32, within each text.
      segments_BS: int32; a text sees itself alone, 0 is padding.
    """
    sizes = self.sizes
    table = lambda name, rows: nn.Embed(
      rows,
      sizes.emb_dim,
      dtype=self.dtype,
      embedding_init=sharding.partitioned(
        nn.initializers.normal(0.02), "text", "features"
      ),
      name=name,
    )
    x_BSD = table("words", sizes.vocab_size)(tokens_BS)
    x_BSD += table("positions", sizes.max_length)(positions_BS)
    # Of the two kinds of sentence all are of the first.
    x_BSD += table("kinds", 2)(jnp.zeros_like(tokens_BS))
    x_BSD = _norm(sizes, "norm", self.dtype)(x_BSD)
    same_BSS = segments_BS[:, :, None] == segments_BS[:, None, :]
    bias_B1SS = jnp.where(same_BSS, 0.0, layers.NEG_INF)[:, None]
    for index in range(sizes.num_layers):
      name = f"layers_{index}"
      adapts = (adapter or {}).get(name)
      x_BSD = Layer(sizes, self.dtype, name=name)(x_BSD, bias_B1SS, adapts)
    return x_BSD


def spans(words_BM, cls_id: int):
  """(positions, segments) int32[B, M] of texts, each of which starts with `cls_id`.

  Args:
    words_BM: int32 WordPieces of texts one after the other; -1: none, which gets
      segment 0.
  """
  index_M = jnp.arange(words_BM.shape[1])
  starts_BM = words_BM == cls_id
  first_BM = jax.lax.cummax(jnp.where(starts_BM, index_M, 0), axis=1)
  segments_BM = jnp.where(words_BM >= 0, jnp.cumsum(starts_BM, axis=1), 0)
  return index_M - first_BM, segments_BM


def sentence_vectors(sizes: Sizes, params: dict, words_BS, adapter=None):
  """float32[B, D] of unit length: the mean of the vectors of a text's WordPieces.

  Source: Reimers & Gurevych 2019, arXiv:1908.10084.

  Args:
    params: of Bert.
    words_BS: int32, one text a row, -1 behind it.
    adapter: see the module; by default none.
  """
  is_word_BS = words_BS >= 0
  positions_BS = jnp.broadcast_to(jnp.arange(words_BS.shape[1]), words_BS.shape)
  vectors_BSD = Bert(sizes, parent=None).apply(
    {"params": params},
    jnp.maximum(words_BS, 0),
    positions_BS,
    is_word_BS.astype(jnp.int32),
    adapter,
  )
  return mean(vectors_BSD, is_word_BS)


def mean(vectors_BSD, is_word_BS):
  """float[B, D] of unit length, of the vectors of the positions that are words."""
  sum_BD = jnp.sum(vectors_BSD * is_word_BS[..., None], axis=1)
  return sum_BD / jnp.linalg.norm(sum_BD, axis=-1, keepdims=True)


def word_vectors(
  sizes: Sizes, params: dict, words_BM, dtype=jnp.float32, most: int | None = None
):
  """float[B, M, D]: a vector for each WordPiece, zeros elsewhere.

  The WordPieces of a row are moved together first: where most of it is motion, BERT
  reads a few of its positions, as many as the batch's fullest row needs.

  Args:
    params: of Bert.
    words_BM: see `spans`.
    most: the most WordPieces of a row, where that is known; a program that need not ask
      is compiled in half of the time.
  """
  is_word_BM = words_BM >= 0
  # Where each comes to lie, and what lies there.
  rank_BM = jnp.cumsum(is_word_BM, axis=1) - 1
  order_BM = jnp.argsort(~is_word_BM, axis=1, stable=True)
  length = words_BM.shape[1]
  lengths = [*(n for n in LENGTHS if 2 * n <= length), length]

  def read(size: int):
    words_BS = jnp.take_along_axis(words_BM, order_BM[:, :size], axis=1)
    positions_BS, segments_BS = spans(words_BS, sizes.cls_id)
    vectors_BSD = Bert(sizes, dtype, parent=None).apply(
      {"params": params},
      jnp.maximum(words_BS, 0),
      jnp.minimum(positions_BS, sizes.max_length - 1),
      segments_BS,
    )
    at_BM1 = jnp.clip(rank_BM, 0, size - 1)[..., None]
    vectors_BMD = jnp.take_along_axis(vectors_BSD, at_BM1, axis=1)
    return jnp.where(is_word_BM[..., None], vectors_BMD, 0)

  if most is not None:
    return read(min((n for n in lengths if n >= most), default=length))
  choice = jnp.searchsorted(jnp.array(lengths), is_word_BM.sum(axis=1).max())
  return jax.lax.switch(choice, [lambda n=n: read(n) for n in lengths])
