"""R-precision by hand and against scikit-learn; false negatives cannot happen."""

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from tdmm_jax.metrics import retrieval


def test_ranks_by_hand():
  distances = np.array([[1.0, 2.0, 0.5], [9.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
  np.testing.assert_array_equal(retrieval.ranks(distances, [0, 1, 2]), [1, 0, 2])


def test_what_says_the_same_is_no_false_negative():
  distances = np.array([[1.0, 2.0, 0.5], [9.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
  np.testing.assert_array_equal(retrieval.ranks(distances, [0, 1, 0]), [0, 0, 1])


def test_a_space_that_is_one_point_finds_nothing():
  same = np.ones((64, 4))
  found = retrieval.r_precision(same, same, range(64))
  assert found["text_top3"] == found["motion_top3"] == 0.0 == found["mm_dist"]


def test_r_precision_is_scikits_in_one_pool():
  rng = np.random.default_rng(0)
  texts = rng.normal(size=(32, 8))
  motions = texts + rng.normal(size=(32, 8))
  found = retrieval.r_precision(texts, motions, range(32))
  apart = np.linalg.norm(texts[:, None] - motions[None], axis=-1)
  for k in (1, 2, 3):
    for name, table in (("text", apart), ("motion", apart.T)):
      wanted = top_k_accuracy_score(np.arange(32), -table, k=k)
      assert found[f"{name}_top{k}"] == wanted
  matched = np.linalg.norm(texts - motions, axis=1).mean()
  np.testing.assert_allclose(found["mm_dist"], matched)
  # Both rows are there, and they are not the same.
  assert any(found[f"text_top{k}"] != found[f"motion_top{k}"] for k in (1, 2, 3))


def test_pools_hold_32_different_pairs_each():
  cut = retrieval.pools(100, seed=3)
  assert cut.shape == (3, 32) and len(np.unique(cut)) == 96
  assert retrieval.pools(20).shape == (1, 20)
  assert not np.array_equal(cut, retrieval.pools(100, seed=4))


@pytest.mark.parametrize("seed", range(20))
def test_the_shuffled_floor_never_meets_its_own_or_the_same_words(seed):
  keys = np.random.default_rng(seed).integers(0, 3, size=17)
  partners = retrieval.other_partners(keys, seed)
  assert (keys[partners] != keys).all()  # nor, therefore, itself


def test_there_is_nothing_to_shuffle_among_the_same():
  with pytest.raises(ValueError, match="all pairs say the same"):
    retrieval.other_partners([1, 1, 1])
