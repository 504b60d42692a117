"""What was understood of a prompt, in words, and where it is doubtful."""

import functools
import zlib
from typing import NamedTuple

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.language import acts, lexicon, placing, wording

_SUBJECTS = {"he": ("he", "his"), "man": ("he", "his"), "boy": ("he", "his")}


class Understanding(NamedTuple):
  """A prompt as the lexicon reads it.

  Attributes:
    text: the acts in the usual words, "She smiles slightly."; empty if none was read.
    warnings: one line each: contradictions, counts that do not fit, unknown words.
  """

  text: str
  warnings: list[str]


def understand(prompt: str, seconds: float = 4.0) -> Understanding:
  """Reads a prompt of so many seconds."""
  reading = lexicon.reading_of(prompt, seconds)
  words = set(prompt.lower().replace(",", " ").split())
  subject = next(
    (_SUBJECTS[word] for word in _SUBJECTS if word in words), ("she", "her")
  )
  warnings = list(reading.warnings)
  if not lexicon.known_word(prompt):
    near = ", ".join(lexicon.nearest_words(prompt, 3))
    why = "prompts are English; " if not prompt.isascii() else ""
    warnings.append(
      f"no word of {prompt!r} is in the lexicon; {why}"
      f"the nearest known words are: {near}"
    )
  text = wording.sentence(acts.acts_of(reading.attributes), *subject)
  return Understanding(text, warnings)


@functools.lru_cache(maxsize=100_000)
def placed(prompt: str, seconds: float = 4.0, seed: tuple[int, ...] = ()) -> dict:
  """The attributes that are read in a prompt of so many seconds, each act with times.

  The times are those that the prompt says, and where it says none such as the behaviour
  simulator chooses, others for another seed. Not to be changed: the next caller is
  given the same ones.
  """
  rng = np.random.default_rng((zlib.crc32(prompt.encode()), *seed))
  return placing.placed(lexicon.parse(prompt, seconds), seconds, rng)


def terms_of(
  prompt: str, seconds: float = 4.0, seed: tuple[int, ...] | None = None
) -> str:
  """What is read in a prompt of so many seconds, in `wording.terms`; may be empty.

  Args:
    seed: gives acts times, see `placed`. None: no times.
  """
  if seed is None:
    return wording.terms(lexicon.parse(prompt, seconds))
  return wording.terms(placed(prompt, seconds, seed), timed=True)


def refuse_doubtful(prompt: str, seconds: float = 4.0) -> None:
  """Raises UserError with the first warning of a prompt, if there is one."""
  warnings = understand(prompt, seconds).warnings
  if warnings:
    raise UserError(f"prompt {prompt!r}: {warnings[0]}; word it otherwise")
