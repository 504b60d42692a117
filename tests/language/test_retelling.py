"""Captions that agree with what was read, or are told again."""

import numpy as np
import pytest

from data_prep import prompts
from tdmm_jax.language import act_reading, lexicon, loose_words, retelling


def read(text):
  return act_reading.visible(lexicon.parse(text))


def test_what_agrees_is_kept():
  caption = "With a marked frown she nods twice, then winks with her left eye slowly."
  assert retelling.retold(caption, read(caption)) == caption


@pytest.mark.parametrize(
  "caption, truth, said",
  [
    (  # another side, another number
      "A man looks very sad. He nods three times and winks with his right eye.",
      "She looks sad, nods twice and winks with her left eye.",
      "The man looks very sad, nodding twice and winking with his left eye.",
    ),
    (  # another family: how strong it is stays
      "He is extremely angry.",
      "He looks disgusted.",
      "The man looks extremely disgusted.",
    ),
    (  # a voice that is not heard, an act that is not there
      "The man looks neutral, puffing out his cheeks and speaking.",
      "The man keeps a neutral face.",
      "The man looks neutral.",
    ),
    (  # named twice
      "The man looks happy, nodding twice at the start and nodding twice.",
      "She looks happy and nods twice.",
      "The man looks happy, nodding twice.",
    ),
    (
      "The man holdmce.",
      "She looks happy, then angry, and speaks softly.",
      "The man looks happy, then looks angry, speaking softly.",
    ),
  ],
)
def test_what_does_not_is_told_again(caption, truth, said):
  assert retelling.retold(caption, read(truth)) == said


@pytest.mark.parametrize(
  "caption, truth, said",
  [
    (
      "She has a marked visible visible visible jealous look.",
      "He looks jealous.",
      "The man looks very jealous.",
    ),
    (
      "He admires extremely.",
      "He looks surprised, raises his eyebrows and speaks.",
      "The man looks extremely impressed, raising both eyebrows and speaking.",
    ),
    (
      "He smiles slightly.",
      "He looks happy and nods once.",
      "The man smiles slightly, nodding once.",
    ),
  ],
)
def test_what_nobody_would_say_is_told_again(caption, truth, said):
  assert retelling.retold(caption, read(truth)) == said


def test_where_no_emotion_stands_out_little_is_said():
  seen = read("He looks neutral and speaks.") | {"faint": True}
  text = retelling.retold("He looks very angry.", seen)
  assert text == "The man shows hardly any expression, speaking."
  heard = lexicon.parse(text)
  assert (heard["family"], heard["speaking"]) == (lexicon.NEUTRAL, "speaking")
  asked = lexicon.parse(loose_words.plain(text))["segments"][0]
  assert (asked["family"], asked["intensity"]) == (lexicon.NEUTRAL, 1)


def test_plain_words_say_all_that_can_be_read():
  """On what the suite draws, every kind of act among it."""
  plans = prompts.make_suite(400, seed=5)
  rng = np.random.default_rng(0)
  for plan in plans:
    seen = act_reading.misread(act_reading.visible(plan.attributes), rng)
    text = retelling.retold("The man.", seen)
    assert retelling.agrees(lexicon.parse(text), seen), text


@pytest.mark.parametrize(
  ("caption", "plain"),
  [
    ("A man says nothing with medium intensity terror.", "The man looks terrified."),
    (
      "The camera is on the man, who looks on moderately sighing. He shakes his head "
      "strongly twice.",
      "The man sighs, shaking his head strongly twice.",
    ),
    ("The camera is on the man, who looks kissing.", "The man blows a kiss."),
    (
      "A man looks moderately bored, then moderately jealous.",
      "The man looks bored, then looks jealous.",
    ),
    # An order that plain words would lose.
    (
      "The man looks neutral, leaning forward, then dipping his head.",
      "The man looks neutral, leaning forward, then dipping his head.",
    ),
    (
      "The man shows hardly any expression.",
      "The man shows hardly any expression.",
    ),
  ],
)
def test_plain_words_say_the_same(caption, plain):
  assert retelling.plain(caption) == plain
  said, again = lexicon.parse(caption), lexicon.parse(plain)
  assert retelling.agrees(again, said)
  assert again["intensity"] == said["intensity"]
