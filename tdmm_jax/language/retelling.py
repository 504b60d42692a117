"""Captions that say what was read: one that does not is told again, in plain words.

A decoder that writes a caption is told the acts that the encoder reads in a motion, and
still leaves some out, adds others, or takes one side for the other. How strong an
emotion is, and which of its family, it knows best.
"""

import re

from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon, motion_words, wording
from tdmm_jax.language.acts import KINDS, USUAL_SIZE, Act
from tdmm_jax.language.emotion_words import LABELS, NEUTRAL

_APART_S = 0.2  # acts that begin after another has ended by this follow it
_STUTTER = re.compile(r"\b(\w+) \1\b")  # "a marked visible visible look"
FAINT = "hardly any expression"
# What the lexicon's usual words leave out.
_WHOLE = (("looks kissing", "blows a kiss"), ("man grits", "man grits his teeth"))
_ONE_SIDED = ("wink", "lopsided_smile")


def _core(act: Act) -> tuple:
  side = "" if act.side == "both" else act.side  # no motion tells the two apart
  return act.name, side, act.direction, act.count


def _families(acts) -> list[str]:
  """Families in the order in which they are told, neutral ones only if alone."""
  told = [LABELS[act.name].family for act in acts if act.emotion and not act.absent]
  shown = list(dict.fromkeys(family for family in told if family != NEUTRAL))
  return shown or [NEUTRAL]


def agrees(said: dict, read: dict) -> bool:
  """Whether attributes of a caption name the emotions, acts and voice that were read.

  Sizes, tempos and times may differ. What is named twice agrees with nothing.
  """
  mine, true = acts_lib.acts_of(said), acts_lib.acts_of(read)
  cores = lambda acts: [_core(a) for a in acts if not (a.emotion or a.absent)]
  return (
    sorted(cores(mine)) == sorted(set(cores(true)))
    and _families(mine) == _families(true)
    and said["speaking"] == read["speaking"]
  )


def retold(caption: str, read: dict) -> str:
  """The caption, or one in plain words that agrees with what was read.

  Args:
    caption: of a motion, by a model.
    read: what its encoder reads in the motion (`act_reading.acts_read`); "faint" says
      that no emotion stands out of a face that may show one.
  """
  said = lexicon.parse(caption)
  if agrees(said, read) and not _STUTTER.search(caption):
    return caption
  return _told(said, read)


def plain(caption: str) -> str:
  """The caption in plain words: "The man looks scared." for "moderately fearfully".

  One that says what such words do not is left as it is.
  """
  said = lexicon.parse(caption)
  text = _told(said, said)
  again = lexicon.parse(text)
  shown = lambda attributes: [
    (act.name, act.size) for act in acts_lib.acts_of(attributes) if act.emotion
  ]
  same = agrees(again, said) and shown(again) == shown(said)
  same = same and ("then " in text) == ("then " in caption)
  return text if same and FAINT not in caption else caption


def _told(said: dict, read: dict) -> str:
  """What was read, the emotions as they were said."""
  felt = [a for a in acts_lib.acts_of(said) if a.emotion and not a.absent]
  told = [act for act in acts_lib.acts_of(read) if act.emotion]
  acts = [_felt(act, i, felt) for i, act in enumerate(_emotions(told))]
  done = [act for act in acts_lib.acts_of(read) if not act.emotion]
  done = list({_core(act): act for act in reversed(done)}.values())[::-1]
  for i, act in enumerate(done):
    follows = i and act.start_s >= done[i - 1].end_s + _APART_S
    both = KINDS[act.name].sided and not act.side and act.name not in _ONE_SIDED
    side = "both" if both else act.side
    acts.append(act.replace(side=side, when="then" if follows else ""))
  return _sentence(acts, read)


def _emotions(told: list[Act]) -> list[Act]:
  """Emotions one after the other; neutral only where there is nothing else."""
  shown = {}
  for act in told:
    if act.name != NEUTRAL:
      shown.setdefault(LABELS[act.name].family, act)
  acts = list(shown.values())
  return acts or [Act(NEUTRAL, emotion=True)]


def _felt(act: Act, place: int, felt: list[Act]) -> Act:
  """An emotion that was read, with label and strength as the caption has them."""
  family = LABELS[act.name].family
  twins = [a for a in felt if LABELS[a.name].family == family]
  size = felt[min(place, len(felt) - 1)].size if felt else USUAL_SIZE
  name, size = (twins[0].name, twins[0].size) if twins else (act.name, size)
  if name == NEUTRAL:
    size = USUAL_SIZE
  return act.replace(name=name, size=size, when="then" if place else "")


def _sentence(acts: list[Act], read: dict) -> str:
  """ "The man looks very sad, nodding twice, then winking and speaking softly." """
  felt = [act for act in acts if act.emotion]
  text = wording.sentence(felt, "the man", "his").rstrip(".")
  if felt[0].name == NEUTRAL:
    text = "The man looks neutral"
    if read.get("faint") and len(acts) == 1:
      text = f"The man shows {FAINT}"
  parts = []
  for act in acts:
    if not act.emotion:
      said = wording.phrase(act, wording.PARTICIPLE).replace("~", "his")
      parts.append(f"then {said}" if act.when == "then" else said)
  if (voice := read["speaking"]) != "silent":
    manner = read.get("manner", lexicon.PLAIN)
    plain = manner == lexicon.PLAIN
    forms = motion_words.SPEAKING[voice] if plain else motion_words.MANNERS[manner]
    parts.append(forms[1][0])
  joined = len(parts) > 1 and " and " in parts[-2]  # "holding it"
  if len(parts) > 1 and not joined and not parts[-1].startswith("then "):
    parts[-2:] = [" and ".join(parts[-2:])]
  text = ", ".join([text, *parts]) + "."
  for short, whole in _WHOLE:
    text = text.replace(short, whole)
  return text
