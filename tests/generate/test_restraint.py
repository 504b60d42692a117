"""Restraint: what is denied is gone, what is counted stays, nothing else changes."""

import types

import numpy as np
import pytest

from tdmm_jax.face import action_units, head_file, motion_vector
from tdmm_jax.generate import restraint
from tdmm_jax.generate.windows import Span

FACE = types.SimpleNamespace(text_encoder=None)
E = len(action_units.ACTION_UNITS)
NAME = head_file.DEFAULT


def of(prompt, total=100):
  return restraint.of(FACE, [Span(0, total, total, prompt)], 0)


def blank(total=100):
  vectors = np.zeros((total, E + motion_vector.NUM_POSE), np.float32)
  return vectors, motion_vector.split(vectors)


def made(vectors, restraints):
  made = list(restraint.follow([vectors], restraints, NAME))
  return motion_vector.split(np.concatenate(made))


def closure(total, at, width=3):
  return np.clip(1.3 - np.abs(np.arange(total) - at) / width, 0, 1)


def test_lids_blink_in_their_act_alone():
  (found,) = of("He blinks once.")
  (room,) = found.lids
  vectors, fields = blank()
  own, other = sum(room) / 2, (room[0] + 50) % 100
  fields["eyelids"][:] = (closure(100, own) + closure(100, other))[:, None]
  lids = made(vectors, [found])["eyelids"]
  assert lids[int(own)].min() > 0.9 and lids[int(other)].max() < 0.1


def test_a_blink_that_the_motions_end_cuts_off_is_one():
  (found,) = of("She does not blink.")
  vectors, fields = blank()
  fields["eyelids"][:] = np.clip((np.arange(100) - 92) / 4, 0, 1)[:, None]
  assert made(vectors, [found])["eyelids"].max() < 0.1


def test_who_does_not_blink_may_close_their_eyes_for_long():
  (found,) = of("She does not blink.")
  vectors, fields = blank()
  fields["eyelids"][:] = (closure(100, 20) + closure(100, 70, 25))[:, None]
  lids = made(vectors, [found])["eyelids"]
  assert lids[20].max() < 0.1 and lids[70].min() > 0.8


def test_a_head_swings_no_more_than_it_is_asked_to_and_eyes_go_along():
  found = restraint.Restraint(-5, 105, None, ((10.0, 45.0),), True)
  vectors, fields = blank()
  swing = 0.15 * np.sin(2 * np.pi * np.arange(100) / 17)
  fields["head_pose"][:, 1] = swing
  fields["eye_pose"][:, 1] = fields["eye_pose"][:, 4] = -0.95 * swing
  after = made(vectors, [found])
  np.testing.assert_array_equal(
    after["head_pose"][10:45, 1], fields["head_pose"][10:45, 1]
  )
  assert np.abs(after["head_pose"][60:90, 1]).max() < 0.05
  assert np.abs(after["eye_pose"][60:90, 1]).max() < 0.05


def test_a_denied_smile_is_gone_and_other_units_stay():
  (found,) = of("He looks interested but does not smile.")
  active = np.zeros(E, np.float32)
  index = action_units.ACTION_UNITS.index
  active[[index("lip_corner_puller_l"), index("inner_brow_raiser_l")]] = 0.5
  vectors, fields = blank()
  fields["expression"][:] = action_units.activations_to_expression(active)
  inverse = np.linalg.pinv(head_file.activation_matrix(NAME))
  units = made(vectors, [found])["expression"][50] @ inverse.T
  assert units[index("lip_corner_puller_l")] < 0.06
  assert units[index("inner_brow_raiser_l")] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("prompt", ["She smiles.", "He raises his brows, then smiles."])
def test_other_prompts_are_left_alone(prompt):
  assert of(prompt) == []
  vectors, _ = blank()
  assert next(restraint.follow([vectors], [], NAME)) is vectors


def test_frames_are_the_same_however_they_come():
  rng = np.random.default_rng(0)
  vectors, fields = blank(140)
  fields["eyelids"][:] = rng.random((140, 2))
  fields["head_pose"][:] = rng.normal(0, 0.1, (140, 3))
  kept = restraint.Restraint(0, 140, ((20.0, 40.0),), ((60.0, 90.0),), False)
  whole = np.concatenate(list(restraint.follow([vectors], [kept], NAME)))
  for size in (1, 9, 70):
    pieces = np.split(vectors, range(size, 140, size))
    joined = np.concatenate(list(restraint.follow(pieces, [kept], NAME)))
    np.testing.assert_allclose(joined, whole, atol=1e-6)
