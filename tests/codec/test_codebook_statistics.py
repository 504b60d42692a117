"""The EMA codebook's statistics: the same sharded over devices, and after a resume."""

import shutil

import numpy as np
import pytest
import tiny

from tdmm_jax.runs import checkpoints

# Trains on argv[1]'s records into argv[2] for 6 updates, with a checkpoint of each.
TRAIN = """
import pathlib, sys
import tiny
config = tiny.config_of("tokenizer_demo", pathlib.Path(sys.argv[1]))
config.model.quantizer = "ema_vq"
config.total_steps, config.save_every = 6, 1
tiny.train_on(config, sys.argv[2])
"""


def codebook(workdir) -> dict[str, np.ndarray]:
  collections = checkpoints.restore_model(workdir)["collections"]
  statistics = collections["codebook"]["quantize"]  # the quantiser's name in the model
  return {name: np.asarray(value) for name, value in statistics.items()}


@pytest.mark.slow
def test_statistics_survive_sharding_and_resume(tiny_run, tmp_path):
  workdirs = {devices: tmp_path / str(devices) for devices in (1, 4)}
  for devices, workdir in workdirs.items():
    tiny.run_python(TRAIN, tiny_run, workdir, devices=devices)
  one, four = (codebook(workdir) for workdir in workdirs.values())
  assert np.ptp(one["counts"]) > 0.1  # some codes are used, some are not
  for name in one:
    np.testing.assert_allclose(four[name], one[name], rtol=1e-4, atol=1e-5)
  # As if it had been interrupted before its last update.
  shutil.rmtree(workdirs[1] / checkpoints.FOLDER / "6")
  before = codebook(workdirs[1])
  tiny.run_python(TRAIN, tiny_run, workdirs[1])
  after = codebook(workdirs[1])
  for name in one:
    assert (before[name] != after[name]).any()
    np.testing.assert_array_equal(after[name], one[name])
