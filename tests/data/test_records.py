"""Records come back whole, and without TensorFlow."""

import numpy as np
import pytest
import tiny

from data_prep import build, prompts, simulate
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion_vector

NO_TENSORFLOW = """
import sys
from tdmm_jax import cli, evaluate, inference, train
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
  assert stored == build.versions(simulate.head_basis()) | {"face_model": "default_v1"}


def test_missing_records_and_splits_are_the_users_error(tiny_run, tmp_path):
  with pytest.raises(UserError, match=r"no records here; build them with"):
    records.open_split(tmp_path, "train")
  with pytest.raises(UserError, match=r"no split 'dev'"):
    records.open_split(tiny_run / "records", "dev")
