"""Baselines: the nearest text's motion, no prompt, and the tokens alone."""

import json

import numpy as np
import pytest

from benchmarks import baselines as command
from tdmm_jax.data import records
from tdmm_jax.evaluation import baselines, evaluate, motion_sets


def test_the_nearest_text_is_the_one_that_says_the_same():
  clips = [
    {"prompt": "A man smiles and nods.", "captions": ["He smiles, nodding."]},
    {"prompt": "She frowns.", "captions": ["The woman frowns angrily."]},
    {"prompt": "A man looks calm.", "captions": []},
  ]
  prompts = ["A woman frowns in anger", "He nods", "calm", "She frowns."]
  assert baselines.nearest(prompts, clips).tolist() == [1, 0, 2, 1]
  own = [clip["prompt"] for clip in clips]
  assert baselines.nearest(own, clips).tolist() == [0, 1, 2]
  assert baselines.nearest(["nothing known"], clips).tolist() == [0]


@pytest.fixture(scope="module")
def parts(loaded_run, tiny_run):
  clips = records.load_clips(tiny_run / "records", "test")[:4]
  train = records.load_clips(tiny_run / "records", "train")
  face = loaded_run.codec.face
  return loaded_run, motion_sets.Truth(face, clips, train, None), train


def test_every_baseline_makes_a_motion_of_each_clips_length(parts):
  run, truth, train = parts
  for kind in baselines.KINDS:
    vectors, codes = baselines.motions(kind, run, truth, train)
    assert [len(v) for v in vectors] == [len(v) for v in truth.vectors]
    assert [len(c) for c in codes] == [len(v) for v in truth.vectors]
    if kind != "nearest":
      for made, decoded in zip(vectors, run.codec.decode_vectors(codes)):
        np.testing.assert_array_equal(made, decoded)
  vectors, _ = baselines.motions("nearest", run, truth, train)
  found = baselines.nearest([clip["prompt"] for clip in truth.clips], train)
  for made, i in zip(vectors, found):
    length = min(len(made), len(train[i]["vectors"]))
    np.testing.assert_array_equal(made[:length], train[i]["vectors"][:length])


def test_without_a_prompt_the_prompt_changes_nothing(parts):
  run, truth, train = parts
  other = [clip | {"prompt": "He yawns."} for clip in truth.clips]
  swapped = motion_sets.Truth(run.codec.face, other, train, None)
  _, codes = baselines.motions("unconditional", run, truth, train)
  _, again = baselines.motions("unconditional", run, swapped, train)
  _, another = baselines.motions("unconditional", run, truth, train, seed=1)
  equal = [np.array_equal(a, b) for a, b in zip(codes, again)]
  assert all(equal)
  assert not all(np.array_equal(a, b) for a, b in zip(codes, another))


@pytest.mark.slow
def test_the_command_writes_what_evaluate_calls_it(tiny_run, tmp_path, capsys):
  path = tmp_path / "baselines.json"
  args = ["--run", str(tiny_run), "--records", str(tiny_run / "records")]
  assert command.main([*args, "--max_clips", "4", "--json", str(path)]) == 0
  found = json.loads(path.read_text())
  assert json.loads(capsys.readouterr().out) == found
  assert found["schema_version"] == evaluate.SCHEMA_VERSION
  for kind in baselines.KINDS:
    assert {"l2", "fd", "fid", "text_top3", "cor_e", "cor_m"} <= found[kind].keys()
  assert found["tokenizer"]["l2"] < found["nearest"]["l2"]
  assert command.main([*args[:2], "--records", str(tmp_path / "none")]) == 2
