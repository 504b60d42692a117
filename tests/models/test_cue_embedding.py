"""What a place of a motion is told of the acts that are on there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tdmm_jax.language import cues
from tdmm_jax.models import cue_embedding, t5

MODEL = t5.T5(
  *(90, 16, 2, 8, 24, 1, 2), motion_history=2, motion_offset=50, motion_cues=4
)
ROW = np.float32([3, 0, 18, 5, 13, 1.5, 2, 4])  # channel, first, last, start, end, ...


def shown(row, places=20):
  values = cue_embedding.features(jnp.asarray(row)[None, None], jnp.arange(places))
  return np.asarray(values)[0, :, 0].T


def test_features_by_hand():
  on, risen, sine, cosine, begun, ending, soon, over = shown(ROW)
  assert np.flatnonzero(on).tolist() == list(range(5, 13)) and on[5] == 1.5
  np.testing.assert_allclose(risen[5:10], 1.5 * np.array([0.25, 0.5, 0.75, 1, 1]))
  # Two cycles in eight places.
  np.testing.assert_allclose(sine[5:9], [0, 1.5, 0, -1.5], atol=1e-5)
  np.testing.assert_allclose(cosine[5:9], [1.5, 0, -1.5, 0], atol=1e-5)
  assert begun[5] == 1.5 > begun[6] > begun[12] and ending[12] > ending[11] > ending[5]
  assert soon[4] > soon[3] > soon[0] > 0 and not soon[5:].any()
  assert over[13] == 1.5 > over[14] > over[17] > 0
  assert not over[:13].any() and not over[18:].any()


def test_outside_of_its_example_nothing_is_told():
  row = cues.packed(ROW[None], 3, 18)[0]
  values = shown(row)
  assert not values[:, :3].any() and not values[:, 18:].any()
  np.testing.assert_allclose(values[:, 3:18], shown(ROW)[:, :15], atol=1e-6)


def test_a_silent_cue_says_nothing():
  assert not shown(np.zeros(cues.CUE_FIELDS, np.float32)).any()


@pytest.fixture(scope="module")
def variables():
  one = jnp.ones((1, 4), jnp.int32)
  return MODEL.init(jax.random.key(0), one, one, one, one)


def test_a_step_hears_what_teacher_forcing_hears(variables):
  encoder = jnp.asarray([[5, 6, 7], [8, 9, 4]])
  tokens = jnp.asarray([[0, 60, 61, 62, 63, 64], [0, 71, 50, 52, 80, 66]])
  told = jnp.asarray([cues.padded(ROW[None] - [0, 0, 0, 3, 8, 0, 0, 0], 4)] * 2)
  told = told.at[1].set(0.0)
  ones = lambda x: jnp.ones_like(x)
  forced = lambda **more: MODEL.apply(
    variables, encoder, tokens, ones(encoder), ones(tokens), **more
  )
  whole = forced(decoder_cues_BNF=told)
  np.testing.assert_allclose(whole[1], forced()[1], atol=1e-5)
  assert np.abs(whole[0] - forced()[0])[2:5].max(-1).min() > 1e-3
  encoded = MODEL.apply(variables, encoder, ones(encoder), method="encode")
  cache = MODEL.apply(variables, encoded, 6, told, method="init_cache")
  for place in range(6):
    step = (tokens[:, place], cache, ones(encoder))
    logits, cache = MODEL.apply(variables, *step, method="decode_step")
    np.testing.assert_allclose(logits, whole[:, place], atol=2e-5)
