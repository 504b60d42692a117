"""Losses of all models. A metric is (sum, weight), so hosts and batches merge exactly.

Shape letters: B batch, T frames, L tokens, V vertices, G = 3V coordinates, P motion
vector, K vocabulary.
"""

import jax
import jax.numpy as jnp

from tdmm_jax.face import rotations

_MM = 1000.0
_DEGREES = 57.29577951308232
SLOW_FRAMES = 16  # of `features_slow_l1`: 0.64 s


def likeliest(logits_BLK, targets_BL):
  """bool[B, L]: no id has a larger logit than the target.

  Not by argmax, which on CPUs costs more than the rest of the loss.
  """
  picked_BL1 = jnp.take_along_axis(logits_BLK, targets_BL[..., None], axis=-1)
  return picked_BL1[..., 0] >= logits_BLK.max(axis=-1)


def cross_entropy(logits_BLK, targets_BL, weights_BL, z_loss: float = 0.0):
  """Weighted token cross-entropy.

  Args:
    z_loss: coefficient of log(Z)^2, which keeps logits from drifting (T5X).

  Returns:
    (loss per unit weight, {"loss", "token_accuracy": (sum, weight)}).
  """
  log_z_BL = jax.nn.logsumexp(logits_BLK, axis=-1)
  picked_BL = jnp.take_along_axis(logits_BLK, targets_BL[..., None], axis=-1)[..., 0]
  nll_BL = log_z_BL - picked_BL
  correct_BL = likeliest(logits_BLK, targets_BL).astype(jnp.float32)
  weight = weights_BL.sum()
  total = jnp.sum((nll_BL + z_loss * log_z_BL**2) * weights_BL)
  metrics = {
    "loss": (jnp.sum(nll_BL * weights_BL), weight),
    "token_accuracy": (jnp.sum(correct_BL * weights_BL), weight),
  }
  return total / jnp.maximum(weight, 1.0), metrics


def _masked_mean(values, mask):
  """(sum, weight) of per-frame values."""
  return jnp.sum(values * mask), jnp.sum(mask)


def motion_errors(predicted_BTG, geometry_BTG, predicted_BTP, params_BTP, mask_BT):
  """Per-frame errors as (sum, weight): face L1, its velocity, head angle, gaze, lids.

  "True velocity": the error of the difference between neighbouring frames, not the
  error of the frames again. Units: mm, mm/frame, degrees, degrees/frame; lids: share
  of a closed one.
  """
  pair_mask = mask_BT[:, 1:] * mask_BT[:, :-1]
  error_BTG = predicted_BTG - geometry_BTG
  step_BTG = error_BTG[:, 1:] - error_BTG[:, :-1]
  l1 = lambda values_BTG: jnp.abs(values_BTG).mean(-1) * (3 * _MM)  # a vertex has 3
  head = lambda vectors: rotations.rodrigues(vectors[..., -3:])
  # ||R1 - R2||_F / sqrt(2) is the geodesic angle to third order, finite at zero.
  delta = head(predicted_BTP) - head(params_BTP)
  norm = lambda m: jnp.sqrt(jnp.sum(m**2, axis=(-2, -1)) / 2 + 1e-10) * _DEGREES
  gaze_BT = jnp.abs(predicted_BTP[..., -9:-3] - params_BTP[..., -9:-3]).mean(-1)
  lids_BT = jnp.abs(predicted_BTP[..., -11:-9] - params_BTP[..., -11:-9]).mean(-1)
  return {
    "face_mm": _masked_mean(l1(error_BTG), mask_BT),
    "face_velocity_mm": _masked_mean(l1(step_BTG), pair_mask),
    "head_deg": _masked_mean(norm(delta), mask_BT),
    "head_velocity_deg": _masked_mean(norm(delta[:, 1:] - delta[:, :-1]), pair_mask),
    "gaze_deg": _masked_mean(gaze_BT * _DEGREES, mask_BT),
    "lids": _masked_mean(lids_BT, mask_BT),
  }


def feature_errors(projection_GN, error_BTG, mask_BT):
  """Geometry error along its principal directions, each scaled to unit spread.

  Millimetres alone let the jaw, which moves most, take every bit; a raised brow is
  small in millimetres and large in meaning.
  """
  error_BTN = error_BTG @ projection_GN
  # Means over half a second and more: an emotion stands long, and what is lost of
  # it in one frame the neighbours can make good.
  slow_BSN, slow_mask_BS = _block_means(error_BTN, mask_BT, SLOW_FRAMES)
  return {
    "features_l1": _masked_mean(jnp.abs(error_BTN).mean(-1), mask_BT),
    "features_slow_l1": _masked_mean(jnp.abs(slow_BSN).mean(-1), slow_mask_BS),
  }


def _block_means(values_BTN, mask_BT, size: int):
  """Means of `size` frames at a time, float[B, T // size, N]; mask 1: all valid."""
  batch, length = mask_BT.shape
  blocks, used = length // size, length // size * size
  shape = (batch, blocks, size)
  mask_BS = mask_BT[:, :used].reshape(shape).min(-1)
  means_BSN = values_BTN[:, :used].reshape(*shape, -1).mean(2)
  return means_BSN, mask_BS


def parameter_errors(model_std_P, predicted_BTP, params_BTP, mask_BT):
  """Losses of normalised coefficients, without the face.

  L1; T2M-GPT's smooth L1 (square below 1, linear beyond); and the mean square, in
  which a rare act, many deviations high, outweighs what is always there: L1 leaves a
  puffed cheek or a glance out.
  """
  error_BTP = (predicted_BTP - params_BTP) / model_std_P
  step_BTP = error_BTP[:, 1:] - error_BTP[:, :-1]
  pair_mask = mask_BT[:, 1:] * mask_BT[:, :-1]
  l1 = lambda x_BTP: jnp.abs(x_BTP).mean(-1)
  smooth = lambda size: jnp.where(size < 1, 0.5 * size**2, size - 0.5)
  smooth_l1 = lambda x_BTP: smooth(jnp.abs(x_BTP)).mean(-1)
  return {
    "params_l1": _masked_mean(l1(error_BTP), mask_BT),
    "params_velocity_l1": _masked_mean(l1(step_BTP), pair_mask),
    "params_smooth_l1": _masked_mean(smooth_l1(error_BTP), mask_BT),
    "params_velocity_smooth_l1": _masked_mean(smooth_l1(step_BTP), pair_mask),
    "params_square": _masked_mean(jnp.square(error_BTP).mean(-1), mask_BT),
  }


def weighted_sum(errors: dict, weights: dict) -> jax.Array:
  """Sum of the errors' means by weight; every weight must name an error.

  Raises:
    KeyError: a weight names no error. Raised at trace time.
  """
  total = 0.0
  for name, weight in weights.items():
    value, count = errors[name]
    total = total + weight * value / jnp.maximum(count, 1.0)
  return total


def without_false_negatives(logits_BB, key_B):
  """The logits, with -1e9 where another pair's motion is as right as the text's own.

  Args:
    logits_BB: text by motion; pairs are on the diagonal.
    key_B: equal where texts say the same.
  """
  same_BB = key_B[:, None] == key_B[None, :]
  other_BB = ~jnp.eye(len(key_B), dtype=bool)
  return jnp.where(same_BB & other_BB, -1e9, logits_BB)


def contrastive(logits_BB):
  """InfoNCE, both ways (Radford et al. 2021, arXiv:2103.00020, figure 3).

  Args:
    logits_BB: text by motion; pairs are on the diagonal.

  Returns:
    (loss, {"loss", "text_top1", "motion_top1": (sum, weight)}): which texts find their
    motion among the batch's, and which motions their text.
  """
  own_B = jnp.diagonal(logits_BB)
  text_loss = jnp.mean(jax.nn.logsumexp(logits_BB, axis=1) - own_B)
  motion_loss = jnp.mean(jax.nn.logsumexp(logits_BB, axis=0) - own_B)
  loss = (text_loss + motion_loss) / 2
  weight = jnp.float32(len(own_B))
  hits = lambda axis: jnp.sum(own_B >= logits_BB.max(axis)) * 1.0
  metrics = {
    "loss": (loss * weight, weight),
    "text_top1": (hits(1), weight),
    "motion_top1": (hits(0), weight),
  }
  return loss, metrics


def code_use(codes_BT, mask_BT, num_codes: int) -> dict:
  """How a batch uses the codebook, as (sum, weight): perplexity, share of zeros."""
  counts_K = jnp.bincount(codes_BT.ravel(), mask_BT.ravel(), length=num_codes)
  p_K = counts_K / jnp.maximum(counts_K.sum(), 1.0)
  entropy = -jnp.sum(jnp.where(p_K > 0, p_K * jnp.log(jnp.maximum(p_K, 1e-12)), 0.0))
  one = jnp.ones(())
  zeros = jnp.mean((counts_K == 0).astype(jnp.float32))
  return {"perplexity": (jnp.exp(entropy), one), "codebook_zeros_ratio": (zeros, one)}
