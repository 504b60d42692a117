"""TokenContext: tokens hear their neighbours of one kind, and know their place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tdmm_jax.models import layers, t5

VOCAB, OFFSET, RADIUS = 64, 40, 2
# A text with a motion behind it; then a motion of another example; padding.
TOKENS = np.array([[5, 9, 41, 42, 43, 44, 45, 50, 51, 52, 0, 0]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 0, 0]], np.int32)


def with_readings(variables):
  """What a tokenizer would tell, drawn: left at zero it would hide mistakes."""

  def drawn(path, value):
    if path[-1].key not in layers.FIXED:
      return value
    return jax.random.normal(jax.random.key(len(path)), value.shape)

  return jax.tree_util.tree_map_with_path(drawn, nn.meta.unbox(variables))


@pytest.fixture(scope="module", params=[0, VOCAB - OFFSET], ids=["plain", "reading"])
def context(request):
  """The module's result for tokens, whose embeddings are drawn."""
  table = jax.random.normal(jax.random.key(0), (VOCAB, 16))
  module = layers.TokenContext(RADIUS, 24, request.param, token_dim=8)

  def apply(variables, tokens):
    return module.apply(variables, table[tokens], tokens - OFFSET, SEGMENTS)

  variables = module.init(
    jax.random.key(1), table[TOKENS], TOKENS - OFFSET, jnp.asarray(SEGMENTS)
  )
  apply = jax.jit(apply)
  return lambda tokens: np.asarray(apply(with_readings(variables), tokens))[0], table


def test_text_and_padding_stay_as_they_are(context):
  apply, table = context
  still = TOKENS[0] < OFFSET
  np.testing.assert_array_equal(apply(TOKENS)[still], table[TOKENS[0]][still])
  assert (np.abs(apply(TOKENS) - table[TOKENS[0]])[~still].max(-1) > 1e-3).all()


@pytest.mark.parametrize("changed", range(12))
def test_a_token_is_heard_by_its_neighbours_of_the_same_example(context, changed):
  apply, _ = context
  tokens = TOKENS.copy()
  tokens[0, changed] = 60 if TOKENS[0, changed] >= OFFSET else 7
  moved = np.abs(apply(tokens) - apply(TOKENS)).max(-1) > 1e-6
  near = np.abs(np.arange(12) - changed) <= RADIUS
  same = SEGMENTS[0] == SEGMENTS[0, changed]
  motion = TOKENS[0] >= OFFSET
  heard = near & same & motion & motion[changed]
  heard[changed] = True  # its own embedding
  np.testing.assert_array_equal(moved, heard)


def test_a_t5_without_it_has_the_same_parameters_as_ever():
  ones = [jnp.ones((1, 4), jnp.int32)] * 4
  sizes = (VOCAB, 16, 2, 8, 24, 1, 1)
  shapes = lambda **kw: jax.eval_shape(
    t5.T5(*sizes, **kw).init, jax.random.key(0), *ones
  )
  with_it = shapes(motion_context=RADIUS, motion_offset=OFFSET)["params"]
  assert set(with_it) - set(shapes()["params"]) == {"encoder_context"}


def test_prompts_of_text_are_encoded_as_without_it():
  model = t5.T5(VOCAB, 16, 2, 8, 24, 1, 1, motion_context=RADIUS, motion_offset=OFFSET)
  ones = [jnp.ones((1, 4), jnp.int32)] * 4
  variables = with_readings(model.init(jax.random.key(0), *ones))
  encode = lambda m, tokens: m.apply(variables, tokens, SEGMENTS, method="encode")
  text = np.minimum(TOKENS, OFFSET - 1)
  plain = model.clone(motion_context=0)
  np.testing.assert_array_equal(encode(model, text), encode(plain, text))
  assert np.abs(encode(model, TOKENS) - encode(plain, TOKENS)).max() > 1e-3


def test_the_order_of_words_is_heard_without_relative_positions():
  model = t5.T5(VOCAB, 16, 2, 8, 24, 1, 1, text_context=RADIUS, motion_offset=OFFSET)
  words = np.array([[5, 9, 7, 11, 13]], np.int32)
  ones = np.ones_like(words)
  params = nn.meta.unbox(model.init(jax.random.key(0), words, words, ones, ones))
  params = params["params"]
  table = params["encoder"]["relpos_bias"]["rel_embedding"]
  params["encoder"]["relpos_bias"]["rel_embedding"] = jnp.zeros_like(table)

  def difference(model):
    encode = lambda w: model.apply({"params": params}, w, ones, method="encode")
    return np.abs(encode(words[:, ::-1])[:, ::-1] - encode(words)).max()

  assert difference(model.clone(text_context=0)) < 1e-5  # a bag of words
  assert difference(model) > 1e-2


def test_a_motion_beside_words_is_read_as_without_their_context():
  model = t5.T5(VOCAB, 16, 2, 8, 24, 1, 1, text_context=RADIUS, motion_offset=OFFSET)
  ones = [jnp.ones((1, 4), jnp.int32)] * 4
  params = nn.meta.unbox(model.init(jax.random.key(0), *ones))["params"]
  motion = np.maximum(TOKENS, OFFSET)
  encode = lambda m, tokens: m.apply(
    {"params": params}, tokens, SEGMENTS, method="encode"
  )
  plain = model.clone(text_context=0)
  np.testing.assert_array_equal(encode(model, motion), encode(plain, motion))
  assert np.abs(encode(model, TOKENS) - encode(plain, TOKENS)).max() > 1e-3


@pytest.mark.parametrize("causal", [False, True])
def test_a_token_knows_its_place_in_its_own_example(causal):
  """The same token throughout: only its place tells one from the other."""
  module = layers.TokenContext(0, 24, token_dim=8, causal=causal, places=True)
  table = jax.random.normal(jax.random.key(0), (VOCAB, 16))
  tokens = np.full((1, 12), 41, np.int32)
  segments = np.array([[1] * 8 + [2] * 4], np.int32)
  variables = module.init(jax.random.key(1), table[tokens], tokens, segments)
  apply = lambda tokens, segments: np.asarray(
    module.apply(variables, table[tokens], tokens - OFFSET, segments)
  )[0]
  both = apply(tokens, segments)
  apart = np.linalg.norm(both[:, None] - both[None], axis=-1)
  within = (segments[0][:, None] == segments[0]) & ~np.eye(12, dtype=bool)
  assert apart[within].min() > 1e-2
  # Packed or alone, it is the same place.
  np.testing.assert_allclose(
    both[8:], apply(tokens[:, 8:], np.ones((1, 4), np.int32)), atol=1e-5
  )


@pytest.fixture(scope="module", params=["plain", "reading", "places"])
def history(request):
  """A model with both, its variables, and tokens to write."""
  contexts = {"motion_context": RADIUS, "motion_history": 3, "motion_offset": OFFSET}
  contexts["motion_reading"] = request.param == "reading"
  contexts["motion_places"] = request.param == "places"
  model = t5.T5(VOCAB, 16, 2, 8, 24, 1, 2, **contexts)
  drawn = jax.random.randint(jax.random.key(2), (2, 12), 1, VOCAB).at[:, 0].set(0)
  ones = jnp.ones_like(drawn)
  variables = with_readings(model.init(jax.random.key(0), drawn, drawn, ones, ones))
  return model, variables, drawn


def test_tokens_written_one_at_a_time_have_the_logits_of_all_at_once(history):
  model, variables, written_BL = history
  ones = jnp.ones_like(written_BL)
  prompt = jnp.full((2, 5), 7).at[1, 3:].set(0)
  segments = (prompt > 0).astype(jnp.int32)
  all_BLV = model.apply(variables, prompt, written_BL, segments, ones)
  encoded = model.apply(variables, prompt, segments, method="encode")
  cache = model.apply(variables, encoded, 12, method="init_cache")
  step = jax.jit(
    lambda token_B, cache: model.apply(
      variables, token_B, cache, segments, method="decode_step"
    )
  )
  for i in range(12):
    logits_BV, cache = step(written_BL[:, i], cache)
    np.testing.assert_allclose(logits_BV, all_BLV[:, i], atol=1e-5)


@pytest.mark.parametrize("changed", [3, 6, 9])
def test_what_is_written_hears_what_came_before_and_only_of_its_example(changed):
  module = layers.TokenContext(3, 24, VOCAB - OFFSET, token_dim=8, causal=True)
  table = jax.random.normal(jax.random.key(0), (VOCAB, 16))
  segments = jnp.asarray([[1] * 7 + [2] * 5])
  tokens = jnp.asarray([[0, 41, 42, 43, 6, 44, 45, 46, 47, 48, 49, 50]])
  apply = lambda variables, tokens: module.apply(
    variables, table[tokens], tokens - OFFSET, segments
  )
  variables = with_readings(
    module.init(jax.random.key(1), table[tokens], tokens - OFFSET, segments)
  )
  difference = apply(variables, tokens.at[0, changed].set(60)) - apply(
    variables, tokens
  )
  moved = np.asarray(jnp.abs(difference).max(-1)[0] > 1e-6)
  after = np.arange(12) - changed
  same = np.asarray(segments[0] == segments[0, changed])
  np.testing.assert_array_equal(moved, (after >= 0) & (after <= 3) & same)


def test_text_is_written_as_without_a_history(history):
  model, variables, written_BL = history
  model = model.clone(motion_places=False)
  ones = jnp.ones_like(written_BL)
  plain = model.clone(motion_history=0)
  score = lambda m, tokens: m.apply(variables, ones * 7, tokens, ones, ones)
  text = jnp.minimum(written_BL, OFFSET - 1)
  np.testing.assert_array_equal(score(model, text), score(plain, text))
  assert np.abs(score(model, written_BL) - score(plain, written_BL)).max() > 1e-3
