"""The project's only vocabulary of faces, and the only parser that reads it.

`parse` turns a prompt or a caption into the `attributes` of a record: acts (see
`acts`), and from them segments of emotion, micro-actions and head motion; speaking and
its manner. Whatever a text does not mention has its default: neutral, intensity 3, a
still head, silent, no micro-action. Training captions, the judge and the quality checks
all go through here.
"""

import difflib
import functools
import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import clauses, motion_words, reading
from tdmm_jax.language.acts import Act
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
  "Reading",
  "attributes_of",
  "comparable",
  "concepts",
  "known_word",
  "make_attributes",
  "nearest_words",
  "parse",
  "passed_over",
  "reading_of",
  "structure",
]

REVISION = 3  # raise it when `parse` reads a text differently with the same tables
DEFAULT_INTENSITY = 3
INTENSITIES = motion_words.INTENSITIES
HEAD_MOTIONS = tuple(motion_words.HEAD_MOTIONS)
MICRO_ACTIONS = tuple(motion_words.MICRO_ACTIONS)
SPEAKING_MODES = tuple(motion_words.SPEAKING)
PLAIN = "plain"  # the manner of speaking that needs no word
MANNERS = (PLAIN, *motion_words.MANNERS)


def concepts():
  """Yields (surface form, what it means): forms of one meaning share its names.

  An emotion's form means its family and its label; the others mean one thing each.
  What only joins or denies is left out.
  """
  for form, kind, value in reading.entries():
    if kind in ("and", "not"):
      continue
    form = " ".join(word for word in form.split() if word != reading.POSSESSIVE)
    if kind == "emotion":
      yield form, (f"family {LABELS[value].family}", f"label {value}")
    elif kind == "intensity":
      yield form, (f"intensity {value[0]}",)
    else:
      yield form, (f"{kind} {value}",)


def make_attributes(
  segments,
  micro_actions=(),
  head_motion=(),
  speaking: str = "silent",
  manner: str = PLAIN,
  acts: Sequence[Act] = (),
) -> dict:
  """The `attributes` of a record, from emotions and what else is done.

  Args:
    segments: rows of (label, intensity, start_s, end_s).
    micro_actions, head_motion: names of acts of which nothing more is said; they may
      happen at any time.
    speaking, manner: of the voice.
    acts: the other acts; emotions that are denied are among them, too.
  """
  segments = list(segments)
  end_s = max(float(end) for *_, end in segments)
  starts = sorted({float(start) for _, _, start, _ in segments})
  rows = [
    Act(
      label,
      emotion=True,
      start_s=float(start),
      end_s=float(end),
      size=int(level),
      when="then" if float(start) > starts[0] else "",
    )
    for label, level, start, end in segments
  ]
  plain = [Act(name, end_s=end_s) for name in (*micro_actions, *head_motion)]
  return attributes_of([*rows, *plain, *acts], end_s, speaking, manner)


def attributes_of(
  acts: Sequence[Act], duration_s: float, speaking="silent", manner=PLAIN
) -> dict:
  """The `attributes` of a record whose face does these acts.

  Top-level emotion, family and intensity are those of the longest segment, ties to the
  first; without an emotion they are neutral. `micro_actions` and `head_motion` are the
  names of the acts, in the lexicon's order.
  """
  emotions = [a for a in acts if a.emotion and not a.absent]
  neutral = Act(NEUTRAL, emotion=True, end_s=float(duration_s))
  rows = [
    {
      "start_s": round(float(act.start_s), 3),
      "end_s": round(float(act.end_s), 3),
      "emotion": act.name,
      "family": LABELS[act.name].family,
      "intensity": act.size,
    }
    for act in emotions or [neutral]
  ]
  longest = max(rows, key=lambda row: round(row["end_s"] - row["start_s"], 3))
  done = {a.name for a in acts if not a.absent}
  return {
    "schema": acts_lib.SCHEMA,
    "segments": rows,
    **{key: longest[key] for key in ("emotion", "family", "intensity")},
    "micro_actions": [name for name in MICRO_ACTIONS if name in done],
    "head_motion": [name for name in HEAD_MOTIONS if name in done],
    "speaking": speaking,
    "manner": manner if speaking == "speaking" else PLAIN,
    "acts": [act.to_dict() for act in acts],
  }


def structure(attributes: dict) -> str:
  """ "single", "then" (one emotion after the other) or "both" (at once)."""
  segments = attributes["segments"]
  if len(segments) == 1:
    return "single"
  return "then" if segments[1]["start_s"] > segments[0]["start_s"] else "both"


def comparable(attributes: dict) -> tuple:
  """What a text can say of attributes: everything but exact times."""
  acts = [
    act
    for act in acts_lib.acts_of(attributes)
    if not (act.name == NEUTRAL and act.size == DEFAULT_INTENSITY and not act.when)
  ]
  return (
    structure(attributes),
    acts_lib.said_of(acts),
    attributes["speaking"],
    attributes.get("manner", PLAIN),
  )


class Reading(NamedTuple):
  """What a text says, and what of it cannot be done as it is said."""

  attributes: dict
  warnings: list[str]


def reading_of(text: str, duration_s: float = 4.0) -> Reading:
  """`parse`, with its warnings: contradictions, counts that do not fit, a third eye."""
  items = reading.read(text)
  acts, warnings = clauses.acts_of(items, duration_s)
  said = lambda kind: [item.value for item in items if item.kind == kind]
  manners = said("manner")
  voices = [
    item.value
    for i, item in enumerate(items)
    if item.kind == "speaking"
    and item.value != "silent"
    and not (i and items[i - 1].kind == "not")
  ]
  voices += ["speaking"] * len(manners)
  attributes = attributes_of(
    acts,
    duration_s,
    speaking="singing" if "singing" in voices else (voices or ["silent"])[0],
    manner=(manners or [PLAIN])[0],
  )
  return Reading(attributes, warnings)


def parse(text: str, duration_s: float = 4.0) -> dict:
  """Reads the attributes of a prompt or caption.

  Args:
    text: any English; words that the lexicon does not know are ignored.
    duration_s: of the clip; what comes one after the other shares it equally.

  Returns:
    The `attributes` of a record (docs/records.md).
  """
  return reading_of(text, duration_s).attributes


def known_word(text: str) -> bool:
  """Whether the text has at least one word about a face's emotion or motion."""
  return clauses.says_something(reading.read(text))


def passed_over(text: str) -> list[tuple[int, int]]:
  """The words that say nothing about the face: (start, stop) in the text, ascending."""
  matches = reading.token_matches(text)
  read = {
    i
    for item in reading.read(text)
    if item.kind != "framing"
    for i in range(item.start, item.stop)
  }
  return [m.span() for i, m in enumerate(matches) if i not in read]


@functools.cache
def _single_words() -> tuple[str, ...]:
  """Every one-word form that says something about the face."""
  return tuple(
    sorted(
      tokens[0]
      for entries in reading.index().values()
      for tokens, kind, _ in entries
      if len(tokens) == 1 and kind in reading.CONTENT
    )
  )


def nearest_words(text: str, n: int = 3) -> list[str]:
  """The `n` known words most similar to a word of the text, the most similar first."""
  scores: dict[str, float] = {}
  for word in {token for token in reading.tokens_of(text) if len(token) > 2}:
    for known in difflib.get_close_matches(word, _single_words(), n=n, cutoff=0.3):
      ratio = difflib.SequenceMatcher(None, word, known).ratio()
      scores[known] = max(scores.get(known, 0.0), ratio)
  ranked = sorted(scores, key=lambda known: (-scores[known], known))
  return (ranked + [w for w in ("happy", "sad", "angry") if w not in ranked])[:n]


def _version() -> str:
  content = [REVISION, sorted(map(str, reading.entries()))]
  families = {name: label.family for name, label in LABELS.items()}
  text = json.dumps([content, families], sort_keys=True)
  return hashlib.sha1(text.encode()).hexdigest()[:12]


VERSION = _version()
