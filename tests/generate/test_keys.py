"""Poses at times: met exactly, approached smoothly, nothing else changed."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import tdmm_jax
from tdmm_jax.errors import UserError
from tdmm_jax.face import arkit, motion_vector
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.files import arkit_csv
from tdmm_jax.generate import keys, takes
from tdmm_jax.runs import locate, packed

RELEASED = (locate.RELEASE_DIR / packed.CHECKSUMS).exists()
NUM_EXPRESSION = motion_lib.zeros(1).num_expression
STD_P = np.ones(NUM_EXPRESSION + motion_vector.NUM_POSE, np.float32)
TRACKS = ("expression", "jaw_pose", "eyelids", "eye_pose", "head_pose")


def wave(num_frames=100, seed=0):
  """A motion without noise."""
  rng = np.random.default_rng(seed)
  time_T1 = np.linspace(0, 9, num_frames)[:, None]
  make = lambda width, size: size * np.sin(time_T1 + rng.normal(size=width))
  return motion_lib.validate(
    motion_lib.zeros(num_frames).replace(
      expression=make(NUM_EXPRESSION, 1.0),
      jaw_pose=make(3, 0.1),
      head_pose=make(3, 0.3),
      eyelids=make(2, 0.3) ** 2,
      eye_pose=make(6, 0.1),
    ),
    "wave",
  )


def pose(seed):
  return motion_lib.trim(wave(seed=seed), 40, 41)


def lead(motion, *placed):
  return keys.lead(motion, [keys.Key(*key) for key in placed], STD_P)


def turn(motion, frame) -> Rotation:
  return Rotation.from_rotvec(motion.head_pose[frame])


# At both ends, amid, close together, and in neighbouring frames.
@pytest.mark.parametrize(
  "times", [(0.0,), (3.96,), (4.0,), (2.0,), (0.0, 1.0, 1.3, 3.9), (1.0, 1.04)]
)
def test_each_key_is_met_and_far_from_them_nothing_changes(times):
  motion = wave()
  placed = [(seconds, pose(10 + i)) for i, seconds in enumerate(times)]
  made = lead(motion, *placed)
  frames = [min(round(25 * seconds), 99) for seconds in times]
  away = np.min([np.abs(np.arange(100) - at) for at in frames], axis=0)
  for name in TRACKS:
    track = getattr(made, name)
    for at, (_, wanted) in zip(frames, placed, strict=True):
      np.testing.assert_array_equal(track[at], getattr(wanted, name)[0], err_msg=name)
    far = away > keys._LONGEST
    np.testing.assert_allclose(track[far], getattr(motion, name)[far], atol=1e-6)
  assert made.eyelids.min() >= 0 and made.eyelids.max() <= 1


def test_what_is_shown_lies_between_the_motion_and_the_pose():
  still, wanted = motion_lib.zeros(100), pose(3)
  made = lead(still, (2.0, wanted))
  share_T = made.expression @ wanted.expression[0] / (wanted.expression[0] ** 2).sum()
  mixed = share_T[:, None] * wanted.expression
  np.testing.assert_allclose(made.expression, mixed, atol=1e-6)
  assert share_T.min() > -1e-6 and share_T.argmax() == 50 and share_T.max() < 1 + 1e-6
  assert (np.diff(share_T[:51]) > -1e-6).all() and (np.diff(share_T[50:]) < 1e-6).all()
  # No faster than the path of least jerk in 0.4 s, and from rest to rest.
  steps = np.abs(np.diff(share_T))
  assert 0.1 < steps.max() < keys._PEAK_SPEED / 10
  assert np.abs(np.diff(share_T, 2)).max() < 0.06
  angles = (turn(made, slice(None)) * turn(still, slice(None)).inv()).magnitude()
  assert angles.argmax() == 50


def test_a_far_pose_is_given_more_time():
  far = motion_lib.zeros(1).replace(head_pose=np.array([[0, 1.2, 0]], np.float32))
  small = far.replace(head_pose=far.head_pose / 100)
  tight = np.full_like(STD_P, 0.02)
  still = motion_lib.zeros(100)
  moved = lambda wanted: np.flatnonzero(
    keys.lead(still, [keys.Key(2.0, wanted)], tight).head_pose[:, 1]
  )
  assert len(moved(small)) == 2 * keys._SHORTEST - 1
  assert len(moved(far)) == 2 * keys._LONGEST - 1


def test_no_key_no_change():
  motion = wave()
  assert keys.lead(motion, [], STD_P) is motion


def test_a_run_meets_keys_wherever_they_come_from(loaded_run):
  one, other = pose(1), pose(2)
  asked = [(1.2, other), keys.Key(0, "neutral"), (0.6, one)]
  sampling = {"seed": 3, "temperature": 0.5}
  made = loaded_run.generate("She smiles.", 1.6, keys=asked, **sampling)
  plain = loaded_run.generate("She smiles.", 1.6, **sampling)
  neutral = motion_lib.zeros(1)
  for at, wanted in ((0, neutral), (15, one), (30, other)):
    np.testing.assert_array_equal(made.expression[at], wanted.expression[0])
    np.testing.assert_array_equal(made.head_pose[at], wanted.head_pose[0])
  assert np.abs(made.expression - plain.expression).max() > 0.1
  timed = loaded_run.timeline("0-1: a smile; 1-2: a frown", keys=[(1.0, one)])
  np.testing.assert_array_equal(timed.jaw_pose[25], one.jaw_pose[0])


def test_a_neck_is_part_of_the_heads_rotation(loaded_run):
  bent = pose(1).replace(neck_pose=np.array([[0.2, 0, 0]], np.float32))
  made = loaded_run.generate("She smiles.", 0.4, keys=[(0.2, bent)])
  wanted = motion_lib.world_head_rotation(bent)[0]
  np.testing.assert_allclose(motion_lib.world_head_rotation(made)[5], wanted, atol=1e-6)


def test_the_take_that_obeys_with_its_keys_is_kept(loaded_run, monkeypatch):
  judged = []
  monkeypatch.setattr(
    takes, "best", lambda face, motions, prompt: judged.extend(motions) or motions[0]
  )
  loaded_run.generate("She smiles.", 0.4, takes=2, keys=[(0, "neutral")])
  assert len(judged) == 2 and not any(motion.jaw_pose[0].any() for motion in judged)


@pytest.mark.parametrize(
  "asked, said",
  [
    ([(1.0, "neutral")], "key 1: outside the clip, which is 0.8 s long"),
    ([(-0.1, "neutral")], "key -0.1: outside"),
    ([(float("nan"), "neutral")], "key nan: outside"),
    ([(0.4, "neutral"), (0.41, "neutral")], "a second key at frame 10"),
    ([(0.8, "neutral"), (0.76, "neutral")], "a second key at frame 19"),
    ([(0.4, "asdf qwer")], "no word of 'asdf qwer' is in the lexicon"),
    ([(0.4, "")], "no word of '' is in the lexicon"),
    ([(0.4, wave(4))], "a pose of 4 frames; cut one out"),
    ([(0.4, pose(1).replace(face_model="flame2020"))], "key 0.4: .*'flame2020'"),
  ],
)
def test_what_cannot_be_met_is_refused(loaded_run, asked, said):
  with pytest.raises(UserError, match=said):
    loaded_run.generate("She smiles.", 0.8, keys=asked)


@pytest.mark.parametrize(
  "text, seconds, wanted",
  [
    ("0:neutral", 0.0, "neutral"),
    (" 3.5 : eyes closed", 3.5, "eyes closed"),
    ("2s:a smile: broad", 2.0, "a smile: broad"),
  ],
)
def test_a_key_is_a_time_and_a_pose(text, seconds, wanted):
  assert keys.parse(text) == (seconds, wanted)


@pytest.mark.parametrize(
  "text, said",
  [
    ("neutral", "not a time and a pose"),
    ("2:", "not a time and a pose"),
    ("soon:neutral", "not a time and a pose"),
    ("2:pose.npz", "which frame of the file"),
    ("2:pose.npz@last", "'last' is no frame of pose.npz"),
    ("2:nowhere.npz@3", "nowhere.npz: no such file"),
  ],
)
def test_what_is_no_key_is_told(text, said):
  with pytest.raises(UserError, match=said):
    keys.parse(text)


def test_a_frame_of_a_file(tmp_path):
  motion = wave(30)
  motion.save(tmp_path / "pose.npz")
  key = keys.parse(f"2:{tmp_path}/pose.npz@17")
  np.testing.assert_array_equal(key.pose.expression, motion.expression[17:18])
  with pytest.raises(UserError, match="no frame 30; it has 30, choose 0 to 29"):
    keys.parse(f"2:{tmp_path}/pose.npz@30")


def test_a_row_of_arkits_weights_whatever_the_rate(tmp_path):
  weights = np.zeros((40, len(arkit.SHAPES)), np.float32)
  weights[:, arkit.SHAPES.index("JawOpen")] = np.linspace(0, 1, 40)
  fast = arkit.to_motion(
    arkit.ArkitCurves(weights, np.zeros((40, 3)), np.zeros((40, 6)), 60.0)
  )
  fast.save(tmp_path / "take.csv")
  rows = arkit.to_motion(arkit_csv.read_csv(tmp_path / "take.csv", 60.0))
  assert rows.num_frames == 40
  key = keys.parse(f"2:{tmp_path}/take.csv@30")
  np.testing.assert_array_equal(key.pose.jaw_pose[0], rows.jaw_pose[30])
  text = (tmp_path / "take.csv").read_text().splitlines()
  (tmp_path / "row.csv").write_text("\n".join([text[0], text[31]]))
  alone = keys.parse(f"2:{tmp_path}/row.csv@0")
  np.testing.assert_allclose(alone.pose.jaw_pose, key.pose.jaw_pose, atol=1e-6)


@pytest.mark.skipif(not RELEASED, reason="the checkout carries no checkpoint")
def test_the_release_strikes_the_poses_that_words_name():
  face = tdmm_jax.load("release")
  closed = keys.of_words(face, "eyes closed")
  assert closed.eyelids.min() > 0.9
  away = keys.of_words(face, "turns her head to the left")
  assert np.degrees(away.head_pose[0, 1]) > 15 and away.eyelids.max() < 0.3
  made = face.generate("She smiles.", 2.0, keys=[(1.0, closed)])
  np.testing.assert_array_equal(made.expression[25], closed.expression[0])
  assert takes.obeyed(face.codec.face, made, "She smiles.") == 1.0
