"""Adapts a text encoder's last layers to telling emotions, for data_prep.free_words.

The mean of MiniLM's vectors says what a sentence is about; a low-rank change of its
last layers' matrices has it say what one would feel. The layers below stay as they are
and are read once.

Shape letters: N texts, B batch, S WordPieces, D width, F families.
"""

import functools
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import flax.serialization
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm

from tdmm_jax import files
from tdmm_jax.models import bert, layers, pretrained_bert

_MATRICES = ("query", "key", "value", "out", "wi", "wo")
_LAYERS, _RANK, _SEED = 3, 8, 0  # the last so many layers
_EPOCHS, _BATCH, _READ = 3, 64, 128
_RATE, _HEAD_RATE, _DECAY = 1.5e-3, 5e-3, 0.01
_DROPOUT, _WORD_DROPOUT, _SMOOTHING = 0.1, 0.1, 0.1
_SCALE = 10.0  # of the unit vectors that the head reads
_LONGEST, _MULTIPLE = 48, 8  # WordPieces
_NEAR = 6  # WordPieces by which the lengths of a batch may differ, or so


class Adapted(NamedTuple):
  """What bert.sentence_vectors is given, and the head on its vectors."""

  adapter: dict
  weights_DF: np.ndarray
  bias_F: np.ndarray

  def arrays(self) -> dict[str, np.ndarray]:
    """What the file of language/free_words.py holds of it."""
    flat = flax.traverse_util.flatten_dict(self.adapter, sep="/")
    return {
      **{name: np.asarray(array, np.float16) for name, array in flat.items()},
      "vector_weights": np.asarray(self.weights_DF, np.float32),
      "vector_bias": np.asarray(self.bias_F, np.float32),
    }


def batches(lengths: Sequence[int], size: int, rng=None):
  """Indices of texts of like length; with `rng` whole batches alone, shuffled."""
  noise = 0 if rng is None else rng.uniform(0, _NEAR, len(lengths))
  order = np.argsort(np.asarray(lengths) + noise, kind="stable")
  groups = [order[i : i + size] for i in range(0, len(order), size)]
  if rng is not None:
    groups = [group for group in groups if len(group) == size]
    rng.shuffle(groups)
  return groups


def encoded(encoder: pretrained_bert.Pretrained, texts: Sequence[str], size: int):
  """Batches of texts of like length: (indices, int32 words [size, S], -1 = none)."""
  words = [encoder.words.encode(text, _LONGEST) for text in texts]
  for group in batches([len(row) for row in words], size):
    width = -(-max(len(words[i]) for i in group) // _MULTIPLE) * _MULTIPLE
    words_BS = np.full((size, width), -1, np.int32)
    for row, i in zip(words_BS, group, strict=False):
      row[: len(words[i])] = words[i]
    words_BS[len(group) :] = words_BS[0]
    yield group, words_BS


def sentence_vectors(encoder, texts: Sequence[str], adapter: dict | None = None):
  """float32[N, D], see bert.sentence_vectors."""
  read = jax.jit(functools.partial(bert.sentence_vectors, encoder.sizes))
  params = encoder.params()
  vectors_ND = np.zeros((len(texts), encoder.sizes.emb_dim), np.float32)
  for group, words_BS in encoded(encoder, texts, _READ):
    vectors_ND[group] = read(params, words_BS, adapter)[: len(group)]
  return vectors_ND


def _below(encoder, texts: Sequence[str]) -> list[np.ndarray]:
  """float16[S, D] of each text: what the first adapted layer is given."""
  sizes = encoder.sizes._replace(num_layers=encoder.sizes.num_layers - _LAYERS)

  @jax.jit
  def read(params, words_BS):
    positions_BS = jnp.broadcast_to(jnp.arange(words_BS.shape[1]), words_BS.shape)
    return bert.Bert(sizes, parent=None).apply(
      {"params": params},
      jnp.maximum(words_BS, 0),
      positions_BS,
      (words_BS >= 0).astype(jnp.int32),
    )

  found, params = [None] * len(texts), encoder.params()
  for group, words_BS in encoded(encoder, texts, _READ):
    vectors_BSD = np.asarray(read(params, words_BS), np.float16)
    for row, words, i in zip(vectors_BSD, words_BS, group, strict=False):
      found[i] = row[: (words >= 0).sum()]
  return found


def _start(encoder, num_families: int, rng) -> dict:
  """Adapters that change nothing yet, and a head."""
  adapter = {}
  for index in range(encoder.sizes.num_layers - _LAYERS, encoder.sizes.num_layers):
    adapter[f"layers_{index}"] = {}
    for name in _MATRICES:
      wide = encoder.sizes.mlp_dim
      rows = wide if name == "wo" else encoder.sizes.emb_dim
      columns = wide if name == "wi" else encoder.sizes.emb_dim
      a = rng.normal(0, 0.02, (rows, _RANK)).astype(np.float32)
      adapter[f"layers_{index}"][name] = {"a": a, "b": np.zeros((_RANK, columns))}
  head = rng.normal(0, 0.02, (encoder.sizes.emb_dim, num_families))
  start = {"adapter": adapter, "weights": head, "bias": np.zeros(num_families)}
  return jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), start)


def _scores(sizes, params, fitted, x_BSD, is_word_BS, key):
  """float[B, F] in training: words are missing now and then, and parts of vectors."""
  word_key, vector_key = jax.random.split(key)
  kept_BS = jax.random.bernoulli(word_key, 1 - _WORD_DROPOUT, is_word_BS.shape)
  is_word_BS &= kept_BS.at[:, 0].set(True)
  bias_B1SS = jnp.where(is_word_BS, 0.0, layers.NEG_INF)[:, None, None]
  for name, adapter in fitted["adapter"].items():
    layer = bert.Layer(sizes, parent=None)
    x_BSD = layer.apply({"params": params[name]}, x_BSD, bias_B1SS, adapter)
  vectors_BD = bert.mean(x_BSD, is_word_BS)
  kept_BD = jax.random.bernoulli(vector_key, 1 - _DROPOUT, vectors_BD.shape)
  vectors_BD = vectors_BD * kept_BD / (1 - _DROPOUT)
  return _SCALE * vectors_BD @ fitted["weights"] + fitted["bias"]


def fit(
  encoder, texts: Sequence[str], classes_N: np.ndarray, progress: pathlib.Path
) -> Adapted:
  """Fits adapter and head to texts and their families' numbers.

  Every family weighs the same, however many its texts are.

  Args:
    progress: a file that each epoch is written to; if it is there, fitting resumes.
  """
  counts_F = np.bincount(classes_N)
  weights_F = jnp.asarray(len(classes_N) / len(counts_F) / counts_F, jnp.float32)
  below, params = _below(encoder, texts), encoder.params()
  fitted = _start(encoder, len(counts_F), np.random.default_rng(_SEED))
  params = {name: params[name] for name in fitted["adapter"]}
  steps = len(texts) // _BATCH  # of an epoch
  rate = lambda most: optax.warmup_cosine_decay_schedule(
    0, most, _EPOCHS * steps // 20, _EPOCHS * steps
  )
  tx = optax.multi_transform(
    {
      "adapter": optax.adamw(rate(_RATE), weight_decay=_DECAY),
      "head": optax.adamw(rate(_HEAD_RATE), weight_decay=_DECAY),
    },
    {"adapter": "adapter", "weights": "head", "bias": "head"},
  )

  def loss(fitted, x_BSD, is_word_BS, classes_B, key):
    scores_BF = _scores(encoder.sizes, params, fitted, x_BSD, is_word_BS, key)
    wanted_BF = jax.nn.one_hot(classes_B, len(counts_F))
    wanted_BF = optax.smooth_labels(wanted_BF, _SMOOTHING)
    losses_B = optax.softmax_cross_entropy(scores_BF, wanted_BF)
    return jnp.mean(losses_B * weights_F[classes_B])

  @jax.jit
  def step(fitted, state, *batch):
    grads = jax.grad(loss)(fitted, *batch)
    updates, state = tx.update(grads, state, fitted)
    return optax.apply_updates(fitted, updates), state

  at = 0, fitted, tx.init(fitted)
  if progress.exists():
    at = flax.serialization.from_bytes(at, progress.read_bytes())
  first, fitted, state = at
  lengths = [len(row) for row in below]
  for epoch in range(first, _EPOCHS):
    rng = np.random.default_rng((_SEED, epoch))
    groups = batches(lengths, _BATCH, rng)
    name = f"adapts the encoder, {epoch + 1} of {_EPOCHS}"
    for number, group in enumerate(tqdm.tqdm(groups, name, mininterval=10)):
      key = jax.random.key(epoch * steps + number)
      batch = (*_padded(below, group), classes_N[group], key)
      fitted, state = step(fitted, state, *batch)
    progress.parent.mkdir(parents=True, exist_ok=True)
    with files.then_rename(progress) as temporary:
      temporary.write_bytes(flax.serialization.to_bytes((epoch + 1, fitted, state)))
  fitted = jax.tree.map(np.asarray, fitted)
  return Adapted(fitted["adapter"], _SCALE * fitted["weights"], fitted["bias"])


def _padded(below: list[np.ndarray], group):
  """(float32[B, S, D], bool[B, S]): some texts' vectors, and where they have words."""
  width = -(-max(len(below[i]) for i in group) // _MULTIPLE) * _MULTIPLE
  x_BSD = np.zeros((len(group), width, below[0].shape[-1]), np.float32)
  is_word_BS = np.zeros((len(group), width), bool)
  for row, i in enumerate(group):
    x_BSD[row, : len(below[i])] = below[i]
    is_word_BS[row, : len(below[i])] = True
  return x_BSD, is_word_BS
