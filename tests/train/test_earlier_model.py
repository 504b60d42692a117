"""A language model that starts from an earlier one."""

import re

import jax
import numpy as np
import pytest
import tiny

from tdmm_jax.errors import UserError
from tdmm_jax.runs import checkpoints
from tdmm_jax.train import earlier_model


def config_of(run, **overrides):
  return tiny.config_of("lm_demo", run, start_from=str(run / "lm"), **overrides)


def version(run):
  return checkpoints.read_json(run / "lm" / "config.json")["versions"]["tokenizer"]


def test_parameters_are_kept_and_what_has_grown_is_new(tiny_run):
  earlier = earlier_model.find(config_of(tiny_run), version(tiny_run))
  old = checkpoints.restore_model(tiny_run / "lm")["params"]
  fresh = jax.tree.map(np.zeros_like, old)
  grown = np.ones(
    (len(old["cues"]["embedding"]) + 2, *old["cues"]["embedding"].shape[1:])
  )
  fresh["cues"]["embedding"] = grown
  made = earlier.into(fresh)
  embedding = made["cues"].pop("embedding")
  np.testing.assert_array_equal(embedding[:-2], old["cues"].pop("embedding"))
  np.testing.assert_array_equal(embedding[-2:], 1.0)
  jax.tree.map(np.testing.assert_array_equal, made, old)


def test_a_model_that_is_built_otherwise_is_refused(tiny_run):
  earlier = earlier_model.find(config_of(tiny_run), version(tiny_run))
  fresh = jax.tree.map(np.array, checkpoints.restore_model(tiny_run / "lm")["params"])
  fresh["token_embedder"]["embedding"] = np.zeros((3, 3))
  with pytest.raises(UserError, match=r"use its config\.model"):
    earlier.into(fresh)


@pytest.mark.parametrize(
  "overrides, tokenizer, said",
  [
    ({"init_from": "t5"}, None, "from one of them"),
    ({"start_from": "nowhere"}, None, "nowhere holds no trained language model"),
    ({}, "another", "speaks tokenizer version"),
    ({"read_acts": False}, None, "config.read_acts true, this config false"),
  ],
)
def test_what_does_not_fit_is_one_line(tiny_run, overrides, tokenizer, said):
  config = config_of(tiny_run)
  config.update(overrides)
  with pytest.raises(UserError, match=re.escape(said)):
    earlier_model.find(config, tokenizer or version(tiny_run))


def test_nothing_is_started_from_by_default(tiny_run):
  assert earlier_model.find(tiny.config_of("lm_demo", tiny_run), "any") is None
