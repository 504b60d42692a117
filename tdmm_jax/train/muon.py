"""Muon, all matrices at once: those of one shape are orthogonalised as one batch.

`optax.contrib.muon` works off one matrix after the other, on every device alike; a
small model then spends more on its optimiser than on its gradients. Here each device
turns its share of the matrices, and a batch of them is a few products, not hundreds.

Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the scale of the
updates: Liu et al. 2025, arXiv:2502.16982; the first step's norm: Grishina et al. 2025,
arXiv:2506.10935.

Shape letters: N matrices, R rows, C columns, R <= C.
"""

import collections
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from tdmm_jax import sharding

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that pulls values to 1
_STEPS = 4  # enough where the Schatten-4 norm comes first
_RMS = 0.2  # of an update, as AdamW's


class MuonState(NamedTuple):
  """Momentum of every matrix, and how many updates there were."""

  count: jax.Array
  momentum: optax.Updates


def orthogonalize(matrices_NRC):
  """Their nearest orthogonal matrices, roughly: singular values of 0.7 to 1.2.

  Args:
    matrices_NRC: float[N, R, C], R <= C.
  """
  first, second, third = _COEFFICIENTS
  x_NRC = matrices_NRC
  for step in range(_STEPS):
    gram_NRR = x_NRC @ x_NRC.mT
    if step == 0:  # the Schatten-4 norm is above the largest singular value
      square_N11 = jnp.linalg.norm(gram_NRR, axis=(-2, -1), keepdims=True)
      square_N11 = jnp.maximum(square_N11, 1e-30)
      x_NRC, gram_NRR = x_NRC * jax.lax.rsqrt(square_N11), gram_NRR / square_N11
    poly_NRR = second * gram_NRR + third * (gram_NRR @ gram_NRR)
    x_NRC = first * x_NRC + poly_NRR @ x_NRC
  return x_NRC


def _orthogonalize_all(tree):
  """Each leaf's last two axes are a matrix; the axes before them count matrices."""
  leaves, treedef = jax.tree.flatten(tree)
  groups = collections.defaultdict(list)
  for index, leaf in enumerate(leaves):
    tall = leaf.shape[-2] > leaf.shape[-1]
    wide = leaf.mT if tall else leaf
    groups[wide.shape[-2:]].append((index, tall, wide.reshape(-1, *wide.shape[-2:])))
  for members in groups.values():
    batch_NRC = jnp.concatenate([matrices for *_, matrices in members])
    turned_NRC = _shared_out(batch_NRC)
    at = 0
    for index, tall, matrices in members:
      mine = turned_NRC[at : at + len(matrices)]
      at += len(matrices)
      shape = leaves[index].shape
      leaves[index] = (mine.mT if tall else mine).reshape(shape)
  return jax.tree.unflatten(treedef, leaves)


def _shared_out(batch_NRC):
  """`orthogonalize`, each device its share of the batch."""
  count = len(batch_NRC)
  padding = -count % sharding.num_batch_shards()
  batch_NRC = jnp.pad(batch_NRC, ((0, padding), (0, 0), (0, 0)))
  # Whole before and after, so that what travels is a batch, not a matrix at a time.
  whole = lambda x_NRC: sharding.constrain(x_NRC, None, None, None)
  mine_NRC = sharding.constrain(whole(batch_NRC), "act_batch", None, None)
  mine_NRC = sharding.constrain(orthogonalize(mine_NRC), "act_batch", None, None)
  return whole(mine_NRC)[:count]


def scale_by_muon(decay: float = 0.95) -> optax.GradientTransformation:
  """Orthogonalised Nesterov momentum, scaled to the RMS of AdamW's updates."""

  def init(params):
    return MuonState(jnp.zeros((), jnp.int32), optax.tree.zeros_like(params))

  def update(gradients, state, params=None):
    del params
    count = state.count + 1
    momentum = optax.tree.update_moment(gradients, state.momentum, decay, 1)
    ahead = jax.tree.map(
      lambda m, g: decay * m + (1 - decay) * g,
      optax.tree.bias_correction(momentum, decay, count + 1),
      optax.tree.bias_correction(gradients, decay, count),
    )
    updates = jax.tree.map(
      lambda x: x * (_RMS * math.sqrt(max(x.shape[-2:]))), _orthogonalize_all(ahead)
    )
    return updates, MuonState(count, momentum)

  return optax.GradientTransformation(init, update)


def muon(
  learning_rate: optax.ScalarOrSchedule,
  is_matrix,
  weight_decay: float,
  adam_b1: float,
  adam_b2: float,
) -> optax.GradientTransformation:
  """Muon for the parameters that `is_matrix` names, AdamW (without decay) for others.

  Args:
    is_matrix: params -> a tree of bool of the same structure.
  """
  labels = lambda params: jax.tree.map(
    lambda matrix: "muon" if matrix else "adam", is_matrix(params)
  )
  turned = optax.chain(
    scale_by_muon(),
    optax.add_decayed_weights(weight_decay),
    optax.scale_by_learning_rate(learning_rate),
  )
  plain = optax.adamw(
    learning_rate, b1=adam_b1, b2=adam_b2, weight_decay=0.0, nesterov=True
  )
  return optax.partition({"muon": turned, "adam": plain}, labels)
