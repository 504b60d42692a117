"""The state that training updates and checkpoints hold."""

from typing import Any

import flax.struct
import jax

EMA = "ema"  # the collection that holds the parameters' moving average


class TrainState(flax.struct.PyTreeNode):
  """Everything a checkpoint holds about the model; `step` counts updates done."""

  step: jax.Array
  params: Any
  collections: Any
  opt_state: Any


def eval_params(params, collections):
  """The parameters to evaluate and to use: their moving average where there is one."""
  return collections.get(EMA, params)
