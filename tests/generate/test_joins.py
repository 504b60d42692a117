"""Joins: no jump in place or speed, no hurry, and nothing else is touched."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face import motion_vector
from tdmm_jax.generate import editing, joins

WIDTH = 4 + motion_vector.NUM_POSE
STD = np.full(WIDTH, 0.1, np.float32)
JAW, HEAD = slice(8 - 4, 11 - 4), slice(-3, None)
TRACKS = {"expression": slice(0, 4), "jaw": JAW, "head": HEAD}


def smooth(num_frames=80, seed=0):
  """Slow waves in every track, lids half closed: float32[T, P]."""
  rng = np.random.default_rng(seed)
  times = np.arange(num_frames)[:, None] / 25
  hz, phase = rng.uniform(0.1, 0.4, WIDTH), rng.uniform(0, 6, WIDTH)
  vectors = 0.08 * np.sin(2 * np.pi * hz * times + phase)
  motion_vector.split(vectors)["eyelids"][:] += 0.5
  return vectors.astype(np.float32)


def steps(vectors, part):
  """Sizes of a track's steps, and of their changes; those of rotations in rad."""
  track = np.asarray(vectors, np.float64)[:, part]
  if part.stop == 4:
    moves = np.diff(track, axis=0)
  else:
    turned = Rotation.from_rotvec(track)
    moves = (turned[1:] * turned[:-1].inv()).as_rotvec()
  size = lambda x: np.linalg.norm(x, axis=-1)
  return size(moves), size(np.diff(moves, axis=0))


def blurred_jump(num_frames=120, at=60, size=0.5):
  """Every track jumps at a frame, over the few frames that a decoder blurs."""
  vectors = smooth(num_frames)
  share = np.clip((np.arange(num_frames) - at + 3.5) / 6, 0, 1)[:, None]
  jump = np.zeros(WIDTH, np.float32)
  for part in TRACKS.values():
    jump[part] = size
  return (vectors + share * jump).astype(np.float32)


@pytest.mark.parametrize("name", TRACKS)
def test_new_frames_begin_and_end_at_the_kept_ones_place_and_speed(name):
  part, kept = TRACKS[name], smooth()
  # Another motion everywhere, at another place and speed at both joins.
  drawn = smooth(seed=1) + np.float32(0.2)
  start, stop = 20, 60
  made = kept.astype(np.float64)
  made[start:stop] = joins.between(kept, drawn, start, stop, STD)
  hard = kept.copy()
  hard[start:stop] = drawn[start:stop]
  for frame in (start, stop):
    around = slice(frame - 2, frame)  # the two frames of the join
    assert steps(made, part)[1][around].max() < steps(hard, part)[1][around].max() / 10
    assert steps(made, part)[0][frame - 1] < steps(hard, part)[0][frame - 1] / 10
  middle = made[start + 15 : stop - 15] - drawn[start + 15 : stop - 15]
  assert np.abs(middle[:, part]).max() < 0.2


def test_a_larger_lack_takes_longer_and_none_is_fast():
  kept, peaks = smooth(), []
  limit = 0.25 * np.linalg.norm(STD[HEAD])
  for size in (0.1, 0.2, 0.4):
    drawn = kept.copy()
    drawn[20:, HEAD] += np.float32(size)
    # What is kept is the motion; what was drawn of it is off by the same.
    drawn[:20, HEAD] += np.float32(size)
    made = joins.between(kept, drawn, 20, 80, STD)
    added = np.diff(made[:, HEAD] - drawn[20:, HEAD], axis=0)
    peaks.append(np.linalg.norm(added, axis=-1).max())
    faded = np.abs(made[:, HEAD] - drawn[20:, HEAD]).max(-1) < 1e-6
    assert faded[int(1.5 * size * np.sqrt(3) / limit) + 1 :].all()
    assert not faded[: int(size * np.sqrt(3) / limit)].any()
  assert max(peaks) < 1.1 * limit


def test_a_move_that_is_cut_off_comes_to_rest_and_does_not_stop_dead():
  kept = np.zeros((80, WIDTH), np.float32)
  kept[:20, HEAD] = 0.02 * np.arange(-19, 1)[:, None]
  drawn = np.zeros_like(kept)  # at rest where the move was cut off
  made = joins.between(kept, drawn, 20, 80, STD)
  sizes = steps(np.concatenate([kept[18:20], made]), HEAD)[0]
  assert sizes[0] > sizes[1] > sizes[0] / 3 and sizes.max() == sizes[0]
  assert np.abs(made[10:, HEAD]).max() < 1e-6


def test_large_turns_about_several_axes_meet():
  kept, drawn = np.zeros((2, 80, WIDTH), np.float32)
  kept[:, HEAD], drawn[:, HEAD] = (0.2, 1.4, 0.0), (1.2, -0.3, 0.5)
  made = joins.between(kept, drawn, 20, 60, STD)
  whole = kept.copy()
  whole[20:60] = made
  assert steps(whole, HEAD)[0].max() < 0.08  # of more than 1.9 rad in all


@pytest.mark.parametrize("start, stop", [(20, 21), (0, 3), (77, 80), (1, 79), (5, 9)])
def test_ranges_of_any_length_and_place_meet_their_neighbours(start, stop):
  kept, drawn = smooth(), smooth(seed=1) + np.float32(0.2)
  made = joins.between(kept, drawn, start, stop, STD)
  assert made.shape == (stop - start, WIDTH) and np.isfinite(made).all()
  if start and stop < 80:
    whole = kept.copy()
    whole[start:stop] = made
    hard = kept.copy()
    hard[start:stop] = drawn[start:stop]
    assert steps(whole, HEAD)[0].max() < 0.75 * steps(hard, HEAD)[0].max()


def test_what_the_tokenizer_loses_nowhere_is_copied():
  kept = smooth()
  made = joins.between(kept, kept, 20, 60, STD)
  np.testing.assert_allclose(made, kept[20:60], atol=1e-6)


def test_who_always_moves_fast_may_do_so_at_joins():
  times = np.arange(80)[:, None]
  kept = np.zeros((80, WIDTH), np.float32)
  kept[:, HEAD] = 0.3 * np.sin(0.5 * times + np.arange(3))
  assert steps(kept, HEAD)[0].max() > 2 * 0.25 * np.linalg.norm(STD[HEAD])
  made = joins.between(kept, kept, 20, 60, STD)
  np.testing.assert_allclose(made, kept[20:60], atol=0.02)


def led(vectors, starts, cuts=()):
  return np.concatenate(list(joins.follow(np.split(vectors, cuts), starts, STD)))


@pytest.mark.parametrize("name", TRACKS)
def test_a_blurred_jump_is_slowed_down_and_nothing_else_is_touched(name):
  drawn, part = blurred_jump(), TRACKS[name]
  made = led(drawn, [60])
  assert made.shape == drawn.shape and made.dtype == np.float32
  before, after = steps(drawn, part)[0].max(), steps(made, part)[0].max()
  usual = steps(smooth(120), part)[0].max()
  limit = (0.5 if name == "jaw" else 0.25) * np.linalg.norm(STD[part])
  assert before > 1.5 * limit and after < 1.1 * limit + usual
  first, last = 60 - joins.SMEAR, 60 + 60
  np.testing.assert_array_equal(made[:first], drawn[:first])
  np.testing.assert_allclose(made[last - joins.SMEAR :], drawn[last - joins.SMEAR :])
  kink = steps(made, part)[1]
  assert kink.max() < steps(drawn, part)[1].max() / 3


def test_where_nothing_jumps_nothing_changes():
  drawn = smooth(120)
  np.testing.assert_allclose(led(drawn, [30, 60, 61]), drawn, atol=1e-6)


def test_lids_and_eyes_may_jump():
  drawn = smooth(120)
  lids = motion_vector.split(drawn)["eyelids"]
  lids[60:64] = 1.0  # a blink
  np.testing.assert_allclose(led(drawn, [60]), drawn, atol=1e-6)


@pytest.mark.parametrize("starts", [[60], [1], [3, 4, 5, 70], [7, 60, 119], [110]])
def test_frames_are_the_same_however_they_come(starts):
  drawn = blurred_jump(at=starts[-1])
  whole = led(drawn, starts)
  rng = np.random.default_rng(0)
  for cuts in (range(1, 120), range(5, 120, 5), np.sort(rng.integers(0, 120, 6))):
    np.testing.assert_array_equal(led(drawn, starts, list(cuts)), whole)


def test_frames_before_a_join_do_not_wait_for_it():
  drawn = blurred_jump(at=60)
  given = 0

  def pieces():
    nonlocal given
    for piece in np.split(drawn, range(5, 120, 5)):
      given += len(piece)
      yield piece

  done = 0
  for made in joins.follow(pieces(), [60], STD):
    done += len(made)
    assert given - done <= 2 * joins.SMEAR + 5
    assert done == given or given > 60 - joins.SMEAR
  assert done == 120


def test_a_splice_folds_the_neck_and_keeps_all_that_is_not_new():
  rng, kept = np.random.default_rng(0), motion_lib.zeros(60)
  wave = lambda width, size: (
    np.sin(np.linspace(0, 9, 60)[:, None] + rng.normal(size=width)) * size
  ).astype(np.float32)
  kept = kept.replace(
    expression=wave(50, 1.0), neck_pose=wave(3, 0.2), head_pose=wave(3, 0.3)
  )
  world = motion_lib.world_head_rotation(kept)
  decoded = kept.replace(neck_pose=np.zeros((60, 3), np.float32), head_pose=world)
  std = np.full(64, 0.3, np.float32)
  made = editing.splice(kept, decoded, 20, 45, std)
  # The same head, though the decoded one has no neck.
  np.testing.assert_allclose(motion_lib.world_head_rotation(made), world, atol=1e-5)
  np.testing.assert_array_equal(made.neck_pose, kept.neck_pose)


def test_a_motion_that_knows_nothing_of_the_last_one_takes_over_without_a_jump():
  shown, other = smooth(), smooth(seed=1) + np.float32(0.2)
  taken = joins.Takeover(shown[37:40], other[0], joins.limits(STD))
  made = np.concatenate([shown[:40], [taken.move(frame) for frame in other]])
  hard = np.concatenate([shown[:40], other])
  for part in TRACKS.values():
    places, speeds = steps(made, part)
    assert places[38:41].max() < 0.3 * steps(hard, part)[0][39]
    assert speeds[37:40].max() < 0.2 * steps(hard, part)[1][37:40].max()
  np.testing.assert_array_equal(made[-25:], hard[-25:])  # and in the end it is itself
  assert not np.allclose(made[45], hard[45], atol=1e-3)
