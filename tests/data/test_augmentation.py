"""Changed motions: how often, how much, and what stays."""

import numpy as np
import pytest

from tdmm_jax.data import pipeline
from tdmm_jax.data.augmentation import MotionAugmentation
from tdmm_jax.face.motion_vector import NUM_HEAD, NUM_POSE

E = 6


@pytest.fixture(scope="module")
def motions():
  rng = np.random.default_rng(0)
  walk = lambda T: (
    rng.normal(size=(T, E + NUM_POSE)).cumsum(0).astype(np.float32) * 0.02
  )
  return [{"vectors": walk(T), "valid": np.ones(T, bool)} for T in (30, 12, 50, 40)]


def make(motions, rate=1.0, offset=0.0, movement=0.0, head_degrees=0.0, head_scale=1.0):
  return MotionAugmentation(motions, rate, offset, movement, head_degrees, head_scale)


def test_a_share_is_changed_and_the_others_are_the_same_object(motions):
  augment, rng = make(motions, rate=0.3, offset=1.0), np.random.default_rng(0)
  changed = [augment(motions[0], rng) is not motions[0] for _ in range(400)]
  assert 0.2 < np.mean(changed) < 0.4


def test_with_nothing_to_change_the_motion_is_as_it_was(motions):
  for motion in motions:
    made = make(motions)(motion, np.random.default_rng(0))
    np.testing.assert_allclose(made["vectors"], motion["vectors"], atol=1e-6)
    np.testing.assert_array_equal(made["valid"], motion["valid"])


def test_a_rest_is_constant_and_in_expression_alone(motions):
  made = make(motions, offset=1.0)(motions[0], np.random.default_rng(0))
  moved_TP = made["vectors"] - motions[0]["vectors"]
  np.testing.assert_allclose(moved_TP, np.tile(moved_TP[:1], (30, 1)), atol=1e-5)
  assert (np.abs(moved_TP[0, :E]) > 1e-4).all()
  assert np.abs(moved_TP[0, E:]).max() < 1e-6


def test_movement_is_added_without_another_rest_at_any_length(motions):
  rng = np.random.default_rng(1)
  augment = make(motions, movement=1.0)
  for motion in motions * 5:
    moved_TP = augment(motion, rng)["vectors"] - motion["vectors"]
    assert moved_TP.shape == motion["vectors"].shape
    assert moved_TP[:, :E].std(0).max() > 1e-4
    assert np.abs(moved_TP[:, E:]).max() < 1e-6


def test_heads_turn_by_the_scale_about_another_rest(motions):
  rng = np.random.default_rng(0)
  turn = np.zeros((3, E + NUM_POSE), np.float32)
  turn[:, -NUM_HEAD] = (0.0, 0.1, 0.2)
  turn = {"vectors": turn, "valid": np.ones(3, bool)}
  scaled = [make(motions, head_scale=2.0)(turn, rng)["vectors"] for _ in range(200)]
  ratio = np.array([x[2, -NUM_HEAD] / 0.2 for x in scaled])
  assert 0.5 <= ratio.min() < 0.55 and 1.8 < ratio.max() <= 2.0
  rests = [make(motions, head_degrees=5.0)(turn, rng)["vectors"] for _ in range(400)]
  degrees = np.rad2deg([x[0, -NUM_HEAD:] for x in rests])
  np.testing.assert_allclose(degrees.std(0), 5.0, rtol=0.15)


def test_training_windows_are_a_function_of_the_seed(motions):
  first = lambda: next(
    pipeline.tokenizer_iterator(
      motions, 16, 4, 0, None, make(motions, 0.5, 1.0, 1.0, 5.0, 2.0)
    )
  )
  plain = next(pipeline.tokenizer_iterator(motions, 16, 4, 0))
  np.testing.assert_array_equal(first()["params"], first()["params"])
  assert np.abs(first()["params"] - plain["params"]).max() > 0.01
  np.testing.assert_array_equal(first()["mask"], plain["mask"])
