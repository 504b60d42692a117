"""Distances between two sets of vectors, and how spread one set is.

Shape letters: N, M vectors of a set, D their width.
"""

import numpy as np


def frechet_distance(a_ND: np.ndarray, b_MD: np.ndarray) -> float:
  """Frechet distance of the Gaussians fitted to two sets (Heusel et al. 2017).

  ‖μa − μb‖² + tr(Ca + Cb − 2 (Ca Cb)^½), covariances over N − 1. Between finite samples
  of one distribution it is above 0, the more so the fewer they are: compare values of
  like N only.

  Raises:
    ValueError: fewer than two vectors in a set.
  """
  if min(len(a_ND), len(b_MD)) < 2:
    raise ValueError("a Frechet distance needs two vectors in each set")
  a, b = (np.asarray(x, np.float64) for x in (a_ND, b_MD))
  mean_a, mean_b = a.mean(0), b.mean(0)
  cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
  # tr (Ca Cb)^½ = tr (Ca^½ Cb Ca^½)^½, which is of a symmetric matrix.
  values, vectors = np.linalg.eigh(cov_a)
  root_a = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
  inner = np.linalg.eigvalsh(root_a @ cov_b @ root_a)
  cross = np.sqrt(np.maximum(inner, 0.0)).sum()
  distance = np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a) + np.trace(cov_b)
  return float(max(distance - 2 * cross, 0.0))


def diversity(vectors_ND: np.ndarray, num_pairs: int = 300, seed: int = 0) -> float:
  """Mean Euclidean distance of random pairs of different members of the whole set.

  Raises:
    ValueError: fewer than two vectors.
  """
  count = len(vectors_ND)
  if count < 2:
    raise ValueError("diversity needs two vectors")
  rng = np.random.default_rng(seed)
  first = rng.integers(count, size=num_pairs)
  second = (first + rng.integers(1, count, size=num_pairs)) % count  # never itself
  return float(np.linalg.norm(vectors_ND[first] - vectors_ND[second], axis=1).mean())


def multimodality(samples_NSD: np.ndarray, num_pairs: int = 10, seed: int = 0) -> float:
  """Mean distance of random pairs of different motions of one prompt.

  Args:
    samples_NSD: S motions of each of N prompts.

  Raises:
    ValueError: fewer than two motions of a prompt.
  """
  count = samples_NSD.shape[1]
  if count < 2:
    raise ValueError("multimodality needs two motions of each prompt")
  rng = np.random.default_rng(seed)
  rows = np.arange(len(samples_NSD))[:, None]
  first = rng.integers(count, size=(len(samples_NSD), num_pairs))
  second = (first + rng.integers(1, count, size=first.shape)) % count
  apart = samples_NSD[rows, first] - samples_NSD[rows, second]
  return float(np.linalg.norm(apart, axis=-1).mean())


def interval(values) -> float:
  """Half of the 95 % interval of a mean over replications: 1.96 · std / √n; 0 of one.

  The standard deviation is the replications' own (over n), as the field writes it.
  """
  values = np.asarray(values, np.float64)
  return float(1.96 * values.std() / np.sqrt(len(values)))
