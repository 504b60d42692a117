import os
import pathlib
import pickle
import sys
import types

import numpy as np
import pytest
import random_head
from scipy import sparse

from tdmm_jax.errors import UserError
from tdmm_jax.face import load_model
from tdmm_jax.face.files import flame_model, safe_pickle


@pytest.fixture
def chumpy(monkeypatch):
  """A module of chumpy's name, so that a test can write what chumpy writes."""
  package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")

  class Ch:
    def __init__(self, x):
      self.x, self._dirty_vars = np.asarray(x), {"x"}

    def __getstate__(self):
      return {"x": self.x, "_itr": None, "_depends_on_deps": {}}

    __module__ = "chumpy.ch"
    __qualname__ = "Ch"

  module.Ch = package.Ch = Ch
  monkeypatch.setitem(sys.modules, "chumpy", package)
  monkeypatch.setitem(sys.modules, "chumpy.ch", module)
  return Ch


def flame_content(num_vertices=40):
  """Keys, shapes and types of generic_model.pkl."""
  arrays = random_head.random_arrays(num_vertices, 300, 100)
  return {
    "v_template": arrays["v_template"],
    "shapedirs": np.concatenate([arrays["shapedirs"], arrays["exprdirs"]], axis=2),
    "posedirs": np.moveaxis(arrays["posedirs"], 0, -1),
    "J_regressor": sparse.csc_matrix(arrays["J_regressor"]),
    "weights": arrays["lbs_weights"],
    "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
    "f": arrays["faces"].astype(np.uint32),
    "bs_style": "lbs",
  }


def write(path, content, protocol=2):
  path.write_bytes(pickle.dumps(content, protocol=protocol))
  return path


@pytest.mark.parametrize("protocol", range(6))
def test_chumpy_and_sparse_pickles_of_any_protocol(tmp_path, chumpy, protocol):
  content = flame_content()
  stored = {**content, "shapedirs": chumpy(content["shapedirs"])}
  stored["v_template"] = chumpy(content["v_template"])
  path = write(tmp_path / "generic_model.pkl", stored, protocol)
  del sys.modules["chumpy"], sys.modules["chumpy.ch"]
  model = flame_model.load_flame(path)
  assert model.name == "flame2020"
  assert (model.num_shape, model.num_expression) == (300, 50)
  np.testing.assert_allclose(model.v_template, content["v_template"], atol=1e-7)
  exprdirs = content["shapedirs"][:, :, 300:350]
  np.testing.assert_allclose(model.exprdirs, exprdirs, atol=1e-7)
  joints = content["J_regressor"].toarray() @ content["v_template"]
  np.testing.assert_allclose(model.joint_template, joints, atol=1e-7)


@pytest.mark.parametrize("kind", ["csc", "csr", "coo"])
@pytest.mark.parametrize("wrapper", ["matrix", "array"])
def test_every_sparse_format(tmp_path, kind, wrapper):
  dense = np.array([[0, 2.0, 0], [1, 0, 3]])
  stored = getattr(sparse, f"{kind}_{wrapper}")(dense)
  loaded = safe_pickle.load(write(tmp_path / "a.pkl", {"m": stored}))
  np.testing.assert_array_equal(loaded["m"], dense)


def test_old_module_names_and_python_2_strings(tmp_path):
  """Bytes as Python 2, NumPy 1 and SciPy 1.7 wrote them, assembled by hand."""
  raw = np.arange(3, dtype="<f8").tobytes()
  data = (
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x03\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
    b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x18" + raw + b"tb."
  )
  (tmp_path / "old.pkl").write_bytes(data)
  loaded = safe_pickle.load(tmp_path / "old.pkl")
  np.testing.assert_array_equal(loaded, [0.0, 1.0, 2.0])
  matrix = b"\x80\x02cscipy.sparse.csc\ncsc_matrix\n)\x81}b."
  (tmp_path / "m.pkl").write_bytes(matrix)
  with pytest.raises(UserError, match="is damaged"):  # admitted, but has no data
    safe_pickle.load(tmp_path / "m.pkl")


@pytest.mark.parametrize(
  "array",
  [
    np.arange(6, dtype=">i4").reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array([True, False]),
    np.array("text"),
    np.float32(3.5),
    np.zeros((0, 3)),
    np.array([np.zeros(2), np.ones(3)], object),
  ],
  ids=lambda a: f"{a.dtype}{a.shape}",
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_arrays_come_back_as_they_were(tmp_path, array, protocol):
  loaded = safe_pickle.load(write(tmp_path / "a.pkl", [array, array], protocol))[1]
  if array.dtype == object:
    assert all(np.array_equal(a, b) for a, b in zip(loaded, array, strict=True))
  else:
    np.testing.assert_array_equal(loaded, array)
    assert loaded.dtype.kind == array.dtype.kind


ATTACKS = {
  "call": b"cbuiltins\neval\n(V1\ntR.",
  "method": b"cnumpy\nndarray.tofile\n.",
  "numpy loader": b"cnumpy.lib.npyio\nload\n(Vx\ntR.",
  "subprocess": b"csubprocess\nPopen\n(Vls\ntR.",
  "getattr": b"c__builtin__\ngetattr\n(cnumpy\ndtype\nVname\ntR.",
  "own code": b"ctdmm_jax.face.safe_pickle\nload\n(V/etc/passwd\ntR.",
  "sparse loader": b"cscipy.sparse\nload_npz\n(Vx\ntR.",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_unknown_classes_are_named_and_refused(tmp_path, attack):
  (tmp_path / "a.pkl").write_bytes(ATTACKS[attack])
  module, name = ATTACKS[attack][1:].decode().split("\n")[:2]
  with pytest.raises(UserError, match=f"a.pkl: asks for '{module}.{name}'"):
    safe_pickle.load(tmp_path / "a.pkl")


def test_admitted_classes_cannot_be_altered_or_overrun(tmp_path):
  # BUILD with slot state would set attributes on the class itself.
  altered = b"\x80\x02cnumpy\nndarray\nN}X\x0c\x00\x00\x00__setstate__K\x01s\x86b."
  index = sparse.csc_matrix(np.eye(3))
  index.indices = np.array([0, 1, 10**6], np.int32)
  deep = b"\x80\x02" + b"]" * 100 + b"a" * 99 + b"."
  cycle = []
  cycle.append(cycle)
  for name, data in {
    "altered": altered,
    "overrun": pickle.dumps(index),
    "deep": deep,
    "cycle": pickle.dumps(cycle),
    "persistent": b"Pmodel\n.",
  }.items():
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=f"{name}: is damaged"):
      safe_pickle.load(tmp_path / name)
  array = safe_pickle.load(write(tmp_path / "fine.pkl", np.ones(2)))
  np.testing.assert_array_equal(array, [1, 1])


def test_shared_objects_are_read_once_not_exponentially(tmp_path):
  nested = [np.ones(2)]
  for _ in range(28):
    nested = [nested, nested]
  loaded = safe_pickle.load(write(tmp_path / "a.pkl", nested))
  assert loaded[0] is loaded[1]


def test_flame_2023_by_its_name_and_up_to_100_coefficients(tmp_path):
  path = write(tmp_path / "flame2023.pkl", flame_content())
  model = load_model.load_face_model(str(path))
  assert model.name == "flame2023"
  assert flame_model.load_flame(path, 100, 10).num_expression == 100
  with pytest.raises(UserError, match="101 expression"):
    flame_model.load_flame(path, 101)


def test_without_the_side_files_nothing_fails_until_it_is_needed(tmp_path, caplog):
  model = flame_model.load_flame(write(tmp_path / "generic_model.pkl", flame_content()))
  assert "l_eyelid.npy: not there" in caplog.text
  assert not model.regions and len(model.landmark_ids) == 0
  assert not np.any(model.eyelid_dirs)
  with pytest.raises(UserError, match=r"no region 'lips'.*FLAME_masks\.pkl"):
    model.regions["lips"]


def test_broken_model_files(tmp_path):
  content = flame_content()
  nan = content["v_template"].copy()
  nan[0] = np.nan
  cases = {
    "nan": ({"v_template": nan}, "'v_template' has NaNs"),
    "smpl": ({"shapedirs": content["shapedirs"][:, :, :10]}, "FLAME's is"),
    "key": ({"posedirs": None}, "lacks 'posedirs'"),
    "text": ({"weights": "none"}, "'weights' has shape"),
    "faces": ({"f": content["f"] + 100}, "'f' names vertices"),
    "weights": ({"weights": content["weights"] * 2}, "do not sum to 1"),
    "tree": ({"kintree_table": np.zeros((2, 5), int)}, "joints"),
  }
  for name, (change, message) in cases.items():
    changed = {k: v for k, v in {**content, **change}.items() if v is not None}
    path = write(tmp_path / f"generic_model_{name}.pkl", changed)
    with pytest.raises(UserError, match=message) as caught:
      flame_model.load_flame(path)
    assert str(path) in str(caught.value)
  with pytest.raises(UserError, match="not a FLAME model"):
    flame_model.load_flame(write(tmp_path / "generic_model.pkl", [1]))
  with pytest.raises(UserError, match="neither generic_model"):
    flame_model.load_flame(write(tmp_path / "head.pkl", content))
  with pytest.raises(UserError, match="no such file"):
    load_model.load_face_model(str(tmp_path / "flame2020.pkl"))


@pytest.fixture
def assets():
  folder = os.environ.get("TDMM_REAL_DATA")
  if not folder:
    pytest.skip("TDMM_REAL_DATA names no folder of real data")
  return pathlib.Path(folder) / "flame_assets"


def test_real_side_files_beside_a_model_of_flames_shapes(tmp_path, assets):
  content = flame_content(5023)
  content["f"] = np.random.default_rng(0).integers(0, 5023, (9976, 3))
  write(tmp_path / "generic_model.pkl", content)
  for file in assets.iterdir():
    (tmp_path / file.name).symlink_to(file)
  model = flame_model.load_flame(tmp_path / "generic_model.pkl", num_shape=10)
  sizes = {name: len(model.regions[name]) for name in ("lips", "upper_face", "face")}
  assert sizes == {"lips": 250, "upper_face": 827, "face": 1787}
  assert len(model.landmark_ids) == 105 and {33, 263} <= set(model.landmark_ids)
  lids = np.asarray(model.eyelid_dirs)
  assert lids[:, 1].sum() < -0.5  # both close downwards
  moved = np.abs(lids).sum(axis=1) > 0
  eye = {side: model.regions[f"{side}_eye_region"] for side in ("left", "right")}
  assert np.isin(np.flatnonzero(moved[:, 0]), eye["left"]).mean() > 0.5
  assert np.isin(np.flatnonzero(moved[:, 1]), eye["right"]).mean() > 0.5


def test_masks_of_another_model_are_an_error(tmp_path, assets):
  write(tmp_path / "generic_model.pkl", flame_content(40))
  (tmp_path / "FLAME_masks.pkl").symlink_to(assets / "FLAME_masks.pkl")
  with pytest.raises(UserError, match="names vertices the model of 40 lacks"):
    flame_model.load_flame(tmp_path / "generic_model.pkl")
