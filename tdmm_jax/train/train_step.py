"""One update of a `TrainState`. Knows no files, loggers or data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tdmm_jax import sharding
from tdmm_jax.errors import UserError
from tdmm_jax.runs.train_state import EMA, TrainState, eval_params

# loss_fn(params, collections, batch, rng) -> loss, (metrics, new collections). Where
# there is a metric "loss", its weight is what the loss was divided by.
LossFn = Callable[..., tuple[jax.Array, tuple[dict, Any]]]


def state_builder(init_fn, tx: optax.GradientTransformation, ema_decay: float = 0.0):
  """Returns rng -> TrainState with boxed arrays (logical axis names).

  Args:
    init_fn: rng -> variables with boxed parameters.
    tx: the optimiser.
    ema_decay: above 0, the collections hold the parameters' moving average.
  """

  def boxed_state(rng):
    variables = dict(init_fn(rng))
    params = variables.pop("params")
    if ema_decay > 0:
      variables[EMA] = jax.tree.map(jnp.copy, params)
    return TrainState(jnp.zeros((), jnp.int32), params, variables, tx.init(params))

  return boxed_state


def init_state(
  init_fn, tx: optax.GradientTransformation, mesh, rng, ema_decay: float = 0.0
) -> TrainState:
  """Initialises a state directly in its sharding; see `state_builder`."""
  boxed_state = state_builder(init_fn, tx, ema_decay)
  shardings = sharding.state_shardings(jax.eval_shape(boxed_state, rng), mesh)
  build = jax.jit(lambda rng: sharding.unbox(boxed_state(rng)), out_shardings=shardings)
  return build(rng)


def replace_params(state: TrainState, params) -> TrainState:
  """A state that starts from given parameters, laid out as its own were.

  Args:
    state: the initial one; its own parameters are deleted.
    params: the same tree in numpy, the same on every process.
  """
  collections = dict(state.collections)
  if EMA in collections:
    collections[EMA] = jax.tree.map(_placed, collections[EMA], params)
  placed = jax.tree.map(_placed, state.params, params)
  return state.replace(params=placed, collections=collections)


def replace_parts(state: TrainState, parts: dict) -> TrainState:
  """`replace_params` of some branches alone.

  Args:
    parts: trees in numpy by the name of a branch of the parameters, or, where they have
      none of that name, of a collection.
  """
  params, collections = dict(state.params), dict(state.collections)
  for name, part in parts.items():
    if name in params and EMA in collections:
      ema = jax.tree.map(_placed, collections[EMA][name], part)
      collections[EMA] = {**collections[EMA], name: ema}
    branches = params if name in params else collections
    branches[name] = jax.tree.map(_placed, branches[name], part)
  return state.replace(params=params, collections=collections)


def _placed(old, new):
  """The numpy array `new` where and as `old` was, which is deleted."""
  if old.shape != new.shape:
    raise ValueError(f"parameter of shape {new.shape}, the model's is {old.shape}")
  where, dtype = old.sharding, old.dtype
  old.delete()
  return jax.make_array_from_callback(
    new.shape, where, lambda index: np.asarray(new[index], dtype)
  )


def num_microbatches(batch_size: int, batch_per_chip: int, mesh) -> int:
  """The number of parts in which a batch is processed; 1 if `batch_per_chip` is 0.

  The chips of the mesh's axis `tensor` share their examples, and count as one.

  Raises:
    UserError: the batch cannot be divided that way.
  """
  num_shards = mesh.shape["data"] * mesh.shape["fsdp"]
  if batch_per_chip == 0 or batch_size <= batch_per_chip * num_shards:
    return 1
  if batch_size % (batch_per_chip * num_shards):
    raise UserError(
      f"config.batch_size: {batch_size} is no multiple of {batch_per_chip} "
      f"(config.batch_per_chip) times {num_shards} (mesh data x fsdp); change one of "
      "them"
    )
  return batch_size // (batch_per_chip * num_shards)


def _accumulated_grads(grad_fn, state: TrainState, batch, rng, parts: int):
  """What `grad_fn` returns for the whole batch, computed in parts.

  Means are weighted by each part's weight, so that the sum is the batch's own mean.
  """

  def split(x):
    # Strided, so that each device's examples stay on it.
    x = jnp.swapaxes(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 0, 1)
    return sharding.constrain(x, None, "act_batch", *[None] * (x.ndim - 2))

  def part_grads(collections, batch_and_index):
    part, index = batch_and_index
    part_rng = jax.random.fold_in(rng, index)
    (loss, (metrics, collections)), grads = grad_fn(
      state.params, collections, part, part_rng
    )
    weight = metrics["loss"][1] if "loss" in metrics else jnp.ones(())
    return collections, (weight, loss, grads, metrics)

  def add(carry, batch_and_index):
    collections, sums = carry
    collections, (weight, loss, grads, metrics) = part_grads(
      collections, batch_and_index
    )
    scaled = jax.tree.map(lambda x: x * weight, (loss, grads))
    return (collections, jax.tree.map(jnp.add, sums, (weight, scaled, metrics))), None

  batches = (jax.tree.map(split, batch), jnp.arange(parts))
  first = jax.tree.map(lambda x: x[0], batches)
  _, (weight, loss, grads, metrics) = jax.eval_shape(
    part_grads, state.collections, first
  )
  zeros = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype), (weight, (loss, grads), metrics)
  )
  (collections, (weight, sums, metrics)), _ = jax.lax.scan(
    add, (state.collections, zeros), batches
  )
  loss, grads = jax.tree.map(lambda x: x / jnp.maximum(weight, 1.0), sums)
  return (loss, (metrics, collections)), grads


def make_train_step(
  loss_fn: LossFn,
  tx: optax.GradientTransformation,
  rng,
  *,
  microbatches: int = 1,
  ema_decay: float = 0.0,
  shardings: TrainState | None = None,
):
  """Returns jitted (state, batch) -> (state, metrics of (sum, weight)).

  Randomness is fold_in(rng, state.step): nothing to save, and resuming repeats it.

  Args:
    microbatches: the number of parts in which a batch is processed, one after another.
    ema_decay: above 0, keeps `collections["ema"]`, which must be there.
    shardings: the state's; without them the compiler chooses where the result lies.
  """

  def train_step(state: TrainState, batch):
    step_rng = jax.random.fold_in(rng, state.step)
    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    if microbatches == 1:
      (loss, (metrics, collections)), grads = grad_fn(
        state.params, state.collections, batch, step_rng
      )
    else:
      (loss, (metrics, collections)), grads = _accumulated_grads(
        grad_fn, state, batch, step_rng, microbatches
      )
    if shardings is not None:  # each device sums the gradients of its own shard only
      grads = jax.lax.with_sharding_constraint(grads, shardings.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    if ema_decay > 0:
      ema = optax.incremental_update(params, collections[EMA], 1 - ema_decay)
      collections = {**collections, EMA: ema}
    one = jnp.ones(())
    metrics = metrics | {
      "total_loss": (loss, one),
      "grad_norm": (optax.tree.norm(grads), one),
    }
    return TrainState(state.step + 1, params, collections, opt_state), metrics

  out = None if shardings is None else (shardings, None)
  return jax.jit(train_step, donate_argnums=0, out_shardings=out)


def make_eval_step(loss_fn: LossFn):
  """Returns jitted (state, batch) -> metrics, without dropout or updates."""

  def eval_step(state: TrainState, batch):
    params = eval_params(state.params, state.collections)
    _, (metrics, _) = loss_fn(params, state.collections, batch, None)
    return metrics

  return jax.jit(eval_step)


def merge(metrics: list[dict]) -> dict[str, float]:
  """Means of (sum, weight) metrics over several steps."""
  host = jax.device_get(metrics)
  return {
    name: float(sum(m[name][0] for m in host) / max(sum(m[name][1] for m in host), 1))
    for name in host[0]
  }
