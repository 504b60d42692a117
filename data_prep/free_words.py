"""Fits what guesses the emotion of sentences that name none (language/free_words.py).

  python -m data_prep.text_encoder --out runs/minilm
  python -m data_prep.free_words [--text_encoder DIR] [--out FILE]

To the training sentences of data_prep/written, and to the suite's of neutral faces,
which say what a face does and nothing of what it feels. It then says how often the
family is right in the sentences held out: the guess by words, the one by words and the
text encoder, and both after the lexicon, which is asked first.
"""

import argparse
import functools
import pathlib

import jax
import numpy as np
import tqdm
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from data_prep import attribute_sampling, paraphrase
from data_prep import written_sentences as written
from tdmm_jax import errors, files
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import free_words, lexicon, understanding
from tdmm_jax.models import bert, pretrained_bert

_FEWEST = {"w": 2, "c": 5}  # texts that have a gram, for it to count
_NEUTRAL, _SEED = 1_500, 0  # the suite's sentences
_LONGEST, _BATCH = 64, 64  # WordPieces of a sentence, sentences at once
_C = 6.0  # of the regression; 4 to 10 differ by less than a hundredth


def _neutral_sentences() -> list[str]:
  """Of acts, of speech, and of nothing at all; none says "neutral"."""
  rng, texts = np.random.default_rng(_SEED), []
  while len(texts) < _NEUTRAL:
    attributes = attribute_sampling.sample_attributes(lexicon.NEUTRAL, 4.0, rng)
    subjects = paraphrase.subjects_of(rng)
    acts = [a for a in acts_lib.acts_of(attributes) if not a.emotion]
    how = (attributes["speaking"], attributes["manner"])
    attributes = lexicon.attributes_of(acts, 4.0, *how)
    if acts or how[0] != "silent":
      texts.append(paraphrase.prompt_of(attributes, "train", rng, subjects))
  return texts


def sentence_vectors(encoder: pretrained_bert.Pretrained, texts: list[str]):
  """float32[N, D], see bert.sentence_vectors."""
  read = jax.jit(functools.partial(bert.sentence_vectors, encoder.sizes))
  params = encoder.params()
  words = [encoder.words.encode(text, _LONGEST) for text in texts]
  order = sorted(range(len(texts)), key=lambda i: len(words[i]))
  vectors_ND = np.zeros((len(texts), encoder.sizes.emb_dim), np.float32)
  for start in tqdm.trange(0, len(order), _BATCH, desc="reads sentences", leave=False):
    group = order[start : start + _BATCH]
    width = -(-len(words[group[-1]]) // 16) * 16
    words_BS = np.full((_BATCH, width), -1, np.int32)
    for row, i in zip(words_BS, group, strict=False):
      row[: len(words[i])] = words[i]
    words_BS[len(group) :] = words_BS[0]
    vectors_ND[group] = read(params, words_BS)[: len(group)]
  return vectors_ND


def fit_vectors(vectors_ND, families: list[str], version: str) -> dict[str, np.ndarray]:
  """What the file holds of a text encoder."""
  model = LogisticRegression(C=_C, max_iter=500, class_weight="balanced")
  model.fit(vectors_ND, families)
  return {
    "encoder": np.array(version),
    "vector_weights": model.coef_.T.astype(np.float32),
    "vector_bias": model.intercept_.astype(np.float32),
  }


def fit_words(texts: list[str], families: list[str]) -> dict[str, np.ndarray]:
  """What the file holds of words."""
  counts = {}
  for text in texts:
    for gram in free_words.grams(text):
      counts[gram] = counts.get(gram, 0) + 1
  names = sorted(gram for gram, n in counts.items() if n >= _FEWEST[gram[0]])
  idf_G = np.log((1 + len(texts)) / (1 + np.array([counts[n] for n in names]))) + 1
  numbers = {name: i for i, name in enumerate(names)}
  rows = [free_words.features(text, numbers, idf_G) for text in texts]
  starts = np.cumsum([0, *(len(columns) for columns, _ in rows)])
  table = sparse.csr_matrix(
    (
      np.concatenate([values for _, values in rows]),
      np.concatenate([columns for columns, _ in rows]).astype(int),
      starts,
    ),
    shape=(len(texts), len(names)),
  )
  model = LogisticRegression(C=_C, max_iter=500, class_weight="balanced")
  model.fit(table, families)
  return {
    "grams": np.frombuffer("\n".join(names).encode(), np.uint8),
    "idf": idf_G.astype(np.float16),
    "weights": model.coef_.T.astype(np.float16),
    "bias": model.intercept_.astype(np.float32),
    "families": np.array(model.classes_),
  }


def shares(vectors_ND=None) -> dict[str, float]:
  """How often the family of a held-out sentence is right.

  Args:
    vectors_ND: of the held-out sentences, if the text encoder is asked, too.
  """
  rows = written.load("held_out")
  right = {"guess": [], "lexicon": [], "lexicon, then guess": []}
  for i, row in enumerate(rows):
    wanted = {written.family(row)}
    for key in ("then", "with"):
      wanted |= {written.family(row[key])} if key in row else set()
    guess = free_words.guess(row["text"], None if vectors_ND is None else vectors_ND[i])
    guessed = lexicon.LABELS[guess.label].family if guess else lexicon.NEUTRAL
    read = lexicon.parse(row["text"])
    named = understanding.names_emotion(row["text"])
    right["guess"].append(guessed in wanted)
    right["lexicon"].append(read["family"] in wanted)
    right["lexicon, then guess"].append(
      (read["family"] if named else guessed) in wanted
    )
  return {name: float(np.mean(values)) for name, values in right.items()}


@errors.entry_point("data_prep.free_words")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.free_words", description=__doc__.split("\n")[0]
  )
  default = pathlib.Path(free_words.__file__).with_name(free_words.FILE)
  parser.add_argument("--out", type=pathlib.Path, default=default)
  parser.add_argument(
    "--text_encoder", default="runs/minilm", help="a folder of data_prep.text_encoder"
  )
  args = parser.parse_args(argv)
  encoder = pretrained_bert.find(args.text_encoder)
  rows = written.load("train")
  texts = [row["text"] for row in rows] + _neutral_sentences()
  families = [written.family(row) for row in rows] + [lexicon.NEUTRAL] * _NEUTRAL
  fitted = fit_words(texts, families) | {"version": np.array(written.version())}
  vectors_ND = sentence_vectors(encoder, texts)
  fitted |= fit_vectors(vectors_ND, families, encoder.version)
  with files.then_rename(args.out) as temporary, temporary.open("wb") as stream:
    np.savez_compressed(stream, **fitted)
  print(f"{args.out}: {len(fitted['idf']):,} grams of {len(texts):,} sentences")
  held_out = [row["text"] for row in written.load("held_out")]
  for by, vectors_ND in (
    ("by words", None),
    ("by words and the text encoder", sentence_vectors(encoder, held_out)),
  ):
    print(f"of the held-out sentences' families, {by}:")
    for name, share in shares(vectors_ND).items():
      print(f"  {name:20s} {share:.3f}")


if __name__ == "__main__":
  main()
