"""A trained tokenizer: geometry decides the tokens, and lengths do not."""

import dataclasses
import shutil
import types

import numpy as np
import pytest
import tiny
from scipy.spatial.transform import Rotation

from tdmm_jax import files
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model, load_model, motion_vector
from tdmm_jax.runs import checkpoints


@pytest.fixture(scope="module")
def codec(tiny_run):
  return motion_codec.load(tiny_run / "tokenizer")


@pytest.fixture(scope="module")
def vectors(tiny_run):
  return [clip["vectors"] for clip in records.load_clips(tiny_run / "records", "test")]


def test_a_batch_gives_the_tokens_of_singles(codec, vectors):
  told = []
  together = codec.encode_vectors(vectors, told.append)
  assert sum(told) == sum(map(len, vectors))
  assert len({len(codes) for codes in together}) > 1
  for item, codes in zip(vectors, together, strict=True):
    assert codes.shape == (len(item),) and codes.dtype == np.int32
    np.testing.assert_array_equal(codec.encode_vectors([item])[0], codes)
  assert (
    min(map(min, together)) >= 0 and max(map(max, together)) < codec.num_codes == 24
  )
  assert len(np.unique(np.concatenate(together))) > 3


def test_order_is_kept_beyond_one_batch(codec, vectors):
  many = [vectors[i % len(vectors)][: 5 + i] for i in range(21)]
  for item, codes in zip(many, codec.encode_vectors(many), strict=True):
    np.testing.assert_array_equal(codes, codec.encode_vectors([item])[0])


def test_what_is_no_geometry_changes_no_token(codec, tiny_run):
  motion = tiny.first_motion(tiny_run)
  (codes,) = codec.encode([motion])
  rng = np.random.default_rng(0)
  # The same rotation of the head, shared otherwise between root and neck.
  neck = rng.normal(size=(motion.num_frames, 3)) * 0.2
  world = Rotation.from_rotvec(motion.head_pose) * Rotation.from_rotvec(
    motion.neck_pose
  )
  head = (world * Rotation.from_rotvec(neck).inv()).as_rotvec()
  same = motion.replace(
    neck_pose=neck.astype(np.float32),
    head_pose=head.astype(np.float32),
    shape=rng.normal(size=motion.shape.shape).astype(np.float32),
    translation=rng.normal(size=(motion.num_frames, 3)).astype(np.float32),
  )
  np.testing.assert_array_equal(codec.encode([same])[0], codes)
  turned = motion.replace(head_pose=motion.head_pose + np.float32([0.5, 0, 0]))
  assert (codec.encode([turned])[0] != codes).any()


def test_decoded_motions_are_whole(codec, tiny_run):
  codes = [np.arange(20) % 24, np.arange(33) % 24]
  for motion, c in zip(codec.decode(codes), codes, strict=True):
    assert motion.num_frames == len(c) and motion.face_model == codec.face.name
    assert motion.expression.shape == (len(c), codec.face.num_expression)
    assert not motion.neck_pose.any() and not motion.translation.any()
    assert motion.eyelids.min() >= 0 and motion.eyelids.max() <= 1
    assert motion.valid.all() and motion.fps == 25
    vertices = face_model.motion_vertices(codec.face, motion)
    assert np.isfinite(vertices).all()
  (alone,) = codec.decode_vectors([codes[1]])
  np.testing.assert_allclose(codec.decode_vectors(codes)[1], alone, atol=1e-4)


def test_foreign_motions_are_refused_by_name(codec, tiny_run):
  motion = tiny.first_motion(tiny_run)
  with pytest.raises(UserError, match=r"clip\.npz: .*'flame2020'.*'default_v2'"):
    codec.adopt(motion.replace(face_model="flame2020"), "clip.npz")
  short = motion.replace(expression=motion.expression[:, :40])
  with pytest.raises(UserError, match=r"clip\.npz: 40 expression coefficients.*50"):
    codec.adopt(short, "clip.npz")


def test_the_vertex_sample_is_fixed_and_of_the_face():
  face = load_model.default_head()
  ids = motion_codec.training_vertices(face, 200, 3.0)
  np.testing.assert_array_equal(ids, motion_codec.training_vertices(face, 200, 3.0))
  assert len(np.unique(ids)) == 200 and np.isin(ids, face.regions["face"]).all()
  share = lambda weight: np.isin(
    motion_codec.training_vertices(face, 200, weight), face.regions["lips"]
  ).mean()
  assert share(6.0) > share(1.0)


def test_vectors_and_motions_are_inverse(tiny_run):
  motion = tiny.first_motion(tiny_run)
  vectors = motion_vector.from_motion(motion)
  back = motion_vector.to_motion(vectors, motion.face_model)
  np.testing.assert_allclose(motion_vector.from_motion(back), vectors, atol=1e-6)


def test_a_tokenizer_of_the_time_of_refinements_loads_if_it_has_none(
  tiny_run, codec, vectors, tmp_path
):
  folder = tmp_path / "old"
  shutil.copytree(tiny_run / "tokenizer", folder)
  stored = checkpoints.read_json(folder / checkpoints.CONFIG_FILE)
  stored["config"]["model"]["num_refinements"] = 0
  files.write_json(folder / checkpoints.CONFIG_FILE, stored)
  old = motion_codec.load(folder)
  for one, other in zip(old.encode_vectors(vectors), codec.encode_vectors(vectors)):
    np.testing.assert_array_equal(one, other)
  stored["config"]["model"]["num_refinements"] = 2
  files.write_json(folder / checkpoints.CONFIG_FILE, stored)
  with pytest.raises(UserError, match=r"num_refinements is 2, which .* train it again"):
    motion_codec.load(folder)


def test_a_folder_without_a_tokenizer_is_the_users_error(tmp_path):
  with pytest.raises(UserError, match="no trained tokenizer here"):
    motion_codec.load(tmp_path)


def test_another_version_of_the_face_is_refused_by_both_names(tiny_run, monkeypatch):
  real = load_model.default_head()
  other = dataclasses.replace(real, version="0123456789ab")
  monkeypatch.setattr(motion_codec.load_model, "load_face_model", lambda spec: other)
  with pytest.raises(UserError, match=rf"{real.version}.*0123456789ab"):
    motion_codec.load(tiny_run / "tokenizer")


class StandIn(motion_codec.MotionCodec):
  """Reads 5 frames to each side with weights of the frame's phase; exact integers."""

  def __init__(self):
    self.model = types.SimpleNamespace(reach=5)
    self.num_phases = 3
    self.weights = np.random.default_rng(0).integers(1, 99, (3, 11))

  def encode_window(self, values, mask):
    values, mask = np.asarray(values), np.asarray(mask)
    seen = np.rint(values.reshape(*mask.shape, -1).sum(-1) * 1000).astype(int)
    seen = seen * (mask > 0)
    out = np.zeros(mask.shape, int)
    for t in range(mask.shape[1]):
      for d in range(-5, 6):
        if 0 <= t + d < mask.shape[1]:
          out[:, t] += self.weights[t % 3, d + 5] * seen[:, t + d]
    return out


@pytest.mark.parametrize("length", [1, 2, 47, 48, 49, 200])
def test_pieces_of_a_long_motion_give_the_tokens_of_the_whole(length, monkeypatch):
  codec = StandIn()
  clips = [np.random.default_rng(3).random((n, 4)).round(3) for n in (length, 60)]
  whole = [codec.encode_window(c[None], np.ones((1, len(c))))[0] for c in clips]
  monkeypatch.setattr(motion_codec, "_WINDOW", 48)
  for ours, expected in zip(codec.encode_vectors(clips), whole, strict=True):
    np.testing.assert_array_equal(ours, expected)
  sizes = [last - first for first, last, _ in codec._pieces(100_000)]
  assert max(sizes) <= 48  # however long the motion
  assert all(first % 3 == 0 for first, _, _ in codec._pieces(100_000))


def test_codes_are_decided_at_full_precision_on_every_device(tiny_run):
  """What a TPU is told of each product; a CPU has but one precision."""
  codec = motion_codec.load(tiny_run / "tokenizer")
  vectors = np.zeros((1, 64, len(codec.std_P)), np.float32)
  ones, codes = np.ones((1, 64), np.float32), np.zeros((1, 64), np.int32)
  for program in (
    motion_codec._encode.lower(
      codec.model, codec.variables, codec.subset, vectors, ones
    ),
    motion_codec._decode.lower(codec.model, codec.variables, codes, ones),
  ):
    products = [
      line for line in program.as_text().splitlines() if "dot_general" in line
    ]
    assert products and all("HIGHEST" in line for line in products)
