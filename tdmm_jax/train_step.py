"""One update, and the state it updates. Knows no files, loggers or data."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from tdmm_jax import sharding

# loss_fn(params, collections, batch, rng) -> loss, (metrics, new collections)
LossFn = Callable[..., tuple[jax.Array, tuple[dict, Any]]]


class TrainState(flax.struct.PyTreeNode):
  """Everything a checkpoint holds about the model; `step` counts updates done."""

  step: jax.Array
  params: Any
  collections: Any
  opt_state: Any


def init_state(init_fn, tx: optax.GradientTransformation, mesh, rng) -> TrainState:
  """Initialises a state directly in its sharding.

  Args:
    init_fn: rng -> variables with boxed parameters (logical axis names).
    tx: the optimiser.
    mesh: the device mesh.
    rng: PRNG key.
  """

  def boxed_state(rng):
    variables = dict(init_fn(rng))
    params = variables.pop("params")
    return TrainState(jnp.zeros((), jnp.int32), params, variables, tx.init(params))

  shardings = sharding.state_shardings(jax.eval_shape(boxed_state, rng), mesh)
  build = jax.jit(lambda rng: sharding.unbox(boxed_state(rng)), out_shardings=shardings)
  return build(rng)


def make_train_step(loss_fn: LossFn, tx: optax.GradientTransformation, rng):
  """Returns jitted (state, batch) -> (state, metrics of (sum, weight)).

  Randomness is fold_in(rng, state.step): nothing to save, and resuming repeats it.
  """

  def train_step(state: TrainState, batch):
    step_rng = jax.random.fold_in(rng, state.step)
    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (metrics, collections)), grads = grad_fn(
      state.params, state.collections, batch, step_rng
    )
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    one = jnp.ones(())
    metrics = metrics | {
      "total_loss": (loss, one),
      "grad_norm": (optax.tree.norm(grads), one),
    }
    return TrainState(state.step + 1, params, collections, opt_state), metrics

  return jax.jit(train_step, donate_argnums=0)


def make_eval_step(loss_fn: LossFn):
  """Returns jitted (state, batch) -> metrics, without dropout or updates."""

  def eval_step(state: TrainState, batch):
    _, (metrics, _) = loss_fn(state.params, state.collections, batch, None)
    return metrics

  return jax.jit(eval_step)


def merge(metrics: list[dict]) -> dict[str, float]:
  """Means of (sum, weight) metrics over several steps."""
  host = jax.device_get(metrics)
  return {
    name: float(sum(m[name][0] for m in host) / max(sum(m[name][1] for m in host), 1))
    for name in host[0]
  }
