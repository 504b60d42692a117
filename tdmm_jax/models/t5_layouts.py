"""A T5's parameters laid out for another use: the same numbers, the same logits."""

import operator

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax import sharding
from tdmm_jax.models import bert


def stack_layers(params: dict) -> dict:
  """Parameters of separate layers (`layers_i`) as those of scanned ones (`layers`)."""
  stacked = dict(params)
  for name in ("encoder", "decoder"):
    stack = dict(params[name])
    indices = sorted(int(k[7:]) for k in stack if k.startswith("layers_"))
    each = [stack.pop(f"layers_{i}") for i in indices]
    stack["layers"] = jax.tree.map(_stacked, *each)
    stacked[name] = stack
  return stacked


def _stacked(*arrays):
  """Numpy stays numpy: it may be more than a device holds."""
  return (np if isinstance(arrays[0], np.ndarray) else jnp).stack(arrays)


def unstack_layers(params: dict) -> dict:
  """The inverse of `stack_layers`."""
  separate = dict(params)
  for name in ("encoder", "decoder"):
    stack = dict(params[name])
    layers_N = stack.pop("layers")
    for i in range(len(jax.tree.leaves(layers_N)[0])):
      stack[f"layers_{i}"] = jax.tree.map(operator.itemgetter(i), layers_N)
    separate[name] = stack
  return separate


def unscanned(model, params: dict) -> tuple:
  """The same model with separate layers, which decodes; a no-op where they are."""
  if not model.scan_layers:
    return model, params
  return model.clone(scan_layers=False, remat="none"), unstack_layers(params)


def untied(model, params: dict) -> tuple:
  """The same model with logits that are a layer of their own, on CPUs.

  For decoding: a product with the table turned over takes twice as long there, at every
  token.
  """
  if not (model.logits_via_embedding and sharding.for_cpus()):
    return model, params
  table_VD = params["token_embedder"]["embedding"]
  kernel_DV = table_VD.astype(jnp.float32).T * model.logits_scale
  params = {**params, "logits_dense": {"kernel": kernel_DV}}
  return model.clone(logits_via_embedding=False), params


def for_input(model, tokens_BM: np.ndarray):
  """The same model without what its encoder needs for other inputs than this one.

  That changes nothing but the time of compiling and computing: where there is no
  motion, what the encoder has for it adds zeros.

  Args:
    tokens_BM: int32, what the encoder is to read.
  """
  known = {}
  if getattr(model, "motion_context", 0):
    last = model.word_offset or model.vocab_size
    if not ((tokens_BM >= model.motion_offset) & (tokens_BM < last)).any():
      known["motion_context"] = 0
  if getattr(model, "text_sizes", None) is not None:
    most = (tokens_BM >= model.word_offset).sum(axis=1).max()
    known["most_words"] = next((n for n in bert.LENGTHS if n >= most), None)
  return model.clone(**known) if known else model


_GROWS = ("cached_key", "cached_value")  # with the positions, their third axis


def first_positions(cache: dict, end: int) -> dict:
  """A decoding cache that ends at position `end`, for the loop of the steps before it.

  On CPUs, examples and heads are one axis there. With two, XLA writes a token into a
  cache once for the next step and once for the attention, and copies it four times.
  """
  merges = sharding.for_cpus()
  rows = lambda x: (-1,) if merges else x.shape[:2]
  cut = lambda x: x[:, :, :end].reshape(*rows(x), end, x.shape[-1])
  each = [
    layer | {name: cut(layer[name]) for name in _GROWS} for layer in cache["layers"]
  ]
  return cache | {"layers": each}


def with_first_positions(cache: dict, first: dict) -> dict:
  """`cache`, whose first positions, and what has no positions, are those of `first`."""
  each = []
  for layer, first_layer in zip(cache["layers"], first["layers"], strict=True):
    grown = {}
    for name in _GROWS:
      whole_BHMK, end = layer[name], first_layer[name].shape[-2]
      shape = (*whole_BHMK.shape[:2], end, whole_BHMK.shape[3])
      part_BHMK = first_layer[name].reshape(shape)
      grown[name] = jax.lax.dynamic_update_slice(whole_BHMK, part_BHMK, (0, 0, 0, 0))
    each.append(first_layer | grown)
  return first | {"layers": each}
