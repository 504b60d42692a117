"""Scores of a set of motions against the true ones of the same prompts.

Shape letters: N clips, T frames, P motion vector, D evaluator space.
"""

from collections.abc import Sequence

import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.metrics import distribution, retrieval, smoothness

# What needs the evaluator network: None without.
IN_SPACE = (
  "fid",
  *(f"{row}_top{k}" for row in ("text", "motion") for k in retrieval.TOPS),
  "mm_dist",
  "diversity",
)


class Truth:
  """The true motions, their texts, and what scoring needs of them repeatedly.

  Attributes:
    clips: dicts of vectors, valid, prompt, attributes.
    others: as many training clips, which the true motions are compared with.
    network: the evaluator network, or None: then the scores in its space are None.
  """

  def __init__(self, face, clips: Sequence[dict], others: Sequence[dict], network):
    self.clips, self.others, self.network = clips, others[: len(clips)], network
    self.valid = [clip["valid"] for clip in clips]
    self.vectors = [clip["vectors"] for clip in clips]
    self.keys = [tasks.attributes_key(clip["attributes"]) for clip in clips]
    self.frames_NP = frames(self.vectors, self.valid)
    self._jitter = smoothness.Jitter(face)
    self._own_jitter = self._jitter.mean(self.vectors, self.valid)
    if network is not None:
      self.texts_ND = network.embed_texts([clip["prompt"] for clip in clips])
      self.motions_ND = network.embed_motions(self.vectors, self.valid)

  def jitter_ratio(self, vectors) -> float:
    return self._jitter.mean(vectors, self.valid) / self._own_jitter

  def scores(
    self, vectors: Sequence[np.ndarray], seed: int = 0, new=None
  ) -> dict[str, float | None]:
    """Scores of one motion of each clip's prompt, as long as the clip's own.

    Args:
      vectors: float32[T, P] of each clip.
      seed: of pools and pairs.
      new: bool[T] of each clip: frames that l2 and fd are about; all by default.

    Returns:
      l2, fd and those of IN_SPACE; for whole motions also jitter_ratio.
    """
    seen = self.valid if new is None else [a & b for a, b in zip(self.valid, new)]
    true_NP = self.frames_NP if new is None else frames(self.vectors, seen)
    made_NP = frames(vectors, seen)
    found = {
      "l2": mean_square(made_NP, true_NP),
      "fd": distribution.frechet_distance(made_NP, true_NP),
    }
    if new is None:
      found["jitter_ratio"] = self.jitter_ratio(vectors)
    if self.network is None:
      return found | dict.fromkeys(IN_SPACE)
    return found | self.in_space(self.network.embed_motions(vectors, self.valid), seed)

  def in_space(self, motions_ND, seed: int = 0) -> dict[str, float]:
    """The scores in the network's space, of embedded motions."""
    found = {"fid": distribution.frechet_distance(motions_ND, self.motions_ND)}
    found |= retrieval.r_precision(self.texts_ND, motions_ND, self.keys, seed)
    return found | {"diversity": distribution.diversity(motions_ND, seed=seed)}

  def own(self, seed: int = 0) -> dict[str, float]:
    """The true motions' own; fd and fid are those to as many training motions."""
    other = [clip["vectors"] for clip in self.others]
    valid = [clip["valid"] for clip in self.others]
    fd = distribution.frechet_distance(frames(other, valid), self.frames_NP)
    found = {"l2": 0.0, "fd": fd, "jitter_ratio": 1.0}
    if self.network is None:
      return found
    found |= self.in_space(self.motions_ND, seed)
    embedded = self.network.embed_motions(other, valid)
    fid = distribution.frechet_distance(embedded, self.motions_ND)
    return found | {"fid": fid}

  def floor(self, seed: int = 0) -> dict[str, float]:
    """Shuffled: each prompt with the motion of another; for fid, frames in no order.

    fd is that of the mean frame, held: no order of frames changes it.
    """
    found: dict[str, float] = {}
    mean_NP = np.broadcast_to(self.frames_NP.mean(0), self.frames_NP.shape)
    found["fd"] = distribution.frechet_distance(mean_NP, self.frames_NP)
    if len(set(self.keys)) > 1:
      partners = retrieval.other_partners(self.keys, seed)
      swapped = [
        fitted(self.vectors[j], len(v)) for v, j in zip(self.vectors, partners)
      ]
      found["l2"] = mean_square(frames(swapped, self.valid), self.frames_NP)
      if self.network is not None:
        found |= self.in_space(self.motions_ND[partners], seed)
    if self.network is not None:
      rng = np.random.default_rng(seed)
      no_order = [v[rng.permutation(len(v))] for v in self.vectors]
      embedded = self.network.embed_motions(no_order, self.valid)
      found["fid"] = distribution.frechet_distance(embedded, self.motions_ND)
    return found


def frames(vectors: Sequence[np.ndarray], valid: Sequence[np.ndarray]) -> np.ndarray:
  """float64[all valid frames, P]."""
  return np.concatenate([v[ok] for v, ok in zip(vectors, valid)]).astype(np.float64)


def mean_square(made_NP: np.ndarray, true_NP: np.ndarray) -> float:
  """Mean squared difference, over frames and parameters."""
  return float(np.mean((made_NP - true_NP) ** 2))


def fitted(vectors_TP: np.ndarray, length: int) -> np.ndarray:
  """The motion at another length: truncated, or repeated."""
  return vectors_TP[np.arange(length) % len(vectors_TP)]


def averaged(rows: Sequence[dict]) -> dict:
  """Means over replications, and half of their 95 % intervals as `interval`.

  A score that is None in any replication stays None; one replication has no interval.
  """
  means, spread = {}, {}
  for name in rows[0]:
    values = [row[name] for row in rows]
    known = all(value is not None for value in values)
    means[name] = float(np.mean(values)) if known else None
    spread[name] = distribution.interval(values) if known else None
  return means | ({"interval": spread} if len(rows) > 1 else {})
