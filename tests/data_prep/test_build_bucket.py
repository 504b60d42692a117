"""Records built for a bucket: the same files, and what was interrupted is continued."""

import json
import os
import pathlib
import subprocess
import sys

import bucket
import pytest
import tiny

from data_prep import build

NUM, SEED = 40, 3
BUCKET = f"""
import json, pathlib, sys
import numpy as np
from data_prep import build, build_bucket
from tdmm_jax import files
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
calls = []

def make(folder, seed={SEED}):
  calls.append(folder)
  return build.build_corpus(folder, {NUM}, seed, num_workers=1, progress=False,
                            seconds=(0.8, 1.0), shard_clips=8)

def error(call, *args):
  try:
    call(*args)
  except UserError as error:
    return str(error)

out, found = "gs://shelf/records", {{}}
write, written = files.write_bytes, []

def breaks(path, data):
  if files.is_remote(path):
    written.append(path.name)
    if len(written) == 4 and not found:
      raise UserError("the network is gone")
  write(path, data)

files.write_bytes = breaks
found["broken"] = error(build_bucket.build, out, make, False)
found["begun"] = error(records.open_split, out, "train")
before = set(written[1:-1])
written.clear()
stats = build_bucket.build(out, make, False)
found["twice"] = sorted(before & set(written) - {{"build.json"}})
found["order"] = written[-2:]
found["left"] = calls[-1].exists()
written.clear()
found["again"] = build_bucket.build(out, make, False) == stats
found["written"] = written
found["other"] = error(build_bucket.build, out, lambda folder: make(folder, 4), False)
found["verified"] = build.verify(out)
found["files"] = {{path.name: records_digest for path in files.as_path(out).iterdir()
                  for records_digest in [build.records.file_digest(path)]}}
(files.as_path(out) / "build.json").unlink()
found["full"] = error(build_bucket.build, out, make, False)
found["closed"] = error(build_bucket.build, "gs://closed/records", make, False)
print(json.dumps(found))
"""


@pytest.mark.slow
def test_what_is_built_for_a_bucket_arrives_whole(tmp_path):
  build.build_corpus(
    tmp_path / "local",
    NUM,
    SEED,
    num_workers=1,
    progress=False,
    seconds=(0.8, 1.0),
    shard_clips=8,
  )
  expected = {
    path.name: build.records.file_digest(path)
    for path in (tmp_path / "local").iterdir()
  }
  with bucket.serve("shelf") as env:
    env |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(tiny.REPO)}
    done = subprocess.run(
      [sys.executable, "-c", BUCKET],
      env=os.environ | env,
      capture_output=True,
      text=True,
      timeout=300,
    )
  assert done.returncode == 0, done.stderr[-3000:]
  found = json.loads(done.stdout.splitlines()[-1])
  assert found["broken"] == "the network is gone"
  assert "the build is not finished; run the same command again" in found["begun"]
  assert not found["twice"], "a shard that has arrived is not copied again"
  assert found["order"] == ["dataset_info.json", "build.json"]
  assert found["again"] and not found["written"] and not found["left"]
  assert "gs://shelf/records: was built with seed 3, not 4" in found["other"]
  num_shards = sum(".array_record-" in name for name in expected)
  assert found["verified"] == {"shards": num_shards, "sound": True}
  ours = {name: d for name, d in found["files"].items() if name != "build.json"}
  assert ours == {name: d for name, d in expected.items() if name != "build.json"}
  assert "gs://shelf/records: not empty and not a record directory" in found["full"]
  assert "gs://closed/records/build.json: cannot be reached" in found["closed"]
  assert not any("\n" in found[key] for key in ("other", "full", "closed"))


def test_tracked_motions_reach_a_bucket_without_beam(capsys, monkeypatch):
  words = ["--out", "gs://shelf/records", "--motions", "kept"]
  monkeypatch.setitem(sys.modules, "data_prep.build_beam", None)
  assert build.main([*words, "--beam"]) == 2
  assert "leave --beam out" in capsys.readouterr().err
  folders = []

  def make(folder, *args, **kwargs):
    folders.append(pathlib.Path(folder))
    return {"clips": 0}

  monkeypatch.setattr(build.build_motions, "build_motions", make)
  monkeypatch.setattr(
    build.build_bucket, "build", lambda out, make: make(pathlib.Path("/staging"))
  )
  assert build.main([*words, "--prompts", "prompts.jsonl"]) == 0
  assert folders == [pathlib.Path("/staging")]
