"""Other words for the same thing: what people's prompts have and captions lack.

Captions are written with half of the words that the lexicon reads. A model that was
trained on them alone does not know the others, though its judge does.
"""

import functools
import re

import numpy as np

from tdmm_jax.language import lexicon

_WORD = re.compile(r"[A-Za-z]+")
_ENDINGS = ("ly", "ing", "ed", "s")  # words of one ending are of one kind
_SHARE = 0.5  # of the words that have others
_TRIES = 3


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
