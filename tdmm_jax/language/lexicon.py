"""The project's one vocabulary of faces, and the one parser that reads it.

`parse` turns a prompt or a caption into the `attributes` of a record: segments of
emotion, family and intensity, micro-actions, head motion, speaking and its manner.
Whatever a text does not mention has its default: neutral, intensity 3, a still head,
silent, no micro-action. Training captions, the judge and the quality checks all go
through here.
"""

import difflib
import functools
import hashlib
import json
import re

from tdmm_jax.language import motion_words
from tdmm_jax.language.emotion_words import FAMILIES, LABELS, NEUTRAL, Label

__all__ = [
  "DEFAULT_INTENSITY",
  "FAMILIES",
  "HEAD_MOTIONS",
  "INTENSITIES",
  "LABELS",
  "MANNERS",
  "MICRO_ACTIONS",
  "NEUTRAL",
  "PLAIN",
  "SPEAKING_MODES",
  "VERSION",
  "Label",
  "comparable",
  "concepts",
  "known_word",
  "make_attributes",
  "nearest_words",
  "parse",
  "passed_over",
  "structure",
]

REVISION = 2  # raise it when `parse` reads a text differently with the same tables
DEFAULT_INTENSITY = 3
INTENSITIES = motion_words.INTENSITIES
HEAD_MOTIONS = tuple(motion_words.HEAD_MOTIONS)
MICRO_ACTIONS = tuple(motion_words.MICRO_ACTIONS)
SPEAKING_MODES = tuple(motion_words.SPEAKING)
PLAIN = "plain"  # the manner of speaking that needs no word
MANNERS = (PLAIN, *motion_words.MANNERS)
MAX_SEGMENTS = 4

_POSSESSIVE = "~"
_POSSESSIVES = frozenset(
  motion_words.listed("his, her, their, its, my, your, the, a, an, this, that, both")
)
_TOKEN = re.compile(r"[a-z]+|[,;.:!?()]")
_BREAKS = frozenset(",;.:!?()")
# Kinds that say something about the face; the rest only helps to read them.
_CONTENT = frozenset(("emotion", "head", "micro", "speaking", "manner"))
# An intensity may follow its emotion when it is an adverb: "smiles broadly".
_FOLLOWING = frozenset(("hard", "somewhat", "a little", "a bit"))


def _token_matches(text: str) -> list[re.Match]:
  """Words and stops, in lower case; places are those in the text."""
  text = text.lower().replace("’", "'").replace("'s", "  ").replace("-", " ")
  return list(_TOKEN.finditer(text))


def _tokens(text: str) -> list[str]:
  return [match[0] for match in _token_matches(text)]


def _entries():
  """Yields (surface form, kind, value) of the whole lexicon."""
  for label in LABELS.values():
    for form in label.surface_forms:
      yield form, "emotion", label.name
  for level, cells in INTENSITIES.items():
    for form in (form for cell in cells for form in cell):
      follows = form in _FOLLOWING or form.endswith("ly")
      yield form, "intensity", (level, follows)
  for kind, table in (
    ("head", motion_words.HEAD_MOTIONS),
    ("micro", motion_words.MICRO_ACTIONS),
    ("speaking", motion_words.SPEAKING),
    ("manner", motion_words.MANNERS),
  ):
    for value, cells in table.items():
      for form in (form for cell in cells for form in cell):
        yield form, kind, value
  for form in motion_words.STILL_FORMS:
    yield form, "head", "still"
  for form in motion_words.THEN_FORMS:
    yield form, "then", None
  for form in motion_words.FROM_FORMS:
    yield form, "from", None
  for form in motion_words.FRAMING_FORMS:
    yield form, "framing", None


def concepts():
  """Yields (surface form, what it means): forms of one meaning share its names.

  An emotion's form means its family and its label; the others mean one thing each.
  """
  for form, kind, value in _entries():
    form = " ".join(word for word in form.split() if word != _POSSESSIVE)
    if kind == "emotion":
      yield form, (f"family {LABELS[value].family}", f"label {value}")
    elif kind == "intensity":
      yield form, (f"intensity {value[0]}",)
    else:
      yield form, (f"{kind} {value}",)


@functools.cache
def _index() -> dict[str, list[tuple[tuple[str, ...], str, object]]]:
  """First token -> [(tokens, kind, value)], longest first; forms are unique."""
  forms: dict[tuple[str, ...], tuple[str, object]] = {}
  for form, kind, value in _entries():
    tokens = tuple(form.replace("-", " ").split())
    for variant in {tokens, tuple(t for t in tokens if t != _POSSESSIVE)}:
      if forms.setdefault(variant, (kind, value)) != (kind, value):
        raise ValueError(f"'{form}' means both {forms[variant]} and {(kind, value)}")
  index: dict[str, list] = {}
  for tokens, (kind, value) in forms.items():
    index.setdefault(tokens[0], []).append((tokens, kind, value))
  for entries in index.values():
    entries.sort(key=lambda entry: -len(entry[0]))
  return index


def _matches(token: str, wanted: str) -> bool:
  return token == wanted or (wanted == _POSSESSIVE and token in _POSSESSIVES)


def _read(text: str) -> list[tuple[str, object, int, int]]:
  """Longest matches from left to right: (kind, value, first token, token after)."""
  tokens = _tokens(text)
  index, items, at = _index(), [], 0
  while at < len(tokens):
    token, step = tokens[at], 1
    if token in _BREAKS:
      items.append(("break", token, at, at + 1))
    for form, kind, value in index.get(token, ()):
      if at + len(form) <= len(tokens) and all(map(_matches, tokens[at:], form)):
        items.append((kind, value, at, at + len(form)))
        step = len(form)
        break
    at += step
  return items


def _bind_intensities(items) -> dict[int, int]:
  """Item index of an emotion -> the intensity said of it.

  An intensity belongs to the next emotion, unless another item stands between ("nods
  slightly, sad"), or else to the emotion just before ("smiles broadly"). An intensity
  right behind a head motion or micro-action speaks of that, and is dropped.
  """
  bound: dict[int, int] = {}
  items = [*items, ("end", None, 0, 0)]

  def next_item(i):
    i += 1
    while items[i][0] in ("intensity", "framing"):
      i += 1
    return i

  for i, (kind, value, _, _) in enumerate(items):
    if kind != "intensity":
      continue
    level, may_follow = value
    after = next_item(i)
    if items[after][0] == "emotion":
      bound.setdefault(after, level)
    elif may_follow:
      if i and items[i - 1][0] == "emotion":
        bound.setdefault(i - 1, level)
    elif items[after][1] == "," and items[next_item(after)][0] == "emotion":
      bound.setdefault(next_item(after), level)  # "a soft, closed-mouth smile"
  return bound


def _emotion_groups(items) -> list[list[tuple[str, int]]]:
  """Groups of (label, intensity): one group after the other, members at once."""
  bound = _bind_intensities(items)
  groups: list[list[tuple[str, int]]] = [[]]
  pending_from = False
  for i, (kind, value, _, _) in enumerate(items):
    if kind == "then" and groups[-1]:
      groups.append([])
    elif kind == "from":
      pending_from = True
      if groups[-1]:
        groups.append([])
    elif kind == "emotion":
      family = LABELS[value].family
      if family in (LABELS[label].family for label, _ in groups[-1]):
        continue  # "a curious, engaged look": one emotion, said twice
      groups[-1].append((value, bound.get(i, DEFAULT_INTENSITY)))
      if pending_from:
        groups.append([])
        pending_from = False
  merged: list[list[tuple[str, int]]] = []
  for group in filter(None, groups):
    group = group[:2]
    said = [label for label, _ in group]
    if not merged or said != [label for label, _ in merged[-1]]:
      merged.append(group)
  return merged[:MAX_SEGMENTS]


def make_attributes(
  segments,
  micro_actions=(),
  head_motion=(),
  speaking: str = "silent",
  manner: str = PLAIN,
) -> dict:
  """The `attributes` of a record, from (label, intensity, start_s, end_s) segments.

  Top-level emotion, family and intensity are those of the longest segment, ties to the
  first; lists are in the lexicon's order.
  """
  rows = [
    {
      "start_s": round(float(start), 3),
      "end_s": round(float(end), 3),
      "emotion": label,
      "family": LABELS[label].family,
      "intensity": int(intensity),
    }
    for label, intensity, start, end in segments
  ]
  longest = max(rows, key=lambda row: round(row["end_s"] - row["start_s"], 3))
  return {
    "segments": rows,
    **{key: longest[key] for key in ("emotion", "family", "intensity")},
    "micro_actions": sorted(set(micro_actions), key=MICRO_ACTIONS.index),
    "head_motion": sorted(set(head_motion), key=HEAD_MOTIONS.index),
    "speaking": speaking,
    "manner": manner if speaking == "speaking" else PLAIN,
  }


def structure(attributes: dict) -> str:
  """ "single", "then" (one emotion after the other) or "both" (at once)."""
  segments = attributes["segments"]
  if len(segments) == 1:
    return "single"
  return "then" if segments[1]["start_s"] > segments[0]["start_s"] else "both"


def comparable(attributes: dict) -> tuple:
  """What a text can say of attributes: everything but the segments' exact times."""
  return (
    structure(attributes),
    tuple((s["emotion"], s["intensity"]) for s in attributes["segments"]),
    tuple(attributes["micro_actions"]),
    tuple(attributes["head_motion"]),
    attributes["speaking"],
    attributes.get("manner", PLAIN),
  )


def parse(text: str, duration_s: float = 4.0) -> dict:
  """Reads the attributes of a prompt or caption.

  Args:
    text: any English; words the lexicon does not know are passed over.
    duration_s: segments that follow each other share it equally.

  Returns:
    The `attributes` of a record (DESIGN section 3).
  """
  items = _read(text)
  groups = _emotion_groups(items) or [[(NEUTRAL, DEFAULT_INTENSITY)]]
  length = duration_s / len(groups)
  segments = [
    (label, intensity, i * length, (i + 1) * length)
    for i, group in enumerate(groups)
    for label, intensity in group
  ]
  said = lambda kind: [value for k, value, _, _ in items if k == kind]
  manners = said("manner")
  voices = [mode for mode in said("speaking") if mode != "silent"]
  voices += ["speaking"] * len(manners)
  return make_attributes(
    segments,
    micro_actions=said("micro"),
    head_motion=[motion for motion in said("head") if motion != "still"],
    speaking="singing" if "singing" in voices else (voices or ["silent"])[0],
    manner=(manners or [PLAIN])[0],
  )


def known_word(text: str) -> bool:
  """Whether the text has at least one word about a face's emotion or motion."""
  return any(kind in _CONTENT for kind, *_ in _read(text))


def passed_over(text: str) -> list[tuple[int, int]]:
  """The words that say nothing of the face: (start, stop) in the text, ascending."""
  matches = _token_matches(text)
  read = {
    i
    for kind, _, start, stop in _read(text)
    if kind != "framing"
    for i in range(start, stop)
  }
  return [m.span() for i, m in enumerate(matches) if i not in read]


@functools.cache
def _single_words() -> tuple[str, ...]:
  """Every one-word form that says something about the face."""
  return tuple(
    sorted(
      tokens[0]
      for entries in _index().values()
      for tokens, kind, _ in entries
      if len(tokens) == 1 and kind in _CONTENT
    )
  )


def nearest_words(text: str, n: int = 3) -> list[str]:
  """The `n` known words most like some word of the text, the likest first."""
  scores: dict[str, float] = {}
  for word in {token for token in _tokens(text) if len(token) > 2}:
    for known in difflib.get_close_matches(word, _single_words(), n=n, cutoff=0.3):
      ratio = difflib.SequenceMatcher(None, word, known).ratio()
      scores[known] = max(scores.get(known, 0.0), ratio)
  ranked = sorted(scores, key=lambda known: (-scores[known], known))
  return (ranked + [w for w in ("happy", "sad", "angry") if w not in ranked])[:n]


def _version() -> str:
  content = [REVISION, sorted(map(str, _entries()))]
  families = {name: label.family for name, label in LABELS.items()}
  text = json.dumps([content, families], sort_keys=True)
  return hashlib.sha1(text.encode()).hexdigest()[:12]


VERSION = _version()
