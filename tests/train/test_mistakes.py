"""Mistakes of a config end a run before its corpus is read or tokenised."""

import importlib
import pathlib
import types

import pytest

import configs
from configs import lm_demo
from tdmm_jax.errors import UserError
from tdmm_jax.train import run, settings
from tdmm_jax.train.objectives import language_model, objective


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    ({"mesh.data": 3}, "config.mesh: .*does not cover"),
    ({"optimizer": "sgd"}, "config.optimizer: 'sgd'; choose"),
    ({"warmup_steps": 99_999}, "config.total_steps: 3000 is not above"),
    ({"batch_size": 10, "batch_per_chip": 4}, "config.batch_size: 10 is no multiple"),
    ({"task_rates.l2m": -1.0}, "config.task_rates.l2m: -1; give 0"),
    ({"conditioning": "none"}, "config.conditioning: 'none'; choose"),
    ({"log_every": 0}, "config.log_every: 0 is out of range; give 1 or more"),
    ({"learning_rate": float("nan")}, "config.learning_rate: nan is out of range"),
    ({"disturb": 1.5}, "config.disturb: 1.5 is out of range; give 0 to 1"),
    ({"told_ending": 15}, "config.told_ending: 15 is out of range; give 0 to 1"),
    ({"model.mlp_dim": 0}, "config.model.mlp_dim: 0 is out of range"),
    ({"model.dtype": "float23"}, "config.model.dtype: 'float23'; choose 'float32' or"),
    ({"max_frames": 200}, "config.decoder_length: 160 has no room .*give 203 or more"),
    (
      {"model.fused_attention": True, "model.dropout_rate": 0.1},
      "config.model.fused_attention: has no dropout",
    ),
  ],
)
def test_mistakes_are_told_before_the_corpus_is_tokenised(
  changes, said, tmp_path, monkeypatch
):
  def tokenised(*args):
    raise AssertionError("the corpus was tokenised")

  codec = types.SimpleNamespace(face=None, version="1", num_phases=1)
  monkeypatch.setattr(language_model.motion_codec, "load", lambda _: codec)
  monkeypatch.setattr(objective, "check_versions", lambda *_: {})
  monkeypatch.setattr(language_model, "tokenised_clips", tokenised)
  config = lm_demo.get_config()
  config.update_from_flattened_dict(changes)
  with pytest.raises(UserError, match=said):
    run.train(config, tmp_path, progress=False)


def test_what_the_configs_say_is_in_range():
  for path in pathlib.Path(configs.__file__).parent.glob("*.py"):
    module = importlib.import_module(f"configs.{path.stem}")
    if hasattr(module, "get_config"):
      settings.check(module.get_config())


def test_what_takes_long_is_said_before_it_begins(tmp_path, monkeypatch, capsys):
  def build(*args):
    assert "train: reading the data" in capsys.readouterr().err
    raise UserError("no more")

  monkeypatch.setattr(run, "_build", build)
  with pytest.raises(UserError, match="no more"):
    run.train(lm_demo.get_config(), tmp_path)
