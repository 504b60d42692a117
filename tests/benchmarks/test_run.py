"""`make bench`, shrunk: the promised keys, and both sides do the same work."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tiny

PEER = tiny.REPO / ".venv-peers" / "bin" / "python"
PROMISED = (
  *("face_forward_frames_per_s", "face_forward_fixed_identity_frames_per_s"),
  *("face_backward_frames_per_s", "tokenizer_train_frames_per_s"),
  *("tokenizer_encode_frames_per_s", "lm_train_tokens_per_s"),
  *("lm_train_useful_tokens_per_s", "lm_generate_tokens_per_s_batch1"),
  *("lm_generate_tokens_per_s_batch16", "first_frame_ms"),
  *("corpus_build_clips_per_s", "records_read_per_s"),
)


def bench(out: pathlib.Path, *only: str) -> tuple[dict, dict]:
  command = [sys.executable, "-m", "benchmarks.run", "--small", "--rounds", "1"]
  command += ["--seconds", "0.02", "--out", out, "--peers", PEER, "--only", *only]
  env = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(tiny.REPO)}
  done = subprocess.run(
    command, cwd=tiny.REPO, env=env, capture_output=True, text=True, timeout=300
  )
  assert done.returncode == 0, done.stderr[-3000:]
  read = lambda path: json.loads(path.read_text())
  return read(out), read(out.with_name("details.json"))


def test_every_promised_key_has_its_work():
  from benchmarks import ours, run

  assert {key for key, _, _ in run.KEYS.values()} >= set(PROMISED)
  assert set(run.KEYS) == set(ours.WORK)


@pytest.mark.slow
def test_a_shrunk_run_writes_what_was_promised(tmp_path):
  only = ["face_forward", "face_backward", "lm_generate_batch1", "records_read"]
  only = only if PEER.exists() else only[:2]
  results, details = bench(tmp_path / "results.json", *only)
  assert len(results) == len(only)
  for key, entry in results.items():
    fields = "ours peer ratio peer_name limit fraction_of_limit"
    assert list(entry) == fields.split(), key
    assert entry["ours"] > 0
    if entry["peer"] is not None:
      np.testing.assert_allclose(entry["ratio"], entry["ours"] / entry["peer"])
    assert details[key]["compile_s"] > 0 and len(details[key]["ours"]) == 1
  if PEER.exists():
    assert all(entry["peer"] > 0 for entry in results.values())
  assert details["about"]["matmul_gflops"] > 0


def test_both_sides_are_given_the_same_face(tmp_path):
  """Ours and smplx make the same vertices of what `inputs` gives them."""
  if not PEER.exists():
    pytest.skip("no .venv-peers (make test builds it)")
  from benchmarks import limits, ours, run
  from tdmm_jax.face import face_model

  given = run.inputs(run.SMALL)
  np.savez(tmp_path / "in.npz", **given)
  code = """
import sys, numpy as np, torch
from smplx.lbs import lbs
g = np.load(sys.argv[1])
t = lambda name: torch.from_numpy(g[name])
names = "v_template shapedirs posedirs J_regressor parents lbs_weights".split()
v, _ = lbs(t("betas"), t("pose"), *[t("head_" + n) for n in names])
np.save(sys.argv[2], v.numpy())
"""
  subprocess.run(
    [PEER, "-c", code, tmp_path / "in.npz", tmp_path / "out.npy"],
    check=True,
    timeout=120,
  )
  theirs = np.load(tmp_path / "out.npy")
  bench = ours.Bench(run.SMALL, given, limits.Machine(1, 1e9, 1e9))
  try:
    mine = face_model.posed_vertices(bench.head, **ours._pose(bench, False))
  finally:
    bench.close()
  assert np.abs(theirs).max() > 0.1
  np.testing.assert_allclose(np.asarray(mine), theirs, atol=1e-5)


def test_rows_of_other_instructions_stay(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", "")  # the import sets it for its own process
  from benchmarks import run

  earlier = {"first_frame_ms": 1, "records_read_per_s": 2, "first_frame_ms@AVX2": 3}
  fresh = {"records_read_per_s": 5}
  assert run._beside(earlier, fresh, some=False) == {
    "records_read_per_s": 5,
    "first_frame_ms@AVX2": 3,
  }
  kept = run._beside(earlier, fresh, some=True)
  assert list(kept.items()) == [
    ("first_frame_ms", 1),
    ("records_read_per_s", 5),
    ("first_frame_ms@AVX2", 3),
  ]
  monkeypatch.setattr(run, "AVX2", True)
  assert run._beside(earlier, {"first_frame_ms@AVX2": 7}, some=False) == {
    "first_frame_ms": 1,
    "records_read_per_s": 2,
    "first_frame_ms@AVX2": 7,
  }


def test_an_option_that_would_come_too_late_is_refused():
  command = [sys.executable, "-m", "benchmarks.run", "--isa", "AVX2"]
  done = subprocess.run(command, cwd=tiny.REPO, capture_output=True, text=True)
  assert done.returncode == 2 and "write --isa=AVX2" in done.stderr
