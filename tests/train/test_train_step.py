"""Accumulated gradients, moving averages, microbatches."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tdmm_jax.errors import UserError
from tdmm_jax.runs import train_state
from tdmm_jax.train import train_step

WEIGHTS = np.array([1, 1, 0, 1, 0, 0, 1, 1], np.float32)  # parts weigh differently


def loss_fn(params, collections, batch, rng):
  del rng
  error = (batch["x"] @ params["w"] - batch["y"]) ** 2
  total, weight = jnp.sum(error * batch["weight"]), jnp.sum(batch["weight"])
  seen = {"seen": collections["seen"] + weight}
  return total / weight, ({"loss": (total, weight)}, {**collections, **seen})


def make_state(tx, **collections):
  params = {"w": jnp.arange(3.0)}
  collections = {"seen": jnp.zeros(()), **collections}
  step = jnp.zeros((), jnp.int32)
  return train_state.TrainState(step, params, collections, tx.init(params))


def batch():
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=(8, 3)), rng.normal(size=8)
  return {"x": np.float32(x), "y": np.float32(y), "weight": WEIGHTS}


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_unequal_weight_sum_to_the_whole_batch(parts):
  tx = optax.sgd(0.1)
  results = [
    train_step.make_train_step(loss_fn, tx, jax.random.key(0), microbatches=n)(
      make_state(tx), batch()
    )
    for n in (1, parts)
  ]
  (whole, whole_metrics), (summed, summed_metrics) = results
  np.testing.assert_allclose(summed.params["w"], whole.params["w"], rtol=1e-6)
  assert float(summed.collections["seen"]) == WEIGHTS.sum()
  for name, (value, weight) in whole_metrics.items():
    np.testing.assert_allclose(summed_metrics[name][0], value, rtol=1e-6, err_msg=name)
    assert float(summed_metrics[name][1]) == float(weight)


def test_the_moving_average_by_hand_and_in_evaluation():
  tx = optax.sgd(0.1)
  step = train_step.make_train_step(loss_fn, tx, jax.random.key(0), ema_decay=0.75)
  state = make_state(tx, ema={"w": jnp.full(3, 8.0)})
  state, _ = step(state, batch())
  np.testing.assert_allclose(
    state.collections["ema"]["w"], 0.75 * 8 + 0.25 * state.params["w"], rtol=1e-6
  )
  scores = train_step.make_eval_step(loss_fn)(state, batch())
  expected, _ = loss_fn(state.collections["ema"], state.collections, batch(), None)
  np.testing.assert_allclose(scores["loss"][0] / scores["loss"][1], expected, rtol=1e-6)


def test_a_state_with_an_average_starts_from_the_parameters():
  build = train_step.state_builder(
    lambda rng: {"params": {"w": jnp.ones(2)}}, optax.sgd(0.1), ema_decay=0.9
  )
  state = jax.jit(build)(jax.random.key(0))
  np.testing.assert_array_equal(state.collections["ema"]["w"], state.params["w"])
  assert train_state.eval_params(1, {}) == 1


def test_how_many_parts():
  def count(batch, per_chip, data, fsdp=1, tensor=1):
    mesh = types.SimpleNamespace(shape={"data": data, "fsdp": fsdp, "tensor": tensor})
    return train_step.num_microbatches(batch, per_chip, mesh)

  assert count(256, 0, 8) == 1
  assert count(256, 16, 16) == 1
  assert count(256, 16, 4) == count(256, 16, 2, 2) == 4
  assert count(256, 16, 1, 4, tensor=4) == 4  # who share a batch count once
  assert count(4, 16, 1) == 1  # a batch that is smaller than what fits
  with pytest.raises(UserError, match=r"256 is no multiple of 16 .* times 3 \(mesh"):
    count(256, 16, 3)
