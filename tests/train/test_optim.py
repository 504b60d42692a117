"""The optimiser: schedule, clipping, and what decays."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from configs import common
from tdmm_jax.errors import UserError
from tdmm_jax.models import layers
from tdmm_jax.train import optim


def make_config(**changes):
  config = common.get_config()
  config.update(
    {"total_steps": 100, "warmup_steps": 10, "learning_rate": 1e-2} | changes
  )
  return config


def test_warm_up_then_cosine_to_the_final_fraction():
  rate = optim.learning_rate(make_config(final_lr_fraction=0.1))
  np.testing.assert_allclose(
    [float(rate(step)) for step in (0, 5, 10, 55, 100, 500)],
    [0, 5e-3, 1e-2, (1e-2 + 1e-3) / 2, 1e-3, 1e-3],
    rtol=1e-5,
    atol=1e-9,
  )


@pytest.mark.parametrize("name", ["adamw", "adafactor", "muon"])
def test_matrices_decay_scales_do_not(name):
  tx = optim.optimizer(make_config(optimizer=name, weight_decay=0.5, warmup_steps=0))
  params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones(2)}
  zero = {name: jnp.zeros_like(value) for name, value in params.items()}
  updates, _ = tx.update(zero, tx.init(params), params)
  np.testing.assert_allclose(updates["kernel"], -0.5e-2, rtol=1e-5)
  np.testing.assert_array_equal(updates["scale"], 0)


@pytest.mark.parametrize("name", ["adamw", "adafactor", "muon"])
def test_what_training_does_not_change_stays(name):
  tx = optim.optimizer(make_config(optimizer=name, weight_decay=0.5, warmup_steps=0))
  params = {"context": {key: jnp.ones((4, 4)) for key in (*layers.FIXED, "other")}}
  params["context"]["wi"] = {"kernel": jnp.ones((4, 4))}
  zero = jax.tree.map(jnp.zeros_like, params)
  updates, _ = tx.update(zero, tx.init(params), params)
  for key in layers.FIXED:
    np.testing.assert_array_equal(updates["context"][key], 0)


def test_a_huge_gradient_is_clipped():
  tx = optim.optimizer(
    make_config(grad_clip_norm=1.0, weight_decay=0.0, warmup_steps=0)
  )
  params = {"kernel": jnp.ones((2, 2))}
  state = tx.init(params)
  small, _ = tx.update({"kernel": jnp.full((2, 2), 0.5)}, state, params)  # norm 1
  huge, _ = tx.update({"kernel": jnp.full((2, 2), 5e8)}, state, params)
  np.testing.assert_allclose(small["kernel"], huge["kernel"], rtol=1e-5)


def test_the_leading_axis_of_scanned_layers_makes_no_matrix():
  tx = optim.optimizer(make_config(weight_decay=0.5, warmup_steps=0))
  layer = {"kernel": jnp.ones((3, 2, 2)), "scale": jnp.ones((3, 2))}
  params = {"encoder": {"layers": layer}}
  zero = {"encoder": {"layers": {name: 0 * value for name, value in layer.items()}}}
  updates, _ = tx.update(zero, tx.init(params), params)
  updates = updates["encoder"]["layers"]
  np.testing.assert_allclose(updates["kernel"], -0.5e-2, rtol=1e-5)
  np.testing.assert_array_equal(updates["scale"], 0)


def test_adafactor_learns_with_rows_and_columns_for_state():
  tx = optim.optimizer(make_config(optimizer="adafactor", warmup_steps=0))
  params = {"kernel": jnp.ones((128, 256))}
  state = tx.init(params)
  numbers = sum(np.size(x) for x in jax.tree.leaves(state))
  assert numbers < 128 * 256 / 50
  updates, _ = tx.update({"kernel": jnp.ones((128, 256))}, state, params)
  assert (np.asarray(updates["kernel"]) < 0).all()


def test_muon_turns_kernels_alone_layer_by_layer():
  tx = optim.optimizer(make_config(optimizer="muon", warmup_steps=0, weight_decay=0.0))
  keys = jax.random.split(jax.random.key(0), 3)
  params = {
    "layers": {"kernel": jax.random.normal(keys[0], (3, 16, 32))},
    "logits_dense": {"kernel": jax.random.normal(keys[1], (16, 40))},
    "table": {"embedding": jax.random.normal(keys[2], (40, 16))},
  }
  gradients = jax.tree.map(lambda x: x * 1e-3, params)
  updates, _ = tx.update(gradients, tx.init(params), params)
  # All singular values of a layer's update are alike, and its RMS is AdamW's.
  rate = 1e-2 * 0.2 * np.sqrt(32)
  for layer in np.asarray(updates["layers"]["kernel"]):
    values = np.linalg.svd(layer, compute_uv=False)
    np.testing.assert_allclose(values, rate, rtol=0.35)
  # The others take Adam's first step: the gradient's sign, of one size.
  for name, leaf in (("logits_dense", "kernel"), ("table", "embedding")):
    step = -updates[name][leaf] * np.sign(gradients[name][leaf])
    np.testing.assert_allclose(step, np.median(step), rtol=0.2)
    assert np.median(step) > 0.5e-2


def test_muon_scanned_equals_unscanned():
  tx = optim.optimizer(make_config(optimizer="muon", warmup_steps=0))
  stacked = {"layers": {"kernel": jax.random.normal(jax.random.key(1), (2, 8, 8))}}
  single = {"layer": {"kernel": stacked["layers"]["kernel"][1]}}
  updates = [tx.update(p, tx.init(p), p)[0] for p in (stacked, single)]
  np.testing.assert_allclose(
    updates[0]["layers"]["kernel"][1],
    updates[1]["layer"]["kernel"],
    rtol=1e-4,
    atol=1e-7,
  )


def test_a_warm_up_longer_than_the_training_is_refused():
  with pytest.raises(UserError, match="total_steps: 10 is not above"):
    optim.optimizer(make_config(total_steps=10, warmup_steps=10))


def test_an_unknown_optimizer_is_refused():
  with pytest.raises(UserError, match="'sgd'; choose 'adamw', 'adafactor' or 'muon'"):
    optim.optimizer(make_config(optimizer="sgd"))


MESHES = """
import json, jax, jax.numpy as jnp, numpy as np
from configs import common
from tdmm_jax import sharding
from tdmm_jax.train import optim, train_step

def init_fn(rng):
  make = lambda i, shape, *names: sharding.partitioned(
    jax.nn.initializers.normal(0.1), *names)(jax.random.fold_in(rng, i), shape)
  return {"params": {
    "layers": {"wi": {"kernel": make(0, (2, 256, 128), "layers", "embed", "mlp")},
               "scale": make(1, (2, 256), "layers", "embed")},
    "norm": {"scale": make(2, (256,), "embed")},
    "out": {"kernel": make(3, (128, 256), "mlp", "embed")}}}

def loss_fn(params, collections, batch, rng):
  x = batch["x"]
  for i in range(2):
    x = x + (x * params["layers"]["scale"][i]) @ params["layers"]["wi"]["kernel"][i] @ (
      params["out"]["kernel"])
  loss = jnp.mean((x * params["norm"]["scale"] - 1.0) ** 2)
  return loss, ({"loss": (loss, jnp.ones(()))}, collections)

batch = {"x": np.random.default_rng(0).normal(size=(8, 256)).astype(np.float32)}
worst = {}
for name in ("adamw", "adafactor", "muon"):
  config = common.get_config()
  config.update({"total_steps": 9, "warmup_steps": 0, "learning_rate": 0.01,
                 "optimizer": name, "weight_decay": 0.1})
  tx = optim.optimizer(config)
  found = []
  for sizes in ((8, 1, 1), (2, 2, 2)):
    mesh = sharding.make_mesh(*sizes)
    with jax.set_mesh(mesh):
      state = train_step.init_state(init_fn, tx, mesh, jax.random.key(0))
      step = train_step.make_train_step(
        loss_fn, tx, jax.random.key(1),
        shardings=jax.tree.map(lambda x: x.sharding, state))
      for _ in range(2):
        state, _ = step(state, sharding.to_global(batch, mesh))
    assert sizes == (8, 1, 1) or not state.params["out"]["kernel"].is_fully_replicated
    found.append(jax.tree.map(np.asarray, state.params))
  worst[name] = max(float(np.abs(a - b).max())
                    for other in found[1:]
                    for a, b in zip(*map(jax.tree.leaves, (found[0], other))))
print(json.dumps(worst))
"""


@pytest.mark.slow
def test_every_optimizer_runs_on_fsdp_and_tensor_and_does_the_same_there():
  worst = json.loads(tiny.run_python(MESHES, devices=8).splitlines()[-1])
  assert worst.keys() == {"adamw", "adafactor", "muon"}
  assert max(worst.values()) < 2e-4, worst  # of updates of 0.01
