"""Other words for the same thing, as the lexicon reads it."""

import numpy as np
import pytest

from tdmm_jax.data import tasks
from tdmm_jax.language import lexicon, rewording

TEXTS = [
  "A man looks slightly sad, raising his eyebrows and speaking slowly.",
  "She goes from a subtle smile to intense fury. She nods.",
  "An old woman gives off an amused look, then she is extremely angry.",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_meaning_stays_and_the_words_do_not(text):
  rng = np.random.default_rng(0)
  found = [rewording.reworded(text, rng) for _ in range(60)]
  meaning = lambda text: lexicon.comparable(lexicon.parse(text))
  assert {meaning(other) for other in found} == {meaning(text)}
  assert len(set(found)) > 5
  new = {word for other in found for word in other.lower().split()}
  assert len(new - set(text.lower().split())) > 5


def test_words_without_a_meaning_stay():
  text = "The brown fox jumps over the old dog."
  assert rewording.reworded(text, np.random.default_rng(0)) == text
  assert rewording.reworded("", np.random.default_rng(0)) == ""


def test_articles_and_capitals_follow_the_word():
  rng = np.random.default_rng(0)
  found = " ".join(
    rewording.reworded("Angry, he has an angry look.", rng) for _ in "ab" * 9
  )
  assert "has a mad look" in found and "Mad, he" in found
  assert " an mad" not in found and " a angry" not in found


@pytest.mark.parametrize("text", [*TEXTS, "She puts on a sad look.", ""])
def test_what_says_nothing_is_disturbed_and_the_meaning_stays(text):
  rng = np.random.default_rng(0)
  found = [rewording.disturbed(text, rng) for _ in range(60)]
  meaning = lambda text: lexicon.comparable(lexicon.parse(text))
  assert {meaning(other) for other in found} == {meaning(text)}
  assert len(set(found)) > (20 if text else 0)
  assert not any("  " in other or " ." in other for other in found)


def test_words_that_are_read_are_never_disturbed():
  rng = np.random.default_rng(0)
  for _ in range(60):
    found = rewording.disturbed("A man looks slightly sad, raising his eyebrows.", rng)
    assert "slightly sad" in found and "raising his eyebrows" in found


def test_words_that_are_passed_over_have_their_places():
  text = "He’s an old-fashioned man: slightly sad."
  spans = lexicon.passed_over(text)
  assert [text[a:b] for a, b in spans] == ["He", "an", "old", "fashioned", "man"]


@pytest.mark.parametrize("option", ["reword", "disturb"])
def test_only_a_share_of_prompts_to_motion_is_changed(option):
  class Vocab:  # keeps the texts
    som_id, eom_id, bos_id = 1, 2, None

    def __init__(self):
      self.said = []

    def encode_text(self, text):
      self.said.append(text)
      return [5]

    read_acts = False

    def encode_input(self, *texts):
      return self.encode_text("".join(texts))

    def task_id(self, task):
      return 9

    def motion_to_ids(self, codes):
      return np.asarray(codes)

  clip = {"codes": np.arange(9), "prompt": TEXTS[0], "captions": [], "attributes": {}}

  def share(rate):
    vocab = Vocab()
    mixture = tasks.Mixture({"l2m": 1.0}, **{option: rate})
    mixture.draw(vocab, [clip] * 300, np.random.default_rng(0))
    return np.mean([TEXTS[0].rstrip(".") not in text for text in vocab.said])

  assert share(0.0) == 0.0
  assert 0.2 < share(0.5) < 0.55
