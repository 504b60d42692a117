"""A trained evaluator network, ready to use: texts and motions to vectors."""

from collections.abc import Sequence

import jax
import ml_collections
import numpy as np
from etils import epath

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion_vector
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
    """float32[N, D]. Longer texts are truncated to `config.text_length` pieces."""
    out = [np.zeros((0, self.dim), np.float32)]
    for start in range(0, len(texts), _BATCH):
      rows = np.zeros((_BATCH, self.config.text_length), np.int32)
      group = texts[start : start + _BATCH]
      for row, text in zip(rows, group):
        row[:] = self._vocab.text_row(text, self.config.text_length)
      out.append(np.asarray(self._texts(rows))[: len(group)])
    return np.concatenate(out)

  def embed_motions(
    self, vectors: Sequence[np.ndarray], valid: Sequence[np.ndarray] | None = None
  ) -> np.ndarray:
    """Embeds motion vectors float32[T, P]; returns float32[N, D] in their order.

    Args:
      vectors: whole motions of any lengths.
      valid: bool[T] of each: frames that were observed; all by default.
    """
    out = np.zeros((len(vectors), self.dim), np.float32)
    for batch in motion_vector.batches(vectors, _BATCH, _LENGTH_MULTIPLE, valid):
      embedded = self._motions(batch.values, batch.mask)
      out[batch.indices] = np.asarray(embedded)[: len(batch.indices)]
    return out


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
