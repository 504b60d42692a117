"""Beam search against every sequence there is, scored by teacher forcing."""

import itertools

import jax
import numpy as np
import pytest
from test_sample import LENGTH, MODEL, Ids, parameters, prompts

from tdmm_jax.decoding import beam, constraints, sample
from tdmm_jax.vocab import EOS_ID


def sequences(length, pieces):
  """All of text_only's: pieces, one eos, padding."""
  for count in range(length):
    for head in itertools.product(pieces, repeat=count):
      yield [*head, EOS_ID] + [0] * (length - count - 1)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
def test_a_wide_beam_finds_the_best_of_all_sequences(alpha):
  length = 4
  low = np.full((2, length), EOS_ID, np.int32)
  high = np.full((2, length), 5, np.int32)  # eos, 2, 3, 4
  high[:, -1] = EOS_ID + 1
  encoder = prompts(2)
  tokens, scores = beam.decode(
    MODEL, parameters(), encoder, low, high, num_beams=40, alpha=alpha
  )
  every = np.array(list(sequences(length, [2, 3, 4])), np.int32)
  assert len(every) == 40
  shifted = np.pad(every, ((0, 0), (1, 0)))[:, :-1]
  lengths = (every > 0).sum(-1)
  apply = jax.jit(MODEL.apply)
  for row in range(2):
    repeated = np.repeat(encoder[row : row + 1], len(every), 0)
    inputs = (repeated, shifted, repeated > 0, np.ones_like(shifted))
    log_probs = np.asarray(jax.nn.log_softmax(apply({"params": parameters()}, *inputs)))
    picked = np.take_along_axis(log_probs, every[..., None], -1)[..., 0]
    totals = (picked * (every > 0)).sum(-1) / ((5 + lengths) / 6) ** alpha
    np.testing.assert_array_equal(tokens[row], every[totals.argmax()])
    np.testing.assert_allclose(scores[row], totals.max(), rtol=1e-4)


def test_one_beam_is_greedy_and_more_are_no_worse():
  low, high = constraints.exact_motion(Ids(), [9, 9, 9], LENGTH)
  arguments = (MODEL, parameters(), prompts(3), low, high)
  one, score_1 = beam.decode(*arguments, num_beams=1)
  greedy = sample.decode(*arguments, jax.random.key(0))
  np.testing.assert_array_equal(one, greedy)
  four, score_4 = beam.decode(*arguments, num_beams=4)
  assert (score_4 >= score_1 - 1e-5).all() and (score_4 > score_1 + 1e-3).any()
  assert ((np.asarray(four) >= low) & (np.asarray(four) < high)).all()
