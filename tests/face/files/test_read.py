import os
import pathlib
import pickle

import numpy as np
import pytest

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion
from tdmm_jax.face.files import read


def smirk_tracks(num_frames=10, seed=0):
  rng = np.random.default_rng(seed)
  rows = lambda width: [
    rng.normal(size=width).astype(np.float32) for _ in range(num_frames)
  ]
  return {
    "expression": rows(50),
    "pose": rows(3),
    "eyelid": [np.float32([0.2, 0.9])] * num_frames,
    "jaw": rows(3),
    "identity": rows(300),
    "camera_pose": rows(3),
  }


def write_pickle(path, content, **options):
  path.write_bytes(pickle.dumps(content, **options))
  return path


@pytest.mark.parametrize("protocol", range(6))
def test_smirk_pickle_of_any_protocol(tmp_path, protocol):
  tracks = smirk_tracks()
  # The suffix says npz: the contents decide.
  path = write_pickle(tmp_path / "clip.npz", tracks, protocol=protocol)
  clip = read.load_motion(path)
  assert clip.face_model == "flame2020" and clip.fps == 25 and clip.num_frames == 10
  np.testing.assert_array_equal(clip.expression, np.stack(tracks["expression"]))
  np.testing.assert_array_equal(clip.head_pose, np.stack(tracks["pose"]))
  np.testing.assert_array_equal(clip.jaw_pose, np.stack(tracks["jaw"]))
  np.testing.assert_array_equal(clip.eyelids[0], np.float32([0.2, 0.9]))
  identity = np.mean(np.float64(tracks["identity"]), axis=0)
  np.testing.assert_allclose(clip.shape, identity, atol=1e-6)


def test_smirk_camera_projects_like_smirk(tmp_path):
  """s (v + (x, y)), y down, from [-1, 1] to the crop's pixels: written out."""
  tracks = smirk_tracks(3)
  clip = read.load_motion(write_pickle(tmp_path / "clip.pkl", tracks))
  point = np.array([0.03, -0.05])
  for t in range(3):
    scale, x, y = np.float64(tracks["camera_pose"][t])
    normalised = scale * np.add(point, [x, y]) * [1, -1]
    ours = clip.camera[t, 0] * point * [1, -1] + clip.camera[t, 1:]
    np.testing.assert_allclose(ours, (normalised + 1) * 112, rtol=1e-5, atol=1e-3)


def test_smirk_rows_may_be_batches_of_one_and_at_another_rate(tmp_path):
  tracks = {name: [row[None] for row in rows] for name, rows in smirk_tracks().items()}
  path = write_pickle(tmp_path / "clip.pkl", tracks)
  assert read.load_motion(path).num_frames == 10
  assert read.load_motion(path, fps=50.0).num_frames == 5


def cap4d_arrays(num_frames=48):
  rng = np.random.default_rng(0)
  draw = lambda width: rng.normal(size=(num_frames, width)).astype(np.float32)
  constant = np.zeros((num_frames, 3), np.float32)
  arrays = {"expr": draw(65), "eye_rot": draw(3) * 0.1, "rot": constant}
  return {**arrays, "tra": np.add(constant, [0, 0, -1.5]), "fps": np.int64(24)}


def test_cap4d_npz(tmp_path, caplog):
  arrays = cap4d_arrays()
  np.savez(tmp_path / "sequence.npz", **arrays)
  clip = read.load_motion(tmp_path / "sequence.npz")
  assert "blink" in caplog.text
  assert clip.face_model == "flame2023" and clip.fps == 25 and clip.num_frames == 49
  assert clip.num_expression == 64 and not clip.eyelids.any()
  np.testing.assert_allclose(clip.expression[0], arrays["expr"][0, :64])
  np.testing.assert_allclose(clip.eye_pose[0], np.tile(arrays["eye_rot"][0], 2))
  np.testing.assert_allclose(clip.translation[5], [0, 0, -1.5])


def test_cap4d_blink_with_a_scale(tmp_path, caplog):
  arrays = cap4d_arrays()
  np.savez(tmp_path / "sequence.npz", **arrays)
  clip = read.load_motion(tmp_path / "sequence.npz", blink_scale=-2.0)
  assert "blink" not in caplog.text and clip.eyelids.max() <= 1
  expected = np.clip(-2.0 * arrays["expr"][0, -1], 0, 1)
  np.testing.assert_allclose(clip.eyelids[0], [expected] * 2, atol=1e-6)


def test_real_cap4d_sequence():
  folder = os.environ.get("TDMM_REAL_DATA")
  if not folder:
    pytest.skip("TDMM_REAL_DATA names no folder of real data")
  clip = read.load_motion(pathlib.Path(folder) / "flame_sequence" / "sequence_00.npz")
  assert (clip.num_frames, clip.num_expression) == (399, 64)  # 384 frames at 24 fps
  assert np.std(clip.expression, axis=0).max() > 0.5


def test_own_npz(tmp_path):
  motion.save_motion(tmp_path / "clip", motion.zeros(6).replace(fps=50.0))
  assert read.load_motion(tmp_path / "clip").num_frames == 3


class Malicious:
  """Runs a command when an ordinary unpickler reads it."""

  def __init__(self, target):
    self.target = target

  def __reduce__(self):
    return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", range(6))
def test_malicious_pickle_is_refused_and_not_run(tmp_path, protocol):
  target = tmp_path / "was_run"
  tracks = {**smirk_tracks(2), "jaw": Malicious(target)}
  path = write_pickle(tmp_path / "clip.pkl", tracks, protocol=protocol)
  with pytest.raises(UserError, match=r"clip.pkl: asks for '(posix|nt)\.system'"):
    read.load_motion(path)
  assert not target.exists()
  pickle.loads(path.read_bytes())  # the attack does work where it is let
  assert target.exists()


def rejected_files(folder):
  """Broken and foreign files, each with the message it must give."""
  tracks = smirk_tracks()
  good = pickle.dumps(tracks)
  named = lambda name, values: pickle.dumps({**tracks, name: values})
  nan = [*tracks["pose"][:3], np.float32([0, np.nan, 0]), *tracks["pose"][4:]]
  content = {
    "empty": (b"", "is empty"),
    "cut": (good[: len(good) // 2], "is damaged"),
    "noise": (bytes(range(7, 250)), "is damaged"),
    "text": (b"a sentence, not a motion", "is damaged"),
    "list": (pickle.dumps([1, 2]), "holds a list, not named tracks"),
    "other": (pickle.dumps({"a": 1}), r"not a motion of a known layout \(keys: a\)"),
    "short": (named("jaw", tracks["jaw"][:-1]), "'jaw' has 9 frames but 'expression'"),
    "identity": (named("identity", tracks["identity"][:4]), "'identity' has 4 frames"),
    "wide": (named("jaw", [np.zeros(4)] * 10), "'jaw' has 4 numbers in frame 0"),
    "nan": (named("pose", nan), "'head_pose' is NaN or infinite at index 3"),
    "words": (named("jaw", ["open"] * 10), "'jaw' is not a list of number arrays"),
    "none": (pickle.dumps({k: [] for k in tracks}), "0 frames"),
    "arkit.csv": (b"Timecode,BlendshapeCount,EyeBlinkLeft\n", "has no frames"),
    "bfm.mat": (b"MATLAB 5.0 MAT-file, Platform", "which is not FLAME"),
    "live": (pickle.dumps({"motion": [], "output_fps": 25}), "LivePortrait"),
  }
  for name, (data, message) in content.items():
    (folder / name).write_bytes(data)
    yield folder / name, message
  cap4d = cap4d_arrays()
  short = {**cap4d, "eye_rot": cap4d["eye_rot"][:-1]}
  ones = np.ones((5, 3))
  archives = {
    "landmarks": ({"landmarks_px": ones}, "2-D landmarks; fit them first"),
    "cap4d_short": (short, "'eye_pose' has 47 frames but 'expression' has 48"),
    "cap4d_rot": ({**cap4d, "rot": np.zeros(3)}, r"'head_pose' has shape \[3\]"),
    "unknown": ({"x": ones}, r"known layout \(keys: x\)"),
  }
  for name, (arrays, message) in archives.items():
    with open(folder / name, "wb") as stream:
      np.savez(stream, **arrays)
    yield folder / name, message
  yield folder / "missing", "no such file"
  yield folder, "is a folder, not a motion"


def test_every_broken_or_foreign_file_has_its_message(tmp_path):
  for path, message in rejected_files(tmp_path):
    with pytest.raises(UserError, match=message) as caught:
      read.load_motion(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
