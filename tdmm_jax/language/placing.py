"""When each act happens: from what a text says of time to exact spans.

An act moves from start_s on and is over at end_s; what is held stays until the clip
ends or another act needs the same part of the face.
"""

import numpy as np

from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon
from tdmm_jax.language.acts import KINDS, STILL, Act

# Seconds of one of several (nods, blinks ...) by tempo; "" is the usual one.
_EACH_S = {"": (0.60, 0.80), "slow": (1.15, 1.35), "quick": (0.38, 0.45)}
_EACH_OF = {
  "blink": {"": (0.50, 0.70), "slow": (0.95, 1.1), "quick": (0.38, 0.42)},
  "wink": {"": (0.80, 1.05), "slow": (1.3, 1.6), "quick": (0.55, 0.65)},
  "dip": {"": (0.80, 1.0), "slow": (1.3, 1.5), "quick": (0.5, 0.6)},
  "gaze_shift": {"": (0.80, 1.1), "slow": (2.3, 2.6), "quick": (0.55, 0.7)},
  "eye_roll": {"": (0.9, 1.2), "slow": (1.5, 1.8), "quick": (0.6, 0.7)},
  "swallow": {"": (0.7, 0.9), "slow": (1.1, 1.3), "quick": (0.5, 0.6)},
  "sniff": {"": (0.45, 0.55), "slow": (0.9, 1.0), "quick": (0.38, 0.42)},
  "deep_breath": {"": (1.8, 2.4), "slow": (2.6, 3.0), "quick": (1.1, 1.3)},
  "mouth_shrug": {"": (0.8, 1.1), "slow": (2.2, 2.6), "quick": (0.55, 0.65)},
  "brow_raise": {"": (0.7, 0.95), "slow": (2.3, 2.7), "quick": (0.45, 0.55)},
  "jaw_drop": {"": (0.75, 1.0), "slow": (2.2, 2.6), "quick": (0.5, 0.6)},
  "cheek_puff": {"": (0.8, 1.1), "slow": (2.2, 2.6), "quick": (0.55, 0.65)},
  "pucker": {"": (0.75, 1.0), "slow": (2.2, 2.6), "quick": (0.5, 0.6)},
  "nose_wrinkle": {"": (0.7, 0.9), "slow": (1.9, 2.2), "quick": (0.42, 0.5)},
}
# How many where the number is not said.
_USUAL_COUNT = {"nod": (2, 3), "shake": (2, 3), "blink": (3, 5), "sniff": (2, 2)}
_USUAL_COUNT |= {"wink": (1, 1)}
_STAYS_S = {"": (1.0, 1.7), "slow": (3.2, 3.7), "quick": (0.8, 1.2)}
_BRIEF_S = {"": (0.55, 0.75), "slow": (1.9, 2.2), "quick": (0.45, 0.6)}
_HEAD_STAYS_S = {"": (1.5, 2.4), "slow": (3.4, 3.9), "quick": (1.1, 1.7)}
_HEAD_BRIEF_S = {"": (0.95, 1.2), "slow": (2.5, 2.9), "quick": (0.7, 0.85)}
_HEAD_LEADS = {"look_away": (1.5, 2.2), "double_take": (2.0, 2.6)}
# Seconds of the rise of what comes and stays: face, head, gaze.
_RISES = {"": (0.18, 0.28), "slow": (1.35, 1.6), "quick": (0.11, 0.14)}
_HEAD_RISES = {"": (0.40, 0.55), "slow": (1.8, 2.1), "quick": (0.20, 0.27)}
_GAZE_RISES = {"": (0.10, 0.14), "slow": (0.85, 1.0), "quick": (0.06, 0.08)}
# ... and of an emotion, whose onset the lexicon's tempo sets.
EMOTIONS_RISES = {"": (0.3, 0.5), "slow": (1.5, 1.9), "quick": (0.14, 0.2)}
RISE_OF_EACH = 0.36  # at most, of one of several ...
UP_OF_EACH = 0.84  # ... which is over by then
_RISE_OF_ONE = 0.45
LAST_S = 0.1  # what ends no earlier before the clip does lasts until then
_EDGE_S = 0.08  # between two acts of one part
_TRIES = 40
# Acts that move the same part must not happen at once.
_PARTS = {
  "mouth": ("mouth", "jaw", "cheeks", "throat", "nose"),
  "head": ("head",),
  "gaze": ("gaze",),
  "lids": ("lids",),
  "brows": ("brows",),
}
_OF_ONE_SIDE = ("wink", "lopsided_smile")
_MOVES_EYES = ("turn", "look_up", "look_down", "look_away", "double_take")


def usual_count(act: Act, rng) -> int:
  """How often a counted act happens."""
  if act.count:
    return act.count
  low, high = _USUAL_COUNT.get(act.name, (1, 1))
  return int(rng.integers(low, high + 1))


def count_of(act: Act) -> int:
  """How often a placed act happens in its span: as often as is said and fits."""
  most = max(int((act.end_s - act.start_s) / acts_lib.SHORTEST_S + 1e-6), 1)
  if act.count:
    return min(act.count, most)
  if act.name not in _USUAL_COUNT:
    return 1
  middle = sum(each_s(act)) / 2
  return max(1, round((act.end_s - act.start_s) / middle))


def comes_and_goes(act: Act) -> bool:
  """Whether a placed act is done a number of times, and does not come and stay."""
  return bool(act.count) or count_of(act) > 1


def lateral(act: Act) -> str:
  """ "left" or "right": where a placed act goes, or begins; of either, if none is said,
  always the same one."""
  said = act.direction or act.side
  if said in ("left", "right"):
    return said
  return ("left", "right")[round(1000 * (act.start_s + act.end_s)) % 2]


def _with_way(act: Act) -> Act:
  """A placed act whose side or direction is chosen, where it must have one."""
  ways = KINDS[act.name].directions
  if ways and not act.direction:
    return act.replace(direction=lateral(act) if "left" in ways else ways[0])
  if act.side == "one" or (act.name in _OF_ONE_SIDE and not act.side):
    return act.replace(side=lateral(act))
  return act


def longest_rise_s(act: Act) -> float:
  """Seconds that are left for the rise of a placed act."""
  length = act.end_s - act.start_s
  if comes_and_goes(act):
    return RISE_OF_EACH * length / count_of(act)
  return _RISE_OF_ONE * length


def usual_rise_s(act: Act) -> float:
  """Seconds of a placed act's rise, in the middle of what is usual."""
  return min(sum(rise_s(act)) / 2, longest_rise_s(act))


def rise_s(act: Act) -> tuple[float, float]:
  """Seconds until an act that comes and stays is there, at least and at most."""
  if act.emotion:
    return EMOTIONS_RISES[act.tempo]
  rises = {"head": _HEAD_RISES, "gaze": _GAZE_RISES}.get(KINDS[act.name].what, _RISES)
  return rises[act.tempo]


def each_s(act: Act) -> tuple[float, float]:
  """Seconds of one of several, at least and at most."""
  return _EACH_OF.get(act.name, _EACH_S)[act.tempo]


def natural_s(act: Act, rng) -> float:
  """How long an act takes if nothing is in its way."""
  kind = KINDS[act.name]
  head = kind.what == "head"
  if act.name in _HEAD_LEADS:
    factor = {"": 1.0, "slow": 1.4, "quick": 0.75}[act.tempo]
    return factor * rng.uniform(*_HEAD_LEADS[act.name])
  if kind.counted and not act.hold and not (kind.held and not act.count):
    if not act.count:  # `count_of` tells the number by the length
      return usual_count(act, rng) * sum(each_s(act)) / 2
    return act.count * rng.uniform(*each_s(act))
  if act.hold == "brief":
    return rng.uniform(*(_HEAD_BRIEF_S if head else _BRIEF_S)[act.tempo])
  return rng.uniform(*(_HEAD_STAYS_S if head else _STAYS_S)[act.tempo])


def parts_of(name: str) -> set[str]:
  """The parts of the face that an act takes for itself."""
  what = KINDS[name].what
  parts = {part for part, rooms in _PARTS.items() if what in rooms}
  return parts | ({"gaze"} if name in _MOVES_EYES else set())


def placed(attributes: dict, duration_s: float, rng) -> dict:
  """The attributes with an exact span for every act.

  Args:
    attributes: of a record or of a text; what is placed already comes back as it is.
    duration_s: s.
    rng: np.random.Generator.
  """
  if attributes.get("placed"):
    return attributes
  acts = acts_lib.acts_of(attributes)
  spans: dict[int, tuple[float, float]] = {}
  order = sorted(range(len(acts)), key=lambda i: _rank(acts[i]))
  for i in order:
    if not (acts[i].emotion or acts[i].absent or acts[i].name == STILL):
      spans[i] = _span(i, acts, spans, duration_s, rng)
  for i, (start, end) in spans.items():
    if acts[i].hold == "held":
      end = duration_s
    nexts = [spans[j][0] for j in _rivals(i, acts, spans) if spans[j][0] > start]
    end = min([end, *(at - _EDGE_S for at in nexts)])
    acts[i] = acts[i].replace(start_s=start, end_s=max(end, start + 0.2))
    if acts[i].name in _USUAL_COUNT:  # whoever watches can count them ...
      acts[i] = acts[i].replace(count=count_of(acts[i]))
    acts[i] = _with_way(acts[i])  # ... and sees where they go
  fresh = lexicon.attributes_of(
    acts, duration_s, attributes["speaking"], attributes.get("manner", lexicon.PLAIN)
  )
  return fresh | {"placed": True}


def _rank(act: Act) -> int:
  """What is bound to a time comes first."""
  ranks = {"after": 0, "start": 1, "end": 2, "then": 3, "": 4, "throughout": 5}
  return ranks.get(act.when, 6)


def _rivals(i: int, acts, spans):
  """The placed acts that need a part that act `i` needs."""
  mine = parts_of(acts[i].name)
  return [j for j in spans if j != i and parts_of(acts[j].name) & mine]


def _span(i, acts, spans, duration_s, rng) -> tuple[float, float]:
  act = acts[i]
  length = min(natural_s(act, rng), duration_s - 0.1)
  low, high = act.start_s, min(act.end_s, duration_s)
  if act.when == "throughout":
    return 0.0, duration_s
  if act.when == "after":
    start = min(act.start_s, duration_s - 0.3)
    return start, min(start + length, duration_s)
  if act.when == "start":
    start = rng.uniform(0.0, 0.2)
    return start, min(start + length, duration_s)
  if act.when == "end":
    end = duration_s - rng.uniform(0.04, 0.15)
    return max(end - length, 0.0), end
  if act.when == "while" and i and i - 1 in spans:
    partner = spans[i - 1]
    length = max(min(length, duration_s - partner[0]), 0.3)
    latest = min(partner[1] - 0.7 * length, duration_s - length)
    start = rng.uniform(partner[0], max(latest, partner[0] + 1e-3))
    return start, min(start + length, duration_s)
  if act.hold == "held":
    high = max(low + 0.5 * (duration_s - low), low + 0.1) + length
  lowest, highest = low + 0.06, max(min(high, duration_s) - length - 0.04, low + 0.06)
  length = min(length, duration_s - lowest)
  rivals = [spans[j] for j in _rivals(i, acts, spans)]
  others = [spans[j] for j in spans]
  best, cost = lowest, np.inf
  for _ in range(_TRIES):
    start = rng.uniform(lowest, highest + 1e-6)
    now = _overlap(start, start + length, rivals, _EDGE_S)
    now = 10 * now + _overlap(start, start + length, others, 0.0)
    if now < cost:
      best, cost = start, now
    if not cost:
      break
  return best, min(best + length, duration_s)


def _overlap(start, end, spans, edge_s) -> float:
  return sum(max(0.0, min(end, b + edge_s) - max(start, a - edge_s)) for a, b in spans)
