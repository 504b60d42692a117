"""Sentences people write, and the face that each asks for: some 22,000, all by hand.

  python -m data_prep.written_sentences

The suite's patterns know adjectives and nouns of the lexicon; people write "she smiles
a little", "his dog died this morning", "over the moon", "beat, then a slow grin", with
typos and in any English. `written/FAMILY.jsonl` holds one sentence a line:

- text: the sentence; two thirds name no emotion of the lexicon;
- situation: the idea; sentences of one idea share it and are never split;
- voice: how it is written, see VOICES;
- emotion, intensity: a label of the lexicon and 1 to 5: what most people would see;
- then or with: {emotion, intensity} of a second emotion, afterwards or at once;
- acts: [{name, count, side, direction, hold}] that it asks for besides;
- speaking, manner: as in a record's attributes.

A fifth of the situations, by hash, is held out: for measuring, never for training.
The command prints how many there are and whatever is wrong with them.
"""

import collections
import functools
import hashlib
import importlib.resources
import itertools
import json
import re
import sys
from collections.abc import Iterator

import numpy as np

from tdmm_jax.language import lexicon, placing
from tdmm_jax.language.acts import KINDS, STILL, Act

SPLITS = ("train", "held_out")
VOICES = {
  "plain": "verbs and adverbs: She smiles slightly.",
  "situation": "what happened: The exam results are in and he failed.",
  "idiom": "over the moon",
  "indirect": "words that mean it without being it: gobsmacked",
  "stage": "stage directions: Beat, then a slow grin.",
  "screenplay": "INT. KITCHEN. Tom waggles his eyebrows.",
  "dialogue": "what is said, with a tag: 'Get out of my house!' she screamed.",
  "prose": "narration: He had counted the ceiling tiles twice.",
  "direction": "to an actor or animator: Give me a small smile.",
  "caption": "of a picture: Card player, sunglasses off, unreadable.",
  "clumsy": "non-native English: he make laugh but is not relax",
  "lowercase": "tossed off: a bit down today",
  "typo": "she smlies realy wide",
  "chat": "messages: omg we won",
  "fragment": "eyes red, nose red, no words",
}
# Of 300 salts the one under which the held-out shares of the families differ least.
_SALT = 151
_KEYS = frozenset(("text", "situation", "voice", "emotion", "intensity"))
_MORE_KEYS = frozenset(("then", "with", "acts", "speaking", "manner"))
_FEWEST, _SAME_FRAME = 100, 4  # a family's sentences; sentences of one frame


def held_out(situation: str) -> bool:
  """Whether this situation's sentences are kept out of training; a fifth, for good."""
  digest = hashlib.sha1(f"{_SALT} {situation}".encode()).hexdigest()
  return int(digest, 16) % 5 == 0


def family(row: dict) -> str:
  """The family of the sentence's (first) emotion."""
  return lexicon.LABELS[row["emotion"]].family


@functools.cache
def version() -> str:
  """Hash of the sentences: a corpus that has some of them carries it."""
  return hashlib.sha1(json.dumps(_rows(), sort_keys=True).encode()).hexdigest()[:12]


@functools.cache
def _rows() -> tuple[dict, ...]:
  folder = importlib.resources.files("data_prep") / "written"
  files = sorted(folder.iterdir(), key=lambda file: file.name)
  lines = (
    line
    for file in files
    if file.name.endswith(".jsonl")
    for line in file.read_text(encoding="utf-8").splitlines()
  )
  return tuple(map(json.loads, lines))


def load(split: str | None = None) -> list[dict]:
  """The sentences of "train" or of "held_out"; all without a split.

  Raises:
    ValueError: there is no such split.
  """
  if split is None:
    return list(_rows())
  if split not in SPLITS:
    raise ValueError(f"split '{split}': give one of {', '.join(SPLITS)}")
  return [row for row in _rows() if held_out(row["situation"]) == (split != "train")]


def draws(seed: int) -> Iterator[dict]:
  """Training sentences without end, from each family in turn, neutral ones too.

  In a random order that follows from the seed; none comes again before all of its
  family have come.
  """
  by_family = collections.defaultdict(list)
  for row in load("train"):
    by_family[family(row)].append(row)
  rng = np.random.default_rng((seed, _SALT))
  turns = {name: itertools.chain() for name in by_family}
  while True:
    for name, rows in by_family.items():
      row = next(turns[name], None)
      if row is None:
        turns[name] = iter([rows[i] for i in rng.permutation(len(rows))])
        row = next(turns[name])
      yield row


def attributes(row: dict, duration_s: float, rng: np.random.Generator) -> dict:
  """What the sentence asks for, as a record's attributes, over `duration_s` seconds.

  A second emotion takes over about halfway through; what the sentence does not mention
  has its default. Acts that nobody can act out yet (a tongue put out) are left out.
  """
  emotions = [_felt(row, 0.0, duration_s)]
  if second := row.get("then"):
    middle = duration_s * rng.uniform(0.45, 0.6)
    emotions = [
      emotions[0].replace(end_s=middle),
      _felt(second, middle, duration_s).replace(when="then"),
    ]
  elif second := row.get("with"):
    emotions.append(_felt(second, 0.0, duration_s))
  acts = [
    Act(**act, end_s=duration_s)
    for act in row.get("acts", ())
    if act["name"] in (*KINDS, STILL)
  ]
  asked = lexicon.attributes_of(
    [*emotions, *acts],
    duration_s,
    row.get("speaking", "silent"),
    row.get("manner", lexicon.PLAIN),
  )
  return placing.placed(asked, duration_s, rng)


def _felt(row: dict, start_s: float, end_s: float) -> Act:
  return Act(row["emotion"], True, start_s, end_s, row["intensity"])


def words(text: str) -> list[str]:
  """The words of a text in lower case, without punctuation."""
  return re.sub(r"[^\w' ]+", " ", text.lower()).split()


def _row_problem(row: dict) -> str:
  """What is wrong with one row, or nothing."""
  if missing := _KEYS - set(row):
    return f"lacks {', '.join(sorted(missing))}"
  if unknown := set(row) - _KEYS - _MORE_KEYS:
    return f"unknown keys {', '.join(sorted(unknown))}"
  if row["voice"] not in VOICES:
    return f"unknown voice '{row['voice']}'"
  for emotion in (row, row.get("then"), row.get("with")):
    if emotion and emotion["emotion"] not in lexicon.LABELS:
      return f"'{emotion['emotion']}' is no label of the lexicon"
    if emotion and emotion["intensity"] not in range(1, 6):
      return f"intensity {emotion['intensity']}; give 1 to 5"
  if "then" in row and "with" in row:
    return "has both 'then' and 'with'; give one second emotion"
  return "" if words(row["text"]) else "has no words"


def problems(rows: list[dict]) -> list[str]:
  """What breaks the collection's rules, a line each.

  Rows are well formed, no text comes twice, no five share their first two words and
  their last, every family has enough sentences and all five intensities.
  """
  found = [f"{p}: {row}" for row in rows if (p := _row_problem(row))]
  if found:
    return found
  frames, texts = collections.defaultdict(list), collections.Counter()
  levels = collections.defaultdict(collections.Counter)
  for row in rows:
    said = words(row["text"])
    frames[*said[:2], said[-1]].append(row["text"])
    texts[" ".join(said)] += 1
    levels[family(row)][row["intensity"]] += 1
  found += [f"comes {n} times: {text}" for text, n in texts.items() if n > 1]
  found += [f"one frame: {same}" for same in frames.values() if len(same) > _SAME_FRAME]
  for name in lexicon.FAMILIES:
    if (count := levels[name].total()) < _FEWEST:
      found.append(f"{name}: {count} sentences; write at least {_FEWEST}")
    if name != lexicon.NEUTRAL and (lacks := set(range(1, 6)) - set(levels[name])):
      found.append(f"{name}: nothing of intensity {sorted(lacks)}")
  return found


def main() -> int:
  rows = load()
  for name in lexicon.FAMILIES:
    of_name = [row for row in rows if family(row) == name]
    aside = sum(held_out(row["situation"]) for row in of_name)
    print(f"{name:14s} {len(of_name):4d} sentences, {aside:3d} held out")
  for voice, count in collections.Counter(row["voice"] for row in rows).most_common():
    print(f"{voice:14s} {count:4d}  {VOICES[voice]}")
  print("\n".join(found := problems(rows)) or f"{len(rows)} sentences, nothing amiss")
  return 1 if found else 0


if __name__ == "__main__":
  sys.exit(main())
