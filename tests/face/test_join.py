"""Motions joined end to end: as long as their parts, and without a jump."""

import numpy as np
import pytest

from tdmm_jax.errors import UserError
from tdmm_jax.face import join, motion


def held(level: float, num_frames: int = 30):
  """A face that holds one expression and one jaw angle."""
  still = motion.zeros(num_frames, num_expression=4)
  return still.replace(
    expression=still.expression + np.float32(level),
    jaw_pose=still.jaw_pose + np.float32(0.1 * level),
    eyelids=still.eyelids + np.float32(level > 0),
  )


def test_a_jump_becomes_a_smooth_rise_and_the_far_frames_stay():
  joined = join.join([held(0.0), held(1.0)], blend_s=0.4)
  assert joined.num_frames == 60 and joined.valid.all()
  np.testing.assert_array_equal(joined.expression[:20], held(0.0).expression[:20])
  np.testing.assert_array_equal(joined.expression[40:], held(1.0).expression[10:])
  level = joined.expression[:, 0]
  assert (np.diff(level) >= -1e-6).all() and np.abs(np.diff(level)).max() < 0.15
  assert level[29] == pytest.approx(0.5) and level[30] == pytest.approx(0.5)
  np.testing.assert_allclose(joined.jaw_pose[:, 0], 0.1 * level, atol=1e-6)
  assert joined.eyelids.min() >= 0 and joined.eyelids.max() <= 1


def test_parts_that_already_meet_are_not_touched():
  one = held(0.5)
  joined = join.join([one, one, one])
  np.testing.assert_array_equal(joined.expression, np.tile(one.expression, (3, 1)))


def test_short_parts_keep_their_middle():
  joined = join.join([held(0.0, 3), held(1.0, 2), held(0.0, 1)], blend_s=2.0)
  assert joined.num_frames == 6 and np.isfinite(joined.expression).all()
  assert joined.expression[0, 0] == 0.0


def test_parts_that_do_not_fit_are_refused():
  with pytest.raises(UserError, match="give at least one"):
    join.join([])
  for other in (motion.zeros(5), held(0.0).replace(fps=30.0)):
    with pytest.raises(UserError, match="does not fit"):
      join.join([held(0.0), other])
