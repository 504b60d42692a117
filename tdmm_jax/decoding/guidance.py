"""Classifier-free guidance: the prompt's say, made louder.

Source: Ho and Salimans 2022, arXiv:2207.12598.
"""

import jax
import jax.numpy as jnp


def num_fed(guidance: float) -> int:
  """How many rows the model is fed for a row of output: with and without prompt."""
  return 1 if guidance == 1.0 else 2


def combine(logits_BV, guidance: float):
  """Log-probabilities without prompt + guidance · (with - without).

  Args:
    logits_BV: float32[2B, V], the rows with a prompt, then the same without; [B, V]
      where guidance is 1.

  Returns:
    float32[B, V].
  """
  if num_fed(guidance) == 1:
    return logits_BV
  with_BV, without_BV = jnp.split(jax.nn.log_softmax(logits_BV), 2)
  return without_BV + guidance * (with_BV - without_BV)
