"""The ceiling that tracker noise sets: redrawn noise, and the guess by other draws."""

import numpy as np
import pytest

from benchmarks import token_ceiling
from data_prep import simulate
from tdmm_jax.language import lexicon


def test_the_guess_is_the_commonest_of_the_other_draws():
  # Of 7, 7, 7, 2: each 7 is guessed, the 2 is not. Of 1, 2: neither.
  codes_DT = np.array([[7, 5], [7, 5], [7, 5], [2, 5]])
  assert token_ceiling.left_out_accuracy(codes_DT) == pytest.approx((0.75 + 1) / 2)
  assert token_ceiling.left_out_accuracy(np.array([[1], [2]])) == 0.0


def test_draws_differ_by_the_noise_of_a_tracker_alone():
  attributes = lexicon.parse("She smiles broadly and nods.", 2.0)
  clip = {"attributes": attributes, "vectors": np.zeros((50, 1))}
  one, two = token_ceiling.redrawn(clip, 3, 2, simulate.head_basis())
  difference = np.abs(one - two).max()
  assert one.shape == two.shape and 0 < difference < 0.2 * np.abs(one).max()
  again = token_ceiling.redrawn(clip, 3, 2, simulate.head_basis())
  np.testing.assert_array_equal(again[0], one)
