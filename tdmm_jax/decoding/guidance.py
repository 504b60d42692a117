"""Classifier-free guidance: the prompt's say, made louder.

Guidance asks how much likelier the prompt makes a token, and a token that is unlikely
with a prompt and never seen without one has the largest say of all: "a smile, then a
frown" would frown too soon. So above 1 only tokens take part that are plausible with
the prompt, as in contrastive decoding.

Source: Ho and Salimans 2022, arXiv:2207.12598; Li et al. 2022, arXiv:2210.15097,
section 3.3, for what is plausible.
"""

import math

import jax
import jax.numpy as jnp

PLAUSIBLE = 0.05  # of the likeliest token's probability


def num_fed(guidance: float) -> int:
  """How many rows the model is fed for a row of output: with and without prompt."""
  return 1 if guidance == 1.0 else 2


def combine(logits_BV, guidance: float, allowed_BV):
  """Log-probabilities without prompt + guidance · (with - without); -inf: implausible.

  Args:
    logits_BV: float32[2B, V], the rows with a prompt, then the same without; [B, V]
      where guidance is 1.
    allowed_BV: bool[B, V], the ids that may follow; one at least of each row.

  Returns:
    float32[B, V]; of the ids that may follow one at least is above -inf.
  """
  if num_fed(guidance) == 1:
    return logits_BV
  with_BV, without_BV = jnp.split(jax.nn.log_softmax(logits_BV), 2)
  combined_BV = without_BV + guidance * (with_BV - without_BV)
  if guidance < 1.0:
    return combined_BV
  likeliest_B1 = jnp.where(allowed_BV, with_BV, -jnp.inf).max(-1, keepdims=True)
  plausible_BV = with_BV >= likeliest_B1 + math.log(PLAUSIBLE)
  return jnp.where(plausible_BV, combined_BV, -jnp.inf)
