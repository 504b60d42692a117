"""Do texts find their motions among others, and motions their texts?

Shape letters: N pairs, D the common space, P a pool's pairs.
"""

from collections.abc import Sequence

import numpy as np

POOL = 32
TOPS = (1, 2, 3)


def pools(num_pairs: int, seed: int = 0, size: int = POOL) -> np.ndarray:
  """int[n, size]: a random cut of the pairs into pools of just that many.

  The remainder is not scored. Fewer pairs than `size` make one pool.
  """
  size = min(size, num_pairs)
  order = np.random.default_rng(seed).permutation(num_pairs)
  return order[: num_pairs // size * size].reshape(-1, size)


def ranks(distances_PP: np.ndarray, key_P: Sequence) -> np.ndarray:
  """How many candidates come before each row's own, int[P].

  Args:
    distances_PP: of rows' queries to columns' candidates; a row's own is on the
      diagonal. Ties come before it: a space in which all is one point finds nothing.
    key_P: a candidate whose key is the query's would be as right as its own, and is
      left out.
  """
  key_P = np.asarray(key_P)
  others = ~np.eye(len(key_P), dtype=bool)
  rival_PP = others & (key_P[:, None] != key_P[None, :])
  own_P1 = np.diagonal(distances_PP)[:, None]
  return np.sum((distances_PP <= own_P1) & rival_PP, axis=1)


def r_precision(
  texts_ND: np.ndarray, motions_ND: np.ndarray, keys: Sequence, seed: int = 0
) -> dict[str, float]:
  """R-precision in pools of 32, and the mean distance of what belongs together.

  Args:
    texts_ND, motions_ND: row i of each belong together.
    keys: equal where texts say the same, see `ranks`.

  Returns:
    text_top1 .. text_top3: share of texts whose motion is among the k nearest;
    motion_top1 .. motion_top3: of motions whose text is; mm_dist: mean Euclidean
    distance of pairs.
  """
  keys = np.asarray(keys)
  by_text, by_motion = [], []
  for members in pools(len(texts_ND), seed):
    apart = texts_ND[members, None] - motions_ND[members][None]
    distances = np.linalg.norm(apart, axis=-1)
    by_text.append(ranks(distances, keys[members]))
    by_motion.append(ranks(distances.T, keys[members]))
  found = {}
  for name, rank in (("text", by_text), ("motion", by_motion)):
    for top in TOPS:
      found[f"{name}_top{top}"] = float(np.mean(np.concatenate(rank) < top))
  matched = np.linalg.norm(texts_ND - motions_ND, axis=-1)
  return found | {"mm_dist": float(matched.mean())}


def other_partners(keys: Sequence, seed: int = 0) -> np.ndarray:
  """int[N]: for each pair a partner with a different text; the shuffled floor.

  A random order is shifted by one. A pair that then meets its own key is moved on to
  the next that differs, so some partners may occur twice.

  Raises:
    ValueError: all keys are equal.
  """
  keys = np.asarray(keys)
  if len(np.unique(keys)) < 2:
    raise ValueError("nothing to shuffle: all pairs say the same")
  order = np.random.default_rng(seed).permutation(len(keys))
  partners = np.empty(len(keys), int)
  for place, i in enumerate(order):
    step = 1
    while keys[order[(place + step) % len(order)]] == keys[i]:
      step += 1
    partners[i] = order[(place + step) % len(order)]
  return partners
