"""Low-rank adaptation of a pretrained model: a kernel W is W + alpha / rank · A B.

The model's code knows nothing of it: the factors are a tree of their own among the
parameters, and `merged` makes the model's own parameters of them, in training as in
use. What stays as it was (the stacks, and the embeddings of the pretrained vocabulary)
is a collection, so that it has neither an optimiser's state nor weight decay.

Source: Hu et al. 2021, arXiv:2106.09685.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from tdmm_jax import sharding

FACTORS, BASE = "lora", "lora_base"  # among the parameters; the collection
# Modules that can be adapted; "mlp": each of its kernels. The default of config.lora.
KERNELS = ("query", "key", "value", "out", "mlp")
_STACKS = ("encoder", "decoder")
_TABLES = ("token_embedder", "encoder_embedder")  # the second is T5Gemma's
# The embeddings are cut at a multiple of this, so that both parts divide over
# config.mesh.tensor: the last few pretrained rows may be trained, too.
_ROWS = 32


def set_apart(lora, params: dict, first_row: int) -> tuple[dict, dict]:
  """A model's parameters in two: (those that are trained, the collection BASE).

  The stacks stay as they are, and the table's rows before `first_row`. New rows, the
  table of the logits and whatever else is not in the stacks are trained.

  Args:
    lora: `config.lora`.
    params: boxed, or numpy.
    first_row: the table's first row that no pretrained model knows.
  """
  first_row -= first_row % _ROWS
  frozen = {name: params[name] for name in _STACKS}
  trained = {name: branch for name, branch in params.items() if name not in _STACKS}
  for name in params.keys() & _TABLES:
    frozen[name] = jax.tree.map(lambda rows: rows[:first_row], params[name])
    trained[name] = jax.tree.map(lambda rows: rows[first_row:], params[name])
  # Kept with the weights: they are nothing without it.
  scale = jnp.float32(lora.alpha / lora.rank)
  return trained, {"params": frozen, "scale": scale}


def start(lora, variables: dict, first_row: int, rng) -> dict:
  """Initial variables with factors: A is random, B is zero, so nothing changes yet.

  Args:
    lora: `config.lora`; at rank 0 the variables stay as they are.
    variables: boxed, of the model's `init`.
    first_row: see `set_apart`.
    rng: key of the random factors.
  """
  if not lora.rank:
    return variables
  params, base = set_apart(lora, variables["params"], first_row)
  params[FACTORS] = _factors(lora, base["params"], rng)
  return {**variables, "params": params, BASE: base}


def _factors(lora, frozen: dict, rng) -> dict:
  """{"a": [.., in, rank], "b": [.., rank, out]}, boxed, where a kernel is adapted."""
  flat, factors = traverse_util.flatten_dict(frozen), {}
  for index, path in enumerate(sorted(flat)):
    if path[-1] != "kernel" or set(path).isdisjoint(lora.kernels):
      continue
    *layers, num_inputs, num_outputs = flat[path].value.shape
    *layers_axis, inputs_axis, outputs_axis = flat[path].names
    draw = sharding.partitioned(
      nn.initializers.normal(num_inputs**-0.5), *layers_axis, inputs_axis, "rank"
    )
    zeros = sharding.partitioned(
      nn.initializers.zeros, *layers_axis, "rank", outputs_axis
    )
    rng_a = jax.random.fold_in(rng, index)
    factors[*path[:-1], "a"] = draw(rng_a, (*layers, num_inputs, lora.rank))
    factors[*path[:-1], "b"] = zeros(rng_a, (*layers, lora.rank, num_outputs))
  return traverse_util.unflatten_dict(factors)


def merged(params: dict, collections: dict) -> dict:
  """The model's own parameters, of those with factors; others as they are."""
  if BASE not in collections:
    return params
  base, params = collections[BASE], dict(params)
  factors = traverse_util.flatten_dict(params.pop(FACTORS))
  flat = traverse_util.flatten_dict(base["params"])
  for path in {path[:-1] for path in factors}:
    change = factors[*path, "a"] @ factors[*path, "b"]
    flat[*path, "kernel"] = flat[*path, "kernel"] + base["scale"] * change
  whole = traverse_util.unflatten_dict(flat)
  for name in whole.keys() & _TABLES:
    rows = whole[name]["embedding"], params[name]["embedding"]
    whole[name] = {"embedding": jnp.concatenate(rows)}
  return params | whole
