"""`tdmm fit`: what was exported comes back as the motion it was."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import random_head

from tdmm_jax.cli import main
from tdmm_jax.errors import UserError
from tdmm_jax.export import files, meshes
from tdmm_jax.face import face_model, load_model, motion
from tdmm_jax.face.files import read
from tdmm_jax.face.fit import fit_vertices
from tdmm_jax.face.fit import sources as fit_files

LIMIT_MM = 0.05


@pytest.fixture(scope="module")
def face():
  return load_model.default_head()


@pytest.fixture(scope="module")
def clip(face):
  rng = np.random.default_rng(3)
  walk = lambda width, size: np.cumsum(rng.normal(size=(3, width)), 0) * size
  made = motion.zeros(3).replace(
    expression=walk(50, 0.5),
    jaw_pose=walk(3, 0.04) + [0.15, 0, 0],
    neck_pose=walk(3, 0.05),
    head_pose=walk(3, 0.2) + [0, 0.6, 0],
    eyelids=np.clip(walk(2, 0.3), 0, 1),
    eye_pose=walk(6, 0.1),
    translation=walk(3, 0.05),
    shape=rng.normal(size=face.num_shape),
  )
  return motion.validate(made, "clip")


def test_a_random_models_motion_is_found_again():
  model = face_model.from_arrays(**random_head.random_arrays(120, 4, 6))
  tracks = random_head.random_pose(model, (3,))
  tracks["shape"] = np.float32([0.5, -1.0, 0.3, 0.8])
  made = motion.validate(motion.zeros(3, "random", 6).replace(**tracks), "random")
  vertices = face_model.motion_vertices(model, made)
  back, error = fit_vertices.fit_vertices(model, vertices)
  assert error["error_max_mm"] < LIMIT_MM
  for name, values in tracks.items():
    np.testing.assert_allclose(getattr(back, name), values, atol=2e-3)


@pytest.mark.slow
def test_meshes_become_the_motion_that_made_them(face, clip, tmp_path, capsys):
  truth = face_model.motion_vertices(face, clip)
  meshes.write_sequence(tmp_path / "seq" / "face.obj", truth * 1000, face.faces)
  out = tmp_path / "motion.npz"
  arguments = ["fit", str(tmp_path / "seq"), "-o", str(out), "--scale", "0.001"]
  assert main.main([*arguments, "--json"]) == 0
  said = json.loads(capsys.readouterr().out)
  assert said["frames"] == 3 and "mm in the mean" in said["fit"]
  back = read.load_motion(out)
  error = np.linalg.norm(face_model.motion_vertices(face, back) - truth, axis=-1)
  assert error.max() * 1e3 < LIMIT_MM
  assert np.abs(back.jaw_pose - clip.jaw_pose).max() < 0.01
  assert np.abs(back.eyelids - clip.eyelids).max() < 0.02


def test_arkit_csv_is_a_source(face, tmp_path, capsys):
  arguments = ["--fps", "60", "-o", str(tmp_path / "m.npz")]
  source = tmp_path / "take.csv"
  jaw = np.zeros((6, 3), np.float32)
  jaw[:, 0] = 0.2
  files.export_motion(source, face, motion.zeros(6).replace(jaw_pose=jaw))
  assert main.main(["fit", str(source), *arguments]) == 0
  back = read.load_motion(tmp_path / "m.npz")
  assert back.fps == 25 and back.jaw_pose[:, 0].mean() == pytest.approx(0.2, abs=0.05)
  capsys.readouterr()


def tracker_that(monkeypatch, row=None, complaint=""):
  """Stands in for data_prep.track: writes this row and seven frames; the commands."""
  seen = []

  def track(command, **_):
    seen.append(command)
    out = pathlib.Path(command[command.index("--out") + 1])
    if row is not None:
      (out / "tracks.jsonl").write_text(json.dumps(row) + "\n")
      motion.save_motion(out / "motions" / "clip.npz", motion.zeros(7))
    return subprocess.CompletedProcess(command, 0 if row else 2, "", complaint)

  monkeypatch.setattr(subprocess, "run", track)
  return seen


def test_video_goes_through_the_tracker(face, tmp_path, monkeypatch):
  (tmp_path / "clip.mp4").write_bytes(b"not looked at here")
  row = {"status": "tracked", "motion": "motions/clip.npz"}
  seen = tracker_that(monkeypatch, row)
  made, said = fit_files.fit_source([tmp_path / "clip.mp4"], face)
  assert made.num_frames == 7 and "mediapipe" in said
  assert seen[0][:3] == [sys.executable, "-m", "data_prep.track"]


@pytest.mark.parametrize(
  ("row", "complaint", "said"),
  [
    ({"status": "failed", "reason": "no_face"}, "", "no face is seen in it"),
    ({"status": "failed", "reason": "undecodable"}, "", "cannot be read as a video"),
    (None, "/x/python: not there; make it with `make track`", "`make track` does it"),
    (None, "bars\nx: a full disk", "x: a full disk"),
  ],
)
def test_what_the_tracker_cannot_do_is_said_in_plain_words(
  row, complaint, said, monkeypatch
):
  tracker_that(monkeypatch, row, complaint)
  with pytest.raises(UserError, match=r"clip\.mp4: not tracked") as told:
    fit_files.track_video("clip.mp4")
  assert said in str(told.value) and "/x/python" not in str(told.value)


@pytest.mark.parametrize(
  ("sources", "said"),
  [
    (["gone.obj"], "gone.obj: no such file"),
    (["small.obj"], "small.obj: 3 vertices, but default_v2 has 4361"),
    (["empty"], "empty: nothing to fit"),
    (["text.txt"], "text.txt: nothing to fit"),
    (["broken.obj"], "broken.obj: cannot be read as OBJ"),
    (["other.npz"], "other.npz: no array 'vertices'"),
    (["mm.npz"], "1e+03 times the size"),
    (["short.npz"], "do not fit default_v2"),
    (["nan.npz"], "NaN"),
    (["broken.ply"], "broken.ply: cannot be read as PLY"),
    (["a.csv"], "a.csv: lacks 51 of ARKit's 52 columns"),
    (["broken.mp4"], "broken.mp4: not tracked"),
  ],
)
def test_what_fit_refuses(sources, said, face, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  template = np.asarray(face.v_template)[None]
  pathlib.Path("empty").mkdir()
  for name, text in {
    "small.obj": "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
    "broken.obj": "v 0 zero 0\n",
    "broken.ply": "ply\nnothing\n",
    "text.txt": "hello",
    "a.csv": "a,b\n1,2\n",
    "broken.mp4": "no video",
  }.items():
    pathlib.Path(name).write_text(text)
  np.savez("other.npz", x=np.zeros(3))
  np.savez("mm.npz", vertices=template * 1000)
  np.savez("short.npz", vertices=template[:, :100])
  np.savez("nan.npz", vertices=template * np.nan)
  assert main.main(["fit", *sources, "-o", "out.npz"]) == 2
  err = capsys.readouterr().err
  assert err.count("\n") == 1 and said in err
  assert not pathlib.Path("out.npz").exists()
