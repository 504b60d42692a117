"""The tokenizer's network: padding never leaks, and every choice of config works."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tdmm_jax.models.motion_tokenizer import MotionTokenizer
from tdmm_jax.models.quantizers import FSQ

P, G = 20, 30  # motion vector (6 expression + 14), geometry


def make(**changes):
  sizes = {
    "emb_dim": 16,
    "mlp_dim": 24,
    "dilations": (1, 2, 4),
    "quantizer": "fsq",
    "levels": (4, 3),
    "codes_per_phase": 8,
    "code_dim": 3,
    "num_phases": 2,
    "decay": 0.99,
    "space": "geometry",
    "num_params": P,
    "num_geometry": G,
    "num_features": 5,
  }
  model = MotionTokenizer(**(sizes | changes))
  geometry, vectors, mask = inputs(0, 1, 4)
  rngs = {"params": jax.random.key(0), "codebook": jax.random.key(1)}
  variables = nn.meta.unbox(jax.jit(model.init)(rngs, geometry, vectors, mask))
  rng = np.random.default_rng(0)
  # Some parameters start at zero, which would hide what they do.
  stir = lambda x: x + jnp.float32(rng.normal(size=x.shape) * 0.3)
  stats = {
    "geometry_mean": rng.normal(size=G),
    "geometry_projection": rng.normal(size=(G, 5)),
    "params_mean": rng.normal(size=P),
    "params_std": rng.uniform(0.5, 2.0, P),
  }
  stirred = {"params": jax.tree.map(stir, variables["params"])}
  return model, variables | stirred | {"stats": jax.tree.map(jnp.float32, stats)}


def run(model, variables, *arguments, method=None, **more):
  """`model.apply`, compiled."""
  apply = lambda v, *a: model.apply(v, *a, method=method, **more)
  return jax.jit(apply)(variables, *arguments)


def inputs(seed, batch, frames):
  rng = np.random.default_rng(seed)
  draw = lambda width: rng.normal(size=(batch, frames, width)).astype(np.float32)
  return draw(G), draw(P), np.ones((batch, frames), np.float32)


CHOICES = [
  {"quantizer": "fsq"},
  {"levels": (4, 3, 3), "num_phases": 4, "fast_digits": 2, "fast_phases": 2},
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
  batch = run(model, variables, geometry, vectors, mask, method="encode")
  decoded = run(model, variables, batch, mask, method="decode")
  for row, n in enumerate(lengths):
    one = (geometry[[row], :n], vectors[[row], :n], np.ones((1, n), np.float32))
    codes = run(model, variables, *one, method="encode")
    np.testing.assert_array_equal(codes[0], batch[row, :n])
    alone = run(model, variables, codes, one[2], method="decode")
    np.testing.assert_allclose(alone[0], decoded[row, :n], atol=1e-5)
  assert len(np.unique(batch)) > 2


@pytest.mark.parametrize("choice", CHOICES)
def test_the_forward_pass_decodes_its_own_codes(choice):
  model, variables = make(**choice)
  geometry, vectors, mask = inputs(2, 2, 11)
  predicted, codes, _ = run(model, variables, geometry, vectors, mask)
  decoded = run(model, variables, codes, mask, method="decode")
  np.testing.assert_allclose(predicted, decoded, atol=1e-4)


def seen(variables, model, frame, length=33, masked=()):
  """Gradients of one output frame: [T] by geometry, [P] and [T] by the vectors."""
  geometry, vectors, mask = inputs(3, 1, length)
  mask[:, list(masked)] = 0

  def output(geometry, vectors):
    return model.apply(variables, geometry, vectors, mask)[0][0, frame].sum()

  by_geometry, by_vectors = jax.jit(jax.grad(output, (0, 1)))(geometry, vectors)
  frames = lambda x: np.flatnonzero(np.abs(x[0]).sum(-1))
  return frames(by_geometry), np.abs(by_vectors[0]).sum(0) > 0, frames(by_vectors)


def test_geometry_space_sees_no_coefficients():
  """Expression, jaw and lids reach the tokens through the geometry only."""
  model, variables = make(space="geometry")
  by_geometry, columns, _ = seen(variables, model, 16)
  assert len(by_geometry)
  np.testing.assert_array_equal(columns, [False] * 11 + [True] * 9)  # gaze and head
  model, variables = make(space="params")
  by_geometry, columns, _ = seen(variables, model, 16)
  assert not len(by_geometry) and columns.all()


def test_context_is_wide_to_both_sides_and_skips_padding():
  model, variables = make()
  frames, _, _ = seen(variables, model, 16)
  assert frames.min() <= 16 - 7 and frames.max() >= 16 + 7  # dilations 1 + 2 + 4
  for hole in seen(variables, model, 16, masked=(10, 20))[::2]:
    assert not {10, 20} & set(hole) and {9, 11, 19, 21} <= set(hole)


def test_a_codes_phase_is_its_frames():
  for choice, per_phase in (({}, 12), ({"quantizer": "ema_vq"}, 8)):
    model, variables = make(num_phases=3, **choice)
    codes = np.asarray(run(model, variables, *inputs(5, 4, 20), method="encode"))
    np.testing.assert_array_equal(codes // per_phase, [np.arange(20) % 3] * 4)


def test_fast_digits_come_round_more_often_than_slow_ones():
  changes = {"levels": (4, 3, 3), "num_phases": 4, "fast_digits": 2, "fast_phases": 2}
  model, variables = make(**changes)
  slots_PC = model.bind(variables).slots_PC
  assert slots_PC[:, :2].tolist() == [[0, 1], [2, 3], [0, 1], [2, 3]]
  assert slots_PC[:, 2].tolist() == [4, 5, 6, 7]
  latents = run(model, variables, *inputs(1, 1, 8), method="_latents")[0]
  own = jnp.stack([latents[t, slots_PC[t % 4]] for t in range(8)])
  _, wanted, _ = FSQ((4, 3, 3)).apply({}, own[None])
  codes = run(model, variables, *inputs(1, 1, 8), method="encode")
  np.testing.assert_array_equal(codes % 36, wanted)


@pytest.mark.parametrize("change", [{"quantizer": "vq"}, {"space": "mesh"}])
def test_unknown_choices_are_named(change):
  with pytest.raises(ValueError, match="choose '"):
    make(**change)
