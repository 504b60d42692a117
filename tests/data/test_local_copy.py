"""Records on gs:// through gcsfs, from an emulator of the protocol on this machine."""

import json
import os
import subprocess
import sys

import bucket
import pytest
import tiny

from data_prep import build

BUCKET = """
import collections, json, pathlib, shutil, sys
from etils import epath
from tdmm_jax import files
from tdmm_jax.data import local_copy, records
from tdmm_jax.errors import UserError
local, remote = pathlib.Path(sys.argv[1]), epath.Path("gs://shelf/records")
for path in local.iterdir():
  if path.is_file():
    (remote / path.name).write_bytes(path.read_bytes())
found = {}
same = lambda a, b: [x["clip_id"] for x in a] == [x["clip_id"] for x in b]
found["same"] = same(records.load_clips(local, "train"),
                     records.load_clips("gs://shelf/records", "train"))
copies = local_copy.folder("gs://shelf/records")
times = lambda: {path.name: path.stat().st_mtime_ns for path in copies.iterdir()}
before = times()
records.load_clips("gs://shelf/records", "train")
found["copied_once"] = times() == before
found["others_stay"] = not [name for name in before if "-test." in name]

def error(call, *args):
  try:
    call(*args)
  except UserError as error:
    return str(error)

(shard,) = [path for path in local.iterdir() if "-test." in path.name]
usage = collections.namedtuple("usage", "free")
room, shutil.disk_usage = shutil.disk_usage, lambda path: usage(10)
found["full"] = error(records.open_split, "gs://shelf/records", "test")
shutil.disk_usage = room
(remote / shard.name).write_bytes(shard.read_bytes()[:-70_000])
found["truncated"] = error(records.open_split, "gs://shelf/records", "test")
(remote / shard.name).write_bytes(shard.read_bytes())
found["mended"] = error(records.open_split, "gs://shelf/records", "test")
(remote / shard.name).unlink()
found["missing"] = error(records.open_split, "gs://shelf/records", "test")
found["no records"] = error(records.open_split, "gs://nowhere/records", "test")
found["no bucket"] = error(files.write_text, "gs://nowhere/a.txt", "a")
print(json.dumps(found))
"""


@pytest.mark.slow
def test_records_of_a_bucket_are_copied_once_and_faults_are_one_line(tmp_path):
  build.build_corpus(
    tmp_path / "records", 40, num_workers=1, progress=False, seconds=(0.8, 1.0)
  )
  with bucket.serve("shelf") as env:
    env |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(tiny.REPO)}
    done = subprocess.run(
      [sys.executable, "-c", BUCKET, str(tmp_path / "records")],
      env=os.environ | env,
      capture_output=True,
      text=True,
      timeout=300,
    )
  assert done.returncode == 0, done.stderr[-3000:]
  found = json.loads(done.stdout.splitlines()[-1])
  assert found.pop("same") and found.pop("copied_once") and found.pop("others_stay")
  assert found.pop("mended") is None
  for key, said in {
    "full": "GiB are free; make room, or set XDG_CACHE_HOME",
    "truncated": "this shard is damaged; build the records again",
    "missing": "missing; build the records again",
    "no records": "gs://nowhere/records: no records here",
    "no bucket": "gs://nowhere/a.txt: cannot be reached",
  }.items():
    assert said in found[key] and "\n" not in found[key], found
