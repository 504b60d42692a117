"""The two tasks as tokens."""

import numpy as np
import pytest

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import tasks

TEXTS = ["A man smiles for a while.", "She frowns, then nods.", "1.6 seconds: {prompt}"]


@pytest.fixture(scope="module")
def vocab():
  return vocab_lib.train(TEXTS * 5, num_codes=40, num_pieces=320, num_extra_ids=4)


def test_language_to_motion_by_hand(vocab):
  template = "Move for {seconds} seconds: {prompt}"
  example = tasks.l2m_example(vocab, "A man smiles.", [3, 0, 39], template)
  encoder = list(example["encoder_tokens"])
  assert encoder[0] == vocab.task_id("l2m") and encoder[-1] == vocab_lib.EOS_ID
  assert vocab.decode_text(encoder[1:]) == "Move for 0.1 seconds: A man smiles."
  offset = vocab.motion_offset
  np.testing.assert_array_equal(
    example["decoder_targets"],
    [vocab.som_id, offset + 3, offset, offset + 39, vocab.eom_id, vocab_lib.EOS_ID],
  )
  assert len(example["decoder_targets"]) == 3 + tasks.NUM_MOTION_SPECIALS


def test_motion_to_language_by_hand(vocab):
  example = tasks.m2l_example(vocab, "She frowns.", [7, 7], "What is this?")
  encoder = example["encoder_tokens"]
  assert encoder[0] == vocab.task_id("m2l")
  np.testing.assert_array_equal(encoder[-5:], tasks.motion_ids(vocab, [7, 7]))
  assert vocab.decode_text(encoder[1:-5]) == "What is this?"
  assert vocab.decode_text(example["decoder_targets"]) == "She frowns."
  assert example["decoder_targets"][-1] == vocab_lib.EOS_ID
