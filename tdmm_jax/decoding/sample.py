"""Greedy, temperature and top-p decoding with a KV cache, in one jitted loop.

Shape letters: B batch, M encoder tokens, L decoder positions, V vocabulary.
"""

import functools

import jax
import jax.numpy as jnp

from tdmm_jax.vocab import EOS_ID, PAD_ID

_NEVER = -jnp.inf
_COLDEST = 1e-6  # below it sampling is greedy in float32, and 1 / temperature overflows


def top_p_filter(logits_BV, top_p: float):
  """Keeps the smallest set of ids whose probability reaches top_p.

  Source: Holtzman et al. 2020, arXiv:1904.09751.
  """
  sorted_BV = jnp.sort(logits_BV, axis=-1, descending=True)
  probabilities_BV = jax.nn.softmax(sorted_BV)
  before_BV = jnp.cumsum(probabilities_BV, axis=-1) - probabilities_BV
  # The first id always stays: nothing lies before it.
  cutoff_BV = jnp.where(before_BV < top_p, sorted_BV, jnp.inf)
  return jnp.where(logits_BV >= cutoff_BV.min(-1, keepdims=True), logits_BV, _NEVER)


def _next_token(logits_BV, low_B, high_B, rng, temperature, top_p):
  ids_V = jnp.arange(logits_BV.shape[-1])
  allowed_BV = (ids_V >= low_B[:, None]) & (ids_V < high_B[:, None])
  logits_BV = jnp.where(allowed_BV, logits_BV, _NEVER)
  if temperature < _COLDEST:
    return jnp.argmax(logits_BV, axis=-1)
  logits_BV = logits_BV / temperature
  if top_p < 1.0:
    logits_BV = top_p_filter(logits_BV, top_p)
  return jax.random.categorical(rng, logits_BV)


def _guide(logits_BV, guidance: float):
  """Combines the halves with and without prompt; [2B, V] -> [B, V]."""
  if guidance == 1.0:
    return logits_BV
  with_BV, without_BV = jnp.split(jax.nn.log_softmax(logits_BV), 2)
  return without_BV + guidance * (with_BV - without_BV)


@functools.partial(
  jax.jit, static_argnames=("model", "temperature", "top_p", "guidance")
)
def decode(
  model,
  params,
  encoder_input_tokens_BM,
  low_BL,
  high_BL,
  rng,
  *,
  temperature: float = 0.0,
  top_p: float = 1.0,
  guidance: float = 1.0,
):
  """Decodes autoregressively within a constraint (see constraints.py).

  Args:
    model: models.t5.T5.
    encoder_input_tokens_BM: int32, one prompt a row, 0 = padding. With guidance other
      than 1 there are 2B rows: the prompts, then the same requests without a prompt.
    low_BL, high_BL: int32, the allowed id range of each position.
    temperature: 0 is greedy.
    guidance: scale of classifier-free guidance (Ho and Salimans 2022,
      arXiv:2207.12598): log-probabilities without prompt + guidance · (with - without).

  Returns:
    int32[B, L] tokens; everything after a row's first eos is padding.
  """
  segments_BM = (encoder_input_tokens_BM > 0).astype(jnp.int32)
  variables = {"params": params}
  apply = functools.partial(model.apply, variables)
  encoded_BMD = apply(encoder_input_tokens_BM, segments_BM, method="encode")
  batch_size, length = low_BL.shape
  cache = apply(encoded_BMD, length, method="init_cache")

  def cond(carry):
    index, _, done_B, _, _ = carry
    return (index < length) & ~jnp.all(done_B)

  def body(carry):
    index, token_B, done_B, tokens_BL, cache = carry
    fed_B = token_B if guidance == 1.0 else jnp.tile(token_B, 2)
    logits_BV, cache = apply(fed_B, cache, segments_BM, method="decode_step")
    logits_BV = _guide(logits_BV, guidance)
    step_rng = jax.random.fold_in(rng, index)
    token_B = _next_token(
      logits_BV, low_BL[:, index], high_BL[:, index], step_rng, temperature, top_p
    )
    token_B = jnp.where(done_B, PAD_ID, token_B).astype(jnp.int32)
    tokens_BL = tokens_BL.at[:, index].set(token_B)
    return index + 1, token_B, done_B | (token_B == EOS_ID), tokens_BL, cache

  start_B = jnp.zeros((batch_size,), jnp.int32)  # the decoder starts with 0
  tokens_BL = jnp.zeros((batch_size, length), jnp.int32)
  carry = (jnp.zeros((), jnp.int32), start_B, start_B > 0, tokens_BL, cache)
  return jax.lax.while_loop(cond, body, carry)[3]
