"""Masks, causality and the cache of the T5."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tdmm_jax.models import layers
from tdmm_jax.models.t5 import T5

VOCAB = 64


@functools.cache
def make(**changes):
  sizes = {
    "vocab_size": VOCAB,
    "emb_dim": 16,
    "num_heads": 2,
    "head_dim": 8,
    "mlp_dim": 24,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
  }
  model = T5(**(sizes | changes))
  ones = jnp.ones((1, 4), jnp.int32)
  # Compiled: operation by operation, a model this small still takes seconds.
  return model, nn.meta.unbox(jax.jit(model.init)(jax.random.key(0), *[ones] * 4))


def forward(model, variables, *inputs, **keywords):
  return jax.jit(functools.partial(model.apply, **keywords))(variables, *inputs)


def tokens(seed, *shape):
  return np.random.default_rng(seed).integers(2, VOCAB, shape).astype(np.int32)


def logits_of(model, variables, encoder, decoder, encoder_segments, decoder_segments):
  inputs = (encoder, decoder, encoder_segments, decoder_segments)
  return np.asarray(forward(model, variables, *inputs))


def test_padding_changes_no_logits():
  model, variables = make()
  encoder, decoder = tokens(0, 1, 7), tokens(1, 1, 5)
  alone = logits_of(
    model, variables, encoder, decoder, np.ones_like(encoder), np.ones_like(decoder)
  )
  pad = lambda x, n: np.pad(x, ((0, 0), (0, n)))
  padded = logits_of(
    model,
    variables,
    # What lies under the padding must not matter: put real tokens there.
    np.concatenate([encoder, tokens(2, 1, 6)], 1),
    np.concatenate([decoder, tokens(3, 1, 4)], 1),
    pad(np.ones_like(encoder), 6),
    pad(np.ones_like(decoder), 4),
  )
  np.testing.assert_allclose(padded[:, :5], alone, atol=1e-5)


def test_packing_changes_no_logits():
  model, variables = make()
  examples = [(tokens(0, 1, 7), tokens(1, 1, 5)), (tokens(2, 1, 4), tokens(3, 1, 6))]
  packed = logits_of(
    model,
    variables,
    np.concatenate([e for e, _ in examples], 1),
    np.concatenate([d for _, d in examples], 1),
    np.repeat([[1, 2]], [7, 4], axis=1),
    np.repeat([[1, 2]], [5, 6], axis=1),
  )
  apart = [
    logits_of(model, variables, e, d, np.ones_like(e), np.ones_like(d))
    for e, d in examples
  ]
  np.testing.assert_allclose(packed, np.concatenate(apart, 1), atol=1e-5)


def test_gradients_show_causality_and_word_level_conditioning():
  model, variables = make()
  encoder = np.arange(40, 46, dtype=np.int32)[None]  # every position a token of its own
  decoder = np.arange(2, 10, dtype=np.int32)[None]
  encoder_segments = np.array([[1, 1, 1, 1, 0, 0]], np.int32)

  def outputs(table_VD):
    params = variables["params"] | {"token_embedder": {"embedding": table_VD}}
    logits = model.apply(
      {"params": params}, encoder, decoder, encoder_segments, np.ones_like(decoder)
    )
    return (logits[0] * jnp.cos(jnp.arange(VOCAB))).sum(-1)  # [L]

  jacobian_LVD = jax.jit(jax.jacrev(outputs))(
    variables["params"]["token_embedder"]["embedding"]
  )
  seen_LV = np.abs(np.asarray(jacobian_LVD)).sum(-1) > 0
  np.testing.assert_array_equal(seen_LV[:, decoder[0]], np.tri(8, dtype=bool))
  assert seen_LV[:, encoder[0, :4]].all()  # each word reaches each frame
  assert not seen_LV[:, encoder[0, 4:]].any()  # padding reaches none


@pytest.mark.parametrize("tied", [False, True])
def test_cached_steps_equal_teacher_forcing(tied):
  model, variables = make(logits_via_embedding=tied, num_decoder_layers=2)
  encoder, decoder = tokens(0, 3, 9), tokens(1, 3, 12)
  encoder[1, 6:] = encoder[2, 2:] = 0
  segments = (encoder > 0).astype(np.int32)
  forced = logits_of(
    model, variables, encoder, decoder, segments, np.ones_like(decoder)
  )
  encoded = forward(model, variables, encoder, segments, method="encode")
  start = jax.jit(lambda e: model.apply(variables, e, 15, method="init_cache"))
  cache = start(encoded)
  step = jax.jit(
    lambda t, c: model.apply(variables, t, c, segments, method="decode_step")
  )
  for position in range(decoder.shape[1]):
    logits, cache = step(decoder[:, position], cache)
    np.testing.assert_allclose(logits, forced[:, position], atol=2e-5)


def test_dropout_only_when_training():
  model, variables = make(dropout_rate=0.5)
  ones = np.ones((1, 5), np.int32)
  still = [forward(model, variables, *[ones] * 4) for _ in range(2)]
  np.testing.assert_array_equal(*still)
  train = lambda rng: model.apply(
    variables, ones, ones, ones, ones, False, rngs={"dropout": rng}
  )
  dropped = jax.jit(train)(jax.random.key(1))
  assert np.abs(dropped - still[0]).max() > 1e-3


def test_logits_are_float32_whatever_the_layers_are():
  model, variables = make(dtype=jnp.bfloat16)
  ones = np.ones((1, 5), np.int32)
  assert forward(model, variables, *[ones] * 4).dtype == jnp.float32


def test_relative_position_buckets_by_hand():
  """The first half is exact, then log-spaced to 128; beyond that, the last bucket."""
  both = layers.relative_position_bucket(np.array([0, -1, -7, -8, -500, 1, 500]), True)
  np.testing.assert_array_equal(both, [0, 1, 7, 8, 15, 17, 31])
  back = layers.relative_position_bucket(np.array([0, 5, -1, -15, -16, -500]), False)
  np.testing.assert_array_equal(back, [0, 0, 1, 15, 16, 31])


def test_scores_of_bfloat16_are_summed_in_float32():
  """As on a TPU, whose products would else be rounded before the softmax."""
  rng = np.random.default_rng(0)
  query, key = (
    jnp.asarray(rng.normal(size=(2, 3, 5, 64)), jnp.bfloat16) for _ in range(2)
  )
  scores = layers._scores(query, key)
  wide = [np.asarray(x, np.float64) for x in (query, key)]
  exact = np.einsum("...LK,...MK->...LM", *wide)
  assert scores.dtype == jnp.float32
  np.testing.assert_allclose(scores, exact, rtol=1e-4, atol=1e-4)

  def loss(query, key, value):
    weights = jax.nn.softmax(layers._scores(query, key)).astype(query.dtype)
    return layers._weighted(weights, value).astype(jnp.float32).sum()

  gradients = jax.grad(loss, (0, 1, 2))(query, key, key)
  wide = jax.grad(loss, (0, 1, 2))(*(x.astype(jnp.float32) for x in (query, key, key)))
  for narrow, exact in zip(gradients, wide):
    assert narrow.dtype == jnp.bfloat16
    np.testing.assert_allclose(narrow.astype(jnp.float32), exact, atol=0.05)
