"""Beam maps the same function over the same shards: same content, and it resumes."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

from data_prep import build, expressions, simulate
from tdmm_jax.data import records as reading

ROOT = pathlib.Path(build.__file__).parents[1]
BEAM_PYTHON = ROOT / ".venv-beam" / "bin" / "python"
BASIS = simulate.HeadBasis("standin00000", 5, np.eye(expressions.NUM_ACTION_UNITS))
NUM = 60


@pytest.mark.slow
@pytest.mark.skipif(not BEAM_PYTHON.exists(), reason="no .venv-beam: run `make beam`")
def test_beam_builds_the_same_corpus_and_resumes(tmp_path, monkeypatch):
  monkeypatch.setattr(simulate, "head_basis", lambda: BASIS)
  expected = build.build_corpus(
    tmp_path / "pool", NUM, 0, 1, False, seconds=(0.8, 1.2), shard_clips=8
  )
  out = tmp_path / "beam"
  script = pathlib.Path(__file__).with_name("beam_build.py")
  done = subprocess.run(
    [BEAM_PYTHON, script, str(out), str(NUM)],
    capture_output=True,
    text=True,
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
  )
  assert done.returncode == 0, done.stderr[-3000:]
  report = json.loads(done.stdout.splitlines()[-1])
  assert "No space left on device" in report["failure"]
  assert report["kept"] == 3 and report["unreadable"]
  shards = len(list(out.glob("*.array_record-*")))
  assert report["made"] == shards - 3, "a finished shard is not made twice"
  assert report["done"]
  assert report["stats"]["content_sha256"] == expected["content_sha256"]
  assert {p.name for p in out.iterdir()} == {
    p.name for p in (tmp_path / "pool").iterdir()
  }
  assert len(reading.open_split(out, "train")) == expected["splits"]["train"]
  assert build.verify(out) == {"shards": shards, "sound": True}
  steps = report["graph"]["steps"]
  assert report["graph"]["same"] and {"Shards", "Spread", "Write"} <= set(steps)
  assert report["graph"]["bytes"] < 200_000, "the corpus does not travel in the graph"
