"""Patterns say what they should, and training asks none of the held-out questions."""

import numpy as np
import pytest

from tdmm_jax.language import question_wordings

KINDS = question_wordings.QUESTION_KINDS


@pytest.mark.parametrize(
  ("pattern", "texts"),
  [
    ("Who?", ["Who?"]),
    ("[a|b] c", ["a c", "b c"]),
    ("x[ y|] z", ["x y z", "x z"]),
    ("[a|b[c|d]] [e|f]", ["a e", "a f", "bc e", "bc f", "bd e", "bd f"]),
    ("[a|a|b]", ["a", "b"]),
  ],
)
def test_choices(pattern, texts):
  assert question_wordings.choices(pattern) == texts


@pytest.mark.parametrize("kind", KINDS)
def test_training_has_many_and_none_that_is_held_out(kind):
  train = question_wordings.questions(kind, "train")
  assert len(set(train)) == len(train) >= 100
  for text in train:
    assert text[0].isupper() and text[-1] in ".?" and not set("[]|") & set(text)
    assert "  " not in text and " ?" not in text and " ." not in text
  held_out = {
    t for s in ("valid", "test") for t in question_wordings.questions(kind, s)
  }
  said = {text.lower() for text in question_wordings.training_texts()}
  assert not [t for t in held_out for text in said if t.lower() in text]


def test_no_question_is_of_two_kinds():
  every = [t for kind in KINDS for t in question_wordings.questions(kind, "train")]
  assert len(set(every)) == len(every)


def test_only_training_asks_behind_openings():
  rng = np.random.default_rng(0)
  train = [question_wordings.asked("blink", "train", rng) for _ in range(200)]
  plain = set(question_wordings.questions("blink", "train"))
  opened = [text for text in train if text not in plain]
  assert 100 < len(opened) < 190 and any(t.startswith("Tell me: ") for t in opened)
  for split in ("valid", "test"):
    asked = {question_wordings.asked("blink", split, rng) for _ in range(50)}
    assert asked == set(question_wordings.questions("blink", split))
