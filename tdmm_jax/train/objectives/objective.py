"""What the loop needs to know about a training job, and what all jobs check first."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from tdmm_jax import cluster
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import records
from tdmm_jax.errors import UserError


class Objective(NamedTuple):
  """One training job, as the loop sees it."""

  init_fn: Callable[[jax.Array], dict]  # rng -> boxed variables
  loss_fn: Callable[..., Any]  # see train_step.LossFn
  train_iter: Iterator[dict]
  eval_batches: list[dict]
  versions: dict[str, str]
  tokens_per_example: int = 0  # padding included; frames, of the tokenizer
  flops_per_example: float = 0.0  # model FLOPs of an update; 0: not known
  # Parameters of a pretrained model, in numpy, that a run starts from.
  start_params: Callable[[], dict] | None = None
  # The same of parts, by the names they have among parameters or collections.
  start_parts: Callable[[], dict] | None = None


def check_versions(config, face) -> dict[str, str]:
  """Versions of records and head; an error that names both where they disagree."""
  stored = records.versions(config.records_dir)
  if stored["face_model"] != face.name:
    raise UserError(
      f"{config.records_dir}: records are in '{stored['face_model']}', but "
      f"config.face_model is '{face.name}'; build records for it, or change the config"
    )
  if stored["head"] != face.version:
    raise UserError(
      f"{config.records_dir}: records were made with face model version "
      f"{stored['head']}, this is {face.version}; build the records again"
    )
  return stored


def eval_batches(config, rows: list[dict]) -> list[dict]:
  """The first `config.eval_batches` batches of validation rows.

  A split smaller than a batch is repeated.

  Raises:
    UserError: there are no rows.
  """
  size = config.batch_size
  if not rows:
    raise UserError(f"{config.records_dir}: no valid clips; build more of them")
  rows = rows * -(-size // len(rows))
  starts = range(0, len(rows) - size + 1, size)[: config.eval_batches]
  return [
    {key: np.stack([row[key] for row in rows[i : i + size]]) for key in rows[0]}
    for i in starts
  ]


def stored_vocabulary(workdir, make: Callable[[], vocab_lib.Vocab]) -> vocab_lib.Vocab:
  """The workdir's vocabulary; `make` makes it, once."""
  if cluster.is_primary() and not (workdir / "vocab.json").exists():
    make().save(workdir)
  cluster.barrier("vocabulary written")
  return vocab_lib.load(workdir)
