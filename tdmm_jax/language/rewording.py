"""The same meaning in other words: how people ask, unlike captions.

Captions are written with half of the words that the lexicon reads, and around them in a
few turns of phrase. A model that was trained on them alone does not know the other
words, though its judge does (`reworded`), and is led astray by a turn of phrase that it
has never seen (`disturbed`).
"""

import functools
import re

import numpy as np

from tdmm_jax.language import lexicon

_WORD = re.compile(r"[A-Za-z]+")
_ENDINGS = ("ly", "ing", "ed", "s")  # words of one ending are of one kind
_SHARE = 0.5  # of the words that have others
_DISTURBED = 0.3  # of the words that the lexicon passes over
_TRIES = 3
_ONSETS = (*"bcdfghjklmnprstvwyz", "ch", "gr", "pl", "sh", "st", "th", "tr", "")
_VOWELS = (*"aeiou", "ea", "oo", "ou")
_CODAS = (*"dgklmnprst", "nd", "ng", "st", "", "")


def reworded(text: str, rng: np.random.Generator) -> str:
  """The text with some words exchanged; the lexicon reads the same attributes in it.

  Only single words are exchanged, for others of the same meaning and kind (grammar may
  suffer). Where no exchange is found that keeps the meaning, the text comes back as it
  was.
  """
  wanted = lexicon.comparable(lexicon.parse(text))
  for _ in range(_TRIES):
    found = _exchanged(text, rng)
    if found == text or lexicon.comparable(lexicon.parse(found)) == wanted:
      return found
  return text


def disturbed(text: str, rng: np.random.Generator) -> str:
  """The text with some words that say nothing removed, exchanged or added.

  These are the words that the lexicon ignores. Added are words of random syllables,
  which stand for any word that the model has not seen, and words that only mean
  something together with others, as "off" does in "put off" but not in "gives off". The
  lexicon reads the same attributes in both texts.
  """
  wanted = lexicon.comparable(lexicon.parse(text))
  for _ in range(_TRIES):
    found = text
    for start, stop in reversed(lexicon.passed_over(text)):
      if rng.random() < _DISTURBED:
        found = found[:start] + _instead(found[start:stop], rng) + found[stop:]
    found = re.sub(r"\s+(?=[,.;]|$)|(?<=\s)\s+|^\s+", "", found)
    if found and lexicon.comparable(lexicon.parse(found)) == wanted:
      return found
  return text


def _instead(word: str, rng) -> str:
  """Nothing, another word, or one more."""
  new = _made_up(rng) if rng.random() < 0.5 else _pick(_lone_words(), rng)
  return ("", new, f"{new} {word}", f"{word} {new}")[int(rng.integers(4))]


def _pick(options, rng):
  return options[int(rng.integers(len(options)))]


def _made_up(rng) -> str:
  parts = (_ONSETS, _VOWELS, _CODAS) * (1 + int(rng.integers(2)))
  return "".join(_pick(part, rng) for part in parts)


@functools.cache
def _lone_words() -> tuple[str, ...]:
  """Words of the lexicon's forms that it passes over where they stand alone."""
  words = {word for form, _ in lexicon.concepts() for word in form.split()}
  return tuple(
    sorted(w for w in words if _WORD.fullmatch(w) and lexicon.passed_over(w))
  )


def _exchanged(text: str, rng) -> str:
  def other(match: re.Match) -> str:
    word = match[0]
    options = _others().get(word.lower(), ())
    if not options or rng.random() >= _SHARE:
      return word
    new = options[int(rng.integers(len(options)))]
    return new.capitalize() if word[0].isupper() else new

  text = _WORD.sub(other, text)
  # "a smug face", but "an amused face".
  return re.sub(
    r"\b([Aa])n? (?=([A-Za-z]))",
    lambda m: m[1] + ("n " if m[2].lower() in "aeiou" else " "),
    text,
  )


@functools.cache
def _others() -> dict[str, tuple[str, ...]]:
  """Single word -> the other single words of its meaning and ending."""
  nouns = {form for label in lexicon.LABELS.values() for form in label.nouns}
  groups: dict[tuple, set[str]] = {}
  for form, meaning in lexicon.concepts():
    if _WORD.fullmatch(form):
      part = "noun" if form in nouns else _ending(form)
      groups.setdefault((meaning, part), set()).add(form)
  return {
    word: tuple(sorted(group - {word}))
    for group in groups.values()
    for word in group
    if len(group) > 1
  }


def _ending(word: str) -> str:
  return next((e for e in _ENDINGS if word.endswith(e)), "")
