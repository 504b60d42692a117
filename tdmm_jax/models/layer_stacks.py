"""Layers one after another: what they keep for the backward pass, what a cache holds.

Shape letters as in t5.py.
"""

import flax.linen as nn
import jax

from tdmm_jax.models import layers

# What the forward pass keeps for the backward pass; the rest is computed again.
REMAT_POLICIES = {
  "none": None,  # everything is kept
  # Products with weights are kept, attention scores and elementwise work are not.
  "dots": jax.checkpoint_policies.save_from_both_policies(
    jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    jax.checkpoint_policies.save_only_these_names(layers.ATTENDED),
  ),
  "full": jax.checkpoint_policies.nothing_saveable,  # a layer's input is kept
}


def run_layers(stack, x_BLD, *constants, deterministic: bool, kinds_N=None):
  """Runs a stack's layers in order, each rematerialised as `stack.remat` says.

  Args:
    stack: an encoder or a decoder; its `layers` is a list, or one scanned layer.
    constants: trees of arrays that every layer is given.
    kinds_N: int[N], what each layer is given behind them, where layers differ.
  """
  if stack.remat not in REMAT_POLICIES:
    raise ValueError(f"remat {stack.remat!r}; choose one of {sorted(REMAT_POLICIES)}")

  def apply(layer, x_BLD, *inputs):
    return layer(x_BLD, *inputs, deterministic=deterministic)

  policy = REMAT_POLICIES[stack.remat]
  if policy is not None:
    # A scan keeps common subexpressions apart by itself.
    apply = nn.remat(apply, policy=policy, prevent_cse=not stack.scan_layers)
  kinds = () if kinds_N is None else (kinds_N,)
  if not stack.scan_layers:
    for index, layer in enumerate(stack.layers):
      x_BLD = apply(layer, x_BLD, *constants, *(kind_N[index] for kind_N in kinds))
    return x_BLD
  scanned = nn.scan(
    lambda layer, x_BLD, *inputs: (apply(layer, x_BLD, *inputs), None),
    variable_axes={"params": 0},
    split_rngs={"params": True, "dropout": True},
    in_axes=(nn.broadcast,) * len(constants) + (0,) * len(kinds),
    length=stack.num_layers,
    metadata_params={nn.PARTITION_NAME: "layers"},
  )
  return scanned(stack.layers, x_BLD, *constants, *kinds)[0]


def written(cached, new_BH1K, index):
  """A cache float[B, H, M, K], or [B * H, M, K], with one token's keys or values."""
  new = new_BH1K.reshape(*cached.shape[:-2], 1, cached.shape[-1])
  return jax.lax.dynamic_update_slice_in_dim(cached, new, index, axis=-2)
