"""Captions from attributes, offline: sentence patterns filled with the lexicon's words.

A caption says everything that is not default (a still head, silence, no micro-action),
and of an emotion always how strong it is; it says nothing that is not so, and
`lexicon.parse` reads the attributes back. Actions come in one order, and of several
words for a thing the first is the usual one and counts alike for all values: a model
that writes the likeliest word then has no reason to prefer one value or silence.

  python -m data_prep.paraphrase prompts.jsonl --num 5 --out more.jsonl

Slots of a pattern: {S} subject ("A man"), {s} the same mid-sentence, {o} as object,
{s's} and {poss} possessives, {he} pronoun; per emotion i: {adj_i} "slightly sad",
{np_i} "a slight smile", {look_i} "a slight sad look", {Look_i}/{Np_i} at a start;
{voice} "speaks"; {ing} ", speaking and nodding" and {fin} ". He speaks and nods" carry
what is left to say.
"""

import argparse
import re
import sys

import numpy as np

from data_prep import manifest
from data_prep.sentences import (
  FRAMINGS,
  LOOK_NOUNS,
  OPENINGS,
  PATTERNS,
  PEOPLE,
  PERSON_SHARES,
  Subject,
)
from tdmm_jax import errors
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon, motion_words

_SLOT = re.compile(r"\{([^}]+)\}")
_PERSON_LIMITS = np.cumsum(PERSON_SHARES)[:-1]


def _pick(rng, options):
  return options[int(rng.integers(len(options)))]


def _with_article(phrase: str) -> str:
  return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _usual(rng, options):
  """The first option in 55 % of cases, else any other; without rng, the first."""
  if rng is None or len(options) == 1 or rng.random() < 0.55:
    return options[0]
  return options[1 + int(rng.integers(len(options) - 1))]


def _intensity_word(rng, label: str, level: int, cell: int) -> str:
  """An adjective (cell 0) or adverb (cell 1); a neutral face has none."""
  if label == lexicon.NEUTRAL:
    return ""
  return _usual(rng, lexicon.INTENSITIES[level][cell])


def _emotion_phrase(rng, kind: str, segment: dict) -> str:
  """ "adj": slightly sad; "np": slight sadness; "look": a slight sad look."""
  label, level = lexicon.LABELS[segment["emotion"]], segment["intensity"]
  if kind == "adj":
    word = _intensity_word(rng, label.name, level, 1)
    return f"{word} {_usual(rng, label.adjectives)}".strip()
  word = _intensity_word(rng, label.name, level, 0)
  if kind == "look":
    middle = f"{word} {_usual(rng, label.adjectives)}".strip()
    return _with_article(f"{middle} {_usual(rng, LOOK_NOUNS)}")
  noun = _usual(rng, label.nouns)
  bare = re.sub(r"^an? ", "", noun)
  phrase = f"{word} {bare}".strip()
  return _with_article(phrase) if bare != noun else phrase


def _join(parts) -> str:
  return (
    " and ".join(parts)
    if len(parts) < 3
    else f"{', '.join(parts[:-1])} and {parts[-1]}"
  )


def _voice(attributes: dict):
  """The lexicon's cells for the voice: third person, participle, others."""
  manner = attributes.get("manner", lexicon.PLAIN)
  if manner != lexicon.PLAIN:
    return motion_words.MANNERS[manner]
  return motion_words.SPEAKING[attributes["speaking"]]


def _actions(rng, attributes: dict, with_voice: bool) -> list[tuple[str, str]]:
  """(third person, participle) of what the pattern itself does not say, in order."""
  tables = [motion_words.MICRO_ACTIONS[name] for name in attributes["micro_actions"]]
  tables += [(motion_words.HEAD_MOTIONS[name]) for name in attributes["head_motion"]]
  if with_voice and attributes["speaking"] != "silent":
    tables.append(_voice(attributes))
  picks = []
  for cells in tables:
    picks.append(_usual(rng, list(zip(cells[0], cells[1], strict=True))))
  return picks


class _Filler:
  """Fills the slots of one pattern."""

  def __init__(self, rng, attributes, subject, pattern):
    self._rng, self._attributes, self._subject = rng, attributes, subject
    self._actions = _actions(rng, attributes, with_voice="{voice}" not in pattern)

  def __call__(self, match) -> str:
    slot, subject, rng = match[1], self._subject, self._rng
    if slot in ("S", "s"):
      return subject.nominative
    if slot == "o":
      return subject.objective
    if slot == "s's":
      pronoun = subject.nominative in ("he", "she")
      return subject.possessive if pronoun else f"{subject.nominative}'s"
    if slot == "voice":
      return _usual(rng, _voice(self._attributes)[0])
    if slot in ("ing", "fin"):
      return self._rest(slot)
    kind, number = slot.lower().split("_")
    return _emotion_phrase(rng, kind, self._attributes["segments"][int(number) - 1])

  def _rest(self, slot: str) -> str:
    if not self._actions:
      return ""
    column = 1 if slot == "ing" else 0
    possessive = self._subject.possessive
    said = _join([pair[column].replace("~", possessive) for pair in self._actions])
    return f", {said}" if column else f". {self._subject.pronoun} {said}"


def fill(pattern: str, attributes: dict, subject: Subject, rng) -> str:
  """One caption of the pattern; without rng, in the usual words."""
  filler = _Filler(rng, attributes, subject, pattern)
  text = _SLOT.sub(filler, pattern)
  # A sentence starts with a capital, whichever slot opens it.
  return re.sub(r"(^|[.] )([a-z])", lambda m: m[1] + m[2].upper(), text)


def _subjects(rng) -> tuple[Subject, ...]:
  """The ways to speak of one person, drawn at random."""
  groups = PEOPLE[_pick(rng, ("he", "she"))]
  return _pick(rng, groups[int(np.searchsorted(_PERSON_LIMITS, rng.random()))])


def captions(attributes: dict, split: str, count: int, rng) -> list[str]:
  """`count` distinct captions of the split's patterns, patterns repeated only if few.

  The first is the plain one: the first pattern, a pronoun, the usual words. Every clip
  has it, so that a model finds one way to say what it sees.

  Args:
    attributes: of a record, with one or two segments.
    split: "train", "valid" or "test".
    count: how many.
    rng: np.random.Generator; the same state gives the same captions.
  """
  patterns = PATTERNS[split][lexicon.structure(attributes)]
  subjects = _subjects(rng)  # one clip, one person
  texts = [fill(patterns[0], attributes, subjects[0], None)]
  if count == 1:
    return texts
  for _ in range(50):
    for i in rng.permutation(len(patterns)):
      text = fill(patterns[i], attributes, _pick(rng, subjects), rng)
      if text not in texts:
        texts.append(text)
      if len(texts) == count:
        return texts
  return texts


def framed(caption: str, split: str, rng) -> str:
  """The caption as a prompt: a quarter of them say something of the picture, too."""
  draw = rng.random()
  if draw < 0.1 and caption.startswith(("A ", "An ", "The ", "He ", "She ")):
    return _pick(rng, OPENINGS[split]) + caption[0].lower() + caption[1:]
  return f"{caption} {_pick(rng, FRAMINGS[split])}" if draw < 0.25 else caption


def same_attributes(text: str, attributes: dict) -> bool:
  """Whether the text, parsed, says just these attributes (times left aside)."""
  return lexicon.comparable(lexicon.parse(text)) == lexicon.comparable(attributes)


def add_captions(row: dict, count: int, seed) -> dict:
  """The manifest row with `count` captions that say what its attributes say.

  Attributes that the row lacks are read from its prompt.
  """
  attributes = row.get("attributes") or lexicon.parse(row["prompt"])
  split = row.get("split", "train")
  rng = np.random.default_rng(seed)
  texts = captions(attributes, split, count + 1, rng)
  fresh = [text for text in texts if text != row["prompt"]][:count]
  return row | {"attributes": attributes, "captions": fresh}


@errors.entry_point("data_prep.paraphrase")
def main(argv=None) -> int | None:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.paraphrase",
    description="Give every prompt of a manifest true paraphrases, offline.",
    epilog=(
      "With --model NAME [--base_url URL] a language model polishes and paraphrases "
      "them: the flags are those of python -m data_prep.polish"
    ),
  )
  parser.add_argument("manifest", help="JSON lines of clip_id, prompt[, attributes]")
  parser.add_argument(
    "--num", type=int, default=5, help="captions a prompt (default 5)"
  )
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--out", required=True, help="the JSON-lines file to write")
  args, others = parser.parse_known_args(argv)
  if any(flag.startswith(("--model", "--base_url")) for flag in others):
    from data_prep import polish  # through an endpoint, whose client it brings

    return polish.main(argv)
  if others:
    parser.error(f"unrecognized arguments: {' '.join(others)}")
  if args.num < 1:
    raise UserError(f"--num: {args.num} captions asked for; give at least 1")
  rows = manifest.read(args.manifest)
  done = [add_captions(row, args.num, (args.seed, i)) for i, row in enumerate(rows)]
  manifest.write(args.out, done)
  print(f"{args.out}: {len(done)} prompts, {args.num} captions each")
  return None


if __name__ == "__main__":
  sys.exit(main())
