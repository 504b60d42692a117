"""Texts and motions in one space, where distance says whether they belong together.

The network behind FID, R-precision, MM-dist and diversity (docs/metrics.md).

Shape letters: B batch, L text pieces, T frames, S steps of FRAMES frames, P motion
vector, D embedding, Z the common space.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from tdmm_jax import sharding
from tdmm_jax.models import layers, t5_stacks

FRAMES = 4  # of a motion encoder's step, 0.16 s
_VELOCITY = 4.0  # a frame's change is about a quarter of the spread over all frames


class Evaluator(nn.Module):
  """Two T5 encoders; means over what is no padding, projected to the unit sphere.

  The `stats` collection holds the training motions' mean frame and spreads, set once
  before step 0.
  """

  vocab_size: int
  num_params: int
  emb_dim: int
  num_heads: int
  head_dim: int
  mlp_dim: int
  num_text_layers: int
  num_motion_layers: int
  output_dim: int
  dropout_rate: float = 0.0
  dtype: Any = jnp.float32

  def setup(self):
    still = lambda: jnp.zeros(self.num_params, jnp.float32)
    self.params_mean = self.variable("stats", "params_mean", still)
    self.params_std = self.variable("stats", "params_std", still)
    layer = {
      "num_heads": self.num_heads,
      "head_dim": self.head_dim,
      "emb_dim": self.emb_dim,
      "mlp_dim": self.mlp_dim,
      "dropout_rate": self.dropout_rate,
      "dtype": self.dtype,
    }
    self.token_embedder = nn.Embed(
      self.vocab_size,
      self.emb_dim,
      dtype=self.dtype,
      embedding_init=sharding.partitioned(
        nn.initializers.normal(1.0), "vocab", "embed"
      ),
    )
    self.text_encoder = t5_stacks.Encoder(self.num_text_layers, layer)
    self.text_output = layers.dense(self.output_dim, None, "embed", "features")
    self.motion_input = layers.dense(
      self.emb_dim, None, "features", "embed", dtype=self.dtype
    )
    self.motion_encoder = t5_stacks.Encoder(self.num_motion_layers, layer)
    self.motion_output = layers.dense(self.output_dim, None, "embed", "features")
    # CLIP's start and limit: Radford et al. 2021, arXiv:2103.00020, section 2.5.
    self.log_scale = self.param(
      "log_scale", sharding.partitioned(nn.initializers.constant(jnp.log(1 / 0.07))), ()
    )

  def embed_texts(self, tokens_BL, deterministic: bool = True):
    """float32[B, Z] of unit length; token 0 is padding."""
    segments_BL = (tokens_BL > 0).astype(jnp.int32)
    x_BLD = self.token_embedder(tokens_BL)
    x_BLD = self.text_encoder(x_BLD, segments_BL, deterministic)
    return _unit(self.text_output(_mean(x_BLD, segments_BL)))

  def embed_motions(self, params_BTP, mask_BT, deterministic: bool = True, noise=0.0):
    """float32[B, Z] of unit length.

    Args:
      params_BTP: motion vectors, any T.
      mask_BT: 0 = outside the motion, or not observed: never seen.
      noise: added to the frames, in spreads of the training motions.
    """
    x_BTP = (params_BTP - self.params_mean.value) / self.params_std.value + noise
    pad = -mask_BT.shape[1] % FRAMES
    mask_BT = jnp.pad(mask_BT, ((0, 0), (0, pad)))
    x_BTP = jnp.pad(x_BTP, ((0, 0), (0, pad), (0, 0))) * mask_BT[..., None]
    seen_BT = mask_BT[:, 1:] * mask_BT[:, :-1]
    step_BTP = (x_BTP[:, 1:] - x_BTP[:, :-1]) * seen_BT[..., None] * _VELOCITY
    step_BTP = jnp.pad(step_BTP, ((0, 0), (1, 0), (0, 0)))
    frames_BTN = jnp.concatenate([x_BTP, step_BTP, mask_BT[..., None]], axis=-1)
    batch, length, width = frames_BTN.shape
    steps_BSN = frames_BTN.reshape(batch, length // FRAMES, FRAMES * width)
    segments_BS = mask_BT.reshape(batch, -1, FRAMES).max(-1).astype(jnp.int32)
    x_BSD = self.motion_input(steps_BSN)
    x_BSD = self.motion_encoder(x_BSD, segments_BS, deterministic)
    return _unit(self.motion_output(_mean(x_BSD, segments_BS)))

  def __call__(self, tokens_BL, params_BTP, mask_BT, deterministic=True, noise=0.0):
    """Returns (texts float32[B, Z], motions float32[B, Z], scale of their products)."""
    texts_BZ = self.embed_texts(tokens_BL, deterministic)
    motions_BZ = self.embed_motions(params_BTP, mask_BT, deterministic, noise)
    return texts_BZ, motions_BZ, jnp.exp(jnp.minimum(self.log_scale, jnp.log(100.0)))


def _mean(x_BLD, segments_BL):
  """Mean over what is no padding; zeros where there is nothing else."""
  weights_BL1 = segments_BL[..., None].astype(jnp.float32)
  total_BD = jnp.sum(x_BLD.astype(jnp.float32) * weights_BL1, axis=1)
  return total_BD / jnp.maximum(weights_BL1.sum(1), 1.0)


def _unit(x_BZ):
  return x_BZ / jnp.sqrt(jnp.sum(x_BZ**2, axis=-1, keepdims=True) + 1e-12)


def build_evaluator(config, vocab_size: int, num_params: int) -> Evaluator:
  """The Evaluator of a config; `num_params`: width of a motion vector."""
  return Evaluator(
    vocab_size=vocab_size, num_params=num_params, **config.model.to_dict()
  )
