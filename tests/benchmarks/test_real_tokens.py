"""A FLAME performance goes through a file of FLAME's format to the tokenizer."""

import os
import pathlib

import numpy as np
import pytest

from benchmarks import flame_test_model, real_tokens
from tdmm_jax.codec import motion_codec
from tdmm_jax.face import face_model, load_model, motion
from tdmm_jax.face.files import flame_model

FRAMES = 4


def test_the_test_model_is_the_default_head_in_flames_format(tmp_path):
  path = flame_test_model.write(tmp_path)
  flame, head = flame_model.load_flame(path, 100), load_model.default_head()
  assert (flame.name, flame.num_expression, flame.num_shape) == ("flame2023", 100, 300)
  rng = np.random.default_rng(0)
  draw = lambda width, scale=0.2: rng.normal(size=(3, width)).astype(np.float32) * scale
  made = motion.zeros(3).replace(
    expression=draw(50, 1.0),
    jaw_pose=draw(3),
    neck_pose=draw(3),
    head_pose=draw(3),
    eye_pose=draw(6),
    translation=draw(3),
    eyelids=np.abs(draw(2)),
    shape=draw(head.num_shape, 1.0)[0],
  )
  vertices = lambda model, m: face_model.motion_vertices(model, m)
  same = made.replace(face_model="flame2023")
  np.testing.assert_allclose(vertices(flame, same), vertices(head, made), atol=1e-5)
  most_m = np.abs(np.asarray(flame.exprdirs)).max(axis=(0, 1))
  assert (most_m > 1e-5).all()  # every coefficient moves the face


def cap4d(folder, num_frames: int) -> None:
  """A performance as CAP4D writes it, of random numbers."""
  rng = np.random.default_rng(1)
  draw = lambda width, scale: rng.normal(size=(num_frames, width)) * scale
  sequence = {"expr": draw(65, 0.7), "rot": draw(3, 0.1), "tra": draw(3, 0.01)}
  np.savez(folder / "made.npz", **sequence, eye_rot=draw(3, 0.1), fps=np.float64(25))


def first_frames(folder, num_frames: int) -> None:
  """The beginning of the real one."""
  real = os.environ.get("TDMM_REAL_DATA")
  if not real:
    pytest.skip("TDMM_REAL_DATA names no folder of real data")
  path = pathlib.Path(real) / "flame_sequence" / "sequence_00.npz"
  with np.load(path) as arrays:
    cut = {k: x[:num_frames] if np.ndim(x) > 1 else x for k, x in arrays.items()}
  np.savez(folder / "real.npz", **cut)


@pytest.mark.parametrize("sequence", [cap4d, first_frames])
def test_a_flame_performance_becomes_tokens(sequence, tiny_run, tmp_path):
  codec = motion_codec.load(tiny_run / "tokenizer")
  sequence(tmp_path, FRAMES)
  (clip,) = real_tokens.performance(codec, tmp_path)
  # The test model's basis is within the head's, so that the fit is nearly exact; and
  # it is no copy of the first 50 coefficients, for the others move the face, too.
  assert clip["fit_error_mm"] < 0.05
  path = next(tmp_path.glob("*.npz"))
  read = real_tokens.read.load_motion(path)
  assert len(clip["vectors"]) == len(clip["valid"]) == read.num_frames
  assert np.abs(clip["vectors"][:, :50] - read.expression[:, :50]).max() > 0.01
  found, (decoded,) = real_tokens.scores(codec, [clip])
  assert decoded.shape == clip["vectors"].shape
  assert found["num_frames"] == read.num_frames and found["face_error_mm"] > 0


def test_without_a_performance_there_is_none(tiny_run, tmp_path):
  codec = motion_codec.load(tiny_run / "tokenizer")
  assert real_tokens.performance(codec, tmp_path) == []
