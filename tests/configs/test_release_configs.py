"""Configs of the release and of the ablations: sizes, rows, one change a row."""

import pathlib

import jax
import jax.numpy as jnp
import pytest

from configs import (
  ablation_tokenizers,
  ablations,
  release_lm,
  release_tokenizer,
)
from tdmm_jax.codec import motion_codec
from tdmm_jax.errors import UserError
from tdmm_jax.models import t5

TABLE_ROWS = 2_560  # of a vocabulary with the ablations' 1,000 codes ...
RELEASE_ROWS = 6_784  # ... and with the release's 4,608


def num_params(config, rows: int = TABLE_ROWS) -> int:
  ones = jnp.ones((1, 4), jnp.int32)
  if config.objective == "language_model":
    sizes = config.model.to_dict() | {"dtype": jnp.dtype(config.model.dtype)}
    inputs, model = [ones] * 4, t5.T5(vocab_size=rows, **sizes)
  else:
    model = motion_codec.build_model(config, 50)
    width = model.num_params
    inputs = [jnp.ones((1, 4, model.num_geometry)), jnp.ones((1, 4, width))]
    inputs.append(jnp.ones((1, 4)))
  rng = jax.random.key(0)
  rngs = {"params": rng, "codebook": rng}
  shapes = jax.eval_shape(lambda: model.init(rngs, *inputs))["params"]
  return sum(x.size for x in jax.tree.leaves(shapes))


def test_the_release_is_within_its_size():
  tokenizer = num_params(release_tokenizer.get_config())
  language_model = num_params(release_lm.get_config(), RELEASE_ROWS)
  assert 2.5e6 < tokenizer < 3.5e6 and 3.6e6 < language_model < 4.4e6
  # In float16, beside an evaluator of 2 MB and 1 MB of everything else.
  assert 2 * (tokenizer + language_model) < 37e6


@pytest.mark.parametrize(
  ("row", "low", "high"),
  [("small", 0.7e6, 1.1e6), ("reference", 2.5e6, 3.2e6), ("large", 5.5e6, 6.7e6)],
)
def test_sizes_are_three(row, low, high):
  assert low < num_params(ablations.get_config(row)) < high


@pytest.mark.parametrize("row", ablations.ROWS)
def test_a_row_differs_in_what_the_table_says(row):
  flat = lambda name: ablations.get_config(name).to_dict()
  reference, config = flat("reference"), flat(row)
  changed = {key for key in reference if reference[key] != config[key]}
  assert changed == {key.split(".")[0] for key in ablations.ROWS[row]}


def test_every_row_has_a_tokenizer_that_a_config_makes():
  released = pathlib.PurePath(release_lm.get_config().tokenizer_dir)
  for row in ablations.ROWS:
    folder = pathlib.PurePath(ablations.get_config(row).tokenizer_dir)
    assert folder == released or (
      folder.parts[:3] == ("runs", "ablations", "tokenizers")
      and folder.name in ablation_tokenizers.ROWS
    )


@pytest.mark.parametrize("row", ablation_tokenizers.ROWS)
def test_other_tokenizers_have_the_releases_updates_and_size(row):
  config, released = ablation_tokenizers.get_config(row), release_tokenizer.get_config()
  for key in ("records_dir", "total_steps", "batch_size", "window"):
    assert config[key] == released[key]
  assert config.augment.rate == 0.0 and config.model.emb_dim == released.model.emb_dim
  with pytest.raises(UserError, match=r"ablation_tokenizers.py:gone: no such row"):
    ablation_tokenizers.get_config("gone")


def test_a_row_that_is_not_there_names_those_that_are():
  with pytest.raises(UserError, match=r"ablations.py:huge: no such row.*reference"):
    ablations.get_config("huge")
