"""Answers to questions about a motion, from a record's `attributes`.

What an answer says is read back by `lexicon.parse`; "no" is said by not naming the
thing, since the lexicon knows no negation. Answers start in lower case, for there their
words have the same pieces as inside a caption.
"""

from tdmm_jax.language import lexicon, motion_words
from tdmm_jax.language.question_wordings import QUESTION_KINDS


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


def asked_for(kind: str, attributes: dict):
  """What of the attributes a question is about; a right answer has the same."""
  if kind == "emotion":
    return attributes["family"]
  if kind == "head":
    return set(attributes["head_motion"])
  if kind == "blink":
    return "blink" in attributes["micro_actions"]
  if kind == "micro_actions":
    return set(attributes["micro_actions"])
  if kind == "changes":
    segments = sorted(attributes["segments"], key=lambda s: s["start_s"])
    return [segment["family"] for segment in segments]
  return attributes[kind]


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
  moves = _participles(motion_words.HEAD_MOTIONS, attributes["head_motion"])
  return f"yes, {moves}" if moves else "no, keeping the head still"


def _blink(attributes: dict) -> str:
  return "yes, blinking repeatedly" if "blink" in attributes["micro_actions"] else "no"


def _speaking(attributes: dict) -> str:
  voice = _participles(motion_words.SPEAKING, [attributes["speaking"]])
  return voice if attributes["speaking"] == "silent" else f"yes, {voice}"


def _micro_actions(attributes: dict) -> str:
  names = attributes["micro_actions"]
  return _participles(motion_words.MICRO_ACTIONS, names) or "none"


def _changes(attributes: dict) -> str:
  """One emotion after the other; those that start together are named together."""
  groups: dict[float, list[str]] = {}
  for segment in attributes["segments"]:
    groups.setdefault(segment["start_s"], []).append(_graded(segment))
  said = [" and ".join(group) for _, group in sorted(groups.items())]
  if len(said) == 1:
    return f"nothing, it stays {said[0]}"
  return "first " + ", then ".join(said)


_ANSWERS = {
  "emotion": _emotion,
  "intensity": _graded,
  "head": _head,
  "blink": _blink,
  "speaking": _speaking,
  "micro_actions": _micro_actions,
  "changes": _changes,
}
