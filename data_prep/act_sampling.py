"""Which acts a clip shows beside its emotion: none hides or contradicts another."""

import numpy as np

from tdmm_jax.language import lexicon, placing
from tdmm_jax.language.acts import KINDS, STILL, Act

# What hides or contradicts an act: families that already do it ...
HIDDEN_BY_FAMILY = {
  "blink": ("tiredness", "pain"),
  "eyes_closed": ("tiredness", "pain"),
  "wide_eyes": ("surprise", "fear", "anger", "tiredness", "pain", "interest"),
  "lopsided_smile": ("happiness", "contempt", "interest", "pride", "embarrassment")
  + ("confusion", "pout"),
  "duck_face": ("pout", "surprise", "happiness", "pain"),
  "mouth_shrug": ("sadness", "pride", "pout", "disgust", "anger", "concentration"),
  "mouth_shift": ("contempt", "confusion"),
  "jaw_shift": ("contempt", "surprise"),
  "swallow": ("pride", "pout", "concentration", "anger", "pain", "embarrassment"),
  "sniff": ("disgust", "pain"),
  "deep_breath": ("surprise", "fear", "tiredness", "happiness"),
  "eye_roll": ("embarrassment", "tiredness"),
  "look_away": ("embarrassment",),
  "double_take": ("surprise", "embarrassment"),
  "wink": ("pain", "concentration", "tiredness", "disgust"),
  "brow_raise": ("surprise", "fear", "interest", "confusion", "sadness"),
  "brow_furrow": ("anger", "concentration", "confusion", "pain", "sadness", "disgust"),
  "lip_press": ("surprise", "embarrassment", "anger", "concentration", "pain"),
  "lip_bite": ("surprise", "pain", "embarrassment", "fear"),
  "pucker": ("pout", "surprise", "pain", "happiness", "confusion"),
  "jaw_drop": ("surprise", "tiredness", "fear", "happiness", "disgust"),
  "squint": ("concentration", "pain", "tiredness", "anger", "disgust", "happiness"),
  "nose_wrinkle": ("disgust", "pain"),
  "cheek_puff": ("surprise", "pain", "happiness"),
  "gaze_shift": ("embarrassment", "sadness", "tiredness"),
}
_LOOKING_LABELS = (
  *("nervous", "anxious", "bored", "thoughtful", "panicked", "disoriented"),
  *("flustered", "vigilant", "impatient", "dreamy", "inspired", "suspicious"),
  *("resentful", "jealous", "studious", "brooding", "averse", "dismissive"),
  *("hesitant", "dazed", "nostalgic", "lonely", "offended", "calculating"),
)
_HIDDEN_BY_LABEL = dict.fromkeys(
  ("gaze_shift", "eye_roll", "look_away", "double_take"), _LOOKING_LABELS
)
# ... and a mouth that is busy with words.
_MOUTH_PARTS = ("mouth", "jaw", "cheeks", "throat", "nose")
# How often each act is asked for, against the others: those with sides or directions
# more often, so that none of these is too rare to be learned.
WEIGHTS = {
  **{"nod": 3.6, "shake": 2.2, "tilt": 2.4, "turn": 2.8, "look_up": 1.5},
  **{"look_down": 1.5, "lean": 1.8, "dip": 1.0, "look_away": 1.5, "double_take": 1.3},
  **{"blink": 2.2, "wink": 2.4, "brow_raise": 2.6, "brow_furrow": 1.2},
  **{"lip_press": 1.1, "lip_bite": 1.1, "pucker": 1.3, "jaw_drop": 1.8, "squint": 1.6},
  **{"gaze_shift": 4.4, "nose_wrinkle": 1.2, "cheek_puff": 2.4, "eyes_closed": 2.0},
  **{"wide_eyes": 1.2, "eye_roll": 1.4, "lopsided_smile": 2.2, "duck_face": 1.1},
  **{"mouth_shrug": 1.1, "mouth_shift": 2.0, "jaw_shift": 2.0, "swallow": 1.1},
  **{"sniff": 1.1, "deep_breath": 1.1},
}
COUNTED = {  # shares of not said, once, twice, three and four times
  "nod": (0.2, 0.2, 0.2, 0.2, 0.2),
  "shake": (0.35, 0.2, 0.25, 0.2, 0.0),
  "blink": (0.3, 0.15, 0.2, 0.2, 0.15),
  "wink": (0.45, 0.15, 0.25, 0.15, 0.0),
}
_SELDOM_COUNTED = (0.8, 0.0, 0.13, 0.07, 0.0)
_WITHOUT_SIZE = (
  *("wink", "blink", "eyes_closed", "eye_roll", "sniff", "swallow", "double_take"),
  *("deep_breath", "duck_face", "look_away", "lip_bite", "dip", "pucker"),
)
_WITHOUT_TEMPO = (
  "double_take",
  "deep_breath",
  "dip",
  "eye_roll",
  "look_away",
  "sniff",
  "swallow",
  "mouth_shrug",
)
# Never together: one hides the other.
_APART = (
  ("eyes_closed", "gaze_shift", "eye_roll", "blink", "wink", "wide_eyes", "squint"),
  ("brow_raise", "brow_furrow", "double_take", "wide_eyes"),
  ("gaze_shift", "eye_roll", "turn", "look_up", "look_down", "look_away")
  + ("double_take", "lean", "nod", "dip", "shake"),
)
# What is denied, and how often something is.
ABSENT = ("blink", "smiling", "brow_raise", "brow_furrow", "frowning", "jaw_drop")
ABSENT_SHARE = 0.2
AFTER_S = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


def _allowed(labels, speaking: str) -> list[str]:
  """The acts that can be seen on such a face."""
  families = {lexicon.LABELS[label].family for label in labels}
  return [
    name
    for name, kind in KINDS.items()
    if not families & set(HIDDEN_BY_FAMILY.get(name, ()))
    and not set(labels) & set(_HIDDEN_BY_LABEL.get(name, ()))
    and (speaking == "silent" or kind.what not in _MOUTH_PARTS)
  ]


def _apart(name: str, other: str) -> bool:
  if KINDS[name].what == KINDS[other].what:
    return True
  mouths = KINDS[name].what in _MOUTH_PARTS and KINDS[other].what in _MOUTH_PARTS
  return mouths or any(name in group and other in group for group in _APART)


def _names(rng, labels, speaking: str, still: bool) -> list[str]:
  """Which acts: none to three, of which none hides another."""
  shares = (0.25, 0.44, 0.26, 0.05)
  if tuple(labels) == (lexicon.NEUTRAL,):
    shares = (0.08, 0.47, 0.37, 0.08)
  chosen: list[str] = []
  for _ in range(int(rng.choice(4, p=shares))):
    options = [
      name
      for name in _allowed(labels, speaking)
      if not any(_apart(name, other) for other in chosen)
      and not (still and KINDS[name].what == "head")
    ]
    if not options:
      break
    weights = np.array([WEIGHTS[name] for name in options])
    chosen.append(str(rng.choice(options, p=weights / weights.sum())))
  return chosen


def _act(rng, name: str, duration_s: float) -> Act:
  """An act with what is said of it but its time."""
  kind, act = KINDS[name], Act(name, end_s=duration_s)
  if name in ("wink", "lopsided_smile"):
    act = act.replace(side=str(rng.choice(("left", "right"))))
  elif kind.sided:
    options, shares = ("left", "right", "both", ""), (0.28, 0.28, 0.12, 0.32)
    act = act.replace(side=str(rng.choice(options, p=shares)))
  if kind.directions:
    act = act.replace(direction=str(rng.choice(kind.directions)))
  if kind.counted:
    shares = COUNTED.get(name, _SELDOM_COUNTED)
    act = act.replace(count=int(rng.choice(5, p=shares)))
  several = name != "blink" or act.count > 1
  if name not in _WITHOUT_TEMPO and several and rng.random() < 0.32:
    act = act.replace(tempo=str(rng.choice(("slow", "quick"))))
  if kind.held and not act.count and act.tempo != "slow" and rng.random() < 0.4:
    act = act.replace(hold="held" if rng.random() < 0.68 else "brief")
  plain = not (act.tempo or act.hold == "brief")
  if name not in _WITHOUT_SIZE and plain and rng.random() < 0.34:
    act = act.replace(size=int(rng.choice((2, 4))))
  longest = max(act.count, 3 if name in COUNTED else 1) * placing.each_s(act)[1]
  if kind.counted and longest > 0.8 * duration_s:
    act = act.replace(tempo="quick" if name == "nod" and act.count > 3 else "")
  return act


def _with_time(rng, act: Act, duration_s: float) -> Act:
  """The act at a time that words name, or at none."""
  longest = placing.each_s(act)[1] * max(act.count, 2) + 0.3
  at = [t for t in AFTER_S if t + longest < duration_s]
  options = ["", "start"]
  options += ["after"] if at and act.tempo != "slow" else []
  options += ["end"] if act.hold != "held" and act.tempo != "slow" else []
  when = str(rng.choice(options, p=_normal([0.6, 0.12, 0.16, 0.12][: len(options)])))
  if when == "after":
    return act.replace(when=when, start_s=float(rng.choice(at)))
  if when == "end":
    return act.replace(when=when, start_s=duration_s / 2)
  return act.replace(when=when)


def _normal(shares):
  return np.array(shares) / sum(shares)


def sample(rng, labels, speaking: str, then: bool, duration_s: float) -> list[Act]:
  """All acts but emotions that happen, with times that do not contradict."""
  acts = [
    _act(rng, name, duration_s)
    for name in _names(rng, labels, speaking, bool(rng.random() < 0.05))
  ]
  draw, alone = rng.random(), tuple(labels) == (lexicon.NEUTRAL,)
  short = [act.hold != "held" and act.tempo != "slow" and act.count < 3 for act in acts]
  if then or not acts:
    return [_with_time(rng, act, duration_s) for act in acts]
  if len(acts) > 1 and draw < 0.3 and all(short[:2]):
    half = duration_s / 2
    first = acts[0].replace(end_s=half)
    return [first, acts[1].replace(when="then", start_s=half)]
  if len(acts) > 1 and draw < 0.42:
    return [acts[0], acts[1].replace(when="while")]
  if len(acts) == 1 and draw < 0.15 and not alone:
    return [acts[0].replace(when="then", start_s=duration_s / 2)]
  return [_with_time(rng, act, duration_s) for act in acts]


def sample_absent(rng, labels, acts, speaking: str) -> list[Act]:
  """What must not be seen: a blink, a smile, a motion of the head ..."""
  if rng.random() > ABSENT_SHARE:
    return []
  families = {lexicon.LABELS[label].family for label in labels}
  options = []
  if not any(KINDS[act.name].what == "head" for act in acts):
    options += [Act(STILL)] * 2
  names = {act.name for act in acts}
  for name in ABSENT:
    if name in lexicon.LABELS:
      hidden = lexicon.LABELS[name].family in families | {"contempt"}
      hidden |= bool(families & {"happiness", "contempt", "pout", "sadness"})
      hidden |= bool({"lopsided_smile", "mouth_shrug"} & names)
      if not hidden:
        options.append(Act(name, emotion=True, absent=True))
    elif not names & {name, "double_take", "wide_eyes", "deep_breath", "eyes_closed"}:
      busy = name == "jaw_drop" and speaking != "silent"
      shown = families & set(HIDDEN_BY_FAMILY.get(name, ()))
      if not busy and not shown:
        options.append(Act(name, absent=True))
  return [options[int(rng.integers(len(options)))]] if options else []
