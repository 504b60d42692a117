"""The life of a run whose every file is on gs://, from an emulator on this machine.

Through gcsfs, and tensorstore for the arrays of checkpoints: what TPU VMs have. Not
tested: TensorFlow's client, which writes TensorBoard's files, and Google's network.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import bucket
import pytest
import tiny

from benchmarks import chaos
from tdmm_jax import files
from tdmm_jax.codec import motion_codec
from tdmm_jax.errors import UserError
from tdmm_jax.generate import face
from tdmm_jax.runs import locate

RUN = "gs://shelf/run"
TOTAL, STOP_AFTER = 60, 20

# As `gcloud storage cp -r` would.
UPLOAD = """
import pathlib, sys
from tdmm_jax import files
local, remote = pathlib.Path(sys.argv[1]), files.as_path(sys.argv[2])
for path in local.rglob("*"):
  if path.is_file():
    files.write_bytes(remote / path.relative_to(local).as_posix(), path.read_bytes())
"""
BUILD = f"""
from data_prep import build, build_bucket
build_bucket.build("{RUN}/records", lambda folder: build.build_corpus(
  folder, {tiny.NUM_CLIPS}, num_workers=1, progress=False,
  seconds={tiny.CLIP_SECONDS}, shard_clips=64), False)
"""
COMPARE = """
import json, sys
from benchmarks import chaos
from tdmm_jax import files
from tdmm_jax.train import goodput
local, remote = (files.as_path(name) for name in sys.argv[1:])
steps = [json.loads(line)["step"] for line in
         (remote / "metrics.jsonl").read_text().splitlines() if '"train"' in line]
print(json.dumps({
  "differences": chaos.differences(local, remote),
  "steps": steps,
  "starts": len(goodput.read(remote)),
  "files": sorted(path.name for path in remote.iterdir()),
}))
"""


@pytest.fixture
def run(tmp_path):
  """run(*words): a command that sees the bucket; its CompletedProcess."""
  with bucket.serve("shelf") as env:
    env = os.environ | env
    env |= {
      "XDG_CACHE_HOME": str(tmp_path / "cache"),
      "PYTHONPATH": os.pathsep.join([str(tiny.REPO), str(tiny.REPO / "tests")]),
      "JAX_PLATFORMS": "cpu",
    }

    def call(*words, code=0, **options):
      done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=tiny.REPO,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        **options,
      )
      assert done.returncode == code, done.stderr[-3000:]
      return done

    call.env = env
    yield call


def _updates(address: str) -> int:
  """How many are in the bucket's metrics.jsonl."""
  try:
    with urllib.request.urlopen(f"{address}/shelf/run/lm/metrics.jsonl") as answer:
      return answer.read().count(b'"train"')
  except urllib.error.HTTPError:  # not there yet
    return 0


@pytest.mark.slow
@pytest.mark.timeout(1_500)  # five starts, on a machine that may have other work
def test_built_trained_preempted_resumed_and_evaluated_on_gs(run, tiny_run, tmp_path):
  run("-c", BUILD)
  for part in (locate.TOKENIZER, locate.EVALUATOR):
    run("-c", UPLOAD, tiny_run / part, f"{RUN}/{part}")
  command = chaos.train_command("lm", files.as_path(RUN), TOTAL)
  command.append(f"--workdir={RUN}/lm")
  first = subprocess.Popen(
    command, cwd=tiny.REPO, env=run.env, stderr=subprocess.PIPE, text=True
  )
  try:
    deadline = time.monotonic() + 600
    while _updates(run.env["STORAGE_EMULATOR_HOST"]) < STOP_AFTER:
      assert first.poll() is None and time.monotonic() < deadline, first.stderr.read()
      time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    said = first.communicate(timeout=120)[1]
  finally:
    first.kill()
  assert first.returncode == 75, said[-3000:]
  assert "told to stop: the checkpoint of step" in said
  run(*command[1:])

  local = tmp_path / "lm"
  here = chaos.train_command("lm", tiny_run, TOTAL)
  subprocess.run([*here, f"--workdir={local}"], check=True, cwd=tiny.REPO, timeout=600)
  found = json.loads(run("-c", COMPARE, local, f"{RUN}/lm").stdout.splitlines()[-1])
  assert found["differences"] == []
  assert found["steps"] == list(range(1, TOTAL + 1)) and found["starts"] == 2
  assert {"config.json", "goodput.json", "metrics.jsonl", "vocab.json"} <= {
    *found["files"]
  }

  tdmm = ("-m", "tdmm_jax.cli")
  options = ("--quick", "--max_clips", 8, "--json", "-")
  done = run(*tdmm, "evaluate", "--run", RUN, "--split", "valid", *options)
  scores = json.loads(done.stdout)
  assert scores["l2m"] and scores["versions"]["evaluator"] and scores["num_clips"] > 1


MISTAKES = """
import json, pathlib, sys
import tiny
import tdmm_jax
from tdmm_jax.errors import UserError
from tdmm_jax.train import run
local, found = pathlib.Path(sys.argv[1]), {}

def trained(name, workdir, **keys):
  try:
    run.train(tiny.config_of("lm_demo", local, **keys), workdir, progress=False)
  except UserError as error:
    found[name] = str(error)

for where in ("closed", "nowhere"):
  trained(f"workdir, {where}", f"gs://{where}/lm")
  trained(f"records, {where}", "gs://shelf/lm", records_dir=f"gs://{where}/records")
  trained(f"tokenizer, {where}", "gs://shelf/lm", tokenizer_dir=f"gs://{where}/t")
  try:
    tdmm_jax.load(f"gs://{where}/run")
  except UserError as error:
    found[f"run, {where}"] = str(error)
print(json.dumps(found))
"""


@pytest.mark.slow
def test_buckets_that_cannot_be_used_are_one_line(run, tiny_run):
  done = run("-c", MISTAKES, tiny_run)
  found = json.loads(done.stdout.splitlines()[-1])
  for key, said in {
    "workdir, closed": "cannot be reached (Forbidden",
    "workdir, nowhere": "cannot be reached",
    "records, closed": "gs://closed/records: cannot be reached (Forbidden",
    "records, nowhere": "gs://nowhere/records: no records here",
    "tokenizer, closed": "gs://closed/t: cannot be reached (Forbidden",
    "tokenizer, nowhere": "gs://nowhere/t: no trained tokenizer here",
    "run, closed": "gs://closed/run: cannot be reached (Forbidden",
    "run, nowhere": "gs://nowhere/run: no such run directory",
  }.items():
    assert said in found[key] and "\n" not in found[key], found


def test_another_tokenizer_under_a_trained_model_is_named(
  tiny_run, tmp_path, monkeypatch
):
  """Whose weights changed: the model of its tokens is neither used nor trained."""
  shutil.copytree(tiny_run / "lm", tmp_path / "lm")
  before = {p: p.read_bytes() for p in (tmp_path / "lm").rglob("*") if p.is_file()}
  monkeypatch.setattr(
    motion_codec.checkpoints, "weights_version", lambda _: "0123456789ab"
  )
  config = tiny.config_of("lm_demo", tiny_run, total_steps=24)
  with pytest.raises(UserError, match="version of tokenizer is '0123456789ab', was"):
    tiny.train_on(config, tmp_path / "lm")
  with pytest.raises(UserError, match="is version 0123456789ab; train the language"):
    face.Face(tiny_run)
  after = {p: p.read_bytes() for p in (tmp_path / "lm").rglob("*") if p.is_file()}
  assert {p: after[p] for p in before} == before
