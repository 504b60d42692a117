"""`import tdmm_jax`: load, generate, describe, save."""

import subprocess
import sys

import numpy as np
import pytest

import tdmm_jax
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.render import video
from tdmm_jax.runs import locate


def test_import_is_cheap():
  """No JAX, no NumPy: shell completion and `--help` wait for this import."""
  heavy = "import sys, tdmm_jax, tdmm_jax.cli.main; print(*sys.modules)"
  done = subprocess.run(
    [sys.executable, "-c", heavy], capture_output=True, text=True, check=True
  )
  loaded = set(done.stdout.split())
  assert "tdmm_jax.cli.main" in loaded
  assert not loaded & {"jax", "numpy", "scipy", "flax", "gradio", "matplotlib"}


def test_a_sentence_becomes_a_motion_and_a_motion_a_sentence(loaded_run):
  motion = loaded_run.generate("She smiles.", seconds=0.8, seed=3)
  assert motion.num_frames == 20 and motion.fps == 25
  same, other = (loaded_run.generate("She smiles.", 0.8, seed) for seed in (3, 4))
  np.testing.assert_array_equal(motion.expression, same.expression)
  assert (motion.expression != other.expression).any()
  text = loaded_run.describe(motion)
  assert isinstance(text, str) and text == loaded_run.describe(motion)


def test_tokens_are_one_a_frame_and_decode_to_the_same_motion(loaded_run):
  motion = loaded_run.generate("He frowns.", seconds=0.6)
  codes = loaded_run.generate_codes(["He frowns."], [0.6])[0]
  assert codes.shape == (15,)
  np.testing.assert_array_equal(loaded_run.decode(codes).jaw_pose, motion.jaw_pose)
  again = loaded_run.encode(motion)
  assert again.shape == (15,) and (again < loaded_run.codec.num_codes).all()


def test_a_motion_saves_as_what_its_suffix_says(loaded_run, tmp_path):
  motion = loaded_run.generate("He frowns.", seconds=0.2)
  motion.save(tmp_path / "a.npz")
  back = tdmm_jax.load_motion(tmp_path / "a.npz")
  np.testing.assert_array_equal(back.expression, motion.expression)
  motion.save(tmp_path / "a.mp4")
  frames, fps = video.read_video(tmp_path / "a.mp4")
  assert len(frames) == 5 and fps == 25 and frames.std() > 10
  with pytest.raises(tdmm_jax.UserError, match=r"a\.docx: cannot write a \.docx"):
    motion.save(tmp_path / "a.docx")
  assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a.npz"]


def test_every_suffix_that_the_command_knows(tmp_path):
  """Names with dots, pictures; FLAME's own layouts need no model file."""
  motion = motion_lib.zeros(3)
  for name in ("take.01.npz", "sheet.v2.png"):
    motion.save(tmp_path / name)
  assert tdmm_jax.load_motion(tmp_path / "take.01.npz").num_frames == 3
  assert (tmp_path / "sheet.v2.png").read_bytes()[:4] == b"\x89PNG"
  flame = motion_lib.zeros(3, "flame2020")
  for name in ("take.01.npz", "a.smirk.npz", "a.flame.npz"):
    flame.save(tmp_path / name)
    assert tdmm_jax.load_motion(tmp_path / name, fps=25).num_frames == 3


def test_a_motion_of_another_face_is_refused(loaded_run, tmp_path):
  flame = motion_lib.zeros(5, "flame2020")
  with pytest.raises(tdmm_jax.UserError, match=r"motion: .*'flame2020'"):
    loaded_run.describe(flame)
  with pytest.raises(tdmm_jax.UserError, match="'flame2020', whose model file"):
    flame.save(tmp_path / "a.mp4")


def test_find_takes_the_release_then_the_demo(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(locate, "RELEASE_DIR", tmp_path / "package" / "release")
  with pytest.raises(tdmm_jax.UserError, match="runs/train does not exist"):
    locate.find()
  with pytest.raises(tdmm_jax.UserError, match=r"release: .*no trained checkpoint"):
    tdmm_jax.load("release")
  (tmp_path / "runs" / "train").mkdir(parents=True)
  assert locate.find() == locate.TRAIN_DIR
  locate.RELEASE_DIR.mkdir(parents=True)  # a folder for it is no release
  assert locate.find() == locate.TRAIN_DIR
  (locate.RELEASE_DIR / "lm").mkdir()
  assert locate.find() == locate.find("release") == locate.RELEASE_DIR
  assert str(locate.find("elsewhere")) == "elsewhere"


def test_a_run_has_a_title(tiny_run, tmp_path):
  title = locate.title(tiny_run)
  assert title.startswith(str(tiny_run)) and "step 12" in title
  assert "default_v2" in title
  assert "no trained language model" in locate.title(tmp_path)
