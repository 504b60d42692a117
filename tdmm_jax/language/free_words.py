"""Which emotion a sentence asks for that names none: "He just won the lottery."

A logistic regression on the sentence's words, pairs of words and pieces of words,
fitted to the sentences of data_prep/written by `python -m data_prep.free_words`, which
also says how often it is right on sentences it has not seen. It needs no network and
takes a millisecond. Where a run reads text with a pretrained encoder that it was fitted
to as well, a second one has a say: on the mean of the encoder's vectors, as it makes
them with an adapter of this file. Both are asked only where the lexicon finds no
emotion.

Shape letters: G grams, F families, D an encoder's vector.
"""

import collections
import functools
import importlib.resources
import itertools
import math
import re
from typing import NamedTuple

import numpy as np

from tdmm_jax.language.emotion_words import LABELS

FILE = "free_words.npz"
_PIECES = (3, 4, 5)  # letters; a word's own begin and end with a space


class Guess(NamedTuple):
  """What a sentence most likely asks for.

  Attributes:
    label: the family's own label in the lexicon: "happy".
    share: its probability, 0 .. 1.
    next_label: the second likeliest family's.
  """

  label: str
  share: float
  next_label: str


def grams(text: str) -> collections.Counter:
  """The grams of a text, "w" before words and pairs of them, "c" before pieces."""
  words = re.findall(r"[\w']+", text.lower())
  found = [f"w{word}" for word in words]
  found += [f"w{one} {other}" for one, other in itertools.pairwise(words)]
  for word in text.lower().split():
    padded = f" {word} "
    for size in _PIECES:
      most = max(len(padded) - size, 0) + 1
      found += [f"c{padded[i : i + size]}" for i in range(most)]
      if most == 1:  # longer pieces would be this one again
        break
  return collections.Counter(found)


class _Fitted(NamedTuple):
  numbers: dict[str, int]
  idf_G: np.ndarray
  weights_GF: np.ndarray
  bias_F: np.ndarray
  families: tuple[str, ...]
  version: str
  encoder: str
  vector_weights_DF: np.ndarray
  vector_bias_F: np.ndarray
  says: np.ndarray
  prior_F: np.ndarray
  is_word_G: np.ndarray
  adapter: dict


_file = importlib.resources.files("tdmm_jax.language") / FILE


def use(path) -> None:
  """From here on guesses are by another file of `python -m data_prep.free_words`."""
  global _file
  _file = path
  for function in (_fitted, words, _scores):
    function.cache_clear()


@functools.cache
def _fitted() -> _Fitted:
  with _file.open("rb") as stream, np.load(stream) as stored:
    names = stored["grams"].tobytes().decode().split("\n")
    return _Fitted(
      {name: i for i, name in enumerate(names)},
      *(stored[key].astype(np.float32) for key in ("idf", "weights", "bias")),
      tuple(str(name) for name in stored["families"]),
      str(stored["version"]),
      str(stored["encoder"]),
      *(
        stored[key].astype(np.float32)
        for key in ("vector_weights", "vector_bias", "says", "prior")
      ),
      np.array([name[0] == "w" for name in names]),
      _nested({key: stored[key] for key in stored.files if "/" in key}),
    )


def _nested(arrays: dict[str, np.ndarray]) -> dict:
  """An adapter of models/bert.py, of arrays named as in "layers_5/query/a"."""
  found = {}
  for key, array in arrays.items():
    layer, matrix, factor = key.split("/")
    factors = found.setdefault(layer, {}).setdefault(matrix, {})
    factors[factor] = array.astype(np.float32)
  return found


def version() -> str:
  """Of the written sentences that it was fitted to."""
  return _fitted().version


@functools.cache
def words() -> frozenset[str]:
  """Those that occur in the written sentences that it was fitted to, in lower case."""
  names = (name[1:] for name in _fitted().numbers if name[0] == "w")
  return frozenset(name for name in names if " " not in name)


def features(text: str, numbers: dict[str, int], idf_G) -> tuple[list[int], np.ndarray]:
  """The known grams of a text and their weights: 1 + log count, times idf, of unit norm
  in each of the two kinds."""
  rows, values, kinds = [], [], []
  for gram, count in grams(text).items():
    if (row := numbers.get(gram)) is not None:
      rows.append(row)
      values.append((1 + math.log(count)) * idf_G[row])
      kinds.append(gram[0] == "c")
  values, kinds = np.array(values, np.float64), np.array(kinds, bool)
  for kind in (kinds, ~kinds):
    values[kind] /= max(np.linalg.norm(values[kind]), 1e-9)
  return rows, values


def encoder() -> str:
  """The version of the text encoder whose vectors it was fitted to as well."""
  return _fitted().encoder


def adapter() -> dict:
  """What is added to that encoder's matrices for these vectors, see models/bert.py."""
  return _fitted().adapter


@functools.lru_cache(maxsize=100_000)
def _scores(text: str) -> np.ndarray | None:
  """float[F], log probabilities; None if not one word of the text is known."""
  fitted = _fitted()
  rows, values = features(text, fitted.numbers, fitted.idf_G)
  if not any(fitted.is_word_G[rows]):
    return None
  return _log_shares(values @ fitted.weights_GF[rows] + fitted.bias_F)


def _log_shares(scores_F) -> np.ndarray:
  return scores_F - np.logaddexp.reduce(scores_F)


def guess(text: str, vector_D: np.ndarray | None = None) -> Guess | None:
  """What a text most likely asks for; None if not one word of it is known.

  Args:
    vector_D: float[D] of unit length, of the text by `encoder` with `adapter`
      (bert.sentence_vectors).
  """
  fitted, scores_F = _fitted(), _scores(text)
  if scores_F is None:
    return None
  if vector_D is not None:
    more_F = vector_D @ fitted.vector_weights_DF + fitted.vector_bias_F
    of_words, of_vectors = fitted.says
    scores_F = of_words * scores_F + of_vectors * _log_shares(more_F)
  scores_F = _log_shares(scores_F + fitted.prior_F)
  first, second = np.argsort(-scores_F)[:2]
  label = lambda i: next(
    name for name, entry in LABELS.items() if entry.family == fitted.families[i]
  )
  return Guess(label(first), float(np.exp(scores_F[first])), label(second))
