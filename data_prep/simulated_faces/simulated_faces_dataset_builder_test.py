"""The TFDS builder yields the records that `data_prep.build` writes."""

import json
import pathlib

import numpy as np
import pytest

from data_prep import build, expressions, prompts, simulate
from data_prep.simulated_faces import simulated_faces_dataset_builder as builder_lib

BASIS = simulate.HeadBasis("standin00000", 5, np.eye(expressions.NUM_ACTION_UNITS))


@pytest.fixture
def small_builder(monkeypatch, tmp_path):
  monkeypatch.setattr(simulate, "head_basis", lambda: BASIS)
  monkeypatch.setattr(builder_lib.Builder, "NUM_CLIPS", 40)
  return builder_lib.Builder(data_dir=tmp_path, file_format="array_record")


def test_builder(small_builder):
  small_builder.download_and_prepare()
  seconds = build.CORPORA["small"].seconds
  plans = {plan.clip_id: plan for plan in prompts.make_suite(40, 0, seconds)}
  seen = set()
  for split in small_builder.info.splits:
    for row in small_builder.as_data_source(split):
      plan = plans[row["clip_id"].decode()]
      seen.add(plan.clip_id)
      assert plan.split == split
      assert json.loads(row["attributes"]) == plan.attributes
      again = build.example_of(plan, BASIS)
      np.testing.assert_array_equal(row["expression"], again["expression"])
  assert seen == set(plans)
  assert "simulator" in small_builder.info.description


def test_the_folder_is_what_tfds_expects():
  folder = pathlib.Path(builder_lib.__file__).parent
  for name in ("README.md", "CITATIONS.bib", "TAGS.txt", "__init__.py"):
    assert (folder / name).exists(), name
