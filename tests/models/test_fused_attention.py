"""Fused attention against attention written out, with its gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tdmm_jax.models import attention_biases, fused_attention, t5

B, H, L, M, K = 2, 3, 16, 24, 8


def inputs(keys: int, with_bias: bool):
  rng = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
  segments = lambda length: jnp.sort(jnp.asarray(rng.integers(0, 4, (B, length))))[
    :, ::-1
  ]
  arrays = (draw(B, H, L, K), draw(B, H, keys, K), draw(B, H, keys, K))
  bias = draw(H, L, keys) if with_bias else None
  return arrays, segments(L), segments(keys), bias


def written_out(causal, arrays, query_segments, key_segments, bias):
  query, key, value = arrays
  mask = attention_biases.segment_bias(query_segments, key_segments)
  scores = jnp.einsum("BHLK,BHMK->BHLM", query, key) + mask
  if bias is not None:
    scores += bias
  if causal:
    scores += jnp.where(np.tri(L, key.shape[2]), 0.0, -1e9)
  return jnp.einsum("BHLM,BHMK->BHLK", jax.nn.softmax(scores), value)


CASES = pytest.mark.parametrize(
  "keys, causal, with_bias", [(L, True, True), (L, False, True), (M, False, False)]
)


@CASES
def test_results_and_gradients_are_those_of_attention_written_out(
  keys, causal, with_bias
):
  arrays, query_segments, key_segments, bias = inputs(keys, with_bias)
  target = jnp.asarray(np.random.default_rng(1).normal(size=(B, H, L, K)))

  def fused(arrays, bias):
    segments = (query_segments, key_segments)
    return (fused_attention.attend(*arrays, *segments, bias, causal) * target).sum()

  def plain(arrays, bias):
    out = written_out(causal, arrays, query_segments, key_segments, bias)
    return (out * target).sum()

  which = (0, 1) if with_bias else 0
  ours, theirs = (
    jax.jit(jax.value_and_grad(fn, argnums=which))(arrays, bias)
    for fn in (fused, plain)
  )
  assert len(jax.tree.leaves(ours)) == 4 + with_bias
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs
  )


@CASES
def test_the_kernel_computes_what_the_plain_form_does(keys, causal, with_bias):
  """In Pallas' interpreter; that the TPU compiler takes it, compile_check tells."""
  arrays, query_segments, key_segments, bias = inputs(keys, with_bias)
  operands = (*arrays, query_segments[:, :, None], key_segments[:, None, :], bias)
  kernel = functools.partial(fused_attention._kernel_forward, causal, interpret=True)
  head = functools.partial(fused_attention._head, causal)
  expected = fused_attention._plain(head, operands)
  np.testing.assert_allclose(kernel(*operands), expected, rtol=1e-5, atol=1e-6)
  out = expected * 0.3 - 0.1
  kernel = functools.partial(fused_attention._kernel_backward, causal, interpret=True)
  head = functools.partial(fused_attention._head_gradients, causal)
  *expected, d_bias = fused_attention._plain(head, operands, out)
  expected += [d_bias.sum(0)] if with_bias else []
  for a, b in zip(kernel(*operands, out), expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_dropout_that_it_would_not_do_is_refused():
  model = t5.T5(32, 16, 2, 8, 16, 1, 1, dropout_rate=0.1, fused_attention=True)
  ones = jnp.ones((1, 4), jnp.int32)
  rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
  variables = model.init(rngs, *[ones] * 4)
  with pytest.raises(ValueError, match="fused attention has no dropout"):
    model.apply(variables, *[ones] * 4, deterministic=False, rngs=rngs)
