"""The emotion of sentences that name none."""

import pathlib

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from data_prep import free_words as fitting
from data_prep import written_sentences as written
from tdmm_jax.language import free_words, lexicon, understanding

FILE = pathlib.Path(free_words.__file__).with_name(free_words.FILE)
TEXTS = [
  "He just won the lottery, the lottery!",
  "It's so-so. A b, ok?",
  "gobsmacked",
  "She can't believe her eyes; she CAN'T.",
]


def test_features_are_those_of_scikit_learn():
  fitted = {}
  for kind, options in (
    ("w", {"token_pattern": r"[\w']+", "ngram_range": (1, 2)}),
    ("c", {"analyzer": "char_wb", "ngram_range": (3, 5)}),
  ):
    vectorizer = TfidfVectorizer(sublinear_tf=True, **options)
    fitted[kind] = vectorizer, vectorizer.fit_transform(TEXTS).toarray()
  names = [
    f"{kind}{name}"
    for kind, (vectorizer, _) in fitted.items()
    for name in vectorizer.get_feature_names_out()
  ]
  idf = np.concatenate([vectorizer.idf_ for vectorizer, _ in fitted.values()])
  numbers = {name: i for i, name in enumerate(names)}
  expected = np.concatenate([table for _, table in fitted.values()], axis=1)
  for text, row in zip(TEXTS, expected, strict=True):
    columns, values = free_words.features(text, numbers, idf)
    found = np.zeros(len(names))
    found[columns] = values
    np.testing.assert_allclose(found, row, atol=1e-9, err_msg=text)


def test_the_file_is_fitted_to_the_sentences_that_are_there():
  assert free_words.version() == written.version(), "run python -m data_prep.free_words"


def test_held_out_sentences_are_guessed_far_above_chance():
  shares = fitting.shares(written.load("held_out"))
  assert shares["guess"] > 0.44 > 7 / 17
  assert shares["read or guessed"] > 0.44 and shares["neutral stays neutral"] > 0.6


def test_two_that_say_the_same_have_one_say_together():
  rng = np.random.default_rng(0)
  scores = 2 * rng.normal(size=(4_000, 5))
  scores -= np.logaddexp.reduce(scores, axis=1, keepdims=True)
  classes = np.array([rng.choice(5, p=np.exp(row)) for row in scores])
  assert sum(fitting.says(scores, scores, classes)) == pytest.approx(1.0, abs=0.1)


def test_the_say_of_each_is_heeded(tmp_path):
  """Words alone, or the text encoder's vector alone, if the other one has no say."""
  with np.load(FILE) as stored:
    arrays = dict(stored)
  vector = np.random.default_rng(0).normal(size=arrays["vector_weights"].shape[0])
  expected = vector @ arrays["vector_weights"] + arrays["vector_bias"]
  guesses = {}
  try:
    for name, says in (("words", (1.0, 0.0)), ("vector", (0.0, 1.0))):
      np.savez(tmp_path / "words.npz", **(arrays | {"says": np.array(says)}))
      free_words.use(tmp_path / "words.npz")
      guesses[name] = free_words.guess(TEXTS[0], vector)
      alone = free_words.guess(TEXTS[0])
  finally:
    free_words.use(FILE)
  assert guesses["words"].label == alone.label
  assert guesses["words"].share == pytest.approx(alone.share, abs=1e-5)
  family = lexicon.LABELS[guesses["vector"].label].family
  assert family == arrays["families"][expected.argmax()]


@pytest.mark.parametrize(
  ("prompt", "family"),
  [
    ("He just won the lottery.", "happiness"),
    ("Her dog died this morning.", "sadness"),
    ("about to explode", "anger"),
    ("gobsmacked", "surprise"),
    ("poker face", "neutral"),
    ("A man waits for the bus.", "neutral"),
  ],
)
def test_what_the_docs_promise(prompt, family):
  read = understanding.read(prompt)
  assert read["family"] == family
  (act,) = read["acts"]
  assert act["what"] == "emotion" and act["end_s"] == 4.0


@pytest.mark.parametrize(
  "prompt",
  [
    *("She nods twice.", "He is not smiling.", "A frightened woman opens her eyes."),
    *("He talks to the camera.", "Keep his head still.", "Der Mann lächelt."),
  ],
)
def test_what_says_all_itself_is_read_as_it_stands(prompt):
  assert understanding.guessed(prompt) is None
  assert understanding.read(prompt) == lexicon.parse(prompt)


@pytest.mark.parametrize(
  ("share", "said"),
  [(0.1, ["is in the lexicon"]), (0.4, ["guessed calm (40%), or happy"]), (0.6, [])],
)
def test_a_doubtful_guess_is_said(share, said):
  guess = free_words.Guess("calm", share, "happy")
  warnings = understanding.understand("the bus stop", guess=guess).warnings
  assert len(warnings) == len(said)
  assert all(words in warning for words, warning in zip(said, warnings))


@pytest.mark.parametrize(
  ("prompt", "heeded"),
  [
    ("He looks up.", False),
    ("A man slowly nods twice and talks.", False),
    ("The midwife tells her to push once more.", True),
    ("He looks up: the roof of the tent is gone.", True),
  ],
)
def test_beside_acts_a_guess_counts_where_a_situation_is_told(prompt, heeded):
  guess = free_words.Guess("sad", 0.4, "happy")
  assert understanding.guessed(prompt, guess=guess) == (guess if heeded else None)


@pytest.mark.parametrize(
  ("prompt", "named"),
  [
    ("He looks lost.", True),
    ("He has lost the plot of the film.", True),
    ("She is patient.", True),
    ("He lost his job on Monday.", False),
    ("The patient in room nine is awake.", False),
    ("They cross the street.", False),
    ("His alarm rings at six.", False),
    ("He stands at the grave of his wife.", False),
    ("The old school is being torn down.", False),
  ],
)
def test_words_that_mean_something_else_name_no_emotion(prompt, named):
  assert understanding.names_emotion(prompt) == named
