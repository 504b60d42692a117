"""Quantisers on numbers worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from tdmm_jax.models import quantizers


def test_fsq_by_hand():
  """Levels (4, 3): values {-1, -.5, 0, .5} and {-1, 0, 1}; code = d0 + 4 d1."""
  fsq = quantizers.FSQ((4, 3))
  latents = jnp.array([[[0.0, 0.0], [9.0, 9.0], [-9.0, -9.0], [0.0, 9.0]]])
  quantized, codes, _ = fsq.apply({}, latents)
  np.testing.assert_allclose(
    quantized[0], [[0, 0], [0.5, 1], [-1, -1], [0, 1]], atol=1e-6
  )
  np.testing.assert_array_equal(codes[0], [2 + 4, 3 + 8, 0, 2 + 8])


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (4, 3, 3), (2, 7)])
def test_fsq_every_code_is_reachable_and_comes_back(levels):
  fsq = quantizers.FSQ(levels)
  codes = np.arange(np.prod(levels))
  values = np.asarray(fsq.apply({}, codes, method="codes_to_latents"))
  assert len(np.unique(values, axis=0)) == len(codes)
  sizes = np.array(levels)
  half, offset = (sizes - 1) * 1.001 / 2, np.where(sizes % 2 == 0, 0.5, 0.0)
  # The latents whose squashed value is exactly the code's.
  inverse = np.arctanh((values * (sizes // 2) + offset) / half) - np.arctanh(
    offset / half
  )
  quantized, back, _ = fsq.apply({}, jnp.asarray(inverse, jnp.float32)[None])
  np.testing.assert_array_equal(back[0], codes)
  np.testing.assert_allclose(quantized[0], values, atol=1e-5)


def test_fsq_gradient_is_the_squashings():
  fsq = quantizers.FSQ((5,))
  latents = jnp.array([[[-1.3], [0.1], [0.7]]])
  gradient = jax.grad(lambda x: fsq.apply({}, x)[0].sum())(latents)
  expected = (1 - np.tanh(latents) ** 2) * (4 * 1.001 / 2) / 2
  np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_spread_loss_by_hand_ignores_padding():
  """Two valid frames, 2 and -2: mean 0, variance 4, so (4 - 1)^2."""
  latents = jnp.array([[[2.0], [-2.0], [77.0]]])
  loss = quantizers.spread_loss(latents, jnp.array([[1, 1, 0]]))
  np.testing.assert_allclose(loss, 9.0, rtol=1e-6)
  unit = jnp.array([[[1.0], [-1.0]]])
  np.testing.assert_allclose(
    quantizers.spread_loss(unit, jnp.ones((1, 2))), 0, atol=1e-6
  )
  # Two that say the same thing: covariance ((1, 1), (1, 1)), excess 1 twice, over 2.
  same = jnp.array([[[1.0, 1.0], [-1.0, -1.0]]])
  np.testing.assert_allclose(
    quantizers.spread_loss(same, jnp.ones((1, 2))), 1, rtol=1e-6
  )


def test_marginal_loss_by_hand_ignores_padding():
  """Two valid frames want the normal's quantiles at 1/4 and 3/4, -0.6745 and 0.6745."""
  quartile = 0.674489750196
  right = jnp.array([[[quartile], [55.0], [-quartile]]])
  mask = jnp.array([[1, 0, 1]])
  np.testing.assert_allclose(quantizers.marginal_loss(right, mask), 0, atol=1e-10)
  zeros = quantizers.marginal_loss(jnp.zeros((1, 3, 1)), mask)
  np.testing.assert_allclose(zeros, np.tanh(quartile) ** 2, rtol=1e-5)
  # Only the order of the frames differs: each dimension is sorted by itself.
  two = jnp.array([[[quartile, -quartile], [-quartile, quartile]]])
  np.testing.assert_allclose(
    quantizers.marginal_loss(two, jnp.ones((1, 2))), 0, atol=1e-10
  )


def test_marginal_loss_pulls_a_peaked_latent_apart():
  latents = 0.1 * jax.random.normal(jax.random.key(0), (1, 64, 1))
  gradient = jax.grad(quantizers.marginal_loss)(latents, jnp.ones((1, 64)))
  assert np.isfinite(gradient).all()
  assert np.corrcoef(gradient[0, :, 0], latents[0, :, 0])[0, 1] < -0.8


def ema(decay=0.9, **changes):
  sizes = {"num_codes": 2, "code_dim": 2, "decay": decay, "dead_below": 0.1}
  return quantizers.EmaVQ(**(sizes | changes))


def state(counts, sums):
  return {"codebook": {"counts": jnp.array(counts), "sums": jnp.array(sums)}}


def update(module, variables, latents, mask, seed=0):
  return module.apply(
    variables,
    jnp.asarray(latents),
    jnp.asarray(mask),
    train=True,
    mutable=["codebook"],
    rngs={"codebook": jax.random.key(seed)},
  )


def test_ema_statistics_by_hand_ignore_padding():
  variables = state([1.0, 2.0], [[0.0, 0.0], [20.0, 20.0]])  # codes (0, 0), (10, 10)
  latents = [[[1.0, 2.0], [9.0, 9.0], [8.0, 10.0], [500.0, 500.0]]]
  (quantized, codes, loss), new = update(ema(), variables, latents, [[1, 1, 1, 0]])
  np.testing.assert_array_equal(codes[0, :3], [0, 1, 1])
  np.testing.assert_allclose(quantized[0, :3], [[0, 0], [10, 10], [10, 10]])
  np.testing.assert_allclose(
    new["codebook"]["counts"], [0.9 + 0.1, 1.8 + 0.2], rtol=1e-6
  )
  np.testing.assert_allclose(
    new["codebook"]["sums"], [[0.1, 0.2], [18 + 1.7, 18 + 1.9]], rtol=1e-6
  )
  # Commitment: mean over valid frames of the mean square, (2.5 + 1 + 2) / 3.
  np.testing.assert_allclose(loss, 5.5 / 3, rtol=1e-6)


def test_ema_does_not_change_without_training():
  variables = state([1.0, 1.0], [[0.0, 0.0], [10.0, 10.0]])
  out = ema().apply(variables, jnp.ones((1, 3, 2)))  # immutable: an update would raise
  np.testing.assert_array_equal(out[1], 0)


def test_ema_gradient_is_straight_through():
  variables = state([1.0, 1.0], [[0.0, 0.0], [10.0, 10.0]])
  weights = jnp.array([[[1.0, -2.0], [3.0, 4.0]]])
  total = lambda x: (ema().apply(variables, x)[0] * weights).sum()
  np.testing.assert_array_equal(jax.grad(total)(jnp.ones((1, 2, 2))), weights)


def test_ema_dead_codes_move_onto_valid_latents():
  variables = state([0.05, 1.0], [[5e3, 5e3], [0.0, 0.0]])
  latents = np.array([[[1.0, 2.0], [3.0, 4.0], [-7.0, -7.0]]], np.float32)
  reset = set()
  for seed in range(8):
    _, new = update(ema(), variables, latents, [[1, 1, 0]], seed)
    new = new["codebook"]
    code = np.asarray(new["sums"][0] / new["counts"][0])
    reset.add(tuple(np.round(code, 4)))
    assert new["counts"][0] == 1.0
    np.testing.assert_allclose(new["counts"][1], 0.9 + 0.2, rtol=1e-6)  # alive: as ever
  assert reset == {(1.0, 2.0), (3.0, 4.0)}  # both valid ones, never the padding


ON_DEVICES = """
import sys
import jax, numpy as np
from tdmm_jax import sharding
from tdmm_jax.models import quantizers
mesh = sharding.make_mesh()
latents = np.random.default_rng(0).normal(size=(8, 6, 3)).astype(np.float32)
mask = (np.random.default_rng(1).random((8, 6)) < 0.8).astype(np.float32)
batch = sharding.to_global({"latents": latents, "mask": mask}, mesh)
assert batch["latents"].sharding.shard_shape((8, 6, 3))[0] == 8 // jax.device_count()
module = quantizers.EmaVQ(16, 3, decay=0.5, dead_below=0.5)
rngs = {"params": jax.random.key(0), "codebook": jax.random.key(1)}
variables = module.init(rngs, latents, mask)
dead = 0
with jax.set_mesh(mesh):
  update = jax.jit(lambda variables, batch, rng: module.apply(
    variables, batch["latents"], batch["mask"], train=True, mutable=["codebook"],
    rngs={"codebook": rng}))
  for step in range(12):
    out, variables = update(variables, batch, jax.random.key(step))
    dead += int((variables["codebook"]["counts"] == 1.0).sum())
assert dead  # codes died, too
np.savez(sys.argv[1], codes=out[1], **variables["codebook"])
"""


def test_ema_statistics_are_global_under_sharding(tmp_path):
  for devices in (1, 4):
    tiny.run_python(ON_DEVICES, tmp_path / f"{devices}.npz", devices=devices)
  one, four = (dict(np.load(tmp_path / f"{n}.npz")) for n in (1, 4))
  np.testing.assert_array_equal(one["codes"], four["codes"])
  for name in ("counts", "sums"):
    np.testing.assert_allclose(one[name], four[name], rtol=1e-5, atol=1e-6)
