"""The TFDS builder yields the records that `data_prep.build` writes."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from data_prep import build, expressions, manifest, prompts, simulate
from data_prep.simulated_faces import simulated_faces_dataset_builder as builder_lib
from tdmm_jax.data import records as reading

BASIS = simulate.HeadBasis("standin00000", 5, np.eye(expressions.NUM_ACTION_UNITS))


DUMMY = pathlib.Path(builder_lib.__file__).parent / "dummy_data"


@pytest.fixture(autouse=True)
def stand_in_head(monkeypatch):
  monkeypatch.setattr(simulate, "head_basis", lambda: BASIS)


def prepare(tmp_path, config):
  builder = builder_lib.Builder(
    config=config, data_dir=tmp_path, file_format="array_record"
  )
  options = builder_lib.tfds.download.DownloadConfig(manual_dir=DUMMY)
  builder.download_and_prepare(download_config=options)
  return builder


def test_the_projects_own_suite(tmp_path):
  small = next(c for c in builder_lib.Builder.BUILDER_CONFIGS if c.name == "small")
  assert small.num_clips == build.CORPORA["small"].num_clips
  builder = prepare(tmp_path, dataclasses.replace(small, name="tiny", num_clips=40))
  plans = {
    plan.clip_id: plan
    for plan in prompts.make_suite(40, 0, small.seconds, written=small.written)
  }
  seen = set()
  for split in builder.info.splits:
    for row in builder.as_data_source(split):
      plan = plans[row["clip_id"].decode()]
      seen.add(plan.clip_id)
      assert plan.split == split
      assert json.loads(row["attributes"]) == plan.attributes
      again = build.example_of(plan, BASIS)
      np.testing.assert_array_equal(row["expression"], again["expression"])
  assert seen == set(plans)
  assert "simulator" in builder.info.description


def test_dummy_prompts_are_acted_out(tmp_path):
  builder = prepare(tmp_path, "prompts")
  rows = {row["clip_id"]: row for row in manifest.read(DUMMY / "prompts.jsonl")}
  seen = {}
  for split in prompts.SPLITS:
    for record in reading.open_split(builder.data_dir, split):
      clip_id = record["clip_id"].decode()
      seen[clip_id] = record
      assert rows[clip_id]["split"] == split
      assert rows[clip_id]["prompt"] == record["prompt"].decode()
  assert set(seen) == set(rows)
  assert len(seen["dummy_3"]["valid"]) == 30  # 1.2 s
  assert seen["dummy_2"]["captions"] == [b"She speaks, slightly angry."]
  assert json.loads(seen["dummy_4"]["attributes"])["speaking"] == "singing"


def test_the_folder_is_what_tfds_expects():
  folder = pathlib.Path(builder_lib.__file__).parent
  for name in ("README.md", "CITATIONS.bib", "TAGS.txt", "__init__.py", "dummy_data"):
    assert (folder / name).exists(), name
