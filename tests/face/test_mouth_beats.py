"""Whether a mouth talks."""

import numpy as np
import pytest

from tdmm_jax.face import action_units, load_model, mouth_beats
from tdmm_jax.face import motion as motion_lib


def opening(level_T):
  """A mouth whose lips part so much."""
  face = load_model.default_head()
  units = np.zeros((len(level_T), len(action_units.ACTION_UNITS)))
  for i, name in enumerate(action_units.ACTION_UNITS):
    if name.startswith("lips_part"):
      units[:, i] = level_T
  expression = action_units.activations_to_expression(units, face.name)
  motion = motion_lib.zeros(len(level_T), face.name).replace(expression=expression)
  return mouth_beats.syllable_beat(motion, face)


TIMES = np.arange(100) / 25


@pytest.mark.parametrize(
  "level_T, talks",
  [
    (0.4 + 0.4 * np.sin(2 * np.pi * 4 * TIMES), True),
    (np.clip(2 * np.sin(np.pi * TIMES / 4), 0, 1), False),  # one slow yawn
    (np.zeros(100), False),
    (0.5 + 0.5 * np.sin(2 * np.pi * 4 * TIMES[:10]), False),  # too short to tell
  ],
)
def test_syllables_are_heard_and_slow_openings_are_not(level_T, talks):
  assert (opening(level_T) > mouth_beats.TALKS) == talks
