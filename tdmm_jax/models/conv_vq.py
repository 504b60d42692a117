"""T2M-GPT's convolutional VQ-VAE at one token per frame: the baseline tokenizer.

As published, but for its 4x downsampling: the strided convolutions have stride 1 and
three taps, and the upsampling is left out. What stays: width 512, two stages a side,
each with a residual stack of three dilated convolutions (9, 3, 1), ReLU, no norm, and
512-d codes learned by moving averages and reset when unused.

Shape letters: B batch, T frames, D width, C code width, K codes, G geometry features,
N features, P motion vector (tdmm_jax/face/motion_vector.py).

Source: Zhang et al. 2023, arXiv:2301.06052.
"""

from collections.abc import Sequence

import flax.linen as nn

from tdmm_jax import sharding
from tdmm_jax.models import layers, quantizers
from tdmm_jax.models.motion_tokenizer import MotionNetwork

_STAGES = 2  # theirs halve the frames twice


def _conv(x_BTN, mask_BT1, width: int, name: str, axes, taps: int = 3, dilation=1):
  """Convolution over time, zero outside the motion; initialised as PyTorch's."""
  init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
  dense = nn.Dense(
    width,
    name=name,
    kernel_init=sharding.partitioned(init, *axes),
    bias_init=sharding.partitioned(nn.initializers.zeros, axes[-1]),
  )
  return dense(layers.window(x_BTN, taps // 2, dilation)) * mask_BT1


class _Residual(nn.Module):
  """Dilated convolution, then one over the width alone, added to the input."""

  dilation: int

  @nn.compact
  def __call__(self, x_BTD, mask_BT1):
    width = x_BTD.shape[-1]
    y_BTD = nn.relu(x_BTD)
    y_BTD = _conv(
      y_BTD, mask_BT1, width, "dilated", ("embed", "mlp"), dilation=self.dilation
    )
    y_BTD = nn.relu(y_BTD)
    return x_BTD + _conv(y_BTD, mask_BT1, width, "pointwise", ("mlp", "embed"), taps=1)


class _Encoder(nn.Module):
  emb_dim: int
  dilations: Sequence[int]
  code_dim: int

  @nn.compact
  def __call__(self, x_BTN, mask_BT1):
    middle = ("features", "embed")
    x_BTD = nn.relu(_conv(x_BTN, mask_BT1, self.emb_dim, "input", middle))
    for stage in range(_STAGES):
      x_BTD = _conv(x_BTD, mask_BT1, self.emb_dim, f"down_{stage}", middle)
      for i, dilation in enumerate(self.dilations):
        x_BTD = _Residual(dilation, name=f"stage_{stage}_block_{i}")(x_BTD, mask_BT1)
    return _conv(x_BTD, mask_BT1, self.code_dim, "output", ("embed", "codes"))


class _Decoder(nn.Module):
  emb_dim: int
  dilations: Sequence[int]
  num_params: int

  @nn.compact
  def __call__(self, x_BTC, mask_BT1):
    middle = ("features", "embed")
    x_BTD = nn.relu(_conv(x_BTC, mask_BT1, self.emb_dim, "input", ("codes", "embed")))
    for stage in range(_STAGES):
      for i, dilation in enumerate(self.dilations):
        x_BTD = _Residual(dilation, name=f"stage_{stage}_block_{i}")(x_BTD, mask_BT1)
      x_BTD = _conv(x_BTD, mask_BT1, self.emb_dim, f"up_{stage}", middle)
    x_BTD = nn.relu(_conv(x_BTD, mask_BT1, self.emb_dim, "last", middle))
    return _conv(x_BTD, mask_BT1, self.num_params, "output", ("embed", "features"))


class ConvVQ(MotionNetwork):
  """Encoder, EMA codebook and decoder; the interface of MotionTokenizer.

  All frames share one codebook: there is one phase, and a code's vector is its latent.
  """

  emb_dim: int
  dilations: Sequence[int]  # of each residual stack, in order
  num_codes: int
  code_dim: int
  decay: float
  dead_below: float

  num_phases = 1

  def setup(self):
    super().setup()
    self.quantize = quantizers.EmaVQ(
      self.num_codes, self.code_dim, self.decay, self.dead_below
    )
    self.encoder = _Encoder(self.emb_dim, self.dilations, self.code_dim)
    self.decoder = _Decoder(self.emb_dim, self.dilations, self.num_params)

  @property
  def reach(self) -> int:
    stages = _STAGES * (sum(self.dilations) + 1)
    return stages + 3  # the decoder's input, last and output; the encoder's is one less

  def _quantize(self, geometry_BTG, params_BTP, mask_BT, train=False):
    mask_BT1 = mask_BT[..., None]
    features_BTN = self.features(geometry_BTG, params_BTP) * mask_BT1
    return self.quantize(self.encoder(features_BTN, mask_BT1), mask_BT, train)

  def encode(self, geometry_BTG, params_BTP, mask_BT):
    """Codes int32[B, T] in [0, K)."""
    return self._quantize(geometry_BTG, params_BTP, mask_BT)[1]

  def code_vectors(self, codes):
    """What the decoder is given for codes int[...]: float32[..., C]."""
    return self.quantize.codes_to_latents(codes)

  def decode(self, codes_BT, mask_BT):
    """Motion vectors float32[B, T, P] of codes."""
    return self._decode(self.code_vectors(codes_BT), mask_BT)

  def _decode(self, latents_BTC, mask_BT):
    mask_BT1 = mask_BT[..., None]
    return self.denormalise(self.decoder(latents_BTC * mask_BT1, mask_BT1))

  def __call__(self, geometry_BTG, params_BTP, mask_BT, train: bool = False):
    """Returns (motion vectors float32[B, T, P], codes int32[B, T], commitment loss)."""
    latents_BTC, codes_BT, loss = self._quantize(
      geometry_BTG, params_BTP, mask_BT, train
    )
    return self._decode(latents_BTC, mask_BT), codes_BT, loss
