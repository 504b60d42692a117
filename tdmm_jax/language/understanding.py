"""What was understood of a prompt, in words, and where it is doubtful."""

import functools
import re
import zlib
from typing import NamedTuple

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.language import (
  acts,
  free_words,
  lexicon,
  loose_words,
  motion_words,
  placing,
  reading,
  subjects,
  wording,
)
from tdmm_jax.language.free_words import Guess

# A guess below the first share is none, below the second doubtful; where acts or speech
# may be all there is to say, it is heeded from the third on.
_LEAST, _SURE, _BESIDE_ACTS = 0.2, 0.5, 0.7
_SITUATION = 3  # words besides acts and speech that tell what happens
# Words beside acts that name who does them, and no feeling.
_WHO = frozenset(
  motion_words.listed(
    "he, she, they, it, who, someone, somebody, a, an, the, this, that, young, old,"
    " little, of, her, his, their, with, and, both, is, are"
  )
)
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
  known = _known(prompt, guess)
  warnings = list(lexicon.reading_of(known, seconds).warnings)
  warnings += loose_words.warnings(prompt)
  attributes, word = read(prompt, seconds, guess), _misspelt(prompt, guess)
  guess, english = guessed(prompt, seconds, guess), loose_words.is_english(prompt)
  warnings += _contradictions(known, acts.acts_of(attributes), seconds)
  if not english and lexicon.known_word(known):
    warnings.append(f"few words of {prompt!r} are known; prompts are English")
  if word:
    warnings.append(f"'{word.word}' is not known; it is read as '{word.known}'")
  elif guess and guess.share < _SURE:
    kept = "stays" if guess.label == lexicon.NEUTRAL else "guessed"
    warnings.append(
      f"no word of {prompt!r} names an emotion; {kept} {guess.label} "
      f"({guess.share:.0%}), or {guess.next_label}; name one to be sure"
    )
  elif not (guess or lexicon.known_word(known) or loose_words.beyond_the_face(prompt)):
    near = ", ".join(lexicon.nearest_words(prompt, 3))
    why = "" if english and prompt.isascii() else "prompts are English; "
    warnings.append(
      f"no word of {prompt!r} is in the lexicon; {why}"
      f"the nearest known words are: {near}"
    )
  return Understanding(_in_words(attributes, prompt), list(dict.fromkeys(warnings)))


def _in_words(attributes: dict, prompt: str) -> str:
  """What attributes say, in the usual words, of whom the prompt speaks."""
  subject, whose = _subject(prompt)
  said = wording.sentence(acts.acts_of(attributes), subject, whose)
  said = said.replace(f"with {whose} both eye", "with both eyes")
  told = [a for a in acts.acts_of(attributes) if a.emotion and not a.absent]
  if len(told) > 1 and told[-1].name == lexicon.NEUTRAL and told[-1].when:
    said = f"{said[:-1]}, then {wording.phrase(told[-1])}."
  if (voice := attributes["speaking"]) == "silent":
    return said
  manner = attributes.get("manner", lexicon.PLAIN)
  table, name = motion_words.SPEAKING, voice
  if manner != lexicon.PLAIN:
    table, name = motion_words.MANNERS, manner
  return f"{said} {subject.capitalize()} {table[name][0][0]}.".strip()


# Acts that exclude each other, so that one comes after the other.
_EXCLUDING = (("eyes_closed", "wide_eyes"), ("jaw_drop", "lip_press"))


def _contradictions(text: str, told: list[acts.Act], seconds: float) -> list[str]:
  """What a text asks for that cannot be at once, or not in its time."""
  found, seen = [], {a.name: a for a in told if not a.absent}
  for pair in _EXCLUDING:
    both = [seen[name] for name in pair if name in seen]
    if len(both) == 2 and not any(a.when in ("then", "after", "end") for a in both):
      first, second = (name.replace("_", " ") for name in pair)
      found.append(f"'{first}' and '{second}' cannot be at once; one follows the other")
  voices = {item.value for item in reading.read(text) if item.kind == "speaking"}
  if "silent" in voices and len(voices) > 1:
    voice = max(voices - {"silent"})  # singing is speaking, too
    found.append(f"'silent' and '{voice}' are both asked for; it is {voice}")
  felt = [a for a in told if a.emotion and not a.absent]
  short = [a for a in felt if a.end_s - a.start_s < acts.SHORTEST_S]
  if len({a.start_s for a in felt}) > 1 and short:
    found.append(
      f"{len(felt)} emotions one after the other do not fit into {seconds:g} s"
    )
  return found


def _subject(prompt: str) -> tuple[str, str]:
  words = set(prompt.lower().replace(",", " ").split())
  return next((_SUBJECTS[word] for word in _SUBJECTS if word in words), ("she", "her"))


def names_emotion(prompt: str) -> bool:
  """Whether the lexicon finds an emotion in a prompt."""
  return any(
    act.emotion for act in acts.acts_of(lexicon.parse(loose_words.plain(prompt)))
  )


def guessed(
  prompt: str, seconds: float = 4.0, guess: Guess | None = None
) -> Guess | None:
  """The emotion that a whole sentence asks for, where the lexicon finds none in it.

  None, too, for sentences of acts alone, and for no English.

  Args:
    guess: by a run's text encoder; by default `free_words.guess`, by words alone.
  """
  if names_emotion(prompt) or not loose_words.is_english(prompt):
    return None
  if _misspelt(prompt, guess):
    return None
  guess = guess or free_words.guess(prompt)
  least = _SURE if loose_words.beyond_the_face(prompt) else _LEAST
  known = loose_words.plain(prompt)
  attributes = lexicon.parse(known, seconds)
  told = acts.acts_of(attributes)
  if told or attributes["speaking"] != "silent":
    if any(act.absent for act in told) or not _says_more(prompt):
      return None
    if loose_words.words_besides(known) < _SITUATION:
      least = _BESIDE_ACTS
    if guess and guess.label == lexicon.NEUTRAL:
      return None
  return guess if guess and guess.share >= least else None


def _says_more(prompt: str) -> bool:
  """Whether a prompt says more than what the lexicon reads, and of whom it speaks."""
  words = (prompt[start:stop] for start, stop in lexicon.passed_over(prompt))
  who = _WHO | subjects.WORDS
  return any(word.isalpha() and word.lower() not in who for word in words)


def _known(prompt: str, guess: Guess | None = None) -> str:
  """The prompt in the lexicon's words and spelling, as far as they are known."""
  text = loose_words.plain(prompt)
  if word := _misspelt(prompt, guess):
    text = re.sub(rf"\b{word.word}\b", word.known, text, flags=re.IGNORECASE)
  return text


@functools.lru_cache(maxsize=100_000)
def _misspelt(prompt: str, guess: Guess | None) -> loose_words.Misspelt | None:
  """The misspelt word for one of the two emotions that are likeliest anyway, if any.

  Of 55 such words in held-out sentences 44 are of the right family.
  """
  if names_emotion(prompt) or not loose_words.is_english(prompt):
    return None
  guess = guess or free_words.guess(prompt)
  if guess is None:
    return None
  family = lambda label: lexicon.LABELS[label].family
  likely = {family(guess.label), family(guess.next_label)}
  found = loose_words.misspelt(prompt)
  return next((word for word in found if family(word.label) in likely), None)


@functools.lru_cache(maxsize=100_000)
def read(prompt: str, seconds: float = 4.0, guess: Guess | None = None) -> dict:
  """The attributes of a prompt: what the lexicon reads, and else what is `guessed`.

  Not to be changed: the next caller is given the same ones.
  """
  attributes = lexicon.parse(_known(prompt, guess), seconds)
  said = acts.acts_of(attributes)
  told = [_fitted(act, seconds) for act in said]
  if (guess := guessed(prompt, seconds, guess)) is not None:
    told = [acts.Act(guess.label, emotion=True, end_s=seconds), *told]
  if told == said:
    return attributes
  how = (attributes["speaking"], attributes.get("manner", lexicon.PLAIN))
  return lexicon.attributes_of(told, seconds, *how)


def _fitted(act: acts.Act, seconds: float) -> acts.Act:
  """The act as it can be done in its time: as often as fits, and not after the end."""
  if act.when == "after" and act.start_s > seconds - acts.SHORTEST_S:
    act = act.replace(when="end", start_s=seconds / 2, end_s=seconds)
  room = max(int((act.end_s - act.start_s) / acts.SHORTEST_S + 1e-6), 1)
  return act.replace(count=min(act.count, room))


@functools.lru_cache(maxsize=100_000)
def placed(
  prompt: str,
  seconds: float = 4.0,
  seed: tuple[int, ...] = (),
  guess: Guess | None = None,
  at_ease: bool = False,
) -> dict:
  """The attributes that are read in a prompt of so many seconds, each act with times.

  The times are those that the prompt says, and where it says none such as the behaviour
  simulator chooses, others for another seed. Not to be changed: the next caller is
  given the same ones.

  Args:
    at_ease: whether quick acts of a given number have the tempo "" and its time, where
      the clip has it.
  """
  rng = np.random.default_rng((zlib.crc32(prompt.encode()), *seed))
  attributes = _or_neutral(read(prompt, seconds, guess), seconds)
  if at_ease:
    told = [_at_ease(act, seconds) for act in acts.acts_of(attributes)]
    how = (attributes["speaking"], attributes.get("manner", lexicon.PLAIN))
    attributes = lexicon.attributes_of(told, seconds, *how)
  return placing.placed(attributes, seconds, rng)


def _at_ease(act: acts.Act, seconds: float) -> acts.Act:
  usual = act.replace(tempo="")
  if act.tempo != "quick" or act.emotion or not act.count:
    return act
  return (
    usual if act.count * placing.each_s(usual)[1] < act.end_s - act.start_s else act
  )


def _or_neutral(attributes: dict, seconds: float) -> dict:
  """Attributes in which an emotion is not only denied ("He is not smiling.").

  A corpus says of every clip what it shows, if only that it is neutral.
  """
  told = acts.acts_of(attributes)
  felt = [act for act in told if act.emotion]
  if not felt or not all(act.absent for act in felt):
    return attributes
  neutral = acts.Act(lexicon.NEUTRAL, emotion=True, end_s=seconds)
  how = (attributes["speaking"], attributes.get("manner", lexicon.PLAIN))
  return lexicon.attributes_of([neutral, *told], seconds, *how)


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
    return wording.terms(_or_neutral(read(prompt, seconds, guess), seconds))
  return wording.terms(placed(prompt, seconds, seed, guess), timed=True)


def refuse_doubtful(
  prompt: str, seconds: float = 4.0, guess: Guess | None = None
) -> None:
  """Raises UserError with the first warning of a prompt, if there is one."""
  warnings = understand(prompt, seconds, guess).warnings
  if warnings:
    raise UserError(f"prompt {prompt!r}: {warnings[0]}; word it otherwise")
