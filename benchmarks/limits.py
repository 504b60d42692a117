"""What this machine can do at most: multiply matrices, and move memory."""

import os
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Machine(NamedTuple):
  """Measured, float32: products of square matrices, and a copy of a large array."""

  cores: int
  flops_per_s: float
  bytes_per_s: float

  def limit(self, flops: float, num_bytes: float = 0.0) -> float:
    """Items a second, at most, if an item takes so many FLOPs and bytes."""
    return 1.0 / max(flops / self.flops_per_s, num_bytes / self.bytes_per_s)


def _best_seconds(clock, function, *arguments, repeats: int) -> float:
  function(*arguments).block_until_ready()
  seconds = []
  for _ in range(repeats):
    start = clock()
    function(*arguments).block_until_ready()
    seconds.append(clock() - start)
  return min(seconds)


def measure(small: bool = False, clock=time.perf_counter) -> Machine:
  """`small`: a rough figure in no time, for tests. `clock`: returns seconds."""
  side, length = (256, 1 << 16) if small else (2_048, 1 << 26)
  repeats = 2 if small else 5
  square = jnp.ones((side, side))
  product = _best_seconds(clock, jax.jit(jnp.matmul), square, square, repeats=repeats)
  stream = jnp.ones((length,))
  copy = _best_seconds(clock, jax.jit(lambda x: x + 1.0), stream, repeats=repeats)
  cores = len(os.sched_getaffinity(0))
  return Machine(cores, 2.0 * side**3 / product, 8.0 * length / copy)
