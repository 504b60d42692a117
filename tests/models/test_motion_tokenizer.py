"""The tokenizer's network: padding never leaks, and every choice of config works."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tdmm_jax.models.motion_tokenizer import MotionTokenizer

P, G = 20, 30  # motion vector (6 expression + 14), geometry


def make(**changes):
  sizes = {
    "emb_dim": 16,
    "mlp_dim": 24,
    "dilations": (1, 2, 4),
    "quantizer": "fsq",
    "levels": (4, 3),
    "num_codes": 8,
    "code_dim": 3,
    "decay": 0.99,
    "space": "geometry",
    "num_params": P,
    "num_geometry": G,
    "num_features": 5,
  }
  model = MotionTokenizer(**(sizes | changes))
  geometry, vectors, mask = inputs(0, 1, 4)
  rngs = {"params": jax.random.key(0), "codebook": jax.random.key(1)}
  variables = nn.meta.unbox(model.init(rngs, geometry, vectors, mask))
  rng = np.random.default_rng(0)
  stats = {
    "geometry_mean": rng.normal(size=G),
    "geometry_projection": rng.normal(size=(G, 5)),
    "params_mean": rng.normal(size=P),
    "params_std": rng.uniform(0.5, 2.0, P),
  }
  return model, variables | {"stats": jax.tree.map(jnp.float32, stats)}


def inputs(seed, batch, frames):
  rng = np.random.default_rng(seed)
  draw = lambda width: rng.normal(size=(batch, frames, width)).astype(np.float32)
  return draw(G), draw(P), np.ones((batch, frames), np.float32)


CHOICES = [
  {"quantizer": "fsq"},
  {"quantizer": "ema_vq"},
  {"quantizer": "fsq", "space": "params"},
]


@pytest.mark.parametrize("choice", CHOICES)
def test_a_padded_batch_gives_the_tokens_of_singles(choice):
  model, variables = make(**choice)
  lengths, longest = (9, 4, 13), 16
  geometry, vectors, mask = inputs(1, 3, longest)  # real values under the padding, too
  for row, length in enumerate(lengths):
    mask[row, length:] = 0
  batch = model.apply(variables, geometry, vectors, mask, method="encode")
  decoded = model.apply(variables, batch, mask, method="decode")
  for row, n in enumerate(lengths):
    one = (geometry[row : row + 1, :n], vectors[row : row + 1, :n], mask[:1, :n] * 0 + 1)
    codes = model.apply(variables, *one, method="encode")
    np.testing.assert_array_equal(codes[0], batch[row, :n])
    alone = model.apply(variables, codes, one[2], method="decode")
    np.testing.assert_allclose(alone[0], decoded[row, :n], atol=1e-5)
  assert len(np.unique(batch)) > 2


@pytest.mark.parametrize("choice", CHOICES)
def test_the_forward_pass_decodes_its_own_codes(choice):
  model, variables = make(**choice)
  geometry, vectors, mask = inputs(2, 2, 11)
  predicted, codes, _ = model.apply(variables, geometry, vectors, mask)
  decoded = model.apply(variables, codes, mask, method="decode")
  np.testing.assert_allclose(predicted, decoded, atol=1e-4)


def test_geometry_space_sees_no_coefficients():
  """Expression, jaw and lids reach the encoder through the geometry only."""
  for space, sees in (("geometry", False), ("params", True)):
    model, variables = make(space=space)
    geometry, vectors, mask = inputs(3, 1, 6)
    latents = lambda v: model.apply(variables, geometry, v, mask, method="latents")
    moved = vectors.copy()
    moved[..., :-9] += 1.0
    assert (np.abs(latents(moved) - latents(vectors)).max() > 1e-3) == sees
    moved = vectors.copy()
    moved[..., -3:] += 1.0  # the head's rotation is not in the head-fixed geometry
    assert np.abs(latents(moved) - latents(vectors)).max() > 1e-3


def test_context_is_wide_but_bounded():
  """A frame sees 1 + 2 + 4 frames to each side in the encoder."""
  model, variables = make()
  geometry, vectors, mask = inputs(4, 1, 31)

  def middle(geometry):
    return model.apply(variables, geometry, vectors, mask, method="latents")[0, 15].sum()

  seen = np.abs(jax.grad(middle)(jnp.asarray(geometry))[0]).sum(-1) > 0
  np.testing.assert_array_equal(np.flatnonzero(seen), np.arange(8, 23))


@pytest.mark.parametrize("change", [{"quantizer": "vq"}, {"space": "mesh"}])
def test_unknown_choices_are_named(change):
  with pytest.raises(ValueError, match="choose '"):
    make(**change)
