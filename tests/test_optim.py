"""The optimiser: schedule, clipping, and what decays."""

import jax.numpy as jnp
import numpy as np

from configs import common
from tdmm_jax import optim


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


def test_matrices_decay_scales_do_not():
  tx = optim.optimizer(make_config(weight_decay=0.5, warmup_steps=0))
  params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones(2)}
  zero = {name: jnp.zeros_like(value) for name, value in params.items()}
  updates, _ = tx.update(zero, tx.init(params), params)
  np.testing.assert_allclose(updates["kernel"], -0.5e-2, rtol=1e-5)
  np.testing.assert_array_equal(updates["scale"], 0)


def test_a_huge_gradient_is_clipped():
  tx = optim.optimizer(
    make_config(grad_clip_norm=1.0, weight_decay=0.0, warmup_steps=0)
  )
  params = {"kernel": jnp.ones((2, 2))}
  state = tx.init(params)
  small, _ = tx.update({"kernel": jnp.full((2, 2), 0.5)}, state, params)  # norm 1
  huge, _ = tx.update({"kernel": jnp.full((2, 2), 5e8)}, state, params)
  np.testing.assert_allclose(small["kernel"], huge["kernel"], rtol=1e-5)
