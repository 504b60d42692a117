"""Acts: what a face does, with side, direction, count, tempo, size, time and absence.

The attributes of a clip hold a list of acts. `KINDS` says of every kind of act which of
these it can have; the words for them are in `motion_words`, the clauses that bind
them in `clauses`. An emotion is an act, too: its name is a label of the lexicon.
"""

import dataclasses
from typing import NamedTuple

SCHEMA = 2  # of `attributes`: 1 had no acts
EMOTION = "emotion"
STILL = "still"  # a head that is asked to keep still
SIDES = ("left", "right", "both", "one")  # the subject's own; one: either
DIRECTIONS = ("left", "right", "up", "down", "forward", "back")
TEMPOS = ("slow", "quick")
HOLDS = ("brief", "held")
WHENS = ("start", "end", "after", "then", "while", "throughout")
USUAL_SIZE = 3
SHORTEST_S = 0.36  # of one of several: more do not fit


class Kind(NamedTuple):
  """What an act of a kind moves, and what can be said of it."""

  what: str
  directions: tuple[str, ...] = ()
  sided: bool = False
  counted: bool = False
  held: bool = False  # it can stay


_SIDEWAYS = ("left", "right")
KINDS = {
  "nod": Kind("head", counted=True),
  "shake": Kind("head", counted=True),
  "tilt": Kind("head", _SIDEWAYS, held=True),
  "turn": Kind("head", _SIDEWAYS, held=True),
  "look_up": Kind("head", held=True),
  "look_down": Kind("head", held=True),
  "lean": Kind("head", ("forward", "back"), held=True),
  "dip": Kind("head", counted=True),
  "look_away": Kind("head", _SIDEWAYS),
  "double_take": Kind("head", _SIDEWAYS),
  "blink": Kind("lids", counted=True),
  "wink": Kind("lids", sided=True, counted=True),
  "brow_raise": Kind("brows", sided=True, counted=True, held=True),
  "brow_furrow": Kind("brows", held=True),
  "lip_press": Kind("mouth", held=True),
  "lip_bite": Kind("mouth", held=True),
  "pucker": Kind("mouth", held=True, counted=True),
  "jaw_drop": Kind("jaw", held=True, counted=True),
  "squint": Kind("lids", sided=True, held=True),
  "gaze_shift": Kind("gaze", (*_SIDEWAYS, "up", "down"), counted=True, held=True),
  "nose_wrinkle": Kind("nose", counted=True),
  "cheek_puff": Kind("cheeks", sided=True, counted=True, held=True),
  "eyes_closed": Kind("lids", sided=True, held=True),
  "wide_eyes": Kind("lids", held=True),
  "eye_roll": Kind("gaze", counted=True),
  "lopsided_smile": Kind("mouth", sided=True, held=True),
  "duck_face": Kind("mouth", held=True),
  "mouth_shrug": Kind("mouth", counted=True),
  "mouth_shift": Kind("mouth", _SIDEWAYS, held=True),
  "jaw_shift": Kind("jaw", _SIDEWAYS, held=True),
  "swallow": Kind("throat", counted=True),
  "sniff": Kind("nose", counted=True),
  "deep_breath": Kind("throat", counted=True),
}


@dataclasses.dataclass(frozen=True)
class Act:
  """One act. What is empty (or 0) was not said.

  Attributes:
    name: a kind (KINDS), `STILL`, or an emotion's label.
    emotion: whether the name is an emotion's label.
    start_s, end_s: of its motion; of a text that does not say, when it may happen.
    size: 1 .. 5; of an emotion its intensity.
    count: how many times; 0: as usual.
    side, direction, tempo, hold, when: see SIDES, DIRECTIONS, TEMPOS, HOLDS, WHENS.
    absent: whether it is this that does not happen.
  """

  name: str
  emotion: bool = False
  start_s: float = 0.0
  end_s: float = 0.0
  size: int = USUAL_SIZE
  count: int = 0
  side: str = ""
  direction: str = ""
  tempo: str = ""
  hold: str = ""
  when: str = ""
  absent: bool = False

  @property
  def what(self) -> str:
    """What is moved: "emotion", "head", "gaze", "lids", "brows", "mouth" ..."""
    if self.emotion:
      return EMOTION
    return "head" if self.name == STILL else KINDS[self.name].what

  def replace(self, **changes) -> "Act":
    return dataclasses.replace(self, **changes)

  def to_dict(self) -> dict:
    """As records hold it: what, name and times, and all else that was said."""
    row = {"what": self.what, "name": self.name}
    row |= {"start_s": round(self.start_s, 3), "end_s": round(self.end_s, 3)}
    usual = {"size": USUAL_SIZE, "count": 0, "absent": False}
    for key in ("size", "count", *_WORDS, "absent"):
      if (value := getattr(self, key)) != usual.get(key, ""):
        row[key] = value
    return row

  def said(self) -> tuple:
    """What words say of it: everything but exact times."""
    after = round(2 * self.start_s) / 2 if self.when == "after" else None
    words = tuple(getattr(self, key) for key in _WORDS)
    return (self.name, self.size, self.count, *words, after, self.absent)


_WORDS = ("side", "direction", "tempo", "hold", "when")


def from_dict(row: dict) -> Act:
  """The act of a record.

  Raises:
    KeyError, TypeError: it is none.
  """
  fields = {key: value for key, value in row.items() if key != "what"}
  return Act(emotion=row["what"] == EMOTION, **fields)


def acts_of(attributes: dict) -> list[Act]:
  """The acts of a record's attributes, in the order in which they are told."""
  return [from_dict(row) for row in attributes["acts"]]


def said_of(acts) -> tuple:
  """What words say of acts: equal where two lists say the same of a face.

  The order counts where one thing follows another.
  """
  chain = tuple(a.name for a in acts if a.when == "then" or a.emotion)
  return tuple(sorted(a.said() for a in acts)), chain
