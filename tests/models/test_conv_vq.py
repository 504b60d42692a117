"""T2M-GPT's network: of its size, padding never leaks, its codes live and come back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tdmm_jax.models import conv_vq

P, G, N, K = 20, 30, 5, 24  # motion vector, geometry, features of it, codes


def make(**changes):
  sizes = {
    "emb_dim": 16,
    "dilations": (3, 1),
    "num_codes": K,
    "code_dim": 8,
    "decay": 0.9,
    "dead_below": 0.5,
    "space": "geometry",
    "num_params": P,
    "num_geometry": G,
    "num_features": N,
  }
  return conv_vq.ConvVQ(**(sizes | changes))


def inputs(seed, batch, frames):
  rng = np.random.default_rng(seed)
  draw = lambda width: rng.normal(size=(batch, frames, width)).astype(np.float32)
  return draw(G), draw(P), np.ones((batch, frames), np.float32)


@pytest.fixture(scope="module", params=["geometry", "params"])
def made(request):
  model = make(space=request.param)
  rngs = {"params": jax.random.key(0), "codebook": jax.random.key(1)}
  variables = nn.meta.unbox(jax.jit(model.init)(rngs, *inputs(0, 1, 4)))
  rng = np.random.default_rng(0)
  stats = {
    "geometry_mean": rng.normal(size=G),
    "geometry_projection": rng.normal(size=(G, N)),
    "params_mean": rng.normal(size=P),
    "params_std": rng.uniform(0.5, 2.0, P),
  }
  stir = lambda x: x + jnp.float32(rng.normal(size=x.shape) * 0.1)  # biases, too
  variables |= {
    "params": jax.tree.map(stir, variables["params"]),
    "stats": jax.tree.map(jnp.float32, stats),
  }

  def latents(model, geometry, vectors, mask):
    mask = mask[..., None]
    return model.encoder(model.features(geometry, vectors) * mask, mask)

  # Codes where latents are: each is one of a motion's.
  sums = model.apply(variables, *inputs(5, 1, K), method=latents)[0]
  codebook = {"quantize": {"counts": jnp.ones(K), "sums": sums}}
  return model, variables | {"codebook": codebook}


def test_it_has_the_parameters_of_the_published_network():
  """19.4M at 263 features; its two strided kernels have a fourth tap."""
  model = make(
    emb_dim=512, dilations=(9, 3, 1), code_dim=512, num_params=263, space="params"
  )
  args = (jnp.zeros((1, 4, G)), jnp.zeros((1, 4, 263)), jnp.ones((1, 4)))
  rngs = {"params": jax.random.key(0), "codebook": jax.random.key(1)}
  shapes = jax.eval_shape(lambda: model.init(rngs, *args))["params"]
  count = sum(x.size for x in jax.tree.leaves(shapes)) + 2 * 512 * 512
  assert abs(count / 19.4e6 - 1) < 0.005


def test_padded_batches_give_the_tokens_and_motions_of_singles(made):
  model, variables = made
  run = lambda method, *a: jax.jit(lambda v, *a: model.apply(v, *a, method=method))(
    variables, *a
  )
  geometry, vectors, mask = inputs(1, 2, 40)  # real values under the padding, too
  mask[0, 29:] = 0
  batch = run("encode", geometry, vectors, mask)
  decoded = run("decode", batch, mask)
  predicted, codes, _ = run(None, geometry, vectors, mask)
  np.testing.assert_array_equal(codes, batch)
  np.testing.assert_allclose(predicted, decoded, atol=1e-4)
  one = (geometry[:1, :29], vectors[:1, :29], np.ones((1, 29), np.float32))
  alone = run("encode", *one)
  np.testing.assert_array_equal(alone[0], batch[0, :29])
  np.testing.assert_allclose(
    run("decode", alone, one[2])[0], decoded[0, :29], atol=1e-4
  )
  assert len(np.unique(batch)) > 2


def test_reach_is_how_far_an_output_sees(made):
  model, variables = made
  assert model.reach == 13  # two stages of 3 + 1 + 1, and three more
  length, frame = 41, 20
  _, _, mask = inputs(2, 1, length)
  latents = jnp.float32(np.random.default_rng(3).normal(size=(1, length, 8)))

  def decoded(latents):
    return model.apply(variables, latents, mask, method="_decode")[0, frame].sum()

  seen = np.flatnonzero(np.abs(jax.jit(jax.grad(decoded))(latents)[0]).sum(-1))
  assert (seen.min(), seen.max()) == (frame - 13, frame + 13)


def test_training_counts_uses_and_resets_codes_without(made):
  model, variables = made
  train = jax.jit(
    lambda variables, *args: model.apply(
      variables,
      *args,
      train=True,
      mutable=["codebook"],
      rngs={"codebook": jax.random.key(0)},
    )
  )
  for before in (1.0, 0.5):  # what is left of it without a use: 0.9, alive; 0.45, dead
    statistics = variables["codebook"]["quantize"] | {"counts": jnp.full(K, before)}
    changed = variables | {"codebook": {"quantize": statistics}}
    (_, codes, loss), new = train(changed, *inputs(4, 2, 12))
    uses = np.bincount(np.asarray(codes).ravel(), minlength=K)
    counts = 0.9 * before + 0.1 * uses
    wanted = np.where(counts < 0.5, 1.0, counts)
    found = new["codebook"]["quantize"]["counts"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert (uses == 0).any() and (uses > 0).any() and loss > 0
