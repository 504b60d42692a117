"""A build that is killed (SIGKILL) at random moments ends with the same content."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from data_prep import build, build_shards, expressions, simulate
from tdmm_jax.data import records as reading
from tdmm_jax.errors import UserError

ROOT = os.path.dirname(os.path.dirname(build.__file__))
BASIS = simulate.HeadBasis("standin00000", 5, np.eye(expressions.NUM_ACTION_UNITS))
NUM = 1000
OPTIONS = {"progress": False, "seconds": (0.8, 1.2), "shard_clips": 32}
IN_A_PROCESS = f"""
import sys, numpy as np
from data_prep import build, simulate
basis = simulate.HeadBasis("standin00000", 5, np.eye({expressions.NUM_ACTION_UNITS}))
simulate.head_basis = lambda: basis
build.build_corpus(sys.argv[1], {NUM}, 0, int(sys.argv[2]), **{OPTIONS})
"""


@pytest.fixture(autouse=True)
def stand_in_head(monkeypatch):
  monkeypatch.setattr(simulate, "head_basis", lambda: BASIS)


def die(*_, **__):
  os._exit(137)


def shards(path):
  return list(path.glob("*.array_record-?????-of-?????"))


@pytest.mark.slow
def test_killed_thrice_and_run_again(tmp_path):
  whole, path = tmp_path / "whole", tmp_path / "killed"
  expected = build.build_corpus(whole, NUM, 0, 1, **OPTIONS)
  rng = random.Random()  # random moments, other ones each time
  killed_at = []
  for workers in (2, 1, 2):
    args = [sys.executable, "-c", IN_A_PROCESS, str(path), str(workers)]
    process = subprocess.Popen(args, cwd=ROOT)
    enough = len(shards(path)) + rng.randint(0, 6)
    while not (path / "plan").exists() or len(shards(path)) < enough:
      assert process.poll() is None, "done before it could be killed"
      time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.05))
    process.kill()  # it alone: its workers have to notice
    assert process.wait() == -signal.SIGKILL
    killed_at.append(len(shards(path)))
    assert not (path / "dataset_info.json").exists(), "unreadable until complete"
  again = build.build_corpus(path, NUM, 0, 1, **OPTIONS)
  assert again["content_sha256"] == expected["content_sha256"], killed_at
  assert again["clips"] == NUM and again["splits"] == expected["splits"]
  names = {p.name for p in path.iterdir()}
  assert names == {p.name for p in whole.iterdir()}, "no leftovers"
  for shard in shards(path):
    assert shard.read_bytes() == (whole / shard.name).read_bytes()
  ids = [
    record["clip_id"]
    for split in reading.SPLITS
    for record in reading.open_split(path, split)
  ]
  assert len(ids) == len(set(ids)) == NUM


def test_the_build_goes_on_without_a_killed_worker(tmp_path):
  def strike():
    while not multiprocessing.active_children():
      time.sleep(0.001)
    multiprocessing.active_children()[0].kill()

  thread = threading.Thread(target=strike)
  thread.start()
  stats = build.build_corpus(tmp_path / "r", 200, 0, 2, **OPTIONS)
  thread.join()
  assert stats["clips"] == 200
  whole = build.build_corpus(tmp_path / "whole", 200, 0, 1, **OPTIONS)
  assert stats["content_sha256"] == whole["content_sha256"]


def test_a_shard_that_kills_its_process_is_named(tmp_path, monkeypatch):
  monkeypatch.setattr(build_shards, "write_shard", die)
  with pytest.raises(UserError, match=r"array_record.* died .*same command continues"):
    build.build_corpus(tmp_path / "r", 200, 0, 2, **OPTIONS)
