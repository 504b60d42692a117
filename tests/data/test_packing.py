"""Packing: every example in exactly one row, and rows never overflow."""

import numpy as np
import pytest

from tdmm_jax.data import packing
from tdmm_jax.language import cues


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("num_open", [1, 3, 64])
def test_each_example_once_and_no_row_overflows(seed, num_open):
  rng = np.random.default_rng(seed)
  lengths = [(int(e), int(d)) for e, d in rng.integers(1, 21, (150, 2))]
  order = rng.permutation(150)
  rows = packing.plan_rows(lengths, 40, 30, order, num_open)
  for plan in (rows, packing.with_num_rows(rows, len(rows) + 5)[0]):
    assert sorted(i for row in plan for i in row) == list(range(150))
    assert all(plan)
    for row in plan:
      assert sum(lengths[i][0] for i in row) <= 40
      assert sum(lengths[i][1] for i in row) <= 30


def test_packing_packs():
  rows = packing.plan_rows([(10, 5)] * 40, 40, 40, range(40))
  assert len(rows) == 10 and all(len(row) == 4 for row in rows)


def test_what_finds_no_row_is_named():
  rows = packing.plan_rows([(10, 1)] * 6 + [(3, 1)], 20, 20, range(7))
  plan, left_out = packing.with_num_rows(rows, 3)
  assert len(plan) == 3 and left_out == [6]
  assert packing.with_num_rows([], 2) == ([[], []], [])


def test_an_example_longer_than_a_row_says_what_to_raise():
  with pytest.raises(ValueError, match=r"example 1 needs 5 \+ 31 .*decoder_length"):
    packing.plan_rows([(5, 5), (5, 31)], 40, 30, [0, 1])


def test_a_row_by_hand():
  first = {"encoder_tokens": np.array([7, 8]), "decoder_targets": np.array([5, 6, 1])}
  second = {"encoder_tokens": np.array([9]), "decoder_targets": np.array([4, 1])}
  row = packing.pack_row([first, second | {"weight": 0.5}], 5, 7)
  expected = {
    "encoder_input_tokens": [7, 8, 9, 0, 0],
    "encoder_segment_ids": [1, 1, 2, 0, 0],
    "encoder_positions": [0, 1, 0, 0, 0],
    "decoder_input_tokens": [0, 5, 6, 0, 4, 0, 0],  # each segment starts with 0
    "decoder_target_tokens": [5, 6, 1, 4, 1, 0, 0],
    "decoder_segment_ids": [1, 1, 1, 2, 2, 0, 0],
    "decoder_loss_weights": [1, 1, 1, 0.5, 0.5, 0, 0],
  }
  assert row.keys() == expected.keys()
  for key, values in expected.items():
    np.testing.assert_array_equal(row[key], values, err_msg=key)


def test_what_a_decoder_is_told_is_not_learnt():
  example = {"encoder_tokens": np.array([7]), "decoder_targets": np.array([5, 6, 4, 1])}
  row = packing.pack_row([example | {"told_tokens": 2, "weight": 0.5}], 3, 6)
  assert row["decoder_loss_weights"].tolist() == [0, 0, 0.5, 0.5, 0, 0]
  assert row["decoder_input_tokens"].tolist() == [0, 5, 6, 4, 0, 0]


def test_cues_of_what_is_read_lie_where_the_motion_does():
  cue = np.zeros((1, cues.CUE_FIELDS), np.float32)
  cue[0, [cues.START, cues.END, cues.LEVEL]] = 2, 4, 1
  written = {"encoder_tokens": np.array([7, 8]), "decoder_targets": np.arange(6)}
  read = {"encoder_tokens": np.arange(9), "decoder_targets": np.array([4, 1])}
  read |= {"encoder_cues": cue, "motion_tokens": 6}
  row = packing.pack_row([written | {"decoder_cues": cue}, read], 15, 12, num_cues=2)
  places = [cues.FIRST, cues.LAST, cues.START, cues.END]
  assert row["decoder_cues"][0, places].tolist() == [0, 6, 2, 4]
  # Two tokens of the first example, three of text, then six of the motion.
  assert row["encoder_cues"][0, places].tolist() == [5, 11, 7, 9]
  assert not row["decoder_cues"][1].any() and not row["encoder_cues"][1].any()
