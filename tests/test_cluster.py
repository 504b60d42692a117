"""Many processes: they train as one, and none of them hangs on a dead one."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import tiny
import toy_training

from benchmarks import chaos
from tdmm_jax import cluster
from tdmm_jax.errors import UserError
from tdmm_jax.runs import checkpoints
from tdmm_jax.train import metric_logging

ENV = toy_training.ENV


def curves(workdir) -> np.ndarray:
  """Training and validation losses."""
  read = lambda *names: metric_logging.read_curve(workdir, *names)
  return np.array(read("train", "total_loss") + read("valid", "loss"))


def train(processes: int, steps: int, workdir, devices: int = 1, **settings) -> None:
  flags = f"{ENV['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
  command = toy_training.command(steps, **settings)
  chaos.Training(command, workdir, processes, ENV | {"XLA_FLAGS": flags}).wait()


# The learning rate does not depend on total_steps, and each update is logged.
STEADY = {"final_lr_fraction": 1.0, "log_every": 1}


@pytest.mark.slow
def test_processes_train_evaluate_and_checkpoint_as_one(tmp_path):
  """Also: the run is cut in half, and goes on with another number of processes."""
  train(1, 20, tmp_path / "one", **STEADY)
  train(1, 8, tmp_path / "changing", devices=4, **STEADY, **{"mesh.fsdp": 4})
  train(2, 20, tmp_path / "changing", devices=2, **STEADY, **{"mesh.fsdp": 2})
  alone, together = curves(tmp_path / "one"), curves(tmp_path / "changing")
  together = np.delete(together, 20, axis=0)  # evaluated at the cut, too
  np.testing.assert_allclose(together, alone, rtol=1e-5)
  models = [checkpoints.restore_model(tmp_path / name) for name in ("one", "changing")]
  assert models[0]["step"] == models[1]["step"] == 20
  w = [np.asarray(model["params"]["w"]) for model in models]
  np.testing.assert_allclose(w[1], w[0], rtol=1e-5, atol=1e-6)
  # One metrics file, written by one process.
  lines = (tmp_path / "changing" / metric_logging.FILE).read_text().splitlines()
  steps = [json.loads(line)["step"] for line in lines if '"train"' in line]
  assert steps == list(range(1, 21))


LM = """
import json, pathlib, sys
import jax
import tiny
from tdmm_jax import cluster
port, process, run_dir, workdir = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
cluster.join(f"127.0.0.1:{port}", 2, process)
run_dir = pathlib.Path(run_dir)
config = tiny.config_of("lm_demo", run_dir)
tiny.train_on(config, workdir)
"""


@pytest.mark.slow
def test_the_language_model_trains_on_two_processes_as_on_one(tiny_run, tmp_path):
  port = chaos.free_port()
  flags = f"{tiny.QUICK_XLA} --xla_force_host_platform_device_count=1"
  processes = [
    subprocess.Popen(
      [sys.executable, "-c", LM, str(port), str(i), str(tiny_run), str(tmp_path)],
      env=os.environ | ENV | {"XLA_FLAGS": flags},
    )
    for i in range(2)
  ]
  assert [process.wait(timeout=500) for process in processes] == [0, 0]
  np.testing.assert_allclose(
    metric_logging.read_curve(tmp_path, "train", "total_loss"),
    metric_logging.read_curve(tiny_run / "lm", "train", "total_loss"),
    rtol=1e-5,
  )


@pytest.mark.slow
@pytest.mark.parametrize("victim, how", [(0, signal.SIGKILL), (1, signal.SIGSTOP)])
def test_a_dead_or_stopped_process_ends_the_others(victim, how, tmp_path):
  run = chaos.Training(toy_training.command(10_000_000), tmp_path, 2, ENV)
  try:
    assert run.wait_for(lambda: run.step() > 5)
    run.processes[victim].send_signal(how)
    other = run.processes[1 - victim]
    assert other.wait(timeout=300) == -signal.SIGABRT == 128 - cluster.EXIT_PEER_LOST
  finally:
    run.end()
  log = (tmp_path / "log.txt").read_text()
  # JAX says which, in one of its ways: it does not hear from task 1, or nobody answers
  # for task 0.
  silent = r"Task 1 heartbeat timeout|stopped sending heartbeats\):\s+1\b"
  assert re.search(silent if victim else "leader task", log)


@pytest.mark.slow
def test_a_straggler_that_still_answers_ends_the_others_too(tmp_path):
  command = toy_training.command(10_000_000, stall_seconds=6.0)
  run = chaos.Training(command, tmp_path, 2, ENV | {"TOY_HANGS": "1"})
  try:
    codes = [process.wait(timeout=240) for process in run.processes]
  finally:
    run.end()
  # The other one waits for it in a step: either stalls there, or is left by it.
  assert codes[1] == cluster.EXIT_STALLED
  assert codes[0] in (cluster.EXIT_STALLED, -signal.SIGABRT)
  log = (tmp_path / "log.txt").read_text()
  assert re.search(r"process 1 on \S+ has been reading data \(step 9\)", log)
  assert "start all processes again" in log


@pytest.mark.slow
def test_sigterm_to_one_of_two_saves_on_both(tmp_path):
  run = chaos.Training(toy_training.command(10_000_000), tmp_path, 2, ENV)
  try:
    assert run.wait_for(lambda: run.step() > 5)
    run.processes[1].send_signal(signal.SIGTERM)
    codes = [process.wait(timeout=120) for process in run.processes]
  finally:
    run.end()
  assert codes == [cluster.EXIT_PREEMPTED] * 2
  step = checkpoints.restore_item(tmp_path, "model")[0]
  assert f"the checkpoint of step {step} of" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
  "flags, says",
  [
    (("nowhere", None, None), "cluster nowhere: give auto, or HOST:PORT"),
    (("127.0.0.1:9", None, None), "with num_processes and process_id"),
    (("127.0.0.1:9", 2, 2), "process_id 2: must be 0 to 1"),
  ],
)
def test_flags_that_do_not_fit_are_one_line(flags, says):
  with pytest.raises(UserError, match=says) as error:
    cluster.join(*flags)
  assert "\n" not in str(error.value)
