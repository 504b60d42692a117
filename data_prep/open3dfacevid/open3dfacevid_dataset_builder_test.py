"""The TFDS builder reads its dummy data, and refuses what does not fit."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from data_prep import build_motions, manifest
from data_prep.open3dfacevid import make_dummy_data
from data_prep.open3dfacevid import open3dfacevid_dataset_builder as builder_lib
from tdmm_jax.data import records as reading
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib

DUMMY = pathlib.Path(builder_lib.__file__).parent / "dummy_data"


@pytest.fixture(autouse=True)
def stand_in_head(monkeypatch):
  monkeypatch.setattr(build_motions, "head_version", lambda name, spec: "standin0000")


def prepare(tmp_path, manual_dir, config="default_v2"):
  builder = builder_lib.Builder(
    config=config, data_dir=tmp_path, file_format="array_record"
  )
  builder.download_and_prepare(
    download_config=builder_lib.tfds.download.DownloadConfig(manual_dir=manual_dir)
  )
  return builder


def test_dummy_data_become_records(tmp_path):
  builder = prepare(tmp_path, DUMMY)
  rows = {row["clip_id"]: row for row in manifest.read(DUMMY / "prompts.jsonl")}
  seen = set()
  for split in ("train", "valid", "test"):
    theirs = builder.as_data_source(split)
    ours = reading.open_split(builder.data_dir, split)  # the library reads them too
    for record, mine in zip(theirs, ours, strict=True):
      row = rows[record["clip_id"].decode()]
      seen.add(row["clip_id"])
      assert row["split"] == split and record["prompt"].decode() == row["prompt"]
      motion = motion_lib.load_npz(DUMMY / "motions" / f"{row['clip_id']}.npz")
      np.testing.assert_array_equal(record["expression"], motion.expression)
      np.testing.assert_array_equal(reading.to_motion(mine).camera, motion.camera)
      assert json.loads(record["attributes"])["segments"]
  assert seen == set(rows)


def test_another_basis_is_refused(tmp_path):
  with pytest.raises(UserError, match="the config is for"):
    prepare(tmp_path, DUMMY, "flame2020")


def test_a_missing_motion_is_refused(tmp_path):
  shutil.copytree(DUMMY, tmp_path / "manual")
  (tmp_path / "manual" / "motions" / "dummy_3.npz").unlink()
  with pytest.raises(UserError, match="'dummy_3': has no motion"):
    prepare(tmp_path / "out", tmp_path / "manual")


def test_the_dummy_data_are_what_their_script_makes(tmp_path, monkeypatch):
  monkeypatch.setattr(make_dummy_data, "FOLDER", tmp_path)
  make_dummy_data.main()
  for path in DUMMY.rglob("*.npz"):
    made = motion_lib.load_npz(tmp_path / path.relative_to(DUMMY))
    held = motion_lib.load_npz(path)
    np.testing.assert_array_equal(made.expression, held.expression)
  name = "prompts.jsonl"
  assert (tmp_path / name).read_text() == (DUMMY / name).read_text()


def test_the_folder_is_what_tfds_expects():
  folder = pathlib.Path(builder_lib.__file__).parent
  for name in ("README.md", "CITATIONS.bib", "TAGS.txt", "__init__.py", "dummy_data"):
    assert (folder / name).exists(), name
