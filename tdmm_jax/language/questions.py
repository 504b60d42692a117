"""Answers to questions about a motion, from a record's `attributes`.

What an answer says is read back by `lexicon.parse`; "no" is said by not naming the
thing. Answers start in lower case, for there their
words have the same pieces as inside a caption.
"""

import functools
import re

from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon, motion_words, wording
from tdmm_jax.language.acts import Act
from tdmm_jax.language.question_wordings import QUESTION_KINDS

OF_EMOTIONS = ("emotion", "intensity", "changes")


def answer(kind: str, attributes: dict) -> str:
  """The answer to a kind of question (question_wordings.QUESTION_KINDS).

  Args:
    kind: what is asked.
    attributes: of a record (DESIGN section 3): its longest segment's emotion is the
      one that "emotion" and "intensity" ask for.
  """
  if kind not in QUESTION_KINDS:
    raise ValueError(f"question {kind!r}; choose one of {QUESTION_KINDS}")
  return _ANSWERS[kind](attributes) + "."


def kind_of(question: str | None) -> str | None:
  """The kind of a question, by its words; None where they do not tell."""
  if not question:
    return None
  if kind := _about_emotion(question):
    return kind
  if any(act.emotion for act in acts_lib.acts_of(lexicon.parse(question))):
    return "intensity" if re.match(r"how\b", question, re.IGNORECASE) else "emotion"
  return next((kind for kind, words in _WORDS if words.search(question)), None)


def _about_emotion(question: str) -> str | None:
  if not _EMOTION.search(question) or _OTHER.search(question):
    return None
  if _CHANGE.search(question):
    return "changes"
  return "intensity" if _INTENSITY.search(question) else "emotion"


def asked_for(kind: str, attributes: dict):
  """The attributes that a question is about; a right answer has the same ones."""
  if kind == "emotion":
    return attributes["family"]
  if kind == "head":
    return set(attributes["head_motion"])
  if kind == "blink":
    return "blink" in attributes["micro_actions"]
  if kind == "micro_actions":
    return set(attributes["micro_actions"])
  if kind in ("count", "side", "nods"):
    return {(a.name, *_EXACT[kind](a)) for a in _done(attributes) if _EXACT[kind](a)}
  if kind == "changes":
    segments = sorted(attributes["segments"], key=lambda s: s["start_s"])
    return [segment["family"] for segment in segments]
  return attributes[kind]


# Kind of question about acts -> what of an act it is about; empty: not about it.
_EXACT = {
  "count": lambda act: (act.count,) if act.count else (),
  "side": lambda act: (act.side or act.direction,) if act.side or act.direction else (),
  "nods": lambda act: (act.count,) if act.name == "nod" else (),
}


def _done(attributes: dict) -> list[Act]:
  """The acts of a face, without emotions and without what is absent."""
  acts = acts_lib.acts_of(attributes)
  return [
    a for a in acts if not a.emotion and not a.absent and a.name in acts_lib.KINDS
  ]


def _phrases(acts) -> str:
  said = [wording.phrase(act, wording.PARTICIPLE, times=False) for act in acts]
  return " and ".join(said).replace("~", "the")


def _exact(kind: str, attributes: dict) -> str:
  return _phrases(a for a in _done(attributes) if _EXACT[kind](a)) or "none"


def _graded(segment: dict) -> str:
  """An emotion with its intensity: "slightly sad"."""
  word = lexicon.LABELS[segment["emotion"]].adjectives[0]
  if segment["emotion"] == lexicon.NEUTRAL:
    return word
  return f"{lexicon.INTENSITIES[segment['intensity']][1][0]} {word}"


def _participles(table: dict, names) -> str:
  """What is being done: "nodding and tilting the head"."""
  return " and ".join(table[name][1][0].replace("~", "the") for name in names)


def _emotion(attributes: dict) -> str:
  return lexicon.LABELS[attributes["emotion"]].adjectives[0]


def _head(attributes: dict) -> str:
  moves = _phrases(a for a in _done(attributes) if a.what == "head")
  return f"yes, {moves}" if moves else "no, keeping the head still"


def _blink(attributes: dict) -> str:
  blinks = _phrases(a for a in _done(attributes) if a.name == "blink")
  return f"yes, {blinks}" if blinks else "no"


def _speaking(attributes: dict) -> str:
  voice = _participles(motion_words.SPEAKING, [attributes["speaking"]])
  return voice if attributes["speaking"] == "silent" else f"yes, {voice}"


def _micro_actions(attributes: dict) -> str:
  return _phrases(a for a in _done(attributes) if a.what != "head") or "none"


def _changes(attributes: dict) -> str:
  """One emotion after the other; those that start together are named together."""
  groups: dict[float, list[str]] = {}
  for segment in attributes["segments"]:
    groups.setdefault(segment["start_s"], []).append(_graded(segment))
  said = [" and ".join(group) for _, group in sorted(groups.items())]
  if len(said) == 1:
    return f"nothing, it stays {said[0]}"
  return "first " + ", then ".join(said)


# Words of a question about an emotion; of one about how it changes; about its strength.
_EMOTION = re.compile(
  r"\b(emotions?|emotional\w*|feel(s|ing|ings)?|felt|moods?|expressions?|intensity)\b"
  r"|^what changes"
  r"|\b(face|person|man|woman|he|she) (changes?|stays?|remains?)\b"
  r"|how (clearly|strongly|intensely) does|^how (strong|intense) is"
  r"|\bhow does (the|this)? ?\w+ look\b",
  re.IGNORECASE,
)
_CHANGE = re.compile(
  r"\b(chang\w*|develop\w*|evolve\w*|shifts?|first|then|stays?|remains?|same"
  r"|turns? into|follow|sequence|from (which|what))\b",
  re.IGNORECASE,
)
_INTENSITY = re.compile(
  r"\b(how (strong|intense|marked|weak|much|clear|pronounced)\w*|intens\w*|strength"
  r"|faint|mild|degree|level|extent|(slight|weak|mild)\w* or)\b",
  re.IGNORECASE,
)
_OTHER = re.compile(r"\b(micro-|facial )?actions?\b", re.IGNORECASE)
# What other questions are about, the surest words first.
_NUMBER = (
  r"\b(how many|how often|count|number|once|twice|times|repeat\w*|repetitions?)\b"
)
_WORDS = [
  (kind, re.compile(words, re.IGNORECASE))
  for kind, words in (
    (
      "count",
      r"\bnod\w*,.*\b(blink|wink)|^(?!.*(nod|blink)).*\b(more than once|repeated)\b",
    ),
    ("nods", rf"(?=.*\bnod).*{_NUMBER}"),
    ("nods", r"how often does the head go"),
    ("blink", r"\bblink|\beyes? (close and open|open and close)"),
    ("head", r"\b(which|what) way does (the|his|her) head move"),
    (
      "head",
      r"^(?!.*\b(eyes?|gaze|mouth)\b)(?=.*\bhead\b)(?!.*\b(side|direction)\b)"
      r"(?!.*(which|what) way does)(?!.*\b(count|number)\b)",
    ),
    ("side", r"\b(left|right|sides?|directions?)\b|\b(which|what) way\b"),
    ("side", r"\b(which|what) (eye|eyebrow|brow|cheek)\b"),
    ("micro_actions", r"\bmicro|\b(small|minor|little) \w+|\bfacial (actions?|mov\w+)"),
    (
      "speaking",
      r"\b(speak|talk|sing|silent|silence|song|speech|quiet|voice)\w*"
      r"|\bspoken\b|\bwords\b|\bsay(s|ing)? (any|some)thing",
    ),
    ("count", _NUMBER),
    ("head", r"\bnod|\bshak"),
    ("micro_actions", r"\belse\b|\b(eyes|brows|nose|cheeks|jaw|lips)\b.*\b(and|,)"),
  )
]
_ANSWERS = {
  "emotion": _emotion,
  "intensity": _graded,
  "head": _head,
  "blink": _blink,
  "speaking": _speaking,
  "micro_actions": _micro_actions,
  "changes": _changes,
  **{kind: functools.partial(_exact, kind) for kind in _EXACT},
}
