"""Fits what guesses the emotion of sentences that name none (language/free_words.py).

  python -m data_prep.text_encoder --out runs/minilm
  python -m data_prep.free_words [--text_encoder DIR] [--out FILE]

To the training sentences of data_prep/written, to the suite's of neutral faces, which
say what a face does and nothing of what it feels, and to ordinary ones
(data_prep/everyday.py). A fifth of the training situations is put aside to find how
much say words and text encoder have: choose by these, too. It prints how often the
family is right in them and in the sentences held out: the guess by words, the one by
words and the text encoder, and both after the lexicon, which is asked first.

An interrupted run resumes after the last epoch that the text encoder was adapted for.
"""

import argparse
import hashlib
import pathlib
import tempfile

import numpy as np
from scipy import optimize, sparse
from sklearn.linear_model import LogisticRegression

from data_prep import adapted_encoder, attribute_sampling, everyday, paraphrase
from data_prep import written_sentences as written
from tdmm_jax import errors, files
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import free_words, lexicon, understanding
from tdmm_jax.models import pretrained_bert

_FEWEST = {"w": 2, "c": 5}  # texts that have a gram, for it to count
_NEUTRAL, _EVERYDAY, _SEED = 1_500, 2_000, 0  # further neutral sentences
# Added to a neutral face's score, for written sentences count little among all the
# neutral ones; see docs/lab_notebook.md.
_NEUTRAL_MORE = 1.5
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


def _table(texts: list[str], numbers: dict[str, int], idf_G) -> sparse.csr_matrix:
  """[N, G], see free_words.features."""
  rows = [free_words.features(text, numbers, idf_G) for text in texts]
  return sparse.csr_matrix(
    (
      np.concatenate([values for _, values in rows]),
      np.concatenate([columns for columns, _ in rows]).astype(int),
      np.cumsum([0, *(len(columns) for columns, _ in rows)]),
    ),
    shape=(len(texts), len(numbers)),
  )


def word_scores(fitted: dict[str, np.ndarray], texts: list[str]) -> np.ndarray:
  """float[N, F], log probabilities by what `fit_words` returned."""
  names = fitted["grams"].tobytes().decode().split("\n")
  numbers, idf_G = {name: i for i, name in enumerate(names)}, np.float32(fitted["idf"])
  scores_NF = _table(texts, numbers, idf_G) @ np.float32(fitted["weights"])
  return _log_shares(scores_NF + fitted["bias"])


def fit_words(texts: list[str], families: list[str]) -> dict[str, np.ndarray]:
  """What the file holds of words."""
  counts = {}
  for text in texts:
    for gram in free_words.grams(text):
      counts[gram] = counts.get(gram, 0) + 1
  names = sorted(gram for gram, n in counts.items() if n >= _FEWEST[gram[0]])
  idf_G = np.log((1 + len(texts)) / (1 + np.array([counts[n] for n in names]))) + 1
  numbers = {name: i for i, name in enumerate(names)}
  table = _table(texts, numbers, idf_G)
  model = LogisticRegression(C=_C, tol=1e-3, max_iter=500, class_weight="balanced")
  model.fit(table, families)
  return {
    "grams": np.frombuffer("\n".join(names).encode(), np.uint8),
    "idf": idf_G.astype(np.float16),
    "weights": model.coef_.T.astype(np.float16),
    "bias": model.intercept_.astype(np.float32),
    "families": np.array(model.classes_),
  }


def validates(situation: str) -> bool:
  """Whether this training situation is put aside; a fifth of them are."""
  return int(hashlib.sha1(f"val {situation}".encode()).hexdigest(), 16) % 5 == 0


def shares(rows: list[dict], vectors_ND=None) -> dict[str, float]:
  """How often the family of a sentence is right.

  Args:
    rows: of data_prep.written_sentences.
    vectors_ND: of these sentences, if the text encoder is asked, too.
  """
  right = {"guess": [], "lexicon": [], "read or guessed": []}
  for i, row in enumerate(rows):
    wanted = {written.family(row)}
    for key in ("then", "with"):
      wanted |= {written.family(row[key])} if key in row else set()
    guess = free_words.guess(row["text"], None if vectors_ND is None else vectors_ND[i])
    guessed = lexicon.LABELS[guess.label].family if guess else lexicon.NEUTRAL
    read = understanding.read(row["text"], guess=guess)
    right["guess"].append(guessed in wanted)
    right["lexicon"].append(lexicon.parse(row["text"])["family"] in wanted)
    right["read or guessed"].append(read["family"] in wanted)
  neutral = [written.family(row) == lexicon.NEUTRAL for row in rows]
  found = {name: float(np.mean(values)) for name, values in right.items()}
  stays = np.array(right["read or guessed"])[neutral]
  return found | {"neutral stays neutral": float(np.mean(stays))}


def says(words_NF, vectors_NF, classes_N) -> np.ndarray:
  """float[2], what both log probabilities are multiplied by before they are added.

  Together they would be too sure: that they agree says little. These are the likeliest.
  """
  rows = np.arange(len(classes_N))

  def loss(weights):
    scores_NF = weights[0] * words_NF + weights[1] * vectors_NF
    return -_log_shares(scores_NF)[rows, classes_N].mean()

  return optimize.minimize(loss, (0.5, 0.5), method="Nelder-Mead").x


def _log_shares(scores_NF) -> np.ndarray:
  return scores_NF - np.logaddexp.reduce(scores_NF, axis=1, keepdims=True)


def _digest(texts: list[str]) -> str:
  """Tells the progress on some texts from that on others."""
  return hashlib.sha1("\n".join(texts).encode()).hexdigest()[:8]


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
  aside = [row for row in rows if validates(row["situation"])]
  kept = [row for row in rows if not validates(row["situation"])]
  more = _neutral_sentences() + everyday.sentences(_EVERYDAY, _SEED)
  texts = [row["text"] for row in kept] + more
  families = [written.family(row) for row in kept] + [lexicon.NEUTRAL] * len(more)
  names, classes_N = np.unique(families, return_inverse=True)
  progress = args.out.with_suffix(f".{_digest(texts)}.progress")
  adapted = adapted_encoder.fit(encoder, texts, classes_N, progress)
  fitted = fit_words(texts, families)
  vectors_ND = adapted_encoder.sentence_vectors(
    encoder, [row["text"] for row in aside], adapted.adapter
  )
  both = says(
    word_scores(fitted, [row["text"] for row in aside]),
    _log_shares(vectors_ND @ adapted.weights_DF + adapted.bias_F),
    np.searchsorted(names, [written.family(row) for row in aside]),
  )
  prior_F = np.where(names == lexicon.NEUTRAL, _NEUTRAL_MORE, 0.0)
  more = {
    "prior": prior_F,
    "version": written.version(),
    "encoder": encoder.version,
    "says": both,
  }
  fitted |= adapted.arrays() | {name: np.array(value) for name, value in more.items()}
  with tempfile.TemporaryDirectory() as folder:
    _write(pathlib.Path(folder) / free_words.FILE, fitted)
  print("two of these numbers were chosen by the sentences put aside:")
  measure(aside, vectors_ND)
  texts += [row["text"] for row in aside]
  families += [written.family(row) for row in aside]
  fitted |= fit_words(texts, families)
  _write(args.out, fitted)
  progress.unlink()
  print(f"{args.out}: {len(fitted['idf']):,} grams of {len(texts):,} sentences")
  held_out = written.load("held_out")
  vectors_ND = adapted_encoder.sentence_vectors(
    encoder, [row["text"] for row in held_out], adapted.adapter
  )
  print("held out:")
  measure(held_out, vectors_ND)


def _write(path: pathlib.Path, fitted: dict[str, np.ndarray]) -> None:
  with files.then_rename(path) as temporary, temporary.open("wb") as stream:
    np.savez_compressed(stream, **fitted)
  free_words.use(path)
  free_words.version()  # is read


def measure(rows: list[dict], vectors_ND) -> None:
  """Prints `shares` of sentences, without and with the text encoder's vectors."""
  for by, vectors in (("words", None), ("words and the text encoder", vectors_ND)):
    print(f"of {len(rows):,} sentences' families, by {by}:")
    for name, share in shares(rows, vectors).items():
      print(f"  {name:21s} {share:.3f}")


if __name__ == "__main__":
  main()
