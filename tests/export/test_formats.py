"""USD, ARKit, meshes and FLAME layouts: each read back by someone else."""

import csv
import pathlib
import resource
import signal

import clips
import numpy as np
import pytest
import trimesh
from pxr import Gf, Usd, UsdGeom, UsdSkel

from tdmm_jax.cli import main
from tdmm_jax.errors import UserError
from tdmm_jax.export import files
from tdmm_jax.face import arkit, face_model, head_file, load_model, motion
from tdmm_jax.face.files import arkit_csv, read
from tdmm_jax.face.head import build


@pytest.fixture(scope="module")
def face():
  return load_model.default_head()


@pytest.fixture(scope="module")
def clip(face):
  return clips.restless(face)


@pytest.mark.parametrize("suffix", ["usda", "usdc"])
def test_usd_on_a_full_disk_is_one_line_and_leaves_nothing(
  suffix, face, clip, tmp_path
):
  path = tmp_path / f"face.{suffix}"
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    with pytest.raises(UserError, match=r"face.*cannot write it.*make room"):
      files.export_motion(path, face, clip)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, ignored)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["usda", "usdc"])
def test_usd_played_by_usdskel_is_the_face_model(suffix, face, clip, tmp_path):
  path = tmp_path / f"face.{suffix}"
  files.export_motion(path, face, clip)
  stage = Usd.Stage.Open(str(path))
  assert UsdGeom.GetStageUpAxis(stage) == "Y"
  assert UsdGeom.GetStageMetersPerUnit(stage) == 1
  assert stage.GetTimeCodesPerSecond() == 25 and stage.GetEndTimeCode() == 5
  mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/face/mesh"))
  cache = UsdSkel.Cache()
  root = UsdSkel.Root(stage.GetPrimAtPath("/face"))
  cache.Populate(root, Usd.PrimDefaultPredicate)
  skeleton = cache.GetSkelQuery(UsdSkel.Skeleton(stage.GetPrimAtPath("/face/skeleton")))
  skinning = cache.GetSkinningQuery(mesh.GetPrim())
  shapes = UsdSkel.BlendShapeQuery(UsdSkel.BindingAPI(mesh.GetPrim()))
  truth = face_model.motion_vertices(face, clip)
  for t in range(clip.num_frames):
    points = mesh.GetPointsAttr().Get()
    weights = skeleton.GetAnimQuery().ComputeBlendShapeWeights(t)
    parts = shapes.ComputeSubShapeWeights(weights)
    shapes.ComputeDeformedPoints(  # in place
      *parts,
      shapes.ComputeBlendShapePointIndices(),
      shapes.ComputeSubShapePointOffsets(),
      points,
    )
    skinning.ComputeSkinnedPoints(
      skeleton.ComputeSkinningTransforms(t), points, Usd.TimeCode(t)
    )
    error = np.linalg.norm(np.array(points) - truth[t], axis=-1)
    assert error.max() * 1e3 < 0.1
  assert Gf.Vec3f(*truth[0][0].tolist()) != mesh.GetPointsAttr().Get()[0]


@pytest.mark.parametrize("suffix", ["obj", "ply"])
def test_mesh_sequence_keeps_vertices_and_their_order(suffix, face, clip, tmp_path):
  said = files.export_motion(tmp_path / "new" / f"face.{suffix}", face, clip)
  assert said[0].startswith("6 files: ")
  truth = face_model.motion_vertices(face, clip)
  for t in range(clip.num_frames):
    path = tmp_path / "new" / f"face_{t:04}.{suffix}"
    mesh = trimesh.load(path, process=False, maintain_order=True)
    np.testing.assert_allclose(mesh.vertices, truth[t], atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, face.faces)


def test_live_link_csv_has_arkits_columns(face, clip, tmp_path):
  path = tmp_path / "take.csv"
  said = files.export_motion(path, face, clip)
  assert "mm in the mean" in said[0]
  with path.open() as stream:
    header, *rows = csv.reader(stream)
  assert len(header) == 2 + 52 + 9 and header[:3] == [
    "Timecode",
    "BlendshapeCount",
    "EyeBlinkLeft",
  ]
  assert [row[0] for row in rows[:2]] == ["00:00:00:00.000", "00:00:00:01.000"]
  values = np.array([row[1:] for row in rows], float)
  assert (values[:, 0] == 61).all()
  assert values[:, 1:53].min() >= 0 and values[:, 1:53].max() <= 1


def test_arkit_curves_come_back_as_the_same_curves(face):
  rng = np.random.default_rng(1)
  weights = rng.uniform(0, 0.5, (4, 52)) * (rng.random((4, 52)) < 0.2)
  weights[:, arkit.SHAPES.index("TongueOut")] = 0  # the head has no such parameter
  for name in ("EyeLookIn", "EyeLookDown"):  # an eye turns one way or the other
    for side in ("Left", "Right"):
      weights[:, arkit.SHAPES.index(name + side)] = 0
  close, jaw = (arkit.SHAPES.index(name) for name in ("MouthClose", "JawOpen"))
  weights[:, jaw] = np.maximum(weights[:, jaw], weights[:, close])
  for pair in (("MouthPressLeft", "MouthPressRight"),):  # one action for both
    left, right = (arkit.SHAPES.index(name) for name in pair)
    weights[:, left] = weights[:, right]
  head, eyes = rng.normal(size=(4, 3)) * 0.2, np.zeros((4, 6))
  curves = arkit.ArkitCurves(weights.astype("f"), head.astype("f"), eyes, 25.0)
  back, fit = arkit.from_motion(face, arkit.to_motion(curves))
  assert fit["residual_mm"] < 0.1 and fit["motion_mm"] > 0.2
  assert np.abs(back.weights_TA - weights).mean() < 0.02
  np.testing.assert_allclose(back.head_T3, head, atol=1e-5)


def test_arkit_names_what_the_face_does(face):
  smile = np.zeros((1, 50))
  unit = build.ACTION_UNITS.index("lip_corner_puller_l")
  smile[0, unit] = 0.7
  expression = smile @ head_file.activation_matrix().T
  looks = np.float32([[0, 0.3, 0, 0, 0.3, 0]])  # both eyes to the subject's left
  made = motion.zeros(1).replace(
    expression=expression.astype("f"),
    eyelids=np.float32([[0, 1]]),
    jaw_pose=np.float32([[0.2, 0, 0]]),
    eye_pose=looks,
    head_pose=np.float32([[0, 0.25, 0]]),
  )
  curves, _ = arkit.from_motion(face, made)
  weight = dict(zip(arkit.SHAPES, curves.weights_TA[0]))
  assert weight["MouthSmileLeft"] == pytest.approx(0.7, abs=0.08)
  assert weight["MouthSmileRight"] < 0.05 and weight["MouthFrownLeft"] < 0.12
  assert weight["EyeBlinkRight"] > 0.9 and weight["EyeBlinkLeft"] < 0.1
  assert weight["JawOpen"] == pytest.approx(0.5, abs=0.1)  # a turn is no line
  assert weight["EyeLookOutLeft"] == pytest.approx(0.5, abs=1e-3)
  assert weight["EyeLookInRight"] == pytest.approx(0.5, abs=1e-3)
  assert weight["EyeLookInLeft"] == weight["EyeLookOutRight"] == 0
  np.testing.assert_allclose(curves.head_T3[0], [0.25, 0, 0], atol=1e-6)


def test_csv_is_read_at_the_rate_of_its_timecodes(face, tmp_path):
  clip = motion.zeros(60).replace(jaw_pose=np.linspace(0, 0.3, 180).reshape(60, 3))
  clip = motion.validate(clip.replace(fps=30.0), "clip")
  path = tmp_path / "take.csv"
  files.export_motion(path, face, clip.replace(jaw_pose=clip.jaw_pose * [1, 0, 0]))
  curves = arkit_csv.read_csv(path)
  assert curves.fps == 30 and len(curves.weights_TA) == 60
  back = read.load_motion(path)
  assert back.fps == 25 and back.num_frames == 50 and back.face_model == "default_v2"
  assert back.jaw_pose[:, 0].max() > 0.2
  path.write_text("\n".join(path.read_text().splitlines()[:9]))
  with pytest.raises(UserError, match=r"take\.csv: too short .* fps"):
    arkit_csv.read_csv(path)
  assert arkit_csv.read_csv(path, fps=60).fps == 60


def flame_clip():
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32) * 0.2
  return motion.zeros(5, "flame2023", 100).replace(
    expression=np.pad(draw(5, 50), ((0, 0), (0, 50))),
    jaw_pose=draw(5, 3),
    neck_pose=draw(5, 3),
    head_pose=draw(5, 3),
    eye_pose=draw(5, 6),
    eyelids=np.abs(draw(5, 2)),
    shape=draw(300),
    camera=np.float32([[900, 100, 120]] * 5),
  )


def test_flame_layouts_round_trip(face, tmp_path):
  clip = flame_clip()
  said = files.export_motion(tmp_path / "a.flame.npz", face, clip)
  assert said == ["eyelids are left out: this layout has none"]
  back = read.load_motion(tmp_path / "a.flame.npz")
  for name in ("expression", "jaw_pose", "neck_pose", "head_pose", "eye_pose", "shape"):
    np.testing.assert_array_equal(getattr(back, name), getattr(clip, name))
  with np.load(tmp_path / "a.flame.npz") as arrays:  # allow_pickle=False
    assert arrays["expr"].shape == (5, 100) and arrays["static_offset"].ndim == 3
  said = files.export_motion(tmp_path / "a.smirk.npz", face, clip)
  assert said == ["gaze is left out: SMIRK has none"]
  back = read.load_motion(tmp_path / "a.smirk.npz")
  assert back.face_model == "flame2020"
  np.testing.assert_array_equal(back.expression, clip.expression[:, :50])
  np.testing.assert_allclose(
    motion.world_head_rotation(back), motion.world_head_rotation(clip), atol=1e-6
  )
  np.testing.assert_allclose(back.camera, clip.camera, rtol=1e-5)
  np.testing.assert_allclose(back.eyelids, clip.eyelids)


def test_list_shows_every_format(capsys):
  assert main.main(["export", "--list"]) == 0
  out = capsys.readouterr().out
  assert [line.split()[0] for line in out.splitlines()] == list(files.FORMATS)


def test_export_on_the_command_line(face, clip, tmp_path, capsys):
  motion.save_motion(tmp_path / "a.npz", clip)
  path = tmp_path / "a.usda"
  assert main.main(["export", str(tmp_path / "a.npz"), "-o", str(path), "--light"]) == 0
  out, err = capsys.readouterr()
  assert out == f"{path}\n" and "mm at most" in err and path.stat().st_size > 1e5


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["a.npz", "-o", "a.abc"], ["a.abc: cannot write a .abc file", "Blender", ".glb"]),
    (["a.npz", "-o", "a.csv", "--light"], ["--light: .csv"]),
    (["a.npz", "-o", "a.usd", "--signed"], ["--signed", ".glb"]),
    (["a.npz", "-o", "a.smirk.npz"], ["a.smirk.npz", "'default_v2'"]),
    (["gone.npz", "-o", "a.glb"], ["gone.npz: no such file"]),
    (["a.npz"], ["-o FILE", "--list"]),
  ],
)
def test_what_export_refuses(arguments, said, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  motion.save_motion("a.npz", motion.zeros(2))
  assert main.main(["export", *arguments]) == 2
  err = capsys.readouterr().err
  assert err.count("\n") == 1 and all(words in err for words in said)
  assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_the_page_names_every_format_and_option():
  page = (pathlib.Path(__file__).parents[2] / "docs/export.md").read_text()
  for suffix in files.FORMATS:
    assert f"`{suffix}`" in page, suffix
  for option in ("--light", "--signed", "--mean_head", "--error", "--wireframe"):
    assert option in page
