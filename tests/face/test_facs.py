"""The FACS reading of a motion, against what the simulator acted."""

import json

import numpy as np
import pytest
from PIL import Image

from data_prep import expressions, simulate
from tdmm_jax.cli import main
from tdmm_jax.errors import UserError
from tdmm_jax.face import action_units, facs, load_model, motion
from tdmm_jax.face.action_units import ACTION_UNITS
from tdmm_jax.language import lexicon


@pytest.fixture(scope="module")
def face():
  return load_model.default_head()


def clip(channels_TC, noise=0.0, seed=0):
  """A motion of the simulator's channels, as its trackers see it."""
  rng = np.random.default_rng(seed)
  units_TU = channels_TC[:, : len(ACTION_UNITS)]
  units_TU = units_TU + noise * rng.normal(size=units_TU.shape)
  column = lambda name: channels_TC[:, expressions.CHANNEL_INDEX[name]]
  jaw = np.zeros((len(channels_TC), 3))
  jaw[:, 0] = column("jaw_open")
  return motion.zeros(len(channels_TC)).replace(
    expression=action_units.activations_to_expression(units_TU),
    jaw_pose=jaw.astype(np.float32),
    eyelids=np.stack([column("lid_l"), column("lid_r")], 1).astype(np.float32),
  )


def pulse(frames, start, stop, peak):
  """0 outside start .. stop, a raised cosine within, highest in the middle."""
  t = (np.arange(frames) - start) / (stop - start)
  return peak * np.where((t > 0) & (t < 1), 0.5 - 0.5 * np.cos(2 * np.pi * t), 0.0)


def test_one_smile_is_read_as_it_was_made(face):
  channels = np.zeros((100, len(expressions.CHANNELS)))
  channels += np.outer(pulse(100, 25, 75, 0.8), expressions.recipe_vector("12=1"))
  (smile,) = facs.read_actions(clip(channels), face)
  assert (smile.code, smile.side, smile.intensity) == ("12", "both", "D")
  assert smile.apex_s == pytest.approx(2.0, abs=0.04)
  assert smile.onset_s == pytest.approx(1.3, abs=0.12)
  assert smile.offset_s == pytest.approx(2.7, abs=0.12)
  assert smile.onset_s < smile.apex_start_s <= smile.apex_s < smile.apex_stop_s
  assert smile.apex_stop_s < smile.offset_s
  assert smile.activation == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
  ("peak", "letter"), [(0.2, "A"), (0.4, "B"), (0.6, "C"), (0.9, "D"), (1.2, "E")]
)
def test_intensities_are_letters(face, peak, letter):
  channels = np.outer(pulse(80, 10, 70, peak), expressions.recipe_vector("4=1"))
  (action,) = facs.read_actions(clip(channels), face)
  assert (action.code, action.intensity) == ("4", letter)


def test_sides_blinks_and_two_pulses_of_one_unit(face):
  channels = np.outer(pulse(150, 10, 50, 0.7), expressions.recipe_vector("12L=1"))
  channels += np.outer(pulse(150, 70, 78, 1.0), expressions.recipe_vector("lids=1"))
  channels += np.outer(pulse(150, 90, 130, 1.0), expressions.recipe_vector("lids=1"))
  two = pulse(150, 20, 60, 0.8) + pulse(150, 55, 95, 0.6)
  channels += np.outer(two, expressions.recipe_vector("1=1"))
  read = facs.read_actions(clip(channels), face)
  assert [(a.code, a.side) for a in read] == [
    ("12", "left"),
    ("1", "both"),
    ("1", "both"),
    ("45", "both"),
    ("43", "both"),
  ]


def test_negative_coefficients_are_not_negative_actions(face):
  """What is no action unit's displacement is shared among those that come nearest."""
  made = motion.zeros(5).replace(
    expression=-action_units.activations_to_expression(np.full((5, 50), 0.3))
  )
  assert facs.activations(made, face).min() >= 0.0


def test_events_of_the_simulator_are_found_again(face):
  """F1 over units and clips, and the error of onset, apex and offset.

  Truth is what each emotion's recipe acts, before speech, rest, sway and the tracker's
  noise are laid over it; a unit of no recipe that is read counts against it.
  """
  hits = wrong = missed = 0
  errors = []
  for seed, emotion in enumerate(("happy", "angry", "surprised", "disgusted", "sad")):
    attributes = lexicon.parse("A man looks ahead.", 4.0) | {
      "segments": [
        {"start_s": 0.8, "end_s": 3.0, "emotion": emotion, "family": "", "intensity": 4}
      ],
      "emotion": emotion,
      "intensity": 4,
      "micro_actions": [],
      "head_motion": [],
      "speaking": "silent",
    }
    times_T = np.arange(100) / 25
    style = simulate.GENERATORS["sim_plain"]
    rng = np.random.default_rng(seed)
    acted = simulate._emotions(attributes, times_T, style, rng)
    truth = facs.read_actions(clip(acted), face)
    simulate._add_life(acted, np.ones((100, 3)), attributes, times_T, style, rng)
    read = facs.read_actions(clip(acted, noise=0.02, seed=seed), face)
    eyes = ("43", "45")  # blinks come with life
    key = lambda a: a.code
    truth = {key(a): a for a in truth if a.intensity >= "B" and key(a) not in eyes}
    strong = {key(a): a for a in read if a.intensity >= "B" and key(a) not in eyes}
    every = {key(a): a for a in read}
    hits += len(truth.keys() & every.keys())
    missed += len(truth.keys() - every.keys())
    wrong += len(strong.keys() - truth.keys())
    for code in truth.keys() & every.keys():
      for moment in ("onset_s", "apex_start_s", "offset_s"):
        errors.append(abs(getattr(truth[code], moment) - getattr(every[code], moment)))
  assert hits > 20
  assert 2 * hits / (2 * hits + wrong + missed) > 0.9
  assert np.median(errors) <= 0.08


def test_table_json_and_picture(face, tmp_path, capsys):
  channels = np.outer(pulse(75, 20, 60, 0.8), expressions.recipe_vector("12=1 6=.6"))
  path = str(tmp_path / "motion.npz")
  motion.save_motion(path, clip(channels))
  assert main.main(["describe", path, "--actions"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].split()[:3] == ["AU", "side", "grade"]
  assert [line.split()[0] for line in lines[1:]] == ["12", "6"]
  picture = str(tmp_path / "timeline.png")
  options = ["--actions", "--json", "--timeline", picture]
  assert main.main(["describe", path, *options]) == 0
  said = json.loads(capsys.readouterr().out)
  assert [row["intensity"] for row in said["actions"]] == ["D", "B"]
  drawn = np.asarray(Image.open(picture))
  assert drawn.shape[1] == 900 and drawn.std() > 10


def test_a_motion_without_action_units_is_the_users_error(face, tmp_path, capsys):
  with pytest.raises(UserError, match="basis 'flame2020'"):
    facs.activations(motion.zeros(3, "flame2020"), face)
  path = str(tmp_path / "motion.npz")
  motion.save_motion(path, motion.zeros(3))
  assert main.main(["describe", path, "--timeline", "x.png"]) == 2
  assert main.main(["describe", path, "--actions", "--question", "Who?"]) == 2
  capsys.readouterr()
  assert facs.read_actions(motion.zeros(3), face) == []
  assert facs.table([]) == "no action unit acts"
