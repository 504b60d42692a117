"""An earlier language model of this project, from which another one starts."""

import json
import pathlib
from typing import NamedTuple

import jax
import numpy as np

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.errors import UserError
from tdmm_jax.runs import checkpoints

_GROW = ("cues", "acts")  # branches that have a row, or column, for each kind of act


class Earlier(NamedTuple):
  """A language model that training starts from.

  Attributes:
    workdir: where it is.
    vocab: its vocabulary, which is kept.
  """

  workdir: pathlib.Path
  vocab: vocab_lib.Vocab

  def into(self, fresh: dict) -> dict:
    """`fresh` parameters in numpy, with those of the earlier model where they fit.

    Where kinds of acts were added, what concerns them stays fresh.

    Raises:
      UserError: the models are built otherwise.
    """
    old = checkpoints.restore_model(self.workdir)["params"]
    other = (
      f"config.start_from: {self.workdir} is built otherwise than this config's "
      "model; use its config.model"
    )
    if jax.tree.structure(old) != jax.tree.structure(fresh):
      raise UserError(other)

    def one(path, fresh_leaf, old_leaf):
      fresh_leaf, old_leaf = np.array(fresh_leaf), np.asarray(old_leaf)
      if fresh_leaf.shape != old_leaf.shape and path[0].key not in _GROW:
        raise UserError(other)
      shared = tuple(map(slice, np.minimum(fresh_leaf.shape, old_leaf.shape)))
      fresh_leaf[shared] = old_leaf[shared]
      return fresh_leaf

    return jax.tree_util.tree_map_with_path(one, fresh, old)


def find(config, tokenizer_version: str) -> Earlier | None:
  """What `config.start_from` names, if it does.

  Raises:
    UserError: there is none, of another tokenizer, or there are two to start from.
  """
  if not config.start_from:
    return None
  workdir = pathlib.Path(config.start_from)
  if config.init_from:
    raise UserError("config.start_from and config.init_from: start from one of them")
  if not checkpoints.has_checkpoint(workdir):
    raise UserError(
      f"config.start_from: {workdir} holds no trained language model; give RUN/lm"
    )
  stored = checkpoints.read_json(workdir / checkpoints.CONFIG_FILE)
  if stored["versions"].get("tokenizer") != tokenizer_version:
    raise UserError(
      f"config.start_from: {workdir} speaks tokenizer version "
      f"{stored['versions'].get('tokenizer')}, config.tokenizer_dir is version "
      f"{tokenizer_version}; give the tokenizer that lies beside it"
    )
  for key in ("text_encoder", "read_acts"):
    if stored["config"].get(key) != config[key]:
      raise UserError(
        f"config.start_from: {workdir} has config.{key} "
        f"{json.dumps(stored['config'].get(key))}, this config "
        f"{json.dumps(config[key])}; use the same"
      )
  return Earlier(workdir, vocab_lib.load(workdir))
