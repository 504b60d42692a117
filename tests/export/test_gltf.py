"""Exported GLB: Khronos' validator, an independent player, Blender, and back."""

import json
import os
import pathlib
import shutil
import subprocess

import clips
import gltf_player
import numpy as np
import pytest
import trimesh

from tdmm_jax.errors import UserError
from tdmm_jax.export import files
from tdmm_jax.face import face_model, load_model, motion
from tdmm_jax.face.files import gltf_motion

REPO = pathlib.Path(__file__).parents[2]
LIMIT_MM = 0.1
VALIDATE = """
const validator = require(process.argv[1]);
const bytes = new Uint8Array(require('fs').readFileSync(process.argv[2]));
validator.validateBytes(bytes).then(r => console.log(JSON.stringify(r.issues)));
"""


@pytest.fixture(scope="module")
def face():
  return load_model.default_head()


@pytest.fixture(scope="module")
def clip(face):
  return clips.restless(face)


@pytest.fixture(scope="module")
def made(face, clip, tmp_path_factory):
  """Name -> (path, sentences) of a GLB written each way."""
  folder = tmp_path_factory.mktemp("glb")
  options = {"unit": {}, "signed": {"signed": True}, "light": {"light": True}}
  return {
    name: (
      folder / f"{name}.glb",
      files.export_motion(folder / f"{name}.glb", face, clip, **option),
    )
    for name, option in options.items()
  }


def played_error_mm(path, face, clip, frames=None):
  """float[T, V]: distance between the played file and the face model."""
  player = gltf_player.Player(path)
  truth = face_model.motion_vertices(face, clip)
  np.testing.assert_allclose(player.times, np.arange(len(truth)) / clip.fps, atol=1e-6)
  np.testing.assert_array_equal(player.triangles, face.faces)
  played = np.stack([player.vertices(time) for time in player.times])
  return np.linalg.norm(played - truth, axis=-1) * 1e3


@pytest.mark.parametrize("name", ["unit", "signed"])
def test_played_vertices_are_the_face_models(name, made, face, clip):
  assert played_error_mm(made[name][0], face, clip).max() < LIMIT_MM


def test_weights_are_the_coefficients_or_between_0_and_1(made, face, clip):
  signed = gltf_player.Player(made["signed"][0])
  assert len(signed.names) == face.num_expression + 2 + 36
  weights = signed.tracks[0, "weights"][1].reshape(clip.num_frames, -1)
  np.testing.assert_array_equal(weights[:, : face.num_expression], clip.expression)
  assert weights.min() < -1 and weights.max() > 1  # what a slider would clamp
  unit = gltf_player.Player(made["unit"][0])
  weights = unit.tracks[0, "weights"][1]
  assert weights.min() == 0 and 0.5 < weights.max() <= 1


def test_light_leaves_out_the_correctives_and_says_the_error(made, face, clip):
  path, said = made["light"]
  error = played_error_mm(path, face, clip)
  assert LIMIT_MM < error.max() < 20
  assert f"{error.max():.4f} mm at most" in said[0]
  assert f"{error.mean():.4f} mm mean" in said[0]
  names = gltf_player.Player(path).names
  assert not any(name.startswith("corrective") for name in names)
  assert path.stat().st_size < made["unit"][0].stat().st_size


def test_khronos_validator_finds_nothing(made, face, tmp_path):
  module = REPO / ".node/node_modules/gltf-validator"
  if shutil.which("node") is None or not module.is_dir():
    pytest.skip("no node with Khronos' gltf-validator; `make test` installs it by npm")
  one = tmp_path / "one_frame.glb"
  files.export_motion(one, face, motion.zeros(1))
  for path in (*(path for path, _ in made.values()), one):
    done = subprocess.run(
      ["node", "-e", VALIDATE, str(module), str(path)],
      capture_output=True,
      text=True,
      check=True,
    )
    issues = json.loads(done.stdout)
    assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"]


def test_another_reader_sees_the_neutral_head(made, face):
  scene = trimesh.load(made["unit"][0], process=False)
  (mesh,) = scene.geometry.values()
  assert mesh.faces.shape == face.faces.shape and len(mesh.vertices) == 4361
  np.testing.assert_allclose(
    np.ptp(mesh.vertices, axis=0), np.ptp(face.v_template, axis=0), rtol=0.1
  )


def test_a_motion_comes_back_from_each(made, clip):
  for path, _ in made.values():
    back = gltf_motion.read_glb(path)
    assert back.face_model == clip.face_model and back.fps == clip.fps
    for name in ("expression", "jaw_pose", "neck_pose", "head_pose", "eyelids"):
      np.testing.assert_allclose(getattr(back, name), getattr(clip, name), atol=2e-6)
    # The root follows the expression by up to 9 micrometres, which nobody takes off.
    np.testing.assert_allclose(back.translation, clip.translation, atol=1.5e-5)
    np.testing.assert_allclose(back.shape, clip.shape, atol=1e-6)


def test_a_glb_of_another_program_is_refused(face, tmp_path):
  trimesh.creation.box().export(tmp_path / "box.glb")
  with pytest.raises(UserError, match=r"box\.glb: .*did not write"):
    gltf_motion.read_glb(tmp_path / "box.glb")
  (tmp_path / "cut.glb").write_bytes((tmp_path / "box.glb").read_bytes()[:100])
  with pytest.raises(UserError, match=r"cut\.glb: is damaged"):
    gltf_motion.read_glb(tmp_path / "cut.glb")


def test_blender_evaluates_the_same_mesh(made, face, clip, tmp_path):
  script = pathlib.Path(__file__).with_name("blender_evaluate.py")
  module = REPO / ".venv-blender/bin/python"
  if module.exists():
    command = [module, script]
  elif shutil.which("blender"):
    command = ["blender", "-b", "--python-exit-code", "1", "-P", script]
  else:
    pytest.skip("no Blender: neither on the PATH nor by `make blender`")
  out = tmp_path / "evaluated.npz"
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
  subprocess.run(
    [*map(str, command), "--", made["unit"][0], out, str(int(clip.fps))],
    check=True,
    capture_output=True,
    env=environment,
  )
  seen = np.load(out)["vertices"]
  truth = face_model.motion_vertices(face, clip)
  assert seen.shape == truth.shape
  assert np.linalg.norm(seen - truth, axis=-1).max() * 1e3 < LIMIT_MM
