"""Input pipelines of both models: deterministic, shuffled, shardable, checkpointable.

Shape letters: T frames, W window, P motion vector. The only home of grain.
"""

import sys
import threading
from collections.abc import Sequence
from typing import NamedTuple

import grain
import numpy as np
from absl import logging

from tdmm_jax.data import packing, tasks
from tdmm_jax.data.augmentation import MotionAugmentation
from tdmm_jax.vocab import Vocab

_ATTEMPTS = 8  # draws of a chunk
_TRIAL_CLIPS, _MOST_TRIALS = 4_096, 16  # what tells how many rows a chunk needs
# A batch of many rows is dealt out to lanes of about so many, each with chunks of its
# own, so that a host draws the chunks of its own lanes alone.
_LANE_ROWS, _LANES_FROM = 64, 512
_CHUNK_CLIPS, _CHUNK_CLIPS_OF_LANES = 2_048, 512


class _HostRows:
  """Random access to this host's rows, batch after batch; reads no other row."""

  def __init__(self, dataset: grain.MapDataset, batch_size: int, rows: Sequence[int]):
    self._dataset, self._batch_size = dataset, batch_size
    self._rows = [int(row) for row in rows]

  def __len__(self) -> int:
    # An endless dataset's length is the largest there is.
    batches = min(len(self._dataset) // self._batch_size, sys.maxsize // 2**20)
    return batches * len(self._rows)

  def __getitem__(self, index: int):
    batch, row = divmod(index, len(self._rows))
    return self._dataset[batch * self._batch_size + self._rows[row]]


class Batches:
  """This host's rows of the global batches; `next_batch` is the whole state.

  Batch N is a function of seed and N, whatever the number of hosts: a run resumes on
  any number of hosts without repeating or skipping an example.

  Attributes:
    next_batch: number of the batch that `next` returns, from 0.
  """

  def __init__(self, dataset: grain.MapDataset, batch_size: int, rows=None):
    """`rows`: the host's rows of each global batch, int[R]; all by default."""
    rows = range(batch_size) if rows is None else rows
    source = grain.MapDataset.source(_HostRows(dataset, batch_size, rows))
    self._batches = source.batch(len(rows), drop_remainder=True)
    self.seek(0)

  def seek(self, batch: int) -> None:
    """Moves to batch number `batch`."""
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=8)
    self._iterator = iter(self._batches[batch:].to_iter_dataset(options))
    self.next_batch = batch

  def __iter__(self):
    return self

  def __next__(self) -> dict[str, np.ndarray]:
    batch = next(self._iterator)
    self.next_batch += 1
    return batch


def motion_window(
  motion: dict[str, np.ndarray], window: int, start: int
) -> dict[str, np.ndarray]:
  """Cuts [start, start + window), pads short clips; mask 0 = padding or not valid."""
  vectors = motion["vectors"][start : start + window]
  valid = motion["valid"][start : start + window]
  pad = window - len(vectors)
  return {
    "params": np.pad(vectors, ((0, pad), (0, 0)), mode="edge").astype(np.float32),
    "mask": np.pad(valid, (0, pad)).astype(np.float32),
  }


def tokenizer_iterator(
  motions: Sequence[dict],
  window: int,
  batch_size: int,
  seed: int,
  rows=None,
  augment: MotionAugmentation | None = None,
) -> Batches:
  """Endless batches of random windows: params float32[B, W, P], mask float32[B, W].

  Args:
    motions: dicts of vectors float32[T, P] and valid bool[T], one per clip.
    window: W, frames.
    batch_size: B, rows of a global batch.
    seed: decides order and windows.
    rows: this host's rows of each batch; all by default.
    augment: changes what was cut.
  """

  def crop(motion, rng: np.random.Generator):
    latest = max(len(motion["vectors"]) - window, 0)
    start = int(rng.integers(latest + 1))
    if augment is None:
      return motion_window(motion, window, start)
    cut = {key: motion[key][start : start + window] for key in ("vectors", "valid")}
    return motion_window(augment(cut, rng), window, 0)

  dataset = grain.MapDataset.source(motions).seed(seed).shuffle().repeat()
  return Batches(dataset.random_map(crop), batch_size, rows)


def num_lanes(batch_size: int) -> int:
  """How many lanes a batch has: a function of its size alone, on any number of hosts.

  1 for batches below `_LANES_FROM` rows.
  """
  if batch_size < _LANES_FROM:
    return 1
  most = batch_size // _LANE_ROWS
  return next(lanes for lanes in range(most, 0, -1) if batch_size % lanes == 0)


class _Chunk(NamedTuple):
  number: int
  examples: list[dict]
  rows: list[list[int]]  # of examples


class PackedTasks:
  """Random access to packed rows of a mixture of tasks, epoch after epoch.

  Row N is a pure function of (seed, N), and finding it is arithmetic: an epoch has
  `chunks_per_epoch` chunks, and each chunk `rows_per_chunk` rows. A chunk's examples
  are drawn and packed when one of its rows is asked for, and kept until another chunk
  of its lane is; so resuming at any step draws one chunk.

  A large batch has several lanes, neighbouring rows each; lane I of J reads the chunks
  I, I + J, I + 2 J ..., each from its first row to its last. A host that holds the rows
  of a few lanes draws those lanes' chunks, and no others.

  Each epoch deals all clips out to its chunks: clips of about the same length go to
  different chunks, so that chunks are equally large. `rows_per_chunk` is what a few
  draws for a trial needed at most, and a little more. A chunk that turns out to need
  more is drawn again; one that needs less spreads its examples. Thus each epoch holds
  every clip with all its tasks, once, and nothing is carried over. Only if `_ATTEMPTS`
  draws all need more rows are the last rows of the last draw left out, with a warning
  that says how many examples they held.

  Attributes:
    rows_per_chunk, chunks_per_epoch: int.
    num_draws: chunks that were drawn so far, those of the trial not counted.
  """

  def __init__(
    self,
    vocab: Vocab,
    clips: Sequence[dict],
    encoder_length: int,
    decoder_length: int,
    num_rows: int,
    seed: int,
    mixture: tasks.Mixture,
    chunk_clips: int | None = None,
    num_cues: int = 0,
    batch_size: int = 1,
  ):
    """Draws a few chunks for a trial.

    Args:
      clips: see `tasks.Mixture.draw`.
      chunk_clips: the most of a chunk; by default what suits the number of lanes.
      num_cues: the most of a row, see `packing.pack_row`.
      batch_size: rows that are read together, from a multiple of it on.
    """
    self._vocab, self._clips = vocab, clips
    self._lanes = num_lanes(batch_size)
    self._lane_rows = batch_size // self._lanes
    if chunk_clips is None:
      chunk_clips = _CHUNK_CLIPS if self._lanes == 1 else _CHUNK_CLIPS_OF_LANES
    self._lengths, self._num_cues = (encoder_length, decoder_length), num_cues
    self._num_rows, self._seed, self._mixture = num_rows, seed, mixture
    self.chunks_per_epoch = max(-(-len(clips) // chunk_clips), 1)
    self._by_length = np.argsort([len(clip["codes"]) for clip in clips], kind="stable")
    self.num_draws = 0
    self._chunks: dict[int, _Chunk] = {}  # lane -> the one that was read last
    self._lock = threading.Lock()
    trials = max(_TRIAL_CLIPS // max(len(self._picked(0)), 1), 2)
    needed = max(
      len(self._drawn(chunk, attempt=_ATTEMPTS)[1])
      for chunk in range(min(trials, _MOST_TRIALS))
    )
    self.rows_per_chunk = needed + -(-needed // 200)

  def __len__(self) -> int:
    return self._num_rows

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    lane, chunk, row = self._place(index)
    with self._lock:
      if lane not in self._chunks or self._chunks[lane].number != chunk:
        self._chunks[lane] = self._load(chunk)
      _, examples, rows = self._chunks[lane]
    examples = [examples[i] for i in rows[row]]
    return packing.pack_row(examples, *self._lengths, self._num_cues)

  def _place(self, index: int) -> tuple[int, int, int]:
    """The lane of a row, its chunk, and which of the chunk's rows it is."""
    batch, row = divmod(index, self._lanes * self._lane_rows)
    lane, row = divmod(row, self._lane_rows)
    chunk, row = divmod(batch * self._lane_rows + row, self.rows_per_chunk)
    return lane, lane + self._lanes * chunk, row

  def _picked(self, chunk: int) -> np.ndarray:
    """The chunk's clips, int[C], in random order."""
    epoch, part = divmod(chunk, self.chunks_per_epoch)
    rng = np.random.default_rng((self._seed, epoch))
    # Of each chunks_per_epoch clips of about the same length each chunk gets one.
    padding = -len(self._clips) % self.chunks_per_epoch
    dealt = np.append(self._by_length, np.full(padding, -1))
    dealt = rng.permuted(dealt.reshape(-1, self.chunks_per_epoch), axis=1)[:, part]
    return rng.permutation(dealt[dealt >= 0])

  def _drawn(self, chunk: int, attempt: int) -> tuple[list[dict], list[list[int]]]:
    """The chunk's examples and the rows that they need."""
    rng = np.random.default_rng((self._seed, chunk, attempt))
    clips = [self._clips[i] for i in self._picked(chunk)]
    examples = self._mixture.draw(self._vocab, clips, rng)
    lengths = [(len(e["encoder_tokens"]), len(e["decoder_targets"])) for e in examples]
    order = rng.permutation(len(examples))
    return examples, packing.plan_rows(lengths, *self._lengths, order)

  def _load(self, chunk: int) -> _Chunk:
    for attempt in range(_ATTEMPTS):
      self.num_draws += 1
      examples, rows = self._drawn(chunk, attempt)
      if len(rows) <= self.rows_per_chunk:
        break
    rows, left_out = packing.with_num_rows(rows, self.rows_per_chunk)
    if left_out:
      logging.warning(
        "packing: %d of %d examples of chunk %d are left out of this epoch",
        *(len(left_out), len(examples), chunk),
      )
    order = np.random.default_rng((self._seed, chunk)).permutation(len(rows))
    return _Chunk(chunk, examples, [rows[i] for i in order])


def lm_iterator(packed: PackedTasks, batch_size: int, rows=None) -> Batches:
  """Batches of packed rows in T5X's keys, int32[B, M] and [B, L]."""
  return Batches(grain.MapDataset.source(packed), batch_size, rows)
