"""Captions about someone, or about who the caller says it is."""

import numpy as np
import pytest

from data_prep import paraphrase, prompts
from tdmm_jax.language import lexicon, subjects

LOOK = "A happy look crosses the man's features. He nods his head."


@pytest.mark.parametrize(
  ("text", "subject", "said"),
  [
    (
      LOOK,
      "someone",
      "A happy look crosses someone's features. The person nods their head.",
    ),
    (
      LOOK,
      "the woman",
      "A happy look crosses the woman's features. She nods her head.",
    ),
    (LOOK, "Anna", "A happy look crosses Anna's features. Anna nods their head."),
    (LOOK, "she", "A happy look crosses her features. She nods her head."),
    (
      "Close-up of a young man, sad. His eyes close.",
      "he",
      "Close-up of him, sad. His eyes close.",
    ),
    (
      "The camera is on her, who smiles.",
      "someone",
      "The camera is on someone, who smiles.",
    ),
    ("There is joy in her face.", "someone", "There is joy in someone's face."),
    ("yes, nodding the head.", "someone", "yes, nodding the head."),
  ],
)
def test_the_subject_is_the_one_that_was_given(text, subject, said):
  assert subjects.addressed(text, subject) == said


def test_no_caption_says_man_or_woman_and_each_means_the_same():
  rng = np.random.default_rng(0)
  labels = sorted(lexicon.LABELS)
  for number in range(40):
    attributes = prompts.sample_attributes(labels[number * 5 % len(labels)], 4.0, rng)
    split = ("train", "test")[number % 2]
    for text in paraphrase.captions(attributes, split, 3, rng):
      neutral = subjects.addressed(text)
      words = set(neutral.lower().replace("'", " ").replace(".", " ").split())
      assert not words & {"man", "woman", "he", "she", "his", "her", "boy", "girl"}
      assert lexicon.comparable(lexicon.parse(neutral)) == lexicon.comparable(
        lexicon.parse(text)
      )


def test_whom_a_prompt_names():
  names = {
    "An old woman nods; he": "an old woman",
    "Slowly, she smiles.": "she",
    "His head turns.": "he",
    "Smiling, nodding.": "someone",
    "The face smiles.": "someone",
    "take_3.npz": "someone",
  }
  assert {prompt: subjects.of(prompt) for prompt in names} == names


def test_who_is_named_twice_is_one_person():
  text = "The person is the man, who nods his head, winking with his right eye."
  said = "Someone nods their head, winking with their right eye."
  assert subjects.addressed(text) == said
  assert subjects.addressed(text, "Anna").startswith("Anna nods their head")
