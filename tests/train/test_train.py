"""The loop: resumed equals uninterrupted, NaN raises, checkpoints are whole."""

import json
import shutil

import jax
import numpy as np
import pytest
import tiny

from tdmm_jax import sharding
from tdmm_jax.runs import checkpoints
from tdmm_jax.train import metric_logging


def contents(workdir):
  """Everything of the newest checkpoint that training goes on from."""
  restored = checkpoints.restore_model(workdir)
  leaves = jax.tree_util.tree_leaves_with_path(restored)
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def poison(monkeypatch, bad_step, change):
  """Changes the batch that makes update `bad_step` (from 1)."""
  to_global, calls = sharding.to_global, iter(range(1, 1_000))

  def poisoned(batch, mesh, batch_size):
    changed = change(batch) if next(calls) == bad_step else batch
    return to_global(changed, mesh, batch_size)

  monkeypatch.setattr(sharding, "to_global", poisoned)


def cut_short(whole, folder):
  """A copy of a run, as if killed between its checkpoints of steps 6 and 12."""
  shutil.copytree(whole, folder)
  shutil.rmtree(folder / checkpoints.FOLDER / "12")
  metrics = folder / metric_logging.FILE
  lines = metrics.read_text().splitlines(keepends=True)
  metrics.write_text("".join(line for line in lines if json.loads(line)["step"] <= 8))
  with checkpoints.manager(folder) as mngr:
    assert mngr.latest_step() == 6
  return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tokenizer", "lm"])
def test_resumed_equals_uninterrupted_bit_for_bit(tiny_run, tmp_path, name):
  """Killed at any moment: tests/runs/test_checkpoints.py. Here, of the real models."""
  config = tiny.config_of(f"{name}_demo", tiny_run)
  folder = tiny_run / name
  if name == "tokenizer":  # its codebook's statistics are no parameters
    config.model.quantizer = "ema_vq"
    folder = tmp_path / "whole"
    tiny.train_on(config, folder)
  part = cut_short(folder, tmp_path / "resumed")
  before = contents(part)
  tiny.train_on(config, part)
  resumed, whole = contents(part), contents(folder)
  assert resumed.keys() == whole.keys() and resumed["['step']"] == 12
  for key, value in whole.items():
    np.testing.assert_array_equal(resumed[key], value, err_msg=key)
  codebook = [key for key in whole if "codebook" in key]
  assert bool(codebook) == (name == "tokenizer")
  assert all((before[key] != whole[key]).any() for key in codebook)
  curves = [
    metric_logging.read_curve(run, "train", "total_loss") for run in (part, folder)
  ]
  assert curves[0][-1] == curves[1][-1] and curves[0][-1][0] == 12


def test_a_finished_run_is_left_alone(tiny_run):
  before = (tiny_run / "lm" / metric_logging.FILE).read_text()
  folder = tiny_run / "lm" / checkpoints.FOLDER / "12"
  changed = folder.stat().st_mtime_ns
  scores = tiny.train_on(tiny.config_of("lm_demo", tiny_run), tiny_run / "lm")
  valid = metric_logging.read_curve(tiny_run / "lm", "valid", "loss")
  assert scores["loss"] == valid[-1][1]  # its last evaluation, out of the checkpoint
  assert folder.stat().st_mtime_ns == changed
  assert (tiny_run / "lm" / metric_logging.FILE).read_text() == before


def test_nan_raises_with_step_and_loss_and_spoils_no_checkpoint(
  tiny_run, tmp_path, monkeypatch
):
  spoil = lambda batch: batch | {"params": batch["params"] * np.nan}
  poison(monkeypatch, 5, spoil)
  # Checkpoints fall between two looks at the loss.
  config = tiny.config_of("tokenizer_demo", tiny_run, log_every=10, save_every=3)
  with pytest.raises(FloatingPointError, match=r"step 5: .*loss is nan"):
    tiny.train_on(config, tmp_path)
  kept = contents(tmp_path)
  assert kept["['step']"] == 3
  assert all(np.isfinite(value).all() for value in kept.values())


def test_the_loss_falls_and_everything_is_written(tiny_run):
  for name in ("tokenizer", "lm"):
    workdir = tiny_run / name
    curve = metric_logging.read_curve(workdir, "train", "total_loss")
    last = tiny.STEPS[name]
    assert [step for step, _ in curve] == list(range(4, last + 1, 4))
    # The tokenizer starts from a fitted linear codec: a few steps gain nothing.
    assert np.isfinite(curve).all() and (
      name == "tokenizer" or curve[-1][1] < curve[0][1]
    )
    measure = "face_mm" if name == "tokenizer" else "loss"
    assert metric_logging.read_curve(workdir, "valid", measure)[-1][0] == last
    stored = json.loads((workdir / "config.json").read_text())
    assert stored["config"]["total_steps"] == last
    assert {"head", "lexicon", "simulator"} <= stored["versions"].keys()
    assert "Total" in (workdir / "parameters.txt").read_text()
    steps = {p.name for p in (workdir / checkpoints.FOLDER).iterdir()}
    assert {str(last)} < steps
  # The language model speaks the tokenizer of these weights.
  stored = json.loads((tiny_run / "lm" / "config.json").read_text())
  weights = checkpoints.restore_model(tiny_run / "tokenizer")
  assert stored["versions"]["tokenizer"] == checkpoints.weights_version(weights)


def test_a_version_is_of_weights_not_of_a_config():
  model = {"params": {"w": np.arange(3.0)}, "collections": {}, "step": 1}
  version = checkpoints.weights_version(model)
  assert version == checkpoints.weights_version(model | {"step": 2})
  trained = model | {"params": {"w": np.arange(3.0) + 1e-9}}
  assert checkpoints.weights_version(trained) != version


def test_metrics_of_a_step_written_twice_count_once(tmp_path):
  logger = metric_logging.MetricLogger(tmp_path, tensorboard=False)
  for step, loss in ((1, 3.0), (2, 2.0), (2, 1.5), (3, 1.0)):
    logger.write(step, "train", {"loss": loss})
  logger.write(2, "valid", {"loss": 9.0})
  logger.close()
  with (tmp_path / metric_logging.FILE).open("a") as file:
    file.write('{"step": 4, "split": "tr')  # a kill cut this line short
  curve = metric_logging.read_curve(tmp_path, "train", "loss")
  assert curve == [(1, 3.0), (2, 1.5), (3, 1.0)]
