import pickle

import numpy as np
import pytest
from scipy.spatial import transform

from tdmm_jax.errors import UserError
from tdmm_jax.face.files import layouts, read

T = 10


def codes(rng, num_expression=50, **more):
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  return {
    "exp": draw(T, num_expression),
    "pose": draw(T, 6) * 0.2,
    "shape": draw(T, 100),
    "tex": draw(T, 50),
    **more,
  }


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def save(path, arrays):
  with open(path, "wb") as stream:
    np.savez(stream, **arrays)
  return path


def test_spectre_npz(tmp_path, rng, caplog):
  arrays = codes(rng, light=np.zeros((T, 9, 3), np.float32))
  # The suffix lies: the keys decide.
  clip = read.load_motion(save(tmp_path / "clip.pkl", arrays))
  assert clip.face_model == "flame2020" and clip.fps == 25
  np.testing.assert_array_equal(clip.expression, arrays["exp"])
  np.testing.assert_array_equal(clip.head_pose, arrays["pose"][:, :3])
  np.testing.assert_array_equal(clip.jaw_pose, arrays["pose"][:, 3:])
  np.testing.assert_allclose(clip.shape, arrays["shape"].mean(axis=0), atol=1e-6)
  assert clip.camera is None and not clip.eyelids.any()
  assert "frame rate" in caplog.text and "no eyelids" in caplog.text
  assert read.load_motion(tmp_path / "clip.pkl", fps=50.0).num_frames == T // 2


@pytest.mark.parametrize("width", [50, 100])
def test_deca_and_emoca_codes(tmp_path, rng, width):
  camera = np.float32([[8.0, 0.02, -0.03]]).repeat(T, axis=0)
  arrays = codes(rng, width, cam=camera, detail=np.zeros((T, 128), np.float32))
  clip = read.load_motion(save(tmp_path / "deca", arrays))
  assert clip.num_expression == width
  # DECA: s (v + (x, y)) in [-1, 1], y up; its crop is 224 pixels wide.
  point = np.array([0.04, 0.05])
  ours = clip.camera[0, 0] * point * [1, -1] + clip.camera[0, 1:]
  expected = (8.0 * (point + [0.02, -0.03]) * [1, -1] + 1) * 112
  np.testing.assert_allclose(ours, expected, rtol=1e-5)
  # EMOCA's names, pickled, each row a batch of one.
  emoca = {f"{name}code": list(arrays[name][:, None]) for name in ("exp", "pose")}
  (tmp_path / "emoca").write_bytes(pickle.dumps(emoca))
  again = read.load_motion(tmp_path / "emoca")
  np.testing.assert_array_equal(again.expression, clip.expression)
  np.testing.assert_array_equal(again.jaw_pose, clip.jaw_pose)


def test_6drepnet_turns_like_the_head_it_saw(tmp_path, rng):
  """Looking up, to the image's left, and tilting clockwise are its positive angles."""
  angles = np.zeros((T, 3))
  angles[0, 0], angles[1, 1], angles[2, 2] = 20, 30, 10
  angles[3] = 10, -20, 5
  np.save(tmp_path / "angles.npy", angles)
  spectre = save(tmp_path / "clip.npz", codes(rng))
  clip = read.load_motion(spectre, head_pose=tmp_path / "angles.npy")
  turn = transform.Rotation.from_rotvec(clip.head_pose).as_matrix()
  nose, top = turn[:, :, 2], turn[:, :, 1]
  assert nose[0, 1] == pytest.approx(np.sin(np.radians(20)), abs=1e-6)  # up
  assert nose[1, 0] == pytest.approx(-np.sin(np.radians(30)), abs=1e-6)  # left
  assert top[2, 0] == pytest.approx(np.sin(np.radians(10)), abs=1e-6)  # clockwise
  # Its matrices say the same: Rz Ry Rx of its angles.
  matrix = transform.Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
  np.save(tmp_path / "matrix.npy", matrix[:, None].astype(np.float32))
  same = read.load_motion(spectre, head_pose=tmp_path / "matrix.npy")
  np.testing.assert_allclose(same.head_pose, clip.head_pose, atol=1e-6)


def test_bare_arrays_by_width_and_by_name(tmp_path, rng):
  draw = lambda width: rng.normal(size=(T, width)) * 0.2
  emoava, mmhead, motion = draw(53), draw(56), draw(112)
  listener = draw(184)
  for name, array in (
    ("emoava", emoava),
    ("mmhead", mmhead[None]),
    ("lom", motion),
    ("listener", listener),
  ):
    np.save(tmp_path / name, array)
  clip = read.load_motion(tmp_path / "emoava.npy")
  np.testing.assert_allclose(clip.jaw_pose, emoava[:, 50:], atol=1e-6)
  clip = read.load_motion(tmp_path / "mmhead.npy", layout="mmhead")
  np.testing.assert_allclose(clip.neck_pose, mmhead[:, 50:53], atol=1e-6)
  np.testing.assert_allclose(clip.jaw_pose, mmhead[:, 53:], atol=1e-6)
  clip = read.load_motion(tmp_path / "mmhead.npy", layout="lm-listener")
  np.testing.assert_allclose(clip.head_pose, mmhead[:, 50:53], atol=1e-6)
  assert not clip.neck_pose.any()
  clip = read.load_motion(tmp_path / "listener.npy")
  np.testing.assert_allclose(clip.expression, listener[:, :50], atol=1e-6)
  np.testing.assert_allclose(clip.jaw_pose, listener[:, 53:56], atol=1e-6)
  clip = read.load_motion(tmp_path / "lom.npy", fps=25.0)
  np.testing.assert_allclose(clip.expression, motion[:, 12:], atol=1e-6)
  assert clip.num_expression == 100


def test_6d_rotation_is_the_first_two_rows():
  turns = transform.Rotation.from_rotvec(np.random.default_rng(1).normal(size=(20, 3)))
  rows = turns.as_matrix()[:, :2].reshape(-1, 6)
  np.testing.assert_allclose(layouts.from_6d(3.0 * rows), turns.as_rotvec(), atol=1e-7)


def broken_files(folder, rng):
  """Files, options, and the message each must give."""
  good = codes(rng)
  spectre = save(folder / "good", good)
  np.save(folder / "short.npy", np.zeros((T - 1, 3)))
  np.save(folder / "wide.npy", np.zeros((T, 4)))
  np.save(folder / "objects.npy", np.array([{}]), allow_pickle=True)
  yield spectre, {"head_pose": folder / "short.npy"}, "head pose file has 9"
  yield spectre, {"head_pose": folder / "wide.npy"}, r"has shape \[10, 4\]"
  yield spectre, {"head_pose": folder / "objects.npy"}, "Python objects"
  yield spectre, {"head_pose": folder / "none.npy"}, "no such file"
  changes = {
    "pose3": ({"pose": good["pose"][:, :3]}, "'pose' is 3 wide"),
    "length": ({"pose": good["pose"][:-1]}, "'pose' has 9 frames but 'exp' has 10"),
    "cam": ({"cam": np.zeros((T, 4))}, "'cam' is 4 wide"),
    "deep": ({"exp": np.zeros((T, 5, 10))}, r"'exp' has shape \[10, 5, 10\]"),
    "nan": ({"exp": good["exp"] * np.nan}, "'expression' is NaN"),
  }
  for name, (change, message) in changes.items():
    yield save(folder / name, {**good, **change}), {}, message
  bare = {
    "two": ((T, 56), None, "MMHead's .* or lm-listener's"),
    "arkit": ((T, 61), None, "Express4D's ARKit"),
    "odd": ((T, 57), None, "57 wide does not say what its columns are"),
    "wrong": ((T, 53), "mmhead", "53 columns are not mmhead's"),
    "many": ((3, T, 56), "mmhead", "is not one clip"),
  }
  for name, (shape, layout, message) in bare.items():
    np.save(folder / name, np.zeros(shape))
    yield folder / f"{name}.npy", {"layout": layout}, message
  yield folder / "objects.npy", {}, "Python objects"


def test_every_broken_file_has_its_message(tmp_path, rng):
  for path, options, message in broken_files(tmp_path, rng):
    with pytest.raises(UserError, match=message) as caught:
      read.load_motion(path, **options)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
