"""Of several takes the one that does what its prompt says is kept."""

import numpy as np
import pytest

from tdmm_jax.errors import UserError
from tdmm_jax.face import load_model, motion
from tdmm_jax.generate import takes


def nodding(count: int, degrees: float = 12.0):
  """A still face that nods so many times in three seconds."""
  time = np.arange(75) / 75
  pitch = np.radians(degrees) * np.sin(np.pi * count * time) ** 2
  head = np.stack([pitch, 0 * pitch, 0 * pitch], -1).astype(np.float32)
  return motion.zeros(75).replace(head_pose=head)


@pytest.fixture(scope="module")
def face():
  return load_model.default_head()


def test_the_take_with_the_count_asked_for_is_kept(face):
  made = [nodding(1), nodding(3), nodding(2), nodding(0)]
  assert takes.best(face, made, "She nods twice.") is made[2]
  assert takes.best(face, made, "He nods three times.") is made[1]
  assert takes.best(face, made, "She does not nod.") is made[3]
  assert takes.obeyed(face, made[0], "She nods twice.") == 0.5  # a nod, but one


def test_where_nothing_can_be_judged_the_first_take_stays(face):
  made = [nodding(1), nodding(2)]
  assert takes.best(face, made, "A man waits for the bus.") is made[0]
  assert takes.obeyed(face, made[0], "A man waits for the bus.") == 1.0
  # An emotion that is guessed is looked for: these faces nod, and do not smile.
  assert takes.obeyed(face, made[0], "He just won the lottery.") == 0.0


@pytest.mark.parametrize("number", [0, 65])
def test_a_number_out_of_range_is_refused(number):
  with pytest.raises(UserError, match="choose 1 to 64"):
    takes.check(number)


@pytest.mark.slow
def test_one_take_is_the_first_of_several(loaded_run):
  one = loaded_run.generate("The exam results are in.", 0.8, seed=3)
  several = loaded_run.generate("The exam results are in.", 0.8, seed=3, takes=3)
  np.testing.assert_allclose(one.head_pose, several.head_pose, atol=1e-4)
