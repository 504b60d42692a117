"""The simulator does what the attributes say, smoothly, and nothing else.

The head is a stand-in whose expression coefficients are the action units themselves, so
that tests read action units directly.
"""

import dataclasses

import numpy as np
import pytest

from data_prep import expressions, prompts, recipes, simulate
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.language import lexicon, wording
from tdmm_jax.language.acts import Act

BASIS = simulate.HeadBasis("stand-in", 5, np.eye(expressions.NUM_ACTION_UNITS))
SEEDS = range(12)
DEGREE = np.pi / 180


def act(text, seed=0, seconds=4.0, **kwargs):
  attributes = lexicon.parse(text, seconds)
  return simulate.simulate(attributes, seed, seconds, basis=BASIS, **kwargs)


def unit(motion, name):
  return motion.expression[:, expressions.CHANNEL_INDEX[name]]


def span(track):
  return track.max() - track.min()


def runs_above(track, level):
  """How many times the track rises through the level."""
  above = np.concatenate([[False], track > level])
  return int(np.sum(above[1:] & ~above[:-1]))


def test_same_seed_same_motion():
  one, again, other = (act("A man smiles and nods.", seed) for seed in (3, 3, 4))
  for field in dataclasses.fields(one):
    np.testing.assert_array_equal(getattr(one, field.name), getattr(again, field.name))
  assert np.abs(one.expression - other.expression).max() > 0.05


@pytest.mark.parametrize("seconds", [0.4, 3.24, 6.0])
def test_shapes_and_ranges(seconds):
  for i, generator in enumerate(simulate.GENERATORS):
    for tracker in simulate.TRACKERS:
      motion = act(
        "A furious man sings, blinking, shaking his head, winking.",
        i,
        seconds,
        generator=generator,
        tracker=tracker,
      )
      motion_lib.validate(motion, "simulated")
      assert motion.num_frames == round(seconds * 25)
      assert motion.expression.dtype == np.float32
      assert motion.eyelids.min() >= 0 and motion.eyelids.max() <= 1
      assert motion.jaw_pose[:, 0].min() >= 0 and motion.jaw_pose[:, 0].max() <= 0.6
      assert not motion.neck_pose.any() and not motion.translation.any()
      assert motion.valid.all() and motion.fps == 25.0


def test_intensity_raises_amplitude():
  smile = [
    np.mean(
      [
        unit(act(f"A man shows {word} joy.", s), "lip_corner_puller_l").max()
        for s in SEEDS
      ]
    )
    for word in ("faint", "slight", "medium", "strong", "extreme")
  ]
  ratios = np.divide(smile[1:], smile[:-1])
  assert (ratios > 1.15).all() and smile[-1] > 2.5 * smile[0]


def test_onset_apex_offset():
  for seed in SEEDS:
    track = unit(act("An extreme frown.", seed), "lip_corner_depressor_l")
    assert track[:1].max() < 0.7 * track.max()
    assert track[15:80].min() > 0.5 * track.max()  # the apex is held


def test_transition_follows_the_order():
  for seed in SEEDS:
    motion = act("An extremely sad look, then extreme surprise.", seed)
    sad, surprised = (
      unit(motion, "lip_corner_depressor_l"),
      unit(motion, "outer_brow_raiser_l"),
    )
    assert sad[20:40].mean() > 4 * sad[75:].mean()
    assert surprised[75:].mean() > 4 * surprised[10:35].mean()


def test_mixture_shows_both():
  motion = act("Extreme anger mixed with extreme sadness.")
  assert unit(motion, "brow_lowerer_l").max() > 0.5
  assert unit(motion, "lip_corner_depressor_l").max() > 0.4


AXES = {"nod": 0, "shake": 1, "tilt": 2, "turn": 1, "look_up": 0, "look_down": 0}
AXES |= {"lean": 0, "dip": 0, "look_away": 1, "double_take": 1}


def test_a_still_head_sways_a_little():
  spans = [span(act("A man.", seed).head_pose) for seed in range(40)]
  assert 0.2 * DEGREE < np.median(spans) < 6 * DEGREE and max(spans) < 11 * DEGREE


@pytest.mark.parametrize("name", lexicon.HEAD_MOTIONS)
def test_head_motion_is_clear_and_about_its_axis(name):
  text = wording.phrase(Act(name)).replace("~", "his")
  for seed in SEEDS:
    pose = act(f"A man {text}.", seed).head_pose
    spans = np.ptp(pose, axis=0)
    assert spans.argmax() == AXES[name]
    assert spans.max() > 6 * DEGREE
    track = pose[:, AXES[name]] - np.median(pose[:5, AXES[name]])
    if name == "look_up":
      assert track.min() < -8 * DEGREE and track.max() < 4 * DEGREE
    if name == "look_down":
      assert track.max() > 8 * DEGREE and track.min() > -4 * DEGREE
    if name == "nod":  # downwards and back, more than once
      assert runs_above(track, 0.5 * track.max()) >= 2
      assert track.max() > -1.2 * track.min()
    if name == "shake":
      assert runs_above(track, 0.3 * track.max()) >= 2
      assert runs_above(-track, 0.3 * (-track).max()) >= 2


def test_blinking_is_more_than_usual():
  count = lambda text: [
    runs_above(act(text, seed).eyelids.mean(1), 0.6) for seed in range(30)
  ]
  usual, asked = count("A man."), count("A man blinks.")
  assert 0 < np.mean(usual) < 1.7
  assert min(asked) >= 3 and max(asked) <= 5


def test_wink_closes_one_eye():
  for seed in SEEDS:
    lids = act("A man winks.", seed).eyelids
    assert np.abs(lids[:, 0] - lids[:, 1]).max() > 0.7


@pytest.mark.parametrize("name", recipes.MICRO_RECIPES)
def test_micro_actions_come_and_go(name):
  vector = expressions.micro_vectors()[name]
  channel = int(vector.argmax())
  attributes = lexicon.make_attributes([("neutral", 3, 0, 4.0)], micro_actions=[name])
  for seed in SEEDS:
    motion = simulate.simulate(attributes, seed, 4.0, basis=BASIS)
    if name == "jaw_drop":
      track = motion.jaw_pose[:, 0]
    elif name == "eyes_closed":
      track = motion.eyelids[:, 0]
    else:
      track = motion.expression[:, channel]
    assert track.max() > 0.7 * vector.max()
    if name != "eyes_closed":  # there, an idle blink may come first
      assert track[:2].max() < 0.3 * track.max()
    assert 1 <= runs_above(track, 0.5 * track.max()) <= 3  # sniffs come in twos
    assert np.sum(track > 0.5 * track.max()) >= 9  # 0.36 s: no tremor hides it


def test_gaze_shift_leaves_the_camera():
  gaze = lambda text, seed: np.abs(act(text, seed).eye_pose[:, 1]).max()
  assert min(gaze("A man glances away.", seed) for seed in SEEDS) > 0.25
  assert max(gaze("A man.", seed) for seed in SEEDS) < 0.2


def test_voices():
  speed = lambda text: np.mean(
    [np.abs(np.diff(act(text, seed).jaw_pose[:, 0])).mean() for seed in SEEDS]
  )
  silent, speaking = speed("A man."), speed("A man speaks.")
  assert speaking > 8 * silent

  def opening(text):
    jaws = [act(text, seed).jaw_pose[:, 0] for seed in SEEDS]
    rate = np.mean([runs_above(jaw, jaw.mean()) / 4.0 for jaw in jaws])
    return np.mean([jaw.max() for jaw in jaws]), rate

  (spoken_size, spoken_hz), (sung_size, sung_hz) = (
    opening("A man speaks."),
    opening("A man sings."),
  )
  assert sung_size > 1.2 * spoken_size
  assert spoken_hz > 1.4 * sung_hz


def test_manners_of_speaking_differ():
  def jaw(text):
    return np.stack([act(text, seed).jaw_pose[:, 0] for seed in range(40)])

  size = lambda text: np.mean(np.percentile(jaw(text), 97, axis=1))
  speed = lambda text: np.mean(np.abs(np.diff(jaw(text))))
  relative = lambda text: speed(text) / size(text)
  assert size("A man shouts.") > 1.2 * size("A man speaks.")
  assert size("A man speaks.") > 1.2 * size("A man whispers.")
  assert relative("He speaks quickly.") > 1.05 * relative("He speaks.")
  assert relative("He speaks.") > 1.15 * relative("He speaks slowly.")


def test_motion_is_smooth():
  suite = prompts.make_suite(60, seed=5, seconds=(4.0, 4.0))
  for plan in suite:
    motion = simulate.simulate(plan.attributes, plan.seed, 4.0, basis=BASIS)
    steps = np.abs(np.diff(motion.expression, axis=0))
    assert steps.max() < 0.95 and np.mean(steps) < 0.03, plan.prompt
    assert np.abs(np.diff(motion.head_pose, axis=0)).max() < 7 * DEGREE
    assert np.abs(np.diff(motion.jaw_pose, axis=0)).max() < 12 * DEGREE


def test_trackers_and_generators_differ():
  noise = lambda tracker: np.abs(
    np.diff(act("A man.", 1, tracker=tracker).expression, n=3, axis=0)
  ).mean()
  assert noise("sim_noisy") > 1.5 * noise("sim_clean")
  smile = lambda name: np.mean(
    [
      unit(act("A man smiles.", s, generator=name), "lip_corner_puller_l").max()
      for s in SEEDS
    ]
  )
  assert smile("sim_lively") > 1.08 * smile("sim_restrained")


def test_version_guard():
  """If this fails on purpose, raise simulate.REVISION and put the new numbers here."""
  motion = act("A very happy woman sings, then a sad look. She nods and winks.", 11)
  found = [
    motion.expression.mean(),
    motion.expression.std(),
    motion.jaw_pose.std(),
    motion.head_pose.std(),
    motion.eyelids.mean(),
    motion.eye_pose.std(),
  ]
  np.testing.assert_allclose(found, GOLDEN, rtol=2e-3, err_msg="raise REVISION")


GOLDEN = [0.137154, 0.249317, 0.089346, 0.044925, 0.114340, 0.052974]


def test_command_line(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(simulate, "head_basis", lambda: BASIS)
  out = tmp_path / "motion.npz"
  assert simulate.main(["A man nods.", "--seconds", "2", "--out", str(out)]) == 0
  assert motion_lib.load_npz(out).num_frames == 50
  assert simulate.main(["A man.", "--seconds", "0", "--out", str(out)]) == 2
  assert "--seconds" in capsys.readouterr().err
