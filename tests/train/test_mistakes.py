"""Mistakes of a config end a run before its corpus is read or tokenised."""

import types

import pytest

from configs import lm_demo
from tdmm_jax.errors import UserError
from tdmm_jax.train import run
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
