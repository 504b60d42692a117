import dataclasses
import zipfile

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion


def random_motion(num_frames=9, fps=25.0, seed=0):
  rng = np.random.default_rng(seed)
  base = motion.zeros(num_frames, num_expression=7, num_shape=4)
  draw = lambda old: rng.normal(size=old.shape).astype(np.float32)
  names = ("expression", "jaw_pose", "neck_pose", "head_pose", "eye_pose", "shape")
  drawn = {name: draw(getattr(base, name)) for name in (*names, "translation")}
  return base.replace(
    **drawn,
    eyelids=rng.random((num_frames, 2)).astype(np.float32),
    camera=rng.normal(size=(num_frames, 3)).astype(np.float32),
    valid=rng.random(num_frames) > 0.3,
    fps=fps,
  )


def assert_same(first, second):
  for field in dataclasses.fields(motion.FaceMotion):
    np.testing.assert_array_equal(
      getattr(first, field.name), getattr(second, field.name), err_msg=field.name
    )


def test_file_round_trips_exactly(tmp_path):
  clip = random_motion(fps=30.0)
  motion.save_motion(tmp_path / "new" / "clip.npz", clip)
  assert_same(motion.load_npz(tmp_path / "new" / "clip.npz"), clip)
  without = clip.replace(camera=None)
  motion.save_motion(tmp_path / "clip.npz", without)
  assert motion.load_npz(tmp_path / "clip.npz").camera is None
  assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["clip.npz"]


def test_broken_motion_leaves_no_file(tmp_path):
  clip = random_motion()
  clip.expression[3, 0] = np.nan
  with pytest.raises(UserError, match="'expression' is NaN or infinite at index 3"):
    motion.save_motion(tmp_path / "clip.npz", clip)
  assert not list(tmp_path.iterdir())


BAD = {
  "lengths": ({"jaw_pose": np.zeros((8, 3))}, "'jaw_pose' has 8 frames but 'expr"),
  "width": ({"eye_pose": np.zeros((9, 3))}, r"'eye_pose' has shape \[9, 3\]"),
  "no coefficients": ({"expression": np.zeros((9, 0))}, "'expression' has shape"),
  "text": ({"jaw_pose": np.full((9, 3), "a")}, "'jaw_pose' holds <U1, not numbers"),
  "overflow": ({"translation": np.full((9, 3), 1e300)}, "'translation' is NaN or inf"),
  "identity per frame": ({"shape": np.zeros((9, 4))}, "identity is constant"),
  "valid": ({"valid": np.ones(3, bool)}, "'valid' must be 9 true/false"),
  "fps": ({"fps": np.float32(0)}, "'fps' must be one number"),
  "fps nan": ({"fps": np.nan}, "'fps' must be one number"),
}


@pytest.mark.parametrize("case", BAD)
def test_validate_names_the_fault(case):
  change, message = BAD[case]
  with pytest.raises(UserError, match=message):
    motion.validate(random_motion().replace(**change), "clip.npz")


def test_no_frames_is_an_error():
  with pytest.raises(UserError, match="0 frames"):
    motion.validate(motion.zeros(0), "clip.npz")


def broken_files(folder):
  good = folder / "good.npz"
  motion.save_motion(good, random_motion())
  content = good.read_bytes()
  cases = {
    "missing.npz": (None, "no such file"),
    "cut.npz": (content[: len(content) // 2], "is damaged"),
    "empty.npz": (b"", "is damaged"),
    "text.npz": (b"hello", "is damaged or is not an npz"),
  }
  for name, (data, message) in cases.items():
    if data is not None:
      (folder / name).write_bytes(data)
    yield folder / name, message
  arrays = motion.read_arrays(good)
  changes = {
    "no_jaw.npz": ({"jaw_pose": None}, "lacks jaw_pose"),
    "future.npz": ({"format_version": np.int64(99)}, "format_version 99 is newer"),
    "other.npz": ({"format_version": None}, "no 'format_version'"),
    "objects.npz": ({"shape": np.array([{}, []], object)}, "holds Python objects"),
  }
  for name, (change, message) in changes.items():
    changed = {k: v for k, v in {**arrays, **change}.items() if v is not None}
    np.savez(folder / name, **changed)
    yield folder / name, message
  with zipfile.ZipFile(good) as source, zipfile.ZipFile(folder / "bad.npz", "w") as out:
    for name in source.namelist():  # one member that is no array
      out.writestr(name, b"nonsense" if "jaw" in name else source.read(name))
  yield folder / "bad.npz", "is damaged .*magic"


def test_broken_files_are_user_errors_that_name_the_file(tmp_path):
  for path, message in broken_files(tmp_path):
    with pytest.raises(UserError, match=message) as caught:
      motion.load_npz(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_resampling_keeps_duration_and_turns_steadily():
  count = 97  # four seconds at 24 fps
  axis = np.array([0.6, 0.0, 0.8])
  angle = np.linspace(0, 5.0, count)  # passes pi: averaging vectors would fail
  turn = Rotation.from_rotvec(angle[:, None] * axis).as_rotvec()
  ramp = np.linspace(0, 1, count)[:, None]
  clip = motion.zeros(count).replace(
    head_pose=turn.astype(np.float32),
    eye_pose=np.concatenate([turn, turn], axis=1).astype(np.float32),
    eyelids=np.repeat(ramp, 2, axis=1).astype(np.float32),
    fps=24.0,
  )
  new = motion.resample(clip)
  assert new.num_frames == 101 and new.fps == 25.0
  expected = Rotation.from_rotvec(np.linspace(0, 5.0, 101)[:, None] * axis)
  for track in (new.head_pose, new.eye_pose[:, :3], new.eye_pose[:, 3:]):
    error = (Rotation.from_rotvec(track).inv() * expected).magnitude()
    assert error.max() < 1e-5
  np.testing.assert_allclose(new.eyelids[:, 0], np.linspace(0, 1, 101), atol=1e-6)
  np.testing.assert_array_equal(motion.validate(new, "x").valid, np.ones(101, bool))


def test_resampling_at_the_same_rate_changes_nothing():
  clip = random_motion()
  assert_same(motion.resample(clip), clip)


def test_a_new_frame_is_valid_only_between_valid_frames():
  clip = motion.zeros(5).replace(fps=12.5)
  clip = clip.replace(valid=np.array([True, True, False, True, True]))
  new = motion.resample(clip)
  assert new.valid.tolist() == [True, True, True, False, False, False, True, True, True]


def test_invalid_frames_are_filled_from_their_neighbours_only():
  clip = motion.zeros(6)
  clip.expression[:, 0] = [9, 1, 9, 9, 4, 9]
  clip.head_pose[:, 1] = [9, 3.0, 9, 9, -3.0, 9]  # through pi, not through 0
  clip = clip.replace(valid=np.array([False, True, False, False, True, False]))
  filled = motion.fill_invalid(clip)
  np.testing.assert_allclose(filled.expression[:, 0], [1, 1, 2, 3, 4, 4], atol=1e-6)
  assert np.all(np.linalg.norm(filled.head_pose[2:4], axis=1) > 3.0)
  np.testing.assert_array_equal(filled.valid, clip.valid)


def test_world_rotation_is_global_then_neck():
  clip = random_motion()
  expected = Rotation.from_rotvec(clip.head_pose) * Rotation.from_rotvec(clip.neck_pose)
  ours = Rotation.from_rotvec(motion.world_head_rotation(clip))
  assert (ours.inv() * expected).magnitude().max() < 1e-5


def test_trim_is_half_open_and_checked():
  clip = random_motion()
  part = motion.trim(clip, 2, 5)
  np.testing.assert_array_equal(part.expression, clip.expression[2:5])
  np.testing.assert_array_equal(part.camera, clip.camera[2:5])
  for start, stop in ((3, 3), (-1, 4), (0, 10)):
    with pytest.raises(UserError, match="of a motion of 9"):
      motion.trim(clip, start, stop)
