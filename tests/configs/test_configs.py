"""Every config of configs/ loads, and trains a step when shrunk."""

import importlib
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from configs import tokenizer_table
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.codec import motion_codec
from tdmm_jax.errors import UserError
from tdmm_jax.models import t5
from tdmm_jax.train import embedding_init

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


# What needs no training of its own: sizes of a vocabulary, and what other tests compare
# (tests/train/test_optim.py, tests/models/test_t5_scan.py).
NO_KIND = ("batch_per_chip", "num_extra_ids", "vocab_texts", "optimizer", "remat")


def kind(name: str) -> str:
  """A shrunk config without its rates and `NO_KIND`; equal ones are of one kind."""
  strip = lambda value: (
    {key: strip(item) for key, item in value.items() if key not in NO_KIND}
    if isinstance(value, dict)
    else "rate"
    if isinstance(value, float)
    else value
  )
  return json.dumps(strip(tiny.config_of(name, pathlib.Path()).to_dict()))


OF_THE_TINY_RUN = ("tokenizer_demo", "lm_demo", "evaluator")
KINDS: dict[str, str] = {}
for config_name in (*OF_THE_TINY_RUN, *NAMES):
  KINDS.setdefault(kind(config_name), config_name)


@pytest.mark.parametrize("name", sorted({*KINDS.values()} - {*OF_THE_TINY_RUN}))
def test_a_config_of_each_kind_trains_a_step(name, tiny_run, tmp_path):
  """Those of the tiny run have trained a dozen."""
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


def test_every_row_of_the_tokenizer_table_is_a_network_of_its_size():
  """None is more than a tenth larger or smaller than the baseline."""
  sizes = {}
  for row in tokenizer_table.ROWS:
    config = tokenizer_table.get_config(row)
    model = motion_codec.build_model(config, num_expression=50)
    shapes = [(1, 8, width) for width in (3 * config.model.num_vertices, 64)]
    arguments = [jnp.zeros(shape) for shape in shapes] + [jnp.ones((1, 8))]
    rngs = {"params": jax.random.key(0), "codebook": jax.random.key(1)}
    init = lambda model=model, rngs=rngs, arguments=arguments: model.init(
      rngs, *arguments
    )
    params = jax.eval_shape(init)["params"]
    sizes[row] = sum(x.size for x in jax.tree.leaves(params))
    assert model.num_codes == 1_000 or row.endswith(("4k", "64k"))
  for row, size in sizes.items():
    assert abs(size / sizes["t2m_gpt_params"] - 1) < 0.1, row
  with pytest.raises(UserError, match=r"gone: no such row; choose .*'fsq_params'"):
    tokenizer_table.get_config("gone")


SMALL = {"emb_dim": 16, "num_features": 12, "num_vertices": 48}


@pytest.mark.parametrize(
  "row",
  ["t2m_gpt_geometry", "fsq_params"],
)
def test_the_tokenizer_tables_networks_train_and_load(row, tiny_run, tmp_path):
  config = tokenizer_table.get_config(row)
  config.update({"records_dir": str(tiny_run / "records"), "total_steps": 2})
  config.update({"batch_size": 4, "window": 32, "warmup_steps": 1, "eval_batches": 1})
  of_row = (
    {"num_codes": 24, "code_dim": 8} if row.startswith("t2m") else {"mlp_dim": 32}
  )
  config.model.update(SMALL | of_row)
  scores = tiny.train_on(config, tmp_path)
  assert all(np.isfinite(value) for value in scores.values())
  codec = motion_codec.load(tmp_path)
  motion = tiny.first_motion(tiny_run)
  (codes,) = codec.encode([motion])
  assert len(codes) == motion.num_frames and codes.max() < codec.num_codes
  (decoded,) = codec.decode([codes])
  assert np.isfinite(decoded.expression).all()
  rows = embedding_init.row_features(vocab_lib.load(tiny_run / "lm"), codec)
  _, features, _ = rows[1]
  assert len(features) == codec.num_codes and np.isfinite(features).all()
