"""Checkpoints: damage is noticed, any mesh goes on, parameters load alone."""

import json
import pathlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import toy_training

from benchmarks import chaos
from tdmm_jax import cluster
from tdmm_jax.errors import UserError
from tdmm_jax.runs import checkpoints
from tdmm_jax.runs.train_state import EMA, TrainState
from tdmm_jax.train import metric_logging


def state_of(value: float) -> TrainState:
  params = {"w": jnp.full((64, 3), value), "b": {"c": jnp.arange(5.0) + value}}
  opt_state = {"mu": jax.tree.map(lambda x: x * 2, params)}
  return TrainState(jnp.int32(value), params, {"stats": jnp.ones(2) * value}, opt_state)


def loop_of(step: int) -> checkpoints.Loop:
  rng = jax.random.key_data(jax.random.key(7))
  return checkpoints.Loop(step + 5, rng, [{"loss": [1.5, 2.0]}], {"loss": 0.1}, True)


def write(workdir, *steps):
  with checkpoints.manager(workdir, save_every=1) as mngr:
    for step in steps:
      assert checkpoints.save(mngr, step, state_of(step), loop_of(step))
  return workdir / checkpoints.FOLDER


def read(workdir):
  with checkpoints.manager(workdir, save_every=1) as mngr:
    state, loop = checkpoints.restore(mngr, state_of(0.0))
    assert mngr.latest_step() == int(state.step)  # the next save is not refused
  return jax.device_get(state), loop


def equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_everything_comes_back(tmp_path):
  write(tmp_path, 1, 2)
  state, loop = read(tmp_path)
  equal(state, jax.device_get(state_of(2)))
  assert loop._replace(rng=0) == loop_of(2)._replace(rng=0)
  np.testing.assert_array_equal(loop.rng, loop_of(2).rng)
  assert int(checkpoints.restore_model(tmp_path)["step"]) == 2


def _data_files(folder: pathlib.Path) -> list[pathlib.Path]:
  files = sorted(path for path in folder.rglob("*") if path.is_file())
  return [path for path in files if path.stat().st_size]


def test_a_damaged_newest_checkpoint_is_skipped_whatever_file_it_is(tmp_path, caplog):
  """Either step 2 comes back whole (the file was not needed), or step 1 does."""
  folder = write(tmp_path, 1, 2)
  skipped = 0
  for number, path in enumerate(_data_files(folder / "2")):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 * (number % 2)])  # cut, or emptied
    caplog.clear()
    state, loop = read(tmp_path)
    step = int(state.step)
    equal(state, jax.device_get(state_of(step)))
    assert loop.next_batch == step + 5
    if path.parent != folder / "2":  # not the step's own metadata
      assert step == 1, path
      assert "2: skipped, it is damaged" in caplog.text
    if step == 1:
      skipped += 1
      (folder / "2.damaged").rename(folder / "2")
    path.write_bytes(content)
  assert skipped >= 10
  assert int(read(tmp_path)[0].step) == 2


def test_same_size_damage_is_noticed_where_it_is_read(tmp_path):
  folder = write(tmp_path, 1, 2)
  largest = max(_data_files(folder / "2" / "model"), key=lambda p: p.stat().st_size)
  content = bytearray(largest.read_bytes())
  middle = len(content) // 2
  content[middle - 20 : middle + 20] = bytes(40)
  largest.write_bytes(bytes(content))
  assert int(read(tmp_path)[0].step) == 1


def test_inference_skips_the_damaged_one_too_and_leaves_it(tmp_path):
  folder = write(tmp_path, 1, 2)
  file = _data_files(folder / "2" / "model")[0]
  file.write_bytes(file.read_bytes()[:-1])
  model = checkpoints.restore_model(tmp_path)
  assert model["step"] == 1 and float(model["params"]["w"][0, 0]) == 1.0
  assert (folder / "2").is_dir()


def test_inference_uses_the_moving_average_where_there_is_one(tmp_path):
  state = state_of(1.0)
  average = jax.tree.map(lambda x: x + 10, state.params)
  state = state.replace(collections={"stats": jnp.ones(2), EMA: average})
  with checkpoints.manager(tmp_path, save_every=1) as mngr:
    checkpoints.save(mngr, 1, state, loop_of(1))
  model = checkpoints.restore_model(tmp_path)
  equal(model["params"], average)
  equal(model["collections"], {"stats": jnp.ones(2)})


def test_nothing_usable_is_an_error_not_a_fresh_start(tmp_path):
  folder = write(tmp_path, 1, 2)
  for step in ("1", "2"):
    for path in (folder / step / "model").rglob("*ocdbt"):
      if path.is_file():
        path.unlink()
  with pytest.raises(UserError, match=r"no checkpoint here can be read .step 2: model"):
    read(tmp_path)
  assert (folder / "1").is_dir() and (folder / "2").is_dir()


MESHES = """
import sys, numpy as np, jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from tdmm_jax import sharding
from tdmm_jax.runs import checkpoints
from tdmm_jax.runs.train_state import TrainState
def state_on(sizes, devices, fill):
  mesh = jax.make_mesh(sizes, sharding.MESH_AXES, devices=devices,
                       axis_types=(AxisType.Auto,) * 3)
  put = lambda x, *spec: jax.device_put(x, NamedSharding(mesh, P(*spec)))
  w = put(jnp.arange(64.0).reshape(8, 8) * fill, "fsdp", "tensor")
  return TrainState(put(jnp.int32(3 * fill)), {"w": w}, {}, {"mu": w + fill})
loop = checkpoints.Loop(3, np.zeros(2, np.uint32), [], {})
with checkpoints.manager(sys.argv[1], 1) as mngr:
  checkpoints.save(mngr, 3, state_on((2, 2, 2), jax.devices(), 1), loop)
for sizes in ((1, 1, 1), (1, 4, 1), (1, 1, 2), (2, 2, 1), (8, 1, 1)):
  count = int(np.prod(sizes))
  with checkpoints.manager(sys.argv[1], 1) as mngr:
    wanted = state_on(sizes, jax.devices()[:count], 0)
    placed = wanted.params["w"].sharding
    state, _ = checkpoints.restore(mngr, wanted)
  assert state.params["w"].sharding == placed and int(state.step) == 3
  np.testing.assert_array_equal(state.params["w"], np.arange(64.0).reshape(8, 8))
  np.testing.assert_array_equal(state.opt_state["mu"], state.params["w"] + 1)
  print(sizes)
"""


def test_another_mesh_and_device_count_restore_and_one_cpu_infers(tmp_path):
  assert len(tiny.run_python(MESHES, tmp_path, devices=8).splitlines()) == 5
  model = checkpoints.restore_model(tmp_path)  # on this process's one device
  np.testing.assert_array_equal(model["params"]["w"].ravel(), np.arange(64.0))


def test_a_changed_model_is_refused_and_config_json_stays(tiny_run, tmp_path):
  workdir = tmp_path / "lm"
  workdir.mkdir()
  for name in ("checkpoints", "spiece.model", "vocab.json"):
    (workdir / name).symlink_to(tiny_run / "lm" / name)
  before = (tiny_run / "lm" / "config.json").read_bytes()
  (workdir / "config.json").write_bytes(before)
  config = tiny.config_of("lm_demo", tiny_run, total_steps=99, seed=3)
  config.model.emb_dim = 64
  with pytest.raises(UserError) as error:
    tiny.train_on(config, workdir)
  message = str(error.value)
  assert "model.emb_dim is 64, was 32" in message and "seed is 3, was 0" in message
  assert "total_steps" not in message and "\n" not in message
  assert (workdir / "config.json").read_bytes() == before


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
  command = toy_training.command(60)
  peace, storm = tmp_path / "peace", tmp_path / "storm"
  chaos.Training(command, peace, 1, toy_training.ENV).wait()
  kills = chaos.storm(command, storm, kills=2, seed=1, env=toy_training.ENV)
  assert len(kills) == 2 and all(kill["exit_codes"] == [-9] for kill in kills)
  assert 0 < kills[-1]["step"] < 60
  assert chaos.differences(peace, storm) == []
  # The comparison sees one bit.
  metrics = storm / metric_logging.FILE
  metrics.write_text(metrics.read_text() + '{"step": 9, "split": "train", "loss": 1}\n')
  assert chaos.differences(peace, storm) == ["the train curve"]


def test_sigterm_saves_at_once_and_says_so_by_its_exit_code(tmp_path):
  run = chaos.Training(toy_training.command(1_000_000), tmp_path, 1, toy_training.ENV)
  try:
    assert run.wait_for(lambda: run.step() > 5)
    run.processes[0].send_signal(signal.SIGTERM)
    assert run.processes[0].wait(timeout=120) == cluster.EXIT_PREEMPTED == 75
  finally:
    run.end()
  log = (tmp_path / "log.txt").read_text()
  step = checkpoints.restore_item(tmp_path, "model")[0]
  assert f"the checkpoint of step {step} of 1000000 is written" in log
  loop = json.loads(
    (tmp_path / "checkpoints" / str(step) / "loop" / "metadata").read_text()
  )
  assert loop["next_batch"] == step
  assert len(loop["pending"]) == step % 3  # not logged yet, not lost
