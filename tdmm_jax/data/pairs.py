"""Texts beside their motions: what the evaluator network is trained on.

Shape letters: B batch, L text pieces, W window of frames, P motion vector.
"""

from collections.abc import Sequence

import grain
import numpy as np

from tdmm_jax.data import pipeline, tasks
from tdmm_jax.vocab import Vocab


def pair(clip: dict, text: str, vocab: Vocab, length: int, window: int) -> dict:
  """One row: tokens int32[L], params float32[W, P], mask float32[W], key int32."""
  motion = pipeline.motion_window(clip, window, 0)
  key = np.int32(tasks.attributes_key(clip["attributes"]))
  return motion | {"tokens": vocab.text_row(text, length), "key": key}


def iterator(
  clips: Sequence[dict],
  vocab: Vocab,
  length: int,
  window: int,
  batch_size: int,
  seed: int,
  rows=None,
) -> pipeline.Batches:
  """Endless batches of `pair`, each clip once in an epoch, with any text of its own.

  `rows`: this host's rows of each batch; all by default.
  """

  def draw(clip, rng: np.random.Generator):
    texts = tasks.clip_texts(clip)
    return pair(clip, texts[int(rng.integers(len(texts)))], vocab, length, window)

  dataset = grain.MapDataset.source(clips).seed(seed).shuffle().repeat()
  return pipeline.Batches(dataset.random_map(draw), batch_size, rows)
