"""Texts beside their motions: what the evaluator network is trained on.

Shape letters: B batch, L text pieces, W window of frames, P motion vector.
"""

import zlib
from collections.abc import Sequence

import grain
import numpy as np

from tdmm_jax.data import pipeline
from tdmm_jax.language import lexicon
from tdmm_jax.vocab import EOS_ID, Vocab


def attributes_key(attributes: dict) -> int:
  """A number that is equal for clips whose texts say the same."""
  return zlib.crc32(repr(lexicon.comparable(attributes)).encode()) & 0x7FFFFFFF


def text_row(vocab: Vocab, text: str, length: int) -> np.ndarray:
  """int32[length]: the text's pieces, truncated to fit, then eos and padding."""
  row = np.zeros(length, np.int32)
  pieces = [*vocab.encode_text(text)[: length - 1], EOS_ID]
  row[: len(pieces)] = pieces
  return row


def pair(clip: dict, text: str, vocab: Vocab, length: int, window: int) -> dict:
  """One row: tokens int32[L], params float32[W, P], mask float32[W], key int32."""
  motion = pipeline.motion_window(clip, window, 0)
  key = np.int32(attributes_key(clip["attributes"]))
  return motion | {"tokens": text_row(vocab, text, length), "key": key}


def texts(clip: dict) -> list[str]:
  """All texts of a clip."""
  return [clip["prompt"], *clip["captions"]]


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
    said = texts(clip)
    return pair(clip, said[int(rng.integers(len(said)))], vocab, length, window)

  dataset = grain.MapDataset.source(clips).seed(seed).shuffle().repeat()
  return pipeline.Batches(dataset.random_map(draw), batch_size, rows)
