"""Quantisers: one discrete code per latent vector.

Shape letters: B batch, T frames, C code width, K codes. Both quantisers share a call
`(latents_BTC, mask_BT, train) -> (quantized_BTC, codes_BT, loss)` and a lookup
`codes_to_latents`. FSQ's loss is zero; see `spread_loss` and `marginal_loss`.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def _round_straight_through(x):
  return x + jax.lax.stop_gradient(jnp.round(x) - x)


def spread_loss(latents_BTN, mask_BT):
  """Distance of the latents' mean and covariance from 0 and I over valid frames.

  FSQ has no codebook to collapse, but its latents can: correlated or narrow ones leave
  most cells empty. Unit, uncorrelated latents fill them evenly, and uncorrelated phases
  do not say the same thing twice.
  """
  latents_NC, weight_N1, total = _valid_rows(latents_BTN, mask_BT)
  mean_C = jnp.sum(latents_NC * weight_N1, axis=0) / total
  centred_NC = (latents_NC - mean_C) * weight_N1
  excess_CC = centred_NC.T @ centred_NC / total - jnp.eye(mean_C.shape[0])
  return (jnp.sum(mean_C**2) + jnp.sum(excess_CC**2)) / mean_C.shape[0]


def marginal_loss(latents_BTN, mask_BT):
  """Squared distance of each squashed latent's quantiles from a standard normal's.

  A one-dimensional Wasserstein distance after FSQ's tanh. A face rests most of the
  time, so that unit variance alone leaves latents peaked, and FSQ's outer cells empty.
  """
  latents_NC, weight_N1, total = _valid_rows(latents_BTN, mask_BT)
  squashed_NC = jnp.where(weight_N1 > 0, jnp.tanh(latents_NC), jnp.inf)
  sorted_NC = jnp.sort(squashed_NC, axis=0)  # padding comes last
  rank_N1 = jnp.arange(len(latents_NC))[:, None]
  inside_N1 = rank_N1 < total
  level_N1 = jnp.clip((rank_N1 + 0.5) / total, 1e-6, 1 - 1e-6)
  wanted_N1 = jnp.tanh(jax.scipy.special.ndtri(level_N1))
  error_NC = jnp.where(inside_N1, sorted_NC, 0) - jnp.where(inside_N1, wanted_N1, 0)
  return jnp.sum(error_NC**2) / total / latents_NC.shape[1]


def _valid_rows(latents_BTN, mask_BT):
  """(latents float[N, C'], weights float32[N, 1], their sum, at least 1)."""
  weight_N1 = mask_BT.reshape(-1, 1).astype(jnp.float32)
  rows_NC = latents_BTN.reshape(mask_BT.size, -1)
  return rows_NC, weight_N1, jnp.maximum(weight_N1.sum(), 1.0)


class FSQ(nn.Module):
  """Finite scalar quantisation: each latent dimension rounded to a few levels.

  Source: Mentzer et al. 2023, arXiv:2309.15505.
  """

  levels: Sequence[int]

  @property
  def num_codes(self) -> int:
    return int(np.prod(self.levels))

  @property
  def code_dim(self) -> int:
    return len(self.levels)

  def _bound(self, latents):
    """Squashes each dimension into its levels; even counts are shifted by a half."""
    levels = np.asarray(self.levels)
    half = (levels - 1) * (1 + 1e-3) / 2
    offset = np.where(levels % 2 == 0, 0.5, 0.0)
    shift = np.arctanh(offset / half)
    return jnp.tanh(latents + shift) * half - offset

  def __call__(self, latents_BTC, mask_BT=None, train: bool = False):
    half_width = np.asarray(self.levels) // 2
    rounded_BTC = _round_straight_through(self._bound(latents_BTC))
    digits_BTC = (rounded_BTC + half_width).astype(jnp.int32)
    codes_BT = jnp.sum(digits_BTC * self._basis(), axis=-1)
    return rounded_BTC / half_width, codes_BT, jnp.zeros((), jnp.float32)

  def _basis(self):
    return np.concatenate([[1], np.cumprod(self.levels[:-1])]).astype(np.int32)

  def codes_to_latents(self, codes_BT):
    """int[...] codes to float[..., C] in [-1, 1]."""
    levels = np.asarray(self.levels)
    digits = (codes_BT[..., None] // self._basis()) % levels
    return (digits - levels // 2) / (levels // 2)


class EmaVQ(nn.Module):
  """Vector quantisation with an EMA codebook and dead-code reset.

  The statistics live in the `codebook` collection, so they are checkpointed; sums run
  over the global batch, so they are the same under any sharding.

  Source: van den Oord et al. 2017, arXiv:1711.00937, appendix A.1.
  """

  num_codes: int
  code_dim: int
  decay: float = 0.99
  dead_below: float = 0.01  # uses a batch, on average, below which a code is reset

  def setup(self):
    shape = (self.num_codes, self.code_dim)
    init = lambda: jax.random.normal(self.make_rng("params"), shape)
    self.counts = self.variable("codebook", "counts", jnp.ones, (self.num_codes,))
    self.sums = self.variable("codebook", "sums", init)

  def _codes_KC(self):
    return self.sums.value / jnp.maximum(self.counts.value, 1e-5)[:, None]

  def __call__(self, latents_BTC, mask_BT=None, train: bool = False):
    if mask_BT is None:
      mask_BT = jnp.ones(latents_BTC.shape[:-1], bool)
    codebook_KC = self._codes_KC()
    flat_NC = latents_BTC.reshape(-1, self.code_dim)
    weight_N = mask_BT.reshape(-1).astype(jnp.float32)
    distance_NK = jnp.sum(codebook_KC**2, -1)[None] - 2 * flat_NC @ codebook_KC.T
    codes_N = jnp.argmin(distance_NK, axis=-1)
    quantized_BTC = codebook_KC[codes_N].reshape(latents_BTC.shape)
    error_BT = jnp.mean((jax.lax.stop_gradient(quantized_BTC) - latents_BTC) ** 2, -1)
    commitment_loss = jnp.sum(error_BT * mask_BT) / jnp.maximum(mask_BT.sum(), 1)
    if train and not self.is_initializing():
      self._update(jax.lax.stop_gradient(flat_NC), codes_N, weight_N)
    quantized_BTC = latents_BTC + jax.lax.stop_gradient(quantized_BTC - latents_BTC)
    codes_BT = codes_N.reshape(latents_BTC.shape[:-1]).astype(jnp.int32)
    return quantized_BTC, codes_BT, commitment_loss

  def _update(self, flat_NC, codes_N, weight_N):
    one_hot_NK = jax.nn.one_hot(codes_N, self.num_codes) * weight_N[:, None]
    counts_K = self.decay * self.counts.value + (1 - self.decay) * one_hot_NK.sum(0)
    sums_KC = self.decay * self.sums.value + (1 - self.decay) * one_hot_NK.T @ flat_NC
    # Dead codes move onto valid latents of this batch, drawn at random.
    probability_N = weight_N / jnp.maximum(weight_N.sum(), 1)
    picks_K = jax.random.choice(
      self.make_rng("codebook"), flat_NC.shape[0], (self.num_codes,), p=probability_N
    )
    dead_K = counts_K < self.dead_below
    self.counts.value = jnp.where(dead_K, 1.0, counts_K)
    self.sums.value = jnp.where(dead_K[:, None], flat_NC[picks_K], sums_KC)

  def codes_to_latents(self, codes_BT):
    return self._codes_KC()[codes_BT]
