"""Classifier-free guidance: makes the prompt count more.

Guidance favours tokens that the prompt makes likelier, and a token that is unlikely
with a prompt but unheard of without one gains most: "a smile, then a frown" would frown
too soon. So above 1 only tokens that are plausible with the prompt take part, as in
contrastive decoding.

Source: Ho and Salimans 2022, arXiv:2207.12598; Li et al. 2022, arXiv:2210.15097,
section 3.3, for what is plausible.
"""

import math

import jax
import jax.numpy as jnp

PLAUSIBLE = 0.05  # of the likeliest token's probability


def combine(logits_BV, guidance, allowed_BV, sharpens: bool):
  """Log-probabilities without prompt + guidance · (with - without); -inf: implausible.

  Args:
    logits_BV: float32[2B, V], the rows with a prompt, then the same without.
    guidance: float or float32[], the scale.
    allowed_BV: bool[B, V], the ids that may follow; at least one in each row.
    sharpens: whether the scale is above 1.

  Returns:
    float32[B, V]; at least one id that may follow is above -inf.
  """
  with_BV, without_BV = jnp.split(jax.nn.log_softmax(logits_BV), 2)
  combined_BV = without_BV + guidance * (with_BV - without_BV)
  if not sharpens:
    return combined_BV
  likeliest_B1 = jnp.where(allowed_BV, with_BV, -jnp.inf).max(-1, keepdims=True)
  plausible_BV = with_BV >= likeliest_B1 + math.log(PLAUSIBLE)
  return jnp.where(plausible_BV, combined_BV, -jnp.inf)
