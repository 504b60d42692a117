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


def test_a_killed_worker_is_reported_and_the_build_goes_on(tmp_path):
  def strike():
    while not multiprocessing.active_children():
      time.sleep(0.001)
    multiprocessing.active_children()[0].kill()

  thread = threading.Thread(target=strike)
  thread.start()
  with pytest.raises(UserError, match="a worker process was killed"):
    build.build_corpus(tmp_path / "r", 200, 0, 2, **OPTIONS)
  thread.join()
  assert build.build_corpus(tmp_path / "r", 200, 0, 1, **OPTIONS)["clips"] == 200


@pytest.mark.parametrize(
  ("raised", "broken", "expected"),
  [
    (OSError("handle is closed"), True, (UserError, "a worker process was killed")),
    (ValueError("bad value(s)"), True, (UserError, "a worker process was killed")),
    (OSError(28, "No space left on device"), False, (OSError, "No space left")),
  ],
)
def test_a_worker_that_dies_while_another_starts(
  tmp_path, monkeypatch, raised, broken, expected
):
  futures = build_shards.concurrent.futures
  submit = futures.ProcessPoolExecutor.submit

  def start_fails(executor, function, *args):
    if function is build_shards.write_shard:
      if broken:
        executor._broken = "a process ended"
      raise raised
    return submit(executor, function, *args)

  monkeypatch.setattr(futures.ProcessPoolExecutor, "submit", start_fails)
  with pytest.raises(expected[0], match=expected[1]):
    build.build_corpus(tmp_path / "r", 200, 0, 2, **OPTIONS)
