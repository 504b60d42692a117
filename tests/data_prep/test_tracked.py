"""The stand-in for tracker and fit: drawn people, misfit, and what the fit gives."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep import build, prompts, simulate, tracked
from tdmm_jax.errors import UserError
from tdmm_jax.face import facs, load_model
from tdmm_jax.face.fit import fit_landmarks
from tdmm_jax.language import lexicon


def head():
  return load_model.default_head()


def happy(seconds=2.0, seed=0):
  return simulate.simulate(lexicon.parse("A very happy woman.", seconds), seed, seconds)


def test_the_stand_in_gives_what_the_fit_gives_of_the_same_landmarks():
  clip, rng = happy(), np.random.default_rng(0)
  rest = tracked.draw_person(head(), rng)
  misfit = tracked.draw_misfit(head(), clip.num_frames, rng)
  seen = np.ones(clip.num_frames, bool)
  points = tracked.landmarks(clip, head(), rest, misfit)
  real, found = fit_landmarks.fit_landmarks(head(), points, seen, 25.0, 800, 600)
  fast = tracked.fitted(clip, tracked.facts_of(head()), 1.0, rest, misfit, seen)
  ours, theirs = (facs.activations(m, head()) for m in (fast, real))
  assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.93
  assert 0.8 < np.sqrt((ours**2).mean() / (theirs**2).mean()) < 1.25
  assert np.abs(np.degrees(fast.head_pose - real.head_pose)).mean() < 2.0
  assert 0.002 < found["landmark_error"] < 0.012  # as of real people
  top = np.argsort(-ours.mean(0))[:4]  # cheeks rise with a smile
  assert {"lip_corner_puller_l", "lip_corner_puller_r"} <= {
    facs.ACTION_UNITS[u] for u in top
  }


def test_misfit_is_spread_as_measured():
  rows = np.concatenate(
    [tracked.draw_misfit(head(), 200, np.random.default_rng(i)) for i in range(8)]
  )
  lips = np.isin(head().landmark_ids, tracked._PARTS["lips"])
  sd = np.sqrt((rows[:, lips] ** 2).mean((0, 1)))
  np.testing.assert_allclose(sd, tracked._SD_XY["lips"], rtol=0.35)
  one = tracked.draw_misfit(head(), 400, np.random.default_rng(9))
  follows = (one[1:] * one[:-1]).mean() / (one**2).mean()
  assert follows == pytest.approx(tracked._AR, abs=0.08)


def test_the_same_seed_gives_the_same_and_drops_are_interpolated():
  clip = happy()
  made = [tracked.tracked(clip, head(), np.random.default_rng(3)) for _ in range(2)]
  np.testing.assert_array_equal(made[0].expression, made[1].expression)
  other = tracked.tracked(clip, head(), np.random.default_rng(4))
  assert np.abs(other.expression - made[0].expression).max() > 0.01
  seen = np.ones(clip.num_frames, bool)
  seen[10:14] = False
  nothing = np.zeros((clip.num_frames, len(head().landmark_ids), 2))
  known = tracked.facts_of(head())
  gap = tracked.fitted(clip, known, 1.0, known.mean_L3, nothing, seen)
  np.testing.assert_array_equal(gap.valid, seen)
  line = np.linspace(gap.expression[9], gap.expression[14], 6)
  np.testing.assert_allclose(gap.expression[9:15], line, atol=1e-5)


def test_a_share_of_the_records_is_tracked(tmp_path):
  plans = prompts.make_suite(12, 0, (0.8, 1.2))
  build.build_corpus(
    tmp_path / "records",
    12,
    num_workers=1,
    progress=False,
    seconds=(0.8, 1.2),
    shard_clips=32,
    tracked=0.5,
  )
  builder = tfds.builder_from_directory(tmp_path / "records")
  rows = [r for split in builder.info.splits for r in builder.as_data_source(split)]
  kinds = [row["tracker"].decode() for row in rows]
  assert len(rows) == len(plans) and 2 <= kinds.count(tracked.TRACKER) <= 10
  assert set(kinds) - {tracked.TRACKER} <= set(simulate.TRACKERS)
  request = json.loads((tmp_path / "records" / "build.json").read_text())["request"]
  assert request["tracked"] == {"share": 0.5, "version": tracked.VERSION}


def test_shares_that_make_no_sense(tmp_path):
  args = build._parser().parse_args(["--out", str(tmp_path / "r"), "--tracked", "1.5"])
  with pytest.raises(UserError, match=r"--tracked 1\.5: give a share"):
    build._build(args, [])
  args.tracked, args.motions = 0.5, str(tmp_path)
  with pytest.raises(UserError, match="of simulated motions only"):
    build._build(args, [])
