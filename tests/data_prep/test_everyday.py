"""Sentences about ordinary things."""

import re

from data_prep import everyday
from data_prep import written_sentences as written
from tdmm_jax.language import lexicon


def test_no_sentence_names_an_emotion():
  for text in everyday.sentences(300, seed=1):
    assert lexicon.parse(text)["family"] == lexicon.NEUTRAL, text


def test_what_is_done_is_a_verb_in_the_third_person():
  for phrase in everyday.actions():
    assert re.match(r"(?:does|has|is|[a-z]+s)\b", phrase), phrase


def test_no_sentence_is_one_to_measure_on():
  plain = lambda text: " ".join(written.words(text))
  held_out = {plain(row["text"]) for row in written.load("held_out")}
  assert "he crosses the street" in held_out  # ... and one that could be made
  assert not held_out & {plain(text) for text in everyday.sentences(2_000)}
