"""Tempo: onsets take the time of their words, and nothing else is touched."""

import itertools
import types

import numpy as np
import pytest

from tdmm_jax.face import motion_vector
from tdmm_jax.generate import tempo
from tdmm_jax.generate.windows import Span
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import placing

E = 4
WIDTH = E + motion_vector.NUM_POSE
CODEC = types.SimpleNamespace(face=None, std_P=np.full(WIDTH, 0.1, np.float32))
FACE = types.SimpleNamespace(text_encoder=None)
YAW = WIDTH - 2


def turned(onset=10, begins=20, leaves=75, total=100):
  """A head that turns in `onset` frames and back, amid waves: float32[T, P]."""
  times = np.arange(total)
  waves = np.sin(times[:, None] / 9 + np.arange(WIDTH)) * 0.01
  x = np.clip((times - begins) / onset, 0, 1) - np.clip((times - leaves) / onset, 0, 1)
  waves[:, YAW] = 0.4 * x * x * (3 - 2 * x)
  return waves.astype(np.float32)


def move(word, start_s=0.8, end_s=3.4, **said):
  act = acts_lib.Act("turn", start_s=start_s, end_s=end_s, direction="left", tempo=word)
  act = act.replace(**said)
  return tempo._move(act, Span(0, 100, 100, ""), False, [act])[0]


def made(vectors, *moves):
  return np.concatenate(list(tempo.follow([vectors], moves, CODEC)))


def rise(vectors):
  """Frames from a tenth to nine tenths of the way."""
  yaw = vectors[:, YAW] / vectors[:, YAW].max()
  at = np.arange(len(yaw))
  there = int(np.argmax(yaw > 0.9))
  return there - at[:there][yaw[:there] < 0.1][-1]


@pytest.mark.parametrize("word", ["slow", "quick"])
def test_an_onset_takes_what_the_law_says(word):
  act = move(word).act
  expected = placing.usual_rise_s(act) * 25
  # Minimum jerk is between a tenth and nine tenths for 0.54 of its time.
  assert rise(made(turned(), move(word))) == pytest.approx(0.54 * expected, abs=2)


def test_slow_is_at_least_twice_as_slow_as_quick_however_they_were_made():
  for onset in (5, 10, 20):
    slow, quick = (made(turned(onset), move(word)) for word in ("slow", "quick"))
    assert rise(slow) >= 2 * rise(quick)


def test_the_head_arrives_where_it_was_to_and_all_else_stays():
  before = turned()
  for word in ("slow", "quick"):
    after = made(before, move(word))
    assert after.shape == before.shape
    assert after[:, YAW].max() == pytest.approx(before[:, YAW].max(), abs=1e-4)
    np.testing.assert_allclose(after[[0, -1]], before[[0, -1]], atol=1e-6)
    face = slice(0, E + 5)  # expression, jaw and lids: the head's acts are not theirs
    np.testing.assert_array_equal(after[:, face], before[:, face])
    assert np.abs(np.diff(after[:, YAW], axis=0)).max() < 0.25


def test_frames_are_the_same_however_they_come():
  vectors = turned(total=180)
  later = move("slow", 4.2, 6.8)._replace(first=95, last=180)
  moves = [move("quick", 0.8, 3.0)._replace(last=90), later]
  whole = made(vectors, *moves)
  for size in (1, 7, 50):
    pieces = np.split(vectors, range(size, 180, size))
    joined = np.concatenate(list(tempo.follow(pieces, moves, CODEC)))
    np.testing.assert_array_equal(joined, whole)


def test_a_clip_that_ends_within_a_move_keeps_all_of_its_frames():
  vectors = turned(total=60)
  joined = np.concatenate(list(tempo.follow([vectors], [move("quick")], CODEC)))
  np.testing.assert_array_equal(joined, vectors)


def test_an_act_that_is_not_there_changes_nothing():
  still = np.zeros((100, WIDTH), np.float32)
  np.testing.assert_array_equal(made(still, move("slow")), still)


@pytest.mark.parametrize(
  "prompt, names",
  [
    ("She slowly turns her head to the left.", ["turn"]),
    ("He quickly raises his eyebrows.", ["brow_raise"]),
    ("She turns her head to the left.", []),
    ("He slowly opens his mouth while speaking.", []),  # lips that speak
    ("She quickly raises her eyebrows while speaking.", ["brow_raise"]),
    ("He quickly nods twice.", ["nod"]),
    ("He slowly nods twice.", []),  # placed in as much time as they take
  ],
)
def test_words_alone_switch_it_on(prompt, names):
  moves = tempo.moves_of(FACE, [Span(0, 100, 100, prompt)], 3)
  assert [one.act.name for one in moves] == names


@pytest.mark.parametrize("when", ["", "end"])
def test_several_quick_ones_are_pressed_together(when):
  act = acts_lib.Act("nod", start_s=1.0, end_s=2.4, count=2, tempo="quick", when=when)
  (one,) = tempo._move(act, Span(0, 100, 100, ""), False, [act])
  vectors = np.zeros((100, WIDTH), np.float32)
  phase = np.clip((np.arange(100) - 25) / 35, 0, 1) * 4 * np.pi
  vectors[:, -3] = 0.1 * (1 - np.cos(phase))
  pitch = made(vectors, one)[:, -3]
  (peaks,) = np.nonzero((pitch[1:-1] > pitch[:-2]) & (pitch[1:-1] >= pitch[2:]))
  assert len(peaks) == 2 and pitch[peaks[0] : peaks[1]].min() < 0.02
  least, most = placing.each_s(act)
  assert least - 0.05 < np.diff(peaks)[0] / 25 < most + 0.05
  assert (peaks[0] < 40) == (when == "")


def test_acts_of_one_part_are_apart():
  prompt = "She quickly turns her head to the left, then quickly looks up."
  moves = tempo.moves_of(FACE, [Span(0, 150, 150, prompt)], 0)
  assert len(moves) == 2
  for one, other in itertools.pairwise(moves):
    assert one.last <= round(other.start) and other.first >= round(one.end)
