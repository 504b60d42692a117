"""Pooled conditioning: the decoder knows the words through their mean alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tdmm_jax.models import layers, t5

VOCAB, POOLED = 64, 63
# Two examples in a row, then padding: the first is pooled, the second is not.
ENCODER = np.array([[POOLED, 5, 9, 7, 11, 12, 13, 40, 40]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 2, 2, 2, 0, 0]], np.int32)
DECODER = np.random.default_rng(0).integers(2, 60, (1, 9)).astype(np.int32)
DECODER_SEGMENTS = np.array([[1, 1, 1, 1, 1, 2, 2, 2, 0]], np.int32)


@pytest.fixture(scope="module")
def models():
  """(pooled model, the same of words, their parameters)."""
  pooled = t5.T5(VOCAB, 16, 2, 8, 24, 2, 2, pooled_token=POOLED)
  ones = jnp.ones((1, 4), jnp.int32)
  variables = jax.jit(pooled.init)(jax.random.key(0), *[ones] * 4)
  return pooled, pooled.clone(pooled_token=-1), nn.meta.unbox(variables)


def apply(model, variables, *inputs, **keywords):
  run = jax.jit(functools.partial(model.apply, **keywords))
  return np.asarray(run(variables, *inputs))


def test_words_become_their_mean_and_other_examples_stay(models):
  pooled, words, variables = models
  heard = apply(pooled, variables, ENCODER, SEGMENTS, method="encode")[0]
  encoded = apply(words, variables, ENCODER, SEGMENTS, method="encode")[0]
  np.testing.assert_allclose(
    heard[:4], np.repeat(encoded[:4].mean(0)[None], 4, 0), atol=1e-6
  )
  np.testing.assert_array_equal(heard[4:7], encoded[4:7])
  assert np.abs(encoded[:4] - encoded[:4].mean(0)).max() > 0.1


def test_the_decoder_hears_one_vector(models):
  """Its logits are those of a decoder that has the mean as its only key."""
  pooled, words, variables = models
  inputs = (ENCODER, DECODER, SEGMENTS, DECODER_SEGMENTS)
  logits = apply(pooled, variables, *inputs)[0]
  encoded = apply(words, variables, ENCODER, SEGMENTS, method="encode")
  one_B1D = encoded[:, :4].mean(1, keepdims=True)
  ones = np.ones((1, 5), np.int32)

  def decode(model, decoder, encoded):
    x = model.decoder(model._embed(decoder), ones, encoded, ones[:, :1], True)
    return model._logits(x)

  alone = apply(words, variables, DECODER[:, :5], one_B1D, method=decode)
  np.testing.assert_allclose(logits[:5], alone[0], atol=1e-5)
  by_words = apply(words, variables, *inputs)[0]
  np.testing.assert_array_equal(logits[5:8], by_words[5:8])  # the other example
  assert np.abs(logits[:5] - by_words[:5]).max() > 1e-2


def test_words_that_change_and_keep_their_mean_change_nothing():
  rng = np.random.default_rng(0)
  encoded = rng.normal(size=(1, 9, 16)).astype(np.float32)
  change = rng.normal(size=(1, 9, 16)).astype(np.float32)
  change[:, :4] -= change[:, :4].mean(1, keepdims=True)
  change[:, 4:] = 0
  pool = lambda x: np.asarray(layers.pool_segments(x, ENCODER, SEGMENTS, POOLED))
  np.testing.assert_allclose(pool(encoded + change), pool(encoded), atol=1e-6)
  change[0, 0] += 1
  assert np.abs(pool(encoded + change) - pool(encoded))[:, :4].min() > 0.1


def test_cached_steps_equal_teacher_forcing(models):
  pooled, _, variables = models
  encoder = np.concatenate([ENCODER[:, :4], np.zeros((1, 3), np.int32)], 1)
  segments = (encoder > 0).astype(np.int32)
  inputs = (encoder, DECODER, segments, np.ones_like(DECODER))
  forced = apply(pooled, variables, *inputs)
  encoded = apply(pooled, variables, encoder, segments, method="encode")
  cache = pooled.apply(variables, encoded, 9, method="init_cache")
  step = jax.jit(
    lambda t, c: pooled.apply(variables, t, c, segments, method="decode_step")
  )
  for position in range(DECODER.shape[1]):
    logits, cache = step(DECODER[:, position], cache)
    np.testing.assert_allclose(logits, forced[:, position], atol=2e-5)
