"""Records come back whole, and without TensorFlow."""

import pickle
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tiny

from data_prep import build, prompts, simulate
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion_vector

NO_TENSORFLOW = """
import sys
from tdmm_jax.cli import main
from tdmm_jax.evaluation import evaluate
from tdmm_jax.generate import face
from tdmm_jax.train import run
from tdmm_jax.data import records
clips = records.load_clips(sys.argv[1], "train")
assert len(clips) > 50
print(sorted(name for name in sys.modules if name.split(".")[0] == "tensorflow"))
"""


def test_training_and_sampling_import_no_tensorflow(tiny_run):
  assert tiny.run_python(NO_TENSORFLOW, tiny_run / "records").strip() == "[]"


def test_a_record_is_what_the_simulator_made(tiny_run):
  basis = simulate.head_basis()
  plans = prompts.make_suite(tiny.NUM_CLIPS, 0, tiny.CLIP_SECONDS)
  plan = next(plan for plan in plans if plan.split == "test")
  example = build.example_of(plan, basis)
  record = records.open_split(tiny_run / "records", "test")[0]
  clip = records.to_clip(record)
  assert clip["clip_id"] == plan.clip_id and clip["prompt"] == plan.prompt
  assert clip["captions"] == list(plan.captions)
  assert clip["attributes"] == plan.attributes
  motion = records.to_motion(record)
  for name in ("expression", "jaw_pose", "eyelids", "head_pose", "shape", "valid"):
    np.testing.assert_array_equal(getattr(motion, name), example[name])
  np.testing.assert_array_equal(clip["vectors"], motion_vector.from_motion(motion))
  assert clip["vectors"].shape == (motion.num_frames, motion.num_expression + 14)


def test_splits_share_no_clip_and_hold_them_all(tiny_run):
  ids = [
    {clip["clip_id"] for clip in records.load_clips(tiny_run / "records", split)}
    for split in records.SPLITS
  ]
  assert len(set.union(*ids)) == sum(map(len, ids)) == tiny.NUM_CLIPS
  assert all(ids)


def test_versions_are_those_of_the_builder(tiny_run):
  stored = records.versions(tiny_run / "records")
  assert stored == build.versions(simulate.head_basis()) | {"face_model": "default_v2"}


def test_missing_records_and_splits_are_the_users_error(tiny_run, tmp_path):
  with pytest.raises(UserError, match=r"no records here; build them with"):
    records.open_split(tmp_path, "train")
  with pytest.raises(UserError, match=r"no split 'dev'"):
    records.open_split(tiny_run / "records", "dev")


def test_decoding_is_that_of_tfds(tiny_run):
  """Every feature, value and type, record by record."""
  for split in records.SPLITS:
    ours = records.open_split(tiny_run / "records", split)
    builder = tfds.builder_from_directory(tiny_run / "records")
    theirs = builder.as_data_source(split)
    assert len(ours) == len(theirs)
    for mine, reference in zip(ours, theirs):
      assert set(mine) == set(reference)
      for name, value in reference.items():
        if isinstance(value, np.ndarray):
          assert mine[name].dtype == value.dtype
          np.testing.assert_array_equal(mine[name], value)
        else:
          assert mine[name] == value, name


def test_a_source_is_a_sequence_that_can_be_pickled(tiny_run):
  source = records.open_split(tiny_run / "records", "train")
  again = pickle.loads(pickle.dumps(source))
  assert again[-1]["clip_id"] == source[len(source) - 1]["clip_id"]
  with pytest.raises(IndexError):
    source[len(source)]


def broken(tiny_run, tmp_path, name, old, new):
  """A copy of the records with a change in one of its metadata files."""
  path = tmp_path / "records"
  shutil.copytree(tiny_run / "records", path)
  text = (path / name).read_text()
  assert old in text
  (path / name).write_text(text.replace(old, new))
  return path


def test_records_of_another_format_are_refused(tiny_run, tmp_path):
  path = broken(tiny_run, tmp_path, "dataset_info.json", '"2.0.0"', '"3.1.0"')
  with pytest.raises(UserError, match=r"format 3\.1\.0, this program reads 2\.x\.x"):
    records.open_split(path, "train")


def test_records_without_a_field_are_refused(tiny_run, tmp_path):
  path = broken(tiny_run, tmp_path, "features.json", '"eyelids"', '"lids"')
  with pytest.raises(UserError, match="without eyelids"):
    records.open_split(path, "train")


def test_damaged_metadata_and_missing_shards_are_named(tiny_run, tmp_path):
  path = broken(tiny_run, tmp_path, "features.json", "{", "")
  with pytest.raises(UserError, match=r"features\.json is damaged"):
    records.open_split(path, "train")
  shutil.copy(tiny_run / "records" / "features.json", path)
  next(path.glob("*-test.*")).unlink()
  with pytest.raises(UserError, match="this shard is missing"):
    records.open_split(path, "test")
  (path / "dataset_info.json").unlink()
  with pytest.raises(UserError, match="the build is not finished"):
    records.open_split(path, "train")
