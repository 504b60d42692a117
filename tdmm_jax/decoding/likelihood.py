"""How likely a model finds texts, without writing any.

Shape letters: B texts, M encoder tokens, L decoder positions.
"""

import functools

import jax
import jax.numpy as jnp

from tdmm_jax.models import t5_layouts


@functools.partial(jax.jit, static_argnames="model")
def log_probabilities(model, params, encoder_input_tokens_1M, tokens_BL):
  """Natural log-probabilities of texts, all after the same prompt.

  Args:
    model: models.t5.T5.
    encoder_input_tokens_1M: int32, the prompt, 0 = padding; encoded once.
    tokens_BL: int32, 0 = padding; without eos, the beginning of a text.

  Returns:
    float32[B].
  """
  model, params = t5_layouts.untied(model, params)
  segments_1M = (encoder_input_tokens_1M > 0).astype(jnp.int32)
  apply = functools.partial(model.apply, {"params": params})
  encoded_1MD = apply(encoder_input_tokens_1M, segments_1M, method="encode")
  batch, length = tokens_BL.shape
  encoded_BMD, segments_BM = (
    jnp.repeat(x, batch, axis=0) for x in (encoded_1MD, segments_1M)
  )
  cache = apply(encoded_BMD, length, method="init_cache")

  def step(carry, token_B):
    fed_B, total_B, cache = carry
    logits_BV, cache = apply(fed_B, cache, segments_BM, method="decode_step")
    likely_BV = jax.nn.log_softmax(logits_BV)
    likely_B = jnp.take_along_axis(likely_BV, token_B[:, None], 1)[:, 0]
    return (token_B, total_B + jnp.where(token_B > 0, likely_B, 0.0), cache), None

  start = (jnp.zeros(batch, jnp.int32), jnp.zeros(batch), cache)
  (_, total_B, _), _ = jax.lax.scan(step, start, tokens_BL.T)
  return total_B
