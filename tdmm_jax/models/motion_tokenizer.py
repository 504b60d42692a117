"""Geometry tokenizer: one token per frame, with wide temporal context.

Shape letters: B batch, T frames, D width, C code width, K codes, G geometry features
(head-fixed vertex displacements, flattened, metres), N projected features, P motion
vector (tdmm_jax/face/motion_vector.py).

The encoder sees the *geometry* of the identity-free face, not its coefficients:
different coefficients can give the same face. The decoder returns motion vectors.

Codes are interleaved in time: frame t has the phase t mod `num_phases`, and each phase
has a share of the codebook of its own. A network that treats all frames alike answers a
still face with one code, the same in every frame: 10 bits for everything. With phases,
neighbouring frames say different things about the face, and the decoder, which sees
them all, puts them together. A code's phase is part of the code, so a sequence of codes
needs no position to be read. What must follow quickly (head, gaze, lids, jaw) has the
first `fast_digits` digits of a code: of all phases that agree modulo `fast_phases`,
these tell the same, so that it is told more often.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax import sharding
from tdmm_jax.models import layers, quantizers

_MARGINAL_WEIGHT = 20.0  # of the latents' marginals, beside their moments


def _dense(features, name, *axes, dtype=jnp.float32, scale=1.0):
  init = nn.initializers.variance_scaling(scale, "fan_in", "normal")
  return nn.Dense(
    features,
    name=name,
    dtype=dtype,
    kernel_init=sharding.partitioned(init, *axes),
    bias_init=sharding.partitioned(nn.initializers.zeros, axes[-1]),
    dot_general=layers.flat_product,
  )


def _norm(dtype):
  return nn.LayerNorm(
    name="norm",
    dtype=dtype,
    scale_init=sharding.partitioned(nn.initializers.ones, "embed"),
    bias_init=sharding.partitioned(nn.initializers.zeros, "embed"),
  )


class TemporalBlock(nn.Module):
  """Residual dilated convolution of width 3 followed by an MLP.

  The convolution is three shifted copies and one matrix product, which XLA runs at
  full speed on every backend.
  """

  mlp_dim: int
  dilation: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x_BTD, mask_BT1):
    y_BTD = _norm(self.dtype)(x_BTD) * mask_BT1
    y_BTF = _dense(self.mlp_dim, "wi", "embed", "mlp", dtype=self.dtype)(
      layers.window(y_BTD, 1, self.dilation)
    )
    y_BTF = sharding.constrain(nn.gelu(y_BTF), "act_batch", "act_length", "act_mlp")
    out = _dense(
      x_BTD.shape[-1], "wo", "mlp", "embed", dtype=self.dtype, scale=self.scale
    )
    return (x_BTD + out(y_BTF)) * mask_BT1

  scale: float = 0.2  # small residuals at the start keep deep stacks near linear


class TemporalStack(nn.Module):
  """Dense in, blocks of rising dilation, norm, dense out; padding never leaks."""

  emb_dim: int
  mlp_dim: int
  dilations: Sequence[int]
  num_outputs: int
  out_axis: str
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x_BTN, mask_BT):
    mask_BT1 = mask_BT[..., None].astype(self.dtype)
    x_BTD = _dense(self.emb_dim, "input", "features", "embed", dtype=self.dtype)(x_BTN)
    x_BTD = x_BTD * mask_BT1
    for index, dilation in enumerate(self.dilations):
      x_BTD = TemporalBlock(self.mlp_dim, dilation, self.dtype, name=f"block_{index}")(
        x_BTD, mask_BT1
      )
    x_BTD = _norm(self.dtype)(x_BTD)
    # Zero at the start: the linear path alone speaks, see MotionTokenizer.
    zeros = lambda *axes: sharding.partitioned(nn.initializers.zeros, *axes)
    return nn.Dense(
      self.num_outputs,
      name="output",
      kernel_init=zeros("embed", self.out_axis),
      bias_init=zeros(self.out_axis),
      dot_general=layers.flat_product,
    )(x_BTD)


class MotionNetwork(nn.Module):
  """What a tokenizer's network sees of a motion, whatever the network is.

  `space` chooses it: "geometry", or "params" for the ablation. The `stats` collection
  holds the training set's normalisation, set once before step 0. A network has the
  properties `num_phases`, `num_codes` and `reach`: how many frames to each side an
  output depends on.
  """

  space: str  # "geometry" | "params"
  num_params: int
  num_geometry: int
  num_features: int

  def setup(self):
    zeros = lambda *shape: lambda: jnp.zeros(shape, jnp.float32)
    self.geometry_mean = self.variable(
      "stats", "geometry_mean", zeros(self.num_geometry)
    )
    self.geometry_projection = self.variable(
      "stats", "geometry_projection", zeros(self.num_geometry, self.num_features)
    )
    self.params_mean = self.variable("stats", "params_mean", zeros(self.num_params))
    self.params_std = self.variable("stats", "params_std", zeros(self.num_params))
    if self.space not in ("geometry", "params"):
      raise ValueError(f"space {self.space!r}; choose 'geometry' or 'params'")

  @property
  def num_inputs(self) -> int:
    return self.num_params if self.space == "params" else self.num_features + 9

  def normalise(self, params_BTP):
    return (params_BTP - self.params_mean.value) / self.params_std.value

  def denormalise(self, outputs_BTP):
    return outputs_BTP * self.params_std.value + self.params_mean.value

  def features(self, geometry_BTG, params_BTP):
    """Projected geometry, gaze and head rotation; or all parameters ("params")."""
    normalised_BTP = self.normalise(params_BTP)
    if self.space == "params":
      return normalised_BTP
    projected_BTN = (geometry_BTG - self.geometry_mean.value) @ (
      self.geometry_projection.value
    )
    # Gaze and head rotation do not move the head-fixed face's skin.
    return jnp.concatenate([projected_BTN, normalised_BTP[..., -9:]], axis=-1)


class MotionTokenizer(MotionNetwork):
  """Encoder, quantiser (FSQ or EMA-VQ) and decoder.

  There are `num_phases` times as many codes as the quantiser has.
  Beside each network runs a linear path over a window of frames, `linear_encoder` and
  `linear_decoder`. They are zero unless set before step 0 (`objectives.tokenizer` sets
  them to a codec fitted by least squares), so that training starts from a good codec.
  """

  emb_dim: int
  mlp_dim: int
  dilations: Sequence[int]
  quantizer: str  # "fsq" | "ema_vq"
  levels: Sequence[int]  # FSQ
  codes_per_phase: int  # EMA-VQ
  code_dim: int  # EMA-VQ
  num_phases: int
  decay: float
  fast_digits: int = 0
  fast_phases: int = 1
  dtype: Any = jnp.float32

  def setup(self):
    super().setup()
    if self.quantizer == "fsq":
      self.quantize = quantizers.FSQ(self.levels)
      width = len(self.levels)
    elif self.quantizer == "ema_vq":
      self.quantize = quantizers.EmaVQ(self.codes_per_phase, self.code_dim, self.decay)
      width = self.code_dim
    else:
      raise ValueError(f"quantizer {self.quantizer!r}; choose 'fsq' or 'ema_vq'")
    if self.num_phases % self.fast_phases or not 0 <= self.fast_digits <= width:
      raise ValueError(
        f"fast_phases {self.fast_phases}, fast_digits {self.fast_digits}: the one "
        f"divides num_phases, {self.num_phases}, the other is at most {width}"
      )
    num_latents = int(self.slots_PC.max()) + 1
    num_vectors = self.num_phases * (width + 1)
    self.linear_encoder = self._linear(
      "linear_encoder", self.num_phases, self.num_inputs, num_latents
    )
    self.linear_decoder = self._linear(
      "linear_decoder", self.num_phases, num_vectors, self.num_params
    )
    stack = {
      "emb_dim": self.emb_dim,
      "mlp_dim": self.mlp_dim,
      "dilations": tuple(self.dilations),
      "dtype": self.dtype,
    }
    self.encoder = TemporalStack(**stack, num_outputs=num_latents, out_axis="codes")
    self.decoder = TemporalStack(
      **stack, num_outputs=self.num_params, out_axis="features"
    )

  @property
  def slots_PC(self) -> np.ndarray:
    """int[P', C]: the latent that each digit of each phase's codes carries.

    The fast ones come first.
    """
    fast, slow = self.fast_digits, self.quantize.code_dim - self.fast_digits
    phase_P1 = np.arange(self.num_phases)[:, None]
    fast_PC = phase_P1 % self.fast_phases * fast + np.arange(fast)
    slow_PC = fast * self.fast_phases + phase_P1 * slow + np.arange(slow)
    return np.concatenate([fast_PC, slow_PC], axis=1)

  @property
  def num_codes(self) -> int:
    """Size of the codebook, all phases together."""
    fsq = self.quantizer == "fsq"
    per_phase = int(np.prod(self.levels)) if fsq else self.codes_per_phase
    return per_phase * self.num_phases

  @property
  def reach(self) -> int:
    return max(sum(self.dilations), self.num_phases)

  def _linear(self, name: str, radius: int, num_inputs: int, num_outputs: int):
    init = sharding.partitioned(nn.initializers.zeros, "features", "codes")
    return self.param(name, init, ((2 * radius + 1) * num_inputs, num_outputs))

  def _phases(self, num_frames: int):
    """One-hot phases float32[T, P'] of frames 0 .. T - 1."""
    return jax.nn.one_hot(jnp.arange(num_frames) % self.num_phases, self.num_phases)

  def _latents(self, geometry_BTG, params_BTP, mask_BT):
    """All latents, float32[B, T, N']; a frame uses those of its phase's slots."""
    features_BTN = self.features(geometry_BTG, params_BTP)
    batch, length, _ = features_BTN.shape
    phases = jnp.broadcast_to(self._phases(length), (batch, length, self.num_phases))
    latents = self.encoder(jnp.concatenate([features_BTN, phases], -1), mask_BT)
    masked_BTN = features_BTN * mask_BT[..., None]
    window = layers.window(masked_BTN, self.num_phases)
    return latents + layers.flat_product(window, self.linear_encoder)

  def _quantize(self, geometry_BTG, params_BTP, mask_BT, train=False):
    """(quantised float32[B, T, C], codes int32[B, T], loss)."""
    latents_BTN = self._latents(geometry_BTG, params_BTP, mask_BT)
    phases_TP = self._phases(mask_BT.shape[1])
    own_BTC = jnp.einsum("btpc,tp->btc", latents_BTN[..., self.slots_PC], phases_TP)
    quantized_BTC, codes_BT, loss = self.quantize(own_BTC, mask_BT, train)
    if self.quantizer == "fsq":
      loss = quantizers.spread_loss(latents_BTN, mask_BT)
      loss += _MARGINAL_WEIGHT * quantizers.marginal_loss(latents_BTN, mask_BT)
    phase_T = jnp.argmax(phases_TP, axis=-1)
    return quantized_BTC, codes_BT + phase_T * self.quantize.num_codes, loss

  def encode(self, geometry_BTG, params_BTP, mask_BT):
    """Codes int32[B, T] in [0, K)."""
    return self._quantize(geometry_BTG, params_BTP, mask_BT)[1]

  def code_vectors(self, codes):
    """What the decoder is given for codes int[...]: float32[..., P' * C + P'].

    A code's latent stands in its phase's slot, the other slots are zero; the phase
    itself follows.
    """
    latents = self.quantize.codes_to_latents(codes % self.quantize.num_codes)
    return self._in_slots(latents, codes // self.quantize.num_codes)

  def _in_slots(self, latents, phase):
    one_hot = jax.nn.one_hot(phase, self.num_phases)
    slots = one_hot[..., :, None] * latents[..., None, :]
    return jnp.concatenate([slots.reshape(*slots.shape[:-2], -1), one_hot], axis=-1)

  def decode(self, codes_BT, mask_BT):
    """Motion vectors float32[B, T, P]."""
    return self._decode(self.code_vectors(codes_BT), mask_BT)

  def _decode(self, vectors_BTN, mask_BT):
    vectors_BTN = vectors_BTN * mask_BT[..., None]
    outputs_BTP = self.decoder(vectors_BTN, mask_BT)
    window = layers.window(vectors_BTN, self.num_phases)
    outputs_BTP += layers.flat_product(window, self.linear_decoder)
    return self.denormalise(outputs_BTP)

  def __call__(self, geometry_BTG, params_BTP, mask_BT, train: bool = False):
    """Returns (motion vectors float32[B, T, P], codes int32[B, T], quantiser loss)."""
    quantized_BTC, codes_BT, loss = self._quantize(
      geometry_BTG, params_BTP, mask_BT, train
    )
    vectors_BTN = self._in_slots(quantized_BTC, codes_BT // self.quantize.num_codes)
    return self._decode(vectors_BTN, mask_BT), codes_BT, loss
