"""Beam search within a constraint, with a KV cache, in one jitted loop.

Shape letters: B batch, W beams, M encoder tokens, L decoder positions, V vocabulary.
"""

import functools

import jax
import jax.numpy as jnp

from tdmm_jax.decoding import constraints, sample
from tdmm_jax.models import t5_layouts
from tdmm_jax.vocab import EOS_ID, PAD_ID

_WORST = -1e30  # of a beam that does not exist yet; finite, so that no NaN is born


def length_penalty(length, alpha: float):
  """((5 + length) / 6) ** alpha, by which a finished beam's log-probability is divided.

  Source: Wu et al. 2016, arXiv:1609.08144, eq. 14.
  """
  return ((5.0 + length) / 6.0) ** alpha


def _reorder(cache, rows_N):
  """The cache of the surviving beams; a row's beams share their cross-attention."""

  def pick(path, leaf):
    name = path[-1].key if hasattr(path[-1], "key") else ""
    batch_axis = leaf.ndim - 4  # [.., N, H, L, K]
    return jnp.take(leaf, rows_N, batch_axis) if name.startswith("cached") else leaf

  return jax.tree_util.tree_map_with_path(pick, cache)


@functools.partial(jax.jit, static_argnames=("model", "num_beams", "alpha"))
def decode(
  model,
  params,
  encoder_input_tokens_BM,
  low_BL,
  high_BL,
  words: constraints.Words | None = None,
  *,
  num_beams: int = 4,
  alpha: float = 1.0,
):
  """The best sequence that a beam search with `num_beams` beams finds.

  Beams are compared by log-probability under the model, restricted to the constraint
  and not renormalised, over the length penalty of the tokens up to eos.

  Args:
    model: models.t5.T5.
    encoder_input_tokens_BM: int32, one prompt a row, 0 = padding.
    low_BL, high_BL: int32, the allowed id range of each position.
    words: the only ones that text may be written in; None: any.
    alpha: 0 compares plain log-probabilities and favours short text.

  Returns:
    (int32[B, L] tokens, everything after the first eos padding; float32[B] scores).
  """
  batch, length = low_BL.shape
  encoder_NM = jnp.repeat(encoder_input_tokens_BM, num_beams, axis=0)
  low_NL, high_NL = (jnp.repeat(x, num_beams, axis=0) for x in (low_BL, high_BL))
  model, params = t5_layouts.untied(model, params)
  segments_NM = (encoder_NM > 0).astype(jnp.int32)
  apply = functools.partial(model.apply, {"params": params})
  encoded_NMD = apply(encoder_NM, segments_NM, method="encode")
  cache = apply(encoded_NMD, length, method="init_cache")
  rows_B1 = jnp.arange(batch)[:, None]

  def compare(scores_BW, lengths_BW):
    return scores_BW / length_penalty(lengths_BW, alpha)

  def body(carry):
    index, token_BW, done_BW, scores_BW, lengths_BW, tokens_BWL, word_BW, cache = carry
    fed_N = token_BW.reshape(-1)
    logits_NV, cache = apply(fed_N, cache, segments_NM, method="decode_step")
    limits = (low_NL[:, index], high_NL[:, index], words, word_BW.reshape(-1))
    step_NV = sample.allow(jax.nn.log_softmax(logits_NV), *limits)
    vocab = step_NV.shape[-1]
    ids_V = jnp.arange(vocab)
    # A finished beam goes on as itself, once.
    stay_V = jnp.where(ids_V == PAD_ID, 0.0, -jnp.inf)
    step_BWV = step_NV.reshape(batch, num_beams, vocab)
    step_BWV = jnp.where(done_BW[..., None], stay_V, step_BWV)
    total_BWV = scores_BW[..., None] + step_BWV
    grown_BW = lengths_BW + ~done_BW
    rank_BWV = compare(total_BWV, grown_BW[..., None])
    flat_BX = rank_BWV.reshape(batch, -1)
    _, pick_BW = jax.lax.top_k(flat_BX, num_beams)
    parent_BW, token_BW = pick_BW // vocab, (pick_BW % vocab).astype(jnp.int32)
    scores_BW = jnp.take_along_axis(total_BWV.reshape(batch, -1), pick_BW, 1)
    scores_BW = jnp.maximum(scores_BW, _WORST)
    done_BW = done_BW[rows_B1, parent_BW] | (token_BW == EOS_ID)
    lengths_BW = grown_BW[rows_B1, parent_BW]
    tokens_BWL = tokens_BWL[rows_B1, parent_BW].at[..., index].set(token_BW)
    cache = _reorder(cache, (rows_B1 * num_beams + parent_BW).reshape(-1))
    if words is not None:
      word_BW = words.after(word_BW[rows_B1, parent_BW], token_BW)
    beams = (token_BW, done_BW, scores_BW, lengths_BW, tokens_BWL, word_BW)
    return index + 1, *beams, cache

  def cond(carry):
    return (carry[0] < length) & ~jnp.all(carry[2])

  zeros_BW = jnp.zeros((batch, num_beams), jnp.int32)
  # All beams start alike: only the first may spread.
  scores_BW = jnp.where(jnp.arange(num_beams) == 0, 0.0, _WORST) + zeros_BW
  tokens_BWL = jnp.zeros((batch, num_beams, length), jnp.int32)
  start = (jnp.zeros((), jnp.int32), zeros_BW, zeros_BW > 0, scores_BW, zeros_BW)
  carry = jax.lax.while_loop(cond, body, (*start, tokens_BWL, zeros_BW, cache))
  best_BW = compare(carry[3], carry[4])
  best_B = jnp.argmax(best_BW, axis=-1)
  rows_B = jnp.arange(batch)
  return carry[5][rows_B, best_B], best_BW[rows_B, best_B]
