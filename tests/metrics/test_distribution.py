"""Frechet distance against scipy and closed forms; diversity by hand."""

import numpy as np
import pytest
import scipy.linalg

from tdmm_jax.metrics import distribution


def test_frechet_distance_is_scipys():
  rng = np.random.default_rng(0)
  a = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6))
  b = rng.normal(size=(150, 6)) @ rng.normal(size=(6, 6)) + 0.5
  cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
  root = scipy.linalg.sqrtm(cov_a @ cov_b).real
  wanted = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b - 2 * root)
  np.testing.assert_allclose(distribution.frechet_distance(a, b), wanted, rtol=1e-9)


def test_frechet_distance_worked_by_hand():
  a = np.array([[0.0], [2.0]])  # mean 1, variance 2
  b = np.array([[1.0], [9.0]])  # mean 5, variance 32
  # (1 - 5)^2 + 2 + 32 - 2 sqrt(2 * 32)
  np.testing.assert_allclose(distribution.frechet_distance(a, b), 16 + 34 - 16)
  np.testing.assert_allclose(distribution.frechet_distance(a, a), 0, atol=1e-12)


def test_frechet_distance_of_fewer_vectors_than_dimensions_is_finite():
  rng = np.random.default_rng(1)
  a, b = rng.normal(size=(2, 5, 30))
  assert 0 < distribution.frechet_distance(a, b) < 1_000
  with pytest.raises(ValueError, match="two vectors in each set"):
    distribution.frechet_distance(a[:1], b)


def test_diversity_pairs_clips_and_never_a_clip_with_itself():
  two = np.array([[0.0, 0.0], [3.0, 4.0]])
  assert distribution.diversity(two) == 5.0  # a pair with itself would lower it
  rng = np.random.default_rng(2)
  many = rng.normal(size=(400, 3))
  apart = np.linalg.norm(many[:, None] - many[None], axis=-1)
  mean = apart.sum() / (400 * 399)
  np.testing.assert_allclose(distribution.diversity(many, 20_000), mean, rtol=0.02)
  assert distribution.diversity(many) == distribution.diversity(many)
  assert distribution.diversity(many) != distribution.diversity(many, seed=1)


def test_multimodality_is_within_prompts_only():
  far = np.array([[[0.0], [1.0]], [[100.0], [101.0]]])  # 2 prompts, 2 motions each
  assert distribution.multimodality(far) == 1.0
  with pytest.raises(ValueError, match="two motions of each prompt"):
    distribution.multimodality(far[:, :1])


def test_interval_by_hand():
  assert distribution.interval([3.0]) == 0.0
  np.testing.assert_allclose(distribution.interval([1.0, 3.0]), 1.96 / np.sqrt(2))
  np.testing.assert_allclose(distribution.interval([0, 2] * 10), 1.96 / np.sqrt(20))
