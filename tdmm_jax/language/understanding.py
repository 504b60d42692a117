"""What was understood of a prompt, in words, and where it is doubtful."""

import functools
import zlib
from typing import NamedTuple

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.language import acts, free_words, lexicon, placing, wording
from tdmm_jax.language.free_words import Guess

# A guess below the first share is none, below the second doubtful; beside acts or
# speech, which may be all there is to say, it is heeded from the third on.
_LEAST, _SURE, _BESIDE_ACTS = 0.25, 0.5, 0.8
_SUBJECTS = {"he": ("he", "his"), "man": ("he", "his"), "boy": ("he", "his")}


class Understanding(NamedTuple):
  """A prompt as the lexicon reads it.

  Attributes:
    text: the acts in the usual words, "She smiles slightly."; empty if none was read.
      An emotion that no word names, but the whole sentence, is among them.
    warnings: one line each: contradictions, counts that do not fit, unknown words.
  """

  text: str
  warnings: list[str]


def understand(
  prompt: str, seconds: float = 4.0, guess: Guess | None = None
) -> Understanding:
  """Reads a prompt of so many seconds; `guess`: see `guessed`."""
  reading = lexicon.reading_of(prompt, seconds)
  warnings = list(reading.warnings)
  guess = guessed(prompt, seconds, guess)
  if guess and guess.share < _SURE and guess.label != lexicon.NEUTRAL:
    warnings.append(
      f"no word of {prompt!r} names an emotion; guessed {guess.label} "
      f"({guess.share:.0%}), or {guess.next_label}; name one to be sure"
    )
  elif not guess and not lexicon.known_word(prompt):
    near = ", ".join(lexicon.nearest_words(prompt, 3))
    why = "prompts are English; " if not prompt.isascii() else ""
    warnings.append(
      f"no word of {prompt!r} is in the lexicon; {why}"
      f"the nearest known words are: {near}"
    )
  text = wording.sentence(acts.acts_of(read(prompt, seconds, guess)), *_subject(prompt))
  return Understanding(text, warnings)


def _subject(prompt: str) -> tuple[str, str]:
  words = set(prompt.lower().replace(",", " ").split())
  return next((_SUBJECTS[word] for word in _SUBJECTS if word in words), ("she", "her"))


def names_emotion(prompt: str) -> bool:
  """Whether the lexicon finds an emotion in a prompt."""
  return any(act.emotion for act in acts.acts_of(lexicon.parse(prompt)))


def guessed(
  prompt: str, seconds: float = 4.0, guess: Guess | None = None
) -> Guess | None:
  """The emotion that a whole sentence asks for, where the lexicon finds none in it.

  None, too, for sentences of acts alone, and for no English.

  Args:
    guess: by a run's text encoder; by default `free_words.guess`, by words alone.
  """
  if names_emotion(prompt):
    return None
  guess = guess or free_words.guess(prompt)
  if guess is None or guess.share < _LEAST:
    return None
  attributes = lexicon.parse(prompt, seconds)
  told = acts.acts_of(attributes)
  if told or attributes["speaking"] != "silent":
    denied = any(act.absent for act in told)
    needless = guess.label == lexicon.NEUTRAL or guess.share < _BESIDE_ACTS
    return None if denied or needless else guess
  return guess


@functools.lru_cache(maxsize=100_000)
def read(prompt: str, seconds: float = 4.0, guess: Guess | None = None) -> dict:
  """The attributes of a prompt: what the lexicon reads, and else what is `guessed`.

  Not to be changed: the next caller is given the same ones.
  """
  attributes = lexicon.parse(prompt, seconds)
  if (guess := guessed(prompt, seconds, guess)) is None:
    return attributes
  felt = acts.Act(guess.label, emotion=True, end_s=seconds)
  told = [felt, *acts.acts_of(attributes)]
  how = (attributes["speaking"], attributes.get("manner", lexicon.PLAIN))
  return lexicon.attributes_of(told, seconds, *how)


@functools.lru_cache(maxsize=100_000)
def placed(
  prompt: str,
  seconds: float = 4.0,
  seed: tuple[int, ...] = (),
  guess: Guess | None = None,
) -> dict:
  """The attributes that are read in a prompt of so many seconds, each act with times.

  The times are those that the prompt says, and where it says none such as the behaviour
  simulator chooses, others for another seed. Not to be changed: the next caller is
  given the same ones.
  """
  rng = np.random.default_rng((zlib.crc32(prompt.encode()), *seed))
  return placing.placed(read(prompt, seconds, guess), seconds, rng)


def terms_of(
  prompt: str,
  seconds: float = 4.0,
  seed: tuple[int, ...] | None = None,
  guess: Guess | None = None,
) -> str:
  """What is read in a prompt of so many seconds, in `wording.terms`; may be empty.

  Args:
    seed: gives acts times, see `placed`. None: no times.
    guess: see `guessed`.
  """
  if seed is None:
    return wording.terms(read(prompt, seconds, guess))
  return wording.terms(placed(prompt, seconds, seed, guess), timed=True)


def refuse_doubtful(
  prompt: str, seconds: float = 4.0, guess: Guess | None = None
) -> None:
  """Raises UserError with the first warning of a prompt, if there is one."""
  warnings = understand(prompt, seconds, guess).warnings
  if warnings:
    raise UserError(f"prompt {prompt!r}: {warnings[0]}; word it otherwise")
