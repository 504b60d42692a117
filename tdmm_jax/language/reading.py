"""From a text to the items that the lexicon knows: longest matches, left to right.

An item is a form of the lexicon with what it means and where it stands. Sides stand
inside forms ("raises his left eyebrow"), so they are taken out before forms are
looked for, and noted.
"""

import dataclasses
import functools
import re

from tdmm_jax.language import motion_words
from tdmm_jax.language.emotion_words import LABELS

POSSESSIVE = "~"
_POSSESSIVES = frozenset(
  motion_words.listed("his, her, their, its, my, your, the, a, an, this, that, both")
)
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[a-z]+|[,;.:!?()]")
_BREAKS = frozenset(",;.:!?()")
# Kinds that say something about the face; the rest only helps to read them.
CONTENT = frozenset(("emotion", "act", "still", "speaking", "manner"))
# An intensity may follow its emotion when it is an adverb: "smiles broadly".
_FOLLOWING = frozenset(("hard", "somewhat", "a little", "a bit", "far"))
# These put one emotion after another, too.
_TEMPOS_THAT_PART = frozenset(("gradually", "suddenly"))
_SINGULAR = motion_words.PAIRED
_PLURAL = {singular: plural for plural, singular in _SINGULAR.items()}
_PLURAL |= {"lip": "lips", "eyebrow": "eyebrows", "brows": "eyebrows"}
_PLURAL |= {"brow": "eyebrows", "lid": "eyelids", "lids": "eyelids"}
_PLURAL |= {f"{n:g}": word for word, n in motion_words.NUMBERS.items() if n >= 1}
_PLURAL["1"] = "one"
_SIDES = {"left": "left", "right": "right", "both": "both", "one": "one"}
_NOUNS_BEHIND = frozenset(("raise", "flash", "furrow", "lift"))
_IMPOSSIBLE = frozenset(("third", "fourth", "middle"))


@dataclasses.dataclass(frozen=True)
class Item:
  """A form found in a text: what it means, and its place in the text's tokens."""

  kind: str
  value: object
  start: int
  stop: int
  side: str = ""


def token_matches(text: str) -> list[re.Match]:
  """Words and stops, in lower case; places are those in the text."""
  text = text.lower().replace("’", "'").replace("'s", "  ").replace("-", " ")
  return list(_TOKEN.finditer(text))


def tokens_of(text: str) -> list[str]:
  return [match[0] for match in token_matches(text)]


def entries():
  """Yields (surface form, kind, value) of the whole lexicon."""
  words = motion_words
  known = {form for label in LABELS.values() for form in label.surface_forms}
  for label in LABELS.values():
    bases = {words.base_form(third) for third, _ in label.verbs} - known
    for form in (*label.surface_forms, *sorted(bases)):
      yield form, "emotion", label.name
  for level, cells in words.INTENSITIES.items():
    for form in (form for cell in cells for form in cell):
      follows = form in _FOLLOWING or form.endswith("ly")
      yield form, "intensity", (level, follows)
  for form, name, fields in words.act_forms():
    yield form, "act", (name, *sorted(fields.items()))
  for kind, table in (("speaking", words.SPEAKING), ("manner", words.MANNERS)):
    for value, cells in table.items():
      for form in (form for cell in cells for form in cell):
        yield form, kind, value
  for kind, table in (("tempo", words.TEMPOS), ("hold", words.HOLDS)):
    for value, cells in table.items():
      for following, cell in zip((True, False), cells, strict=True):
        for form in cell:
          yield form, kind, (value, following, form in _TEMPOS_THAT_PART)
  for kind, table, following in (
    ("count", words.COUNT_ADVERBS, True),
    ("count", words.COUNT_ADJECTIVES, False),
  ):
    for value, forms in table.items():
      for form in forms:
        yield form, kind, (value, following)
  for value, forms in words.WHENS.items():
    for form in forms:
      yield form, "when", value
  for what, forms in words.UNABLE_FORMS.items():
    for form in forms:
      yield form, "unable", what
  for kind, value, forms in (
    ("still", None, words.STILL_FORMS),
    ("then", None, words.THEN_FORMS),
    ("from", None, words.FROM_FORMS),
    ("while", None, words.WHILE_FORMS),
    ("not", None, words.NOT_FORMS),
    ("count", (0, True), words.REPEATED_FORMS),
    ("framing", None, words.FRAMING_FORMS),
    *(("and", word, (word,)) for word in ("and", "or", "but", "yet")),
    ("direction", "left", ("left", "to ~ left", "leftwards", "leftward")),
    ("direction", "right", ("right", "to ~ right", "rightwards", "rightward")),
    ("direction", "left", ("on ~ left", "on ~ left side", "to ~ left side")),
    ("direction", "right", ("on ~ right", "on ~ right side", "to ~ right side")),
    ("direction", "one", ("on one side", "to one side")),
    ("direction", "up", ("up", "upwards", "upward", "to ~ ceiling")),
    ("direction", "forward", ("forward", "forwards")),
    ("direction", "back", ("back", "backwards", "backward")),
    ("direction", "down", ("down", "downwards", "downward", "to ~ floor")),
  ):
    for form in forms:
      yield form, kind, value


def _canonical(token: str) -> str:
  return _PLURAL.get(token, token)


@functools.cache
def index() -> dict[str, list[tuple[tuple[str, ...], str, object]]]:
  """First token -> [(tokens, kind, value)], longest first; forms are unique."""
  forms: dict[tuple[str, ...], tuple[str, object]] = {}
  for form, kind, value in entries():
    tokens = tuple(map(_canonical, form.replace("-", " ").split()))
    for variant in {tokens, tuple(t for t in tokens if t != POSSESSIVE)}:
      if forms.setdefault(variant, (kind, value)) != (kind, value):
        raise ValueError(f"'{form}' means both {forms[variant]} and {(kind, value)}")
  found: dict[str, list] = {}
  for tokens, (kind, value) in forms.items():
    found.setdefault(tokens[0], []).append((tokens, kind, value))
  for rows in found.values():
    rows.sort(key=lambda entry: -len(entry[0]))
  return found


def _matches(token: str, wanted: str) -> bool:
  return token == wanted or (wanted == POSSESSIVE and token in _POSSESSIVES)


def _without_sides(tokens: list[str]):
  """(canonical tokens without sides of body parts, their places, place -> side)."""
  kept, places, sides = [], [], {}
  for i, token in enumerate(tokens):
    after = _canonical(tokens[i + 1]) if i + 1 < len(tokens) else ""
    said = token in _SIDES or token in _IMPOSSIBLE
    one_brow = token in ("a", "an") and tokens[i + 1 : i + 2] in (["eyebrow"], ["brow"])
    if one_brow and not set(tokens[i + 2 : i + 3]) & _NOUNS_BEHIND:
      token, said = "one", True  # "raises an eyebrow", but not "an eyebrow raise"
    if said and (after == "hand" or after in _SINGULAR):
      sides[i + 1] = _SIDES.get(token, "none")
      continue
    kept.append(_canonical(token))
    places.append(i)
  return kept, places, sides


def _seconds(tokens, at: int) -> tuple[float, int] | None:
  """(seconds, tokens used) of "after two seconds", "after half a second" ..."""
  if tokens[at] not in ("after", "at", "from") or at + 2 >= len(tokens):
    return None
  total, i = 0.0, at + 1
  if tokens[i] in ("about", "around"):
    i += 1
  found = False
  while i < len(tokens):
    word = tokens[i]
    if word.replace(".", "").isdigit():
      total, found = total + float(word), True
    elif word in motion_words.NUMBERS:
      if not (word == "a" and found):  # "half a second"
        total, found = total + motion_words.NUMBERS[word], True
    elif word not in ("and", "an"):
      break
    i += 1
  if found and i < len(tokens) and tokens[i] in ("second", "seconds", "s", "sec"):
    if tokens[i + 1 : i + 4] == ["and", "a", "half"]:
      return total + 0.5, i + 4 - at
    return total, i + 1 - at
  return None


def read(text: str) -> list[Item]:
  """The items of a text in order; places are those of `token_matches`.

  A side that stands before a body part outside of any form ("winks with his left eye")
  is an item "direction" of its own.
  """
  tokens, places, sides = _without_sides(tokens_of(text))
  items, at = [], 0
  while at < len(tokens):
    token, step, item = tokens[at], 1, None
    if (timed := _seconds(tokens, at)) is not None:
      item, step = ("after", timed[0]), timed[1]
    elif token in _BREAKS:
      item = ("break", token)
    else:
      for form, kind, value in index().get(token, ()):
        if at + len(form) <= len(tokens) and all(map(_matches, tokens[at:], form)):
          item, step = (kind, value), len(form)
          break
    covered = places[at : at + step]
    side = next((sides[place] for place in covered if place in sides), "")
    if item is None and side:
      item, side = ("direction", side), ""
    if item is not None:
      start = covered[0] - (covered[0] in sides)
      items.append(Item(*item, start, covered[-1] + 1, side))
    at += step
  return items
