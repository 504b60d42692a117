"""The tokenizer table has the numbers of an evaluation."""

import numpy as np
import pytest

from benchmarks import tokenizer_table
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records
from tdmm_jax.evaluation import evaluate
from tdmm_jax.runs import checkpoints


@pytest.fixture(scope="module")
def clips(tiny_run):
  return records.load_clips(tiny_run / "records", "test")[:3]


def run(rows, tiny_run, *options) -> dict:
  out = rows / "scores.json"
  words = ["--rows", rows, "--records", tiny_run / "records", "--json", out, *options]
  assert tokenizer_table.main([str(word) for word in words]) == 0
  return checkpoints.read_json(out)["rows"]


def test_the_table_has_the_numbers_of_an_evaluation(tiny_run, clips, tmp_path, capsys):
  for row, seed in (("one", "0"), ("two", "0"), ("two", "1")):
    (tmp_path / row).mkdir(exist_ok=True)
    (tmp_path / row / seed).symlink_to(tiny_run / "tokenizer")
  rows = run(tmp_path, tiny_run, "--clips", len(clips))
  assert {row: [*seeds] for row, seeds in rows.items()} == {
    "one": ["0"],
    "two": ["0", "1"],
  }
  scores = rows["two"]["1"]
  codec = motion_codec.load(tiny_run / "tokenizer")
  for key, value in evaluate.reconstruction(codec, clips).items():
    np.testing.assert_allclose(scores[key], value, rtol=1e-6, err_msg=key)
  assert f"| one | 1 | 24 | {scores['face_error_mm']:.3f} |" in capsys.readouterr().out


def test_a_folder_without_runs_is_one_line(tiny_run, tmp_path, capsys):
  words = ["--rows", str(tmp_path), "--records", str(tiny_run / "records")]
  assert tokenizer_table.main(words) == 2
  assert "no trained tokenizer in any ROW/SEED" in capsys.readouterr().err
