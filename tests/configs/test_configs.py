"""Every config of configs/ loads, and trains a step when shrunk."""

import importlib
import json
import pathlib

import numpy as np
import pytest
import tiny

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.errors import UserError
from tdmm_jax.models import t5

FOLDER = pathlib.Path(tiny.REPO) / "configs"
NAMES = sorted(
  path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "common")
)


def test_there_are_configs():
  assert {"lm_demo", "tokenizer_demo"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_config_says_how_to_run_it(name):
  module = importlib.import_module(f"configs.{name}")
  assert f"--config configs/{name}.py" in module.__doc__
  config = module.get_config()
  assert config.objective in ("tokenizer", "language_model", "evaluator")
  json.dumps(config.to_dict())  # it is stored beside the checkpoints


@pytest.mark.parametrize("name", NAMES)
def test_config_trains_a_step(name, tiny_run, tmp_path):
  once = {"total_steps": 1, "warmup_steps": 0, "eval_every": 1, "save_every": 1}
  config = tiny.config_of(name, tiny_run, **once)
  scores = tiny.train_on(config, tmp_path)
  assert scores and all(np.isfinite(value) for value in scores.values())


def test_conditioning_is_by_words_or_pooled(tiny_run):
  vocab = vocab_lib.load(tiny_run / "lm")
  for name, token in (("lm_demo", -1), ("lm_demo_pooled", vocab.task_id("l2m"))):
    config = tiny.config_of(name, tiny_run)
    assert t5.build_t5(config, vocab).pooled_token == token
  config.conditioning = "sentence"
  with pytest.raises(UserError, match="'sentence'; choose 'words' or 'pooled'"):
    t5.build_t5(config, vocab)


@pytest.mark.parametrize(
  "changes", [{"quantizer": "ema_vq"}, {"space": "params"}], ids=str
)
def test_the_tokenizers_choices_train(changes, tiny_run, tmp_path):
  config = tiny.config_of("tokenizer_demo", tiny_run, total_steps=3, eval_every=3)
  config.model.update(changes)
  scores = tiny.train_on(config, tmp_path)
  assert all(np.isfinite(value) for value in scores.values())
