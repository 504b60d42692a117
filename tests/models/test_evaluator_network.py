"""The evaluator network sees what is there, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import evaluator as evaluator_config
from tdmm_jax.models.evaluator import Evaluator

P = 6


@pytest.fixture(scope="module")
def network():
  model = evaluator_config.get_config().model.to_dict() | {
    "emb_dim": 16,
    "mlp_dim": 24,
    "head_dim": 8,
    "num_motion_layers": 2,
  }
  model = Evaluator(vocab_size=64, num_params=P, **model)
  ones = jnp.ones((1, 8))
  variables = model.init(
    jax.random.key(0), ones.astype(int), jnp.zeros((1, 8, P)), ones
  )
  variables = variables | {
    "stats": {"params_mean": jnp.full(P, 0.3), "params_std": jnp.full(P, 2.0)}
  }
  apply = lambda method: jax.jit(lambda *a: model.apply(variables, *a, method=method))
  return apply("embed_texts"), apply("embed_motions")


@pytest.mark.parametrize("length", [13, 16])  # whole steps of frames, and not
def test_padding_of_a_motion_never_leaks(network, length):
  _, embed = network
  motion = np.random.default_rng(0).normal(size=(1, length, P)).astype(np.float32)
  alone = embed(motion, np.ones((1, length), np.float32))
  padded = np.full((1, 40, P), 9.0, np.float32)  # rubbish behind the motion
  padded[:, :length] = motion
  mask = (np.arange(40) < length)[None].astype(np.float32)
  np.testing.assert_allclose(embed(padded, mask), alone, atol=1e-5)
  # The same without the mask is another motion.
  assert np.abs(embed(padded, np.ones_like(mask)) - alone).max() > 0.01


def test_frames_that_were_not_observed_are_not_seen(network):
  _, embed = network
  motion = np.random.default_rng(1).normal(size=(1, 20, P)).astype(np.float32)
  mask = np.ones((1, 20), np.float32)
  mask[:, 5:8] = 0
  changed = motion.copy()
  changed[:, 5:8] += 3.0
  np.testing.assert_allclose(embed(changed, mask), embed(motion, mask), atol=1e-6)
  assert np.abs(embed(motion, mask) - embed(motion, np.ones_like(mask))).max() > 1e-3


def test_padding_of_a_text_never_leaks_and_order_matters(network):
  embed, _ = network
  tokens = np.array([[5, 9, 30, 1]], np.int32)
  padded = np.pad(tokens, ((0, 0), (0, 12)))
  np.testing.assert_allclose(embed(padded), embed(tokens), atol=1e-5)
  swapped = tokens[:, [1, 0, 2, 3]]
  assert np.abs(embed(swapped) - embed(tokens)).max() > 1e-3


def test_what_comes_out_has_length_one(network):
  texts, motions = network
  tokens = np.arange(24, dtype=np.int32).reshape(3, 8)
  vectors = np.random.default_rng(2).normal(size=(3, 8, P)).astype(np.float32)
  for out in (texts(tokens), motions(vectors, np.ones((3, 8), np.float32))):
    assert out.shape == (3, 64)
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1.0, atol=1e-5)
