"""Where a training's time went, by hand, and by a real run that is killed."""

import json
import os
import signal
import subprocess
import sys

import bucket
import pytest
import toy_training

from benchmarks import chaos
from tdmm_jax.train import goodput, metric_logging


class Clock:
  """Stands still, but for what is done."""

  def __init__(self, now: float):
    self.now = now

  def __call__(self) -> float:
    return self.now

  def spend(self, timeline, phase: str, seconds: float) -> None:
    with timeline.phase(phase):
      self.now += seconds


def begin(workdir, clock, setup: float, step: int, restore: float = 0.0):
  timeline = goodput.Timeline(workdir, writes=True, clock=clock)
  clock.now += setup
  clock.spend(timeline, "checkpoint", restore)
  timeline.begin(step)
  return timeline


def first_start(workdir, clock):
  """10 s until it begins, 20 s of compiling, saved step 4, killed after step 7."""
  timeline = begin(workdir, clock, setup=10.0, step=0)
  clock.spend(timeline, "compile", 20.0)
  for seconds in (2.0, 2.0, 2.0):
    clock.spend(timeline, "input", 0.5)
    clock.spend(timeline, "productive", seconds)
  clock.spend(timeline, "checkpoint", 3.0)
  timeline.saved(4)
  saved_at = clock.now
  clock.spend(timeline, "input", 1.0)
  clock.spend(timeline, "productive", 6.0)
  timeline.flush()
  clock.now += 1.5  # nobody hears of this
  return saved_at


def test_shares_worked_by_hand(tmp_path):
  """Lost: from the last saved step to the restart's first, but for what has a name."""
  clock = Clock(1_000.0)
  saved_at = first_start(tmp_path, clock)
  clock.now += 50.0  # no machine
  timeline = begin(tmp_path, clock, setup=5.0, step=4, restore=4.0)
  clock.spend(timeline, "compile", 15.0)
  first_new_step_at = clock.now
  clock.spend(timeline, "productive", 8.0)
  clock.spend(timeline, "evaluation", 7.0)
  clock.now += 1.0  # logs
  timeline.saved(8, finished=True)
  shares = timeline.summarise()
  summary = json.loads((tmp_path / goodput.SUMMARY).read_text())
  assert summary["seconds"] == {
    "productive": 6.0 + 8.0,
    "input": 1.5,
    "compile": 20.0 + 15.0,
    "checkpoint": 3.0 + 4.0,
    "evaluation": 7.0,
    "lost": (1.0 + 6.0 + 1.5) + 50.0 + 5.0,
    "other": 10.0 + 1.0,
  }
  assert summary["seconds"]["lost"] == first_new_step_at - saved_at - 4.0 - 15.0
  assert summary["total_seconds"] == clock.now - 1_000.0 == 139.0
  assert summary["starts"] == 2 and summary["shares"] == shares
  assert shares["productive"] == 14.0 / 139.0
  assert sum(shares.values()) == pytest.approx(1.0)


def test_what_passes_after_the_end_is_not_lost(tmp_path):
  """A run that has ended, and is continued days later with more steps."""
  clock = Clock(1_000.0)
  timeline = begin(tmp_path, clock, setup=1.0, step=0)
  clock.spend(timeline, "productive", 10.0)
  timeline.saved(4, finished=True)
  clock.now += 1e6
  timeline = begin(tmp_path, clock, setup=2.0, step=4)
  clock.spend(timeline, "productive", 20.0)
  timeline.summarise()
  summary = json.loads((tmp_path / goodput.SUMMARY).read_text())
  assert summary["total_seconds"] == 33.0 and summary["seconds"]["lost"] == 0.0
  assert summary["seconds"]["productive"] == 30.0 and summary["seconds"]["other"] == 3.0


def test_starts_that_saved_nothing_are_lost(tmp_path):
  """The third start resumes where the second did, from the first's step 4."""
  clock = Clock(1_000.0)
  saved_at = first_start(tmp_path, clock)
  second = begin(tmp_path, clock, setup=5.0, step=4, restore=2.0)
  clock.spend(second, "compile", 15.0)
  clock.spend(second, "productive", 9.0)
  second.flush()
  third = begin(tmp_path, clock, setup=5.0, step=4, restore=2.0)
  third.summarise()
  summary = json.loads((tmp_path / goodput.SUMMARY).read_text())
  assert summary["seconds"]["lost"] == clock.now - saved_at - 2.0
  assert summary["seconds"]["productive"] == 6.0
  assert summary["seconds"]["compile"] == 20.0


def test_a_save_that_was_not_whole_keeps_nothing(tmp_path):
  clock = Clock(1_000.0)
  timeline = begin(tmp_path, clock, setup=1.0, step=0)
  for step in (4, 8):
    clock.spend(timeline, "productive", 10.0)
    timeline.saved(step)
  begin(tmp_path, clock, setup=5.0, step=4).summarise()  # not 8
  summary = json.loads((tmp_path / goodput.SUMMARY).read_text())
  assert summary["seconds"]["productive"] == 10.0
  assert summary["seconds"]["lost"] == 10.0 + 5.0


def test_a_damaged_file_costs_its_own_time_alone(tmp_path):
  clock = Clock(1_000.0)
  first_start(tmp_path, clock)
  (tmp_path / goodput.FOLDER / f"{int(clock.now * 1000):015d}.json").write_text('{"st')
  (tmp_path / goodput.FOLDER / ".tmp-1.json").write_text("")
  clock.now += 100.0
  begin(tmp_path, clock, setup=5.0, step=4).summarise()
  summary = json.loads((tmp_path / goodput.SUMMARY).read_text())
  assert summary["starts"] == 2
  assert summary["seconds"]["lost"] == 7.0 + 1.5 + 100.0 + 5.0


def test_only_one_process_writes(tmp_path):
  timeline = goodput.Timeline(tmp_path, writes=False)
  timeline.begin(0)
  timeline.saved(4)
  assert set(timeline.summarise()) == set(goodput.SHARES)
  assert not list(tmp_path.iterdir())


def test_a_step_makes_four_looks_at_the_clock(tmp_path):
  """And nothing else that grows: no list, no file."""
  looks = []
  timeline = goodput.Timeline(tmp_path, True, lambda: looks.append(0) or 0.0)
  timeline.begin(0)
  size = len(json.dumps(timeline._record()))
  looks.clear()
  for _ in range(1_000):
    with timeline.phase("input"):
      pass
    with timeline.phase("productive"):
      pass
  assert len(looks) == 4_000
  assert len(json.dumps(timeline._record())) < size + 100
  assert len(list((tmp_path / goodput.FOLDER).iterdir())) == 1


BUCKET = """
from tdmm_jax.train import goodput
now = [1_000.0]
for step in (0, 4):
  timeline = goodput.Timeline("gs://shelf/run", True, lambda: now[0])
  timeline.begin(step)
  with timeline.phase("productive"):
    now[0] += 5.0
  timeline.saved(step + 4)
  shares = timeline.summarise()
  now[0] += 10.0
print(len(goodput.read("gs://shelf/run")), shares["productive"], shares["lost"])
"""


@pytest.mark.slow
def test_in_a_bucket(tmp_path):
  with bucket.serve("shelf") as env:
    words = [sys.executable, "-c", BUCKET]
    output = subprocess.check_output(words, env=os.environ | env, text=True)
  assert output.split() == ["2", "0.5", "0.5"]


def test_a_run_that_is_killed_and_resumed(tmp_path):
  run = chaos.Training(toy_training.command(10_000_000), tmp_path, 1, toy_training.ENV)
  try:
    assert run.wait_for(lambda: run.step() > 9)
    run.processes[0].send_signal(signal.SIGKILL)
    run.processes[0].wait(timeout=60)
  finally:
    run.end()
  (first,) = goodput.read(tmp_path)
  assert first["from_step"] == 0 and first["marks"] and not first["finished"]
  total = first["marks"][-1]["step"] + 40
  chaos.Training(toy_training.command(total), tmp_path, 1, toy_training.ENV).wait()
  first, second = goodput.read(tmp_path)
  assert second["finished"] and second["marks"][-1]["step"] == total
  assert second["from_step"] > 0
  summary = json.loads((tmp_path / goodput.SUMMARY).read_text())
  spans = summary["total_seconds"]
  assert spans == pytest.approx(second["end"] - first["start"], abs=1.0)
  assert sum(summary["seconds"].values()) == pytest.approx(spans)
  assert all(summary["seconds"][name] > 0.0 for name in goodput.SHARES)
  # Nothing ran between the two; the second read its data anew.
  assert summary["seconds"]["lost"] > second["start"] - first["end"]
  curve = metric_logging.read_curve(tmp_path, "goodput", "productive")
  assert curve[-1][0] == total and 0.0 < curve[-1][1] < 1.0
