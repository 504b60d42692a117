"""Axes of a sweep: lists of trials, each a dict of config keys and values.

grid({"a": [1, 2], "b": [3, 4]})      4 trials, every combination
zipped({"a": [1, 2], "b": [3, 4]})    2 trials, (1, 3) and (2, 4)
random(9, seed=0, a=uniform(0, 1), b=log_uniform(1e-4, 1e-2), c=choice([1, 2]))
cross(grid(...), zipped(...))         every trial of one with every one of the other
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

Trials = list[dict]
Draw = Callable[[np.random.Generator], object]


def grid(axes: dict[str, Sequence]) -> Trials:
  """Every combination of the values; the last axis varies fastest."""
  return [
    dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
  ]


def zipped(axes: dict[str, Sequence]) -> Trials:
  """The first values together, then the second ...; lengths must agree."""
  return [
    dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)
  ]


def cross(*lists: Trials) -> Trials:
  """Every trial of one list merged with every one of the others."""
  trials: Trials = [{}]
  for more in lists:
    trials = [a | b for a in trials for b in more]
  return trials


def random(count: int, seed: int, axes: dict[str, Draw]) -> Trials:
  """`count` draws; the first n are the same whatever the count."""
  rng = np.random.default_rng(seed)
  return [{key: draw(rng) for key, draw in axes.items()} for _ in range(count)]


def uniform(low: float, high: float) -> Draw:
  return lambda rng: float(rng.uniform(low, high))


def log_uniform(low: float, high: float) -> Draw:
  """Uniform in the logarithm, three digits: 1e-4 to 1e-3 as often as 1e-3 to 1e-2."""
  draw = uniform(math.log(low), math.log(high))
  return lambda rng: float(f"{math.exp(draw(rng)):.3g}")


def choice(values: Sequence) -> Draw:
  return lambda rng: values[int(rng.integers(len(values)))]
