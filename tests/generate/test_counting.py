"""Counts are those of the motion, where an act was read at all."""

import numpy as np
import pytest

from tdmm_jax.face import motion_vector
from tdmm_jax.generate import counting
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon
from tdmm_jax.language.acts import Act


def read(name, count, **said):
  act = Act(name, start_s=1.0, end_s=3.0, count=count, **said)
  return lexicon.attributes_of([act], 4.0)


def counts(attributes, vectors):
  return [a.count for a in acts_lib.acts_of(counting.counted(attributes, vectors))]


def blank():
  vectors = np.zeros((100, 4 + motion_vector.NUM_POSE), np.float32)
  return vectors, motion_vector.split(vectors)


def cycles(times, first=25, last=75):
  share = np.clip((np.arange(100) - first) / (last - first), 0, 1)
  return 2 * np.pi * times * share


@pytest.mark.parametrize("times", [1, 2, 4])
def test_nods_and_shakes(times):
  vectors, fields = blank()
  fields["head_pose"][:, 0] = 0.1 * (1 - np.cos(cycles(times)))
  assert counts(read("nod", 5), vectors) == [times]
  assert counts(read("shake", 5), vectors) == [5]  # there is none to be counted
  vectors, fields = blank()
  fields["head_pose"][:, 1] = 0.15 * np.sin(cycles(times))
  assert counts(read("shake", 5), vectors) == [times]


def test_a_nod_outside_of_what_was_read_does_not_count():
  vectors, fields = blank()
  fields["head_pose"][:, 0] = 0.1 * (1 - np.cos(cycles(2)))
  fields["head_pose"][87:97, 0] += 0.2 * np.hanning(10)
  assert counts(read("nod", 1), vectors) == [2]


def test_blinks_are_of_both_eyes_and_winks_of_one():
  vectors, fields = blank()
  closed = 0.5 * (1 - np.cos(cycles(3)))
  fields["eyelids"][:, 0] = closed
  assert counts(read("wink", 1, side="left"), vectors) == [3]
  assert counts(read("blink", 1), vectors) == [1]
  fields["eyelids"][:, 1] = closed
  assert counts(read("blink", 1), vectors) == [3]


def test_what_comes_once_and_stays_is_not_counted():
  vectors, fields = blank()
  fields["jaw_pose"][30:70, 0] = 0.2
  assert counts(read("jaw_drop", 0), vectors) == [0]


def test_a_head_that_goes_down_quickly_and_up_slowly_dips():
  vectors, fields = blank()
  x = np.arange(100)
  fields["head_pose"][:, 0] = 0.2 * np.interp(x, [25, 37, 63], [0, 1, 0])
  (act,) = acts_lib.acts_of(counting.counted(read("nod", 1), vectors))
  assert act.name == "dip"
  fields["head_pose"][:, 0] = 0.2 * np.interp(x, [25, 44, 63], [0, 1, 0])
  assert counting.counted(read("nod", 1), vectors) == read("nod", 1)
