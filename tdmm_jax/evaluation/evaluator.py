"""A trained evaluator network, ready to use: texts and motions to vectors."""

from collections.abc import Sequence

import jax
import ml_collections
import numpy as np
from etils import epath

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import pairs
from tdmm_jax.errors import UserError
from tdmm_jax.models import evaluator as network
from tdmm_jax.runs import checkpoints

_BATCH = 64
_LENGTH_MULTIPLE = 32  # few compiled shapes; padding never changes an embedding


class Evaluator:
  """Embeds texts and motions on the unit sphere of one space.

  Attributes:
    config: what it was trained with.
    versions: of records and head it was trained on, and `evaluator`, its own.
    dim: width of the space.
  """

  def __init__(self, config, variables: dict, vocab: vocab_lib.Vocab, versions: dict):
    self.config, self.versions, self._vocab = config, versions, vocab
    num_params = len(variables["stats"]["params_mean"])
    model = network.build_evaluator(config, vocab.table_size, num_params)
    self.dim = config.model.output_dim
    self._texts = jax.jit(lambda t: model.apply(variables, t, method="embed_texts"))
    self._motions = jax.jit(
      lambda p, m: model.apply(variables, p, m, method="embed_motions")
    )

  def check(self, face) -> None:
    """Raises UserError unless it was trained on motions of this face model."""
    mine = (self.versions["face_model"], self.versions["head"])
    if mine != (face.name, face.version):
      raise UserError(
        f"evaluator: trained on '{mine[0]}' version {mine[1]}, the run is on "
        f"'{face.name}' version {face.version}; train it again (configs/evaluator.py)"
      )

  def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
    """float32[N, D]; of a longer text than `config.text_length` pieces the start."""
    rows = [pairs.text_row(self._vocab, t, self.config.text_length) for t in texts]
    out = [self._texts(np.stack(group))[:n] for n, group in _batches(rows)]
    return np.concatenate([np.zeros((0, self.dim), np.float32), *map(np.asarray, out)])

  def embed_motions(
    self, vectors: Sequence[np.ndarray], valid: Sequence[np.ndarray] | None = None
  ) -> np.ndarray:
    """float32[N, D] of motion vectors float32[T, P], in their order.

    Args:
      vectors: whole motions of any lengths.
      valid: bool[T] of each: frames that were observed; all by default.
    """
    if valid is None:
      valid = [np.ones(len(v), bool) for v in vectors]
    order = sorted(range(len(vectors)), key=lambda i: len(vectors[i]))
    out = np.zeros((len(vectors), self.dim), np.float32)
    for n, group in _batches(order):
      longest = max(len(vectors[i]) for i in group)
      length = -(-longest // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
      params = np.zeros((len(group), length, vectors[group[0]].shape[1]), np.float32)
      mask = np.zeros((len(group), length), np.float32)
      for row, i in enumerate(group):
        params[row, : len(vectors[i])] = vectors[i]
        mask[row, : len(vectors[i])] = valid[i]
      out[group[:n]] = np.asarray(self._motions(params, mask))[:n]
    return out


def _batches(items: Sequence):
  """(how many count, items) of batches that are filled up with the last item."""
  for start in range(0, len(items), _BATCH):
    group = list(items[start : start + _BATCH])
    yield len(group), group + group[-1:] * (_BATCH - len(group))


def load(workdir) -> Evaluator:
  """Loads a trained evaluator network.

  Args:
    workdir: where `tdmm_jax.train` trained it (configs/evaluator.py).

  Raises:
    UserError: nothing trained there.
  """
  workdir = epath.Path(workdir)
  if not checkpoints.has_checkpoint(workdir):
    raise UserError(
      f"{workdir}: no trained evaluator network; train one with `python -m "
      f"tdmm_jax.train --config configs/evaluator.py --workdir {workdir}`"
    )
  stored = checkpoints.read_json(workdir / checkpoints.CONFIG_FILE)
  restored = checkpoints.restore_model(workdir)
  variables = {**restored["collections"], "params": restored["params"]}
  config = ml_collections.ConfigDict(stored["config"])
  checkpoints.refuse_old_versions(workdir, stored["versions"])
  versions = stored["versions"] | {"evaluator": checkpoints.weights_version(restored)}
  return Evaluator(config, variables, vocab_lib.load(workdir), versions)
