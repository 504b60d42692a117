"""Captions from attributes, offline: sentence patterns filled with the lexicon's words.

A caption says everything that is not default (neutral, intensity 3, still, silent), and
nothing that is not so; `lexicon.parse` reads the attributes back. Patterns are
partitioned: those of "valid" and "test" occur nowhere in "train"; words are shared.

  python -m data_prep.paraphrase prompts.jsonl --num 5 --out more.jsonl

Slots of a pattern: {S} subject ("A man"), {s} the same mid-sentence, {o} as object,
{s's} and {poss} possessives, {he} pronoun; per emotion i: {adj_i} "slightly sad",
{np_i} "a slight smile", {look_i} "a slight sad look", {Look_i}/{Np_i} at a start;
{voice} "speaks"; {ing} ", speaking and nodding" and {fin} ". He speaks and nods" carry
what is left to say.
"""

import argparse
import dataclasses
import re
import sys

import numpy as np

from data_prep import manifest
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon, motion_words


@dataclasses.dataclass(frozen=True)
class Subject:
  """How a person is spoken of through a caption."""

  nominative: str
  objective: str
  pronoun: str
  possessive: str


def _subjects() -> tuple[Subject, ...]:
  nouns = {
    "he": "man, boy, young man, old man, male, gentleman, actor",
    "she": "woman, girl, lady, young woman, old woman, female, actress",
  }
  rows = [Subject("he", "him", "he", "his"), Subject("she", "her", "she", "her")] * 3
  for pronoun, text in nouns.items():
    for noun in motion_words.listed(text):
      for article in ("an" if noun[0] in "aeiou" else "a", "the"):
        phrase = f"{article} {noun}"
        rows.append(
          Subject(phrase, phrase, pronoun, "his" if pronoun == "he" else "her")
        )
  return tuple(rows)


SUBJECTS = _subjects()
LOOK_NOUNS = ("look", "expression", "face")

# split -> kind of emotion structure -> patterns
PATTERNS = {
  "train": {
    "single": (
      "{S} looks {adj_1}{ing}.",
      "{S} looks {adj_1}{fin}.",
      "{S} has {look_1}{ing}.",
      "{S} shows {np_1}{fin}.",
      "{S} faces the camera with {look_1}{ing}.",
      "{S} keeps {look_1}{fin}.",
      "{S} {voice} with {np_1}{ing}.",
      "{S} {voice} with {look_1}{fin}.",
      "{S} {voice} and looks {adj_1}{ing}.",
      "Close-up of {o}, {adj_1}{ing}.",
      "With {np_1}, {s} {voice}{ing}.",
      "{Look_1} crosses {s's} face{fin}.",
      "In a head-filling close-up, {s} is {adj_1}{ing}.",
    ),
    "then": (
      "{S} looks {adj_1}, then {adj_2}{ing}.",
      "{S} looks {adj_1}, then {adj_2}{fin}.",
      "{S} shows {np_1}, then {np_2}{fin}.",
      "{S} shows {np_1} before {np_2}{ing}.",
      "{S} has {look_1} that gives way to {np_2}{fin}.",
      "{S} shifts from {adj_1} to {adj_2}{ing}.",
      "{S} begins {adj_1} and ends {adj_2}{fin}.",
      "{Np_1} gives way to {np_2} on {s's} face{fin}.",
      "{S} is {adj_1} and becomes {adj_2}{ing}.",
      "{S} shows {np_1}, followed by {np_2}{ing}.",
      "{S} {voice}, first {adj_1}, then {adj_2}{ing}.",
    ),
    "both": (
      "{S} shows {np_1} mixed with {np_2}{fin}.",
      "{S} looks both {adj_1} and {adj_2}{ing}.",
      "{S} has {look_1} and {look_2}{ing}.",
      "{S} {voice} with {np_1} and {np_2}{ing}.",
    ),
  },
  "valid": {
    "single": ("{S} carries {look_1}{ing}.", "{S} gives off {np_1}{fin}."),
    "then": ("{S} goes from {np_1} to {np_2}{ing}.",),
    "both": ("{S} gives off {np_1} along with {np_2}{fin}.",),
  },
  "test": {
    "single": (
      "{S} wears {look_1}{ing}.",
      "{S} seems {adj_1}{fin}.",
      "There is {np_1} in {s's} face{fin}.",
      "{S} {voice}, and the mood is {adj_1}{fin}.",
    ),
    "then": (
      "{S} seems {adj_1}, then {np_2} takes over{fin}.",
      "{S} wears {look_1} before {np_2} sets in{fin}.",
      "There is {np_1} in {s's} face, which gives way to {np_2}{fin}.",
    ),
    "both": (
      "{S} seems {adj_1} yet {adj_2}{ing}.",
      "{S} wears {look_1} along with {np_2}{fin}.",
      "In {s's} face there is {np_1} as well as {np_2}{fin}.",
    ),
  },
}

_SLOT = re.compile(r"\{([^}]+)\}")


def _pick(rng, options):
  return options[int(rng.integers(len(options)))]


def _with_article(phrase: str) -> str:
  return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _intensity_word(rng, level: int, cell: int) -> str:
  """An adjective (cell 0) or adverb (cell 1); 3 often goes without saying."""
  if level == lexicon.DEFAULT_INTENSITY and rng.random() < 0.6:
    return ""
  return _pick(rng, lexicon.INTENSITIES[level][cell])


def _emotion_phrase(rng, kind: str, segment: dict) -> str:
  """ "adj": slightly sad; "np": slight sadness; "look": a slight sad look."""
  label, level = lexicon.LABELS[segment["emotion"]], segment["intensity"]
  if kind == "adj":
    return f"{_intensity_word(rng, level, 1)} {_pick(rng, label.adjectives)}".strip()
  word = _intensity_word(rng, level, 0)
  if kind == "look":
    middle = f"{word} {_pick(rng, label.adjectives)}".strip()
    return _with_article(f"{middle} {_pick(rng, LOOK_NOUNS)}")
  noun = _pick(rng, label.nouns)
  bare = re.sub(r"^an? ", "", noun)
  phrase = f"{word} {bare}".strip()
  return _with_article(phrase) if bare != noun else phrase


def _join(parts) -> str:
  return (
    " and ".join(parts)
    if len(parts) < 3
    else f"{', '.join(parts[:-1])} and {parts[-1]}"
  )


def _actions(rng, attributes: dict, with_voice: bool) -> list[tuple[str, str]]:
  """(third person, participle) of what the pattern itself does not say, shuffled."""
  tables = [(motion_words.HEAD_MOTIONS[name]) for name in attributes["head_motion"]]
  tables += [motion_words.MICRO_ACTIONS[name] for name in attributes["micro_actions"]]
  if not attributes["head_motion"] and rng.random() < 0.08:
    tables.append((("keeps ~ head still",), ("keeping ~ head still",)))
  tables = [tables[i] for i in rng.permutation(len(tables))]
  mode = attributes["speaking"]
  if with_voice and (mode != "silent" or rng.random() < 0.15):
    tables.insert(0, motion_words.SPEAKING[mode])
  picks = []
  for cells in tables:
    i = int(rng.integers(len(cells[0])))
    picks.append((cells[0][i], cells[1][i]))
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
      return _pick(rng, motion_words.SPEAKING[self._attributes["speaking"]][0])
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


def structure(attributes: dict) -> str:
  """ "single", "then" (one emotion after the other) or "both" (at once)."""
  segments = attributes["segments"]
  if len(segments) == 1:
    return "single"
  return "then" if segments[1]["start_s"] > segments[0]["start_s"] else "both"


def fill(pattern: str, attributes: dict, subject: Subject, rng) -> str:
  """One caption of the pattern."""
  filler = _Filler(rng, attributes, subject, pattern)
  text = _SLOT.sub(filler, pattern)
  # A sentence starts with a capital, whichever slot opens it.
  return re.sub(r"(^|[.] )([a-z])", lambda m: m[1] + m[2].upper(), text)


def captions(attributes: dict, split: str, count: int, rng) -> list[str]:
  """`count` distinct captions of the split's patterns, patterns repeated only if few.

  Args:
    attributes: of a record, with one or two segments.
    split: "train", "valid" or "test".
    count: how many.
    rng: np.random.Generator; the same state gives the same captions.
  """
  patterns = PATTERNS[split][structure(attributes)]
  pronoun = _pick(rng, ("he", "she"))  # one clip, one person
  subjects = [subject for subject in SUBJECTS if subject.pronoun == pronoun]
  texts: list[str] = []
  for _ in range(50):
    for i in rng.permutation(len(patterns)):
      text = fill(patterns[i], attributes, _pick(rng, subjects), rng)
      if text not in texts:
        texts.append(text)
      if len(texts) == count:
        return texts
  return texts


def same_attributes(text: str, attributes: dict) -> bool:
  """Whether the text, parsed, says just these attributes (times left aside)."""
  return comparable(lexicon.parse(text)) == comparable(attributes)


def comparable(attributes: dict) -> tuple:
  """What a text can say of attributes: everything but the segments' exact times."""
  return (
    structure(attributes),
    tuple((s["emotion"], s["intensity"]) for s in attributes["segments"]),
    tuple(attributes["micro_actions"]),
    tuple(attributes["head_motion"]),
    attributes["speaking"],
  )


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


def main(argv=None) -> int:
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
  try:
    if args.num < 1:
      raise UserError(f"--num: {args.num} captions asked for; give at least 1")
    rows = manifest.read(args.manifest)
    done = [add_captions(row, args.num, (args.seed, i)) for i, row in enumerate(rows)]
    manifest.write(args.out, done)
  except UserError as error:
    print(error, file=sys.stderr)
    return 2
  except OSError as error:
    print(f"{args.out}: {error.strerror}; choose another --out", file=sys.stderr)
    return 2
  print(f"{args.out}: {len(done)} prompts, {args.num} captions each")
  return 0


if __name__ == "__main__":
  sys.exit(main())
