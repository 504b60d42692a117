"""The loop: what waits for the devices, and when; and who gathers what for pictures."""

import json
import os
import subprocess
import sys
from unittest import mock

import bucket
import pytest
import toy_training

from benchmarks import chaos
from configs import tokenizer_demo
from tdmm_jax.train import loop, metric_logging, run


@pytest.fixture
def toy(monkeypatch):
  """toy(**changes): the config of a model of one matrix, which `run.train` trains."""
  monkeypatch.setattr(run, "_build", run._build)
  exec(toy_training.TOY, {})

  def make(**changes):
    config = tokenizer_demo.get_config()
    usual = {
      "batch_size": 4,
      "warmup_steps": 2,
      "tensorboard": False,
      "eval_batches": 1,
    }
    config.update(usual | changes)
    return config

  return make


def test_metrics_are_read_while_the_next_step_runs(toy, tmp_path, monkeypatch):
  """Only evaluation and saving wait for their own step."""
  dispatched, reads = [], []
  make_step, finite = loop.train_step.make_train_step, loop._finite

  def counted(*args, **kwargs):
    step = make_step(*args, **kwargs)
    return lambda *args: dispatched.append(1) or step(*args)

  def read(pending, done):
    if pending:
      reads.append((done, len(dispatched)))
    return finite(pending, done)

  monkeypatch.setattr(loop.train_step, "make_train_step", counted)
  monkeypatch.setattr(loop, "_finite", read)
  config = toy(total_steps=15, log_every=3, eval_every=6, save_every=8)
  run.train(config, tmp_path, progress=False)
  # Logged: 3, 6 (evaluated), 9, 12 (evaluated), 15 (last). Saved: 8, 15.
  assert reads == [(3, 4), (6, 6), (8, 8), (9, 10), (12, 12), (15, 15)]
  lines = [json.loads(x) for x in (tmp_path / metric_logging.FILE).open()]
  order = [(row["split"], row["step"]) for row in lines if row["split"] != "goodput"]
  trained = [("train", step) for step in (3, 6, 9, 12, 15)]
  valid = [("valid", step) for step in (6, 12, 15)]
  assert [x for x in order if x in trained] == trained
  assert all(order.index(x) > order.index(("train", x[1])) for x in valid)


def test_what_is_logged_is_of_all_steps_whenever_it_is_read(toy, tmp_path):
  settings = {"total_steps": 13, "eval_every": 5, "save_every": 100}
  for every in (1, 4):
    run.train(toy(**settings, log_every=every), tmp_path / str(every), progress=False)
  curve = lambda every: metric_logging.read_curve(tmp_path / every, "train", "loss")
  losses = dict(curve("1"))
  assert list(losses) == list(range(1, 14))
  for step, mean in curve("4"):
    steps = range(13, 14) if step == 13 else range(step - 3, step + 1)
    assert mean == pytest.approx(sum(losses[s] for s in steps) / len(steps))


@pytest.mark.parametrize("case", ["shown", "too large", "no TensorFlow"])
def test_pictures_need_a_writer_and_room(case, toy, tmp_path, monkeypatch, caplog):
  """Nothing is gathered for pictures that nobody can see."""
  shown, gathered = [], []
  writer = None if case == "no TensorFlow" else mock.MagicMock()
  monkeypatch.setattr(metric_logging, "_tensorboard_writer", lambda workdir: writer)
  on_host = loop._on_host
  monkeypatch.setattr(loop, "_on_host", lambda x: gathered.append(1) or on_host(x))
  if case == "too large":
    monkeypatch.setattr(loop, "_MOST_SHOWN_BYTES", 16)

  class Media:
    def write(self, logger, step, params, collections):
      shown.append((step, params["w"].shape))

  config = toy(total_steps=4, log_every=2, eval_every=2, save_every=4)
  config.update({"tensorboard": True, "eval_media": 1})
  run.train(config, tmp_path, progress=False, make_media=lambda *_: Media())
  if case == "shown":
    assert shown == [(2, (16, 8)), (4, (16, 8))]
  else:
    assert not shown and not gathered
  assert ("shows no faces" in caplog.text) == (case == "too large")


GATHER = """
import sys
import jax, numpy as np
from tdmm_jax import cluster, sharding
cluster.join(sys.argv[1], 2, int(sys.argv[2]))
from tdmm_jax.train import loop
mesh = sharding.make_mesh(data=2)
rows = np.arange(6.0).reshape(2, 3)
mine = rows[[jax.process_index()]]
array = sharding.to_global({"x": mine}, mesh, 2)["x"]
assert not array.is_fully_addressable
whole = loop._on_host(array)
print(np.asarray(whole).tolist(), cluster.agreed(jax.process_index() == 0),
      cluster.agreed(jax.process_index() == 1))
"""


@pytest.mark.slow
def test_process_0_alone_keeps_what_is_gathered():
  address = f"127.0.0.1:{chaos.free_port()}"
  both = [
    subprocess.Popen(
      [sys.executable, "-c", GATHER, address, str(i)],
      stdout=subprocess.PIPE,
      env=os.environ | toy_training.ENV,
      text=True,
    )
    for i in range(2)
  ]
  said = [process.communicate(timeout=300)[0].splitlines()[-1] for process in both]
  assert said == ["[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] True False", "[] True False"]


@pytest.mark.slow
def test_a_run_in_a_bucket_keeps_what_it_compiled(tmp_path):
  """On another machine (nothing but the bucket is kept) nothing is compiled again."""
  count = (
    "from tdmm_jax import files\n"
    "folder, = files.as_path('gs://shelf/toy/compiled').iterdir()\n"
    "print(*sorted(path.name for path in folder.iterdir()))\n"
  )
  with bucket.serve("shelf") as env:
    env = os.environ | toy_training.ENV | env | {"XDG_CACHE_HOME": str(tmp_path)}
    del env["JAX_COMPILATION_CACHE_DIR"]
    env["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    kept = []
    for total in (4, 8):
      command = [*toy_training.command(8), "--workdir=gs://shelf/toy"]
      if total == 4:
        stops = toy_training.TOY + toy_training.RUN.replace(
          "train.run()",
          "from tdmm_jax import cluster\n"
          "cluster.StopRequest.reached = lambda self, step: step == 4\n"
          "train.run()",
        )
        command[2] = stops
      done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=300
      )
      assert done.returncode == (75 if total == 4 else 0), done.stderr[-3000:]
      words = [sys.executable, "-c", count]
      kept.append(subprocess.check_output(words, env=env, text=True).split())
  assert kept[0] and set(kept[0]) <= set(kept[1])
  steps = [[x for x in names if x.startswith("jit_train_step")] for names in kept]
  assert len(steps[0]) == 1 and steps[0] == steps[1]
