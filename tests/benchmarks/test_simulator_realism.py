"""What `benchmarks.simulator_realism` counts, by hand."""

import numpy as np
import pytest

from benchmarks import simulator_realism as realism


def test_an_event_lasts_while_it_is_above_half_of_the_peak():
  level = np.array([0, 0.2, 0.6, 1.0, 0.6, 0.2, 0, 0.7, 0.7, 0])
  assert realism.event_seconds(level, 10.0, 0.5) == pytest.approx([0.3, 0.2])
  assert realism.event_seconds(0.1 * level, 10.0, 0.5) == []


def test_levels_are_compared_beside_the_own_neutral():
  real = {"neutral": np.array([0.2, 0.0]), "anger": np.array([0.2, 1.0])}
  ours = {"neutral": np.array([0.0, 0.5]), "anger": np.array([0.0, 0.9])}
  assert realism.level_cosines(ours, real) == {"anger": pytest.approx(1.0)}


def test_blinks_and_shifts_of_the_gaze_are_counted():
  lids, eyes = np.zeros(100), np.zeros((100, 2))
  lids[10:13] = lids[50:54] = 0.9
  lids[60:90] = 0.9  # closed, no blink
  eyes[30:] += [0.2, 0.0]
  found = realism.blinks_and_gaze([(lids, eyes)], 25.0)
  assert found["blinks a minute"] == found["gaze shifts a minute"] * 2 == 30
  assert found["blink, s below half open"] == pytest.approx(0.14)


def test_simulated_faces_are_of_the_family_they_are_compared_as():
  found = realism.simulated(1, speaking=True)
  strength = {family: realism.units_of(clips[0]) for family, clips in found.items()}
  column = realism.OPENFACE.index(12)
  assert strength["happiness"][:, column].max() > 3 * strength["anger"][:, column].max()
