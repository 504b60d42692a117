"""Codebook use by hand."""

import numpy as np

from tdmm_jax.metrics import codebook


def test_usage_by_hand():
  scores = codebook.usage(np.array([[0, 0, 3], [3, 5, 5]]), 8)
  assert scores["codebook_used"] == 3 and scores["num_frames"] == 6
  assert scores["codebook_zeros_ratio"] == 5 / 8
  np.testing.assert_allclose(scores["perplexity"], 3.0)  # three codes, equally often


def test_perplexity_runs_from_one_to_all_codes():
  np.testing.assert_allclose(codebook.usage(np.full(9, 4), 16)["perplexity"], 1.0)
  np.testing.assert_allclose(codebook.usage(np.arange(16), 16)["perplexity"], 16.0)
  uneven = codebook.usage(np.array([0, 0, 0, 1]), 2)["perplexity"]
  np.testing.assert_allclose(uneven, 4 / 3**0.75)
