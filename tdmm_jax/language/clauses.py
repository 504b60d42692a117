"""From the items of a text to acts: which word speaks of which act.

Adverbs look back first ("nods twice"), adjectives ahead ("two slow nods"); none looks
past the end of its sentence. "Not" denies what comes next. "Then" starts a phase: a
text's phases share the clip equally, unless a time is said.
"""

import dataclasses

from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language.acts import KINDS, STILL, Act
from tdmm_jax.language.emotion_words import LABELS, NEUTRAL
from tdmm_jax.language.reading import CONTENT, Item

_HARD_BREAKS = frozenset(".;!?")
_ACTS = ("emotion", "act", "still")
_LOPSIDED = ("smiling", "grinning")  # with a side, they are another act
_SHORTEST_S = acts_lib.SHORTEST_S
_BRIEF_S = 1.2
_MAX_PHASES = 4


@dataclasses.dataclass
class _Found:
  """An act of the text while words are being bound to it."""

  act: Act
  item: int  # its place among the items
  phase: int = 0
  free: bool = False  # it may come at any time


def acts_of(items: list[Item], duration_s: float) -> tuple[list[Act], list[str]]:
  """The acts that a text tells, in order, and what cannot be done as it is said."""
  warnings: list[str] = []
  found = [_found(i, items) for i in range(len(items)) if items[i].kind in _ACTS]
  _bind_intensities(items, found)
  _bind(items, found, warnings)
  _deny(items, found)
  found = _merged(found, items)
  _repeat(items, found)
  count = _phases(items, found)
  acts = _timed(found, count, duration_s)
  for item in items:
    if item.kind == "unable":
      warnings.append(f"the head cannot move its {item.value}; that is left out")
    if item.side == "none" or item.value == "none":
      warnings.append("a face has a left and a right side; the usual one is taken")
  return _possible(acts, duration_s, warnings), warnings


def _found(i: int, items) -> _Found:
  kind, value = items[i].kind, items[i].value
  if kind == "emotion":
    act = Act(value, emotion=True)
  elif kind == "still":
    act = Act(STILL)
  else:
    act = Act(value[0], **dict(value[1:]))
  side = items[i].side
  if side in acts_lib.SIDES and kind == "act" and KINDS[act.name].sided:
    act = act.replace(side=side)
  return _Found(act, i)


def _bind_intensities(items, found) -> None:
  """An intensity belongs to the act that it stands before, else to the one behind.

  "Soft, closed-mouth smile": a comma may stand between; but between an adjective that
  is an act's and an emotion nothing may.
  """
  by_item = {f.item: f for f in found}
  bound: set[int] = set()
  padded = [*items, Item("end", None, 0, 0)]

  def next_item(i):
    i += 1
    while padded[i].kind in ("intensity", "framing", "tempo", "hold", "count"):
      i += 1
    return i

  def bind(i, level):
    if i in by_item and i not in bound and items[i].kind != "still":
      by_item[i].act = by_item[i].act.replace(size=level)
      bound.add(i)

  for i, item in enumerate(items):
    if item.kind != "intensity":
      continue
    level, may_follow = item.value
    after, before = next_item(i), i - 1
    while before >= 0 and items[before].kind in ("tempo", "hold", "direction", "count"):
      before -= 1
    behind = before >= 0 and items[before].kind in ("emotion", "act")
    if padded[after].kind == "emotion":
      bind(after, level)
    elif (
      may_follow
      and behind
      and not (padded[after].kind == "act" and _touches(items, i, after))
    ):
      bind(before, level)
    elif padded[after].kind == "act":
      bind(after, level)
    elif may_follow and behind:
      bind(before, level)
    elif padded[after].value == "," and padded[next_item(after)].kind == "emotion":
      bind(next_item(after), level)  # "a soft, closed-mouth smile"


def _touches(items, i: int, j: int) -> bool:
  """Whether no word stands between two items."""
  return items[i].stop == items[j].start


def _bind(items, found, warnings) -> None:
  by_item = {f.item: f for f in found}
  for i, item in enumerate(items):
    if item.kind in ("count", "tempo", "hold", "direction", "when", "after"):
      following = item.kind not in ("count", "tempo", "hold") or item.value[1]
      target = _target(items, by_item, i, following, item.kind)
      if target is not None:
        _say(target, item)


def _target(items, by_item, i: int, following: bool, kind: str) -> _Found | None:
  """The act that a word speaks of."""

  def search(step, stops):
    j = i + step
    while 0 <= j < len(items):
      if j in by_item and _fits(by_item[j].act, items[i]):
        return by_item[j]
      if items[j].kind in stops or items[j].value in _HARD_BREAKS:
        return None
      if items[j].kind == "break" and "," in stops:
        return None
      j += step
    return None

  # Ahead, up to the clause's end; back, within the clause, then past commas and "and".
  ahead = search(1, ("then", "and", "while", ","))
  if not following:
    return ahead
  back = search(-1, ("then", "and", "while", "not", ","))
  if back is not None:
    return back
  if ahead is not None:
    return ahead
  if kind in ("when", "after"):
    comma = search(1, ("and",)) if _opens(items, i) else None
    if comma is not None:
      return comma
  return search(-1, ("then",)) or search(1, ("then", "and"))


def _opens(items, i: int) -> bool:
  """Whether a word of time stands at the start of its clause."""
  return i == 0 or items[i - 1].kind in ("break", "then", "and", "while")


def _fits(act: Act, item: Item) -> bool:
  """Whether a word can be said of an act."""
  if act.name == STILL:
    return False
  kind = None if act.emotion else KINDS[act.name]
  if item.kind == "direction":
    if kind is None:
      return act.name in _LOPSIDED and item.value in ("left", "right", "one")
    return item.value in kind.directions or (
      kind.sided and item.value in acts_lib.SIDES
    )
  if item.kind == "count":
    return kind is not None and kind.counted
  if item.kind == "hold" and item.value[0] == "held":
    return kind is not None and kind.held
  return True


def _say(found: _Found, item: Item) -> None:
  act, value = found.act, item.value
  if item.kind == "direction":
    if act.emotion:
      found.act = Act("lopsided_smile", side=value, size=act.size, tempo=act.tempo)
    elif KINDS[act.name].sided:
      found.act = act.replace(side=value)
    else:
      found.act = act.replace(direction=value)
  elif item.kind == "after":
    found.act = act.replace(when="after", start_s=float(value))
  elif item.kind == "when":
    found.act = act.replace(when=value)
  else:
    found.act = act.replace(**{item.kind: value[0]})


def _deny(items, found) -> None:
  """Marks what "not" stands before; "or" goes on denying."""
  by_item = {f.item: f for f in found}
  denying = False
  for i, item in enumerate(items):
    if item.kind == "not":
      denying = True
    elif i in by_item and denying:
      by_item[i].act = by_item[i].act.replace(absent=True)
      after = items[i + 1] if i + 1 < len(items) else None
      denying = after is not None and after.value == "or"
    elif item.kind in ("break", "then", "while", "speaking", "manner", "framing"):
      denying = False


def _merged(found, items) -> list[_Found]:
  """Without neutral beside a denied smile, and without the same act said twice."""
  kept: list[_Found] = []
  for one in found:
    same = [
      f for f in kept if f.act.name == one.act.name and f.act.absent == one.act.absent
    ]
    # "A nod, a slow nod": said twice; "winks left, then winks right": two acts.
    if same and not one.act.emotion:
      parted = any(item.kind in ("then",) for item in items[same[-1].item : one.item])
      told = one.act.replace(size=same[-1].act.size)
      if not parted and (told == same[-1].act or told == Act(told.name)):
        continue
    kept.append(one)
  return kept


def _repeat(items, found) -> None:
  """ "Looks left, then right": a direction without an act repeats the last one."""
  by_item = {f.item: f for f in found}
  for i, item in enumerate(items):
    if item.kind != "direction" or item.value not in acts_lib.DIRECTIONS[:4]:
      continue
    before = [f for f in found if f.item < i]
    if not before or i == 0 or items[i - 1].kind not in ("then", "and"):
      continue
    last = before[-1].act
    clause = [
      j
      for j in by_item
      if j > before[-1].item
      and not any(items[k].value in _HARD_BREAKS for k in range(before[-1].item, j))
    ]
    opposite = {"look_up": "down", "look_down": "up"}
    if last.direction and last.direction != item.value and not clause:
      fresh = last.replace(direction=item.value, when="")
    elif opposite.get(last.name) == item.value:
      fresh = Act("look_down" if item.value == "down" else "look_up")
    else:
      continue
    found.append(_Found(fresh, i))
  found.sort(key=lambda f: f.item)


def _phases(items, found) -> int:
  """Gives each act its phase; returns how many there are."""
  by_item = {f.item: f for f in found}
  phase, occupied, parted, pending_from = 0, False, False, False
  together = False
  previous: _Found | None = None
  for i, item in enumerate(items):
    changes = item.kind == "tempo" and item.value[2] and _emotion_so_far(found, i)
    parts = item.kind == "then" or (changes and _emotion_next(by_item, i, items))
    if parts or item.kind == "from":
      if occupied:
        phase, occupied = phase + 1, False
        parted = True
      pending_from = pending_from or item.kind == "from"
    elif item.kind == "while":
      together = True
    elif item.kind == "break" and item.value in _HARD_BREAKS:
      parted = together = False
      previous = None
    elif i in by_item:
      one = by_item[i]
      if one.act.absent or one.act.name == STILL:
        one.free = True
        continue
      explicit = one.act.when not in ("", "while")
      one.phase = phase
      one.free = not one.act.emotion and not parted and phase > 0
      if explicit and not one.act.emotion:
        one.free = True
      elif not one.free:
        occupied = True
      if parted and not one.act.when and phase:
        one.act = one.act.replace(when="then")
      both = previous is not None and not previous.act.emotion and not one.act.emotion
      if together and both and not explicit:
        one.act = one.act.replace(when="while")
        together = False
      previous = one
      if one.act.emotion and pending_from:
        phase, occupied, pending_from, parted = phase + 1, False, False, True
  used = sorted({f.phase for f in found if not f.free})
  for one in found:
    one.phase = used.index(one.phase) if not one.free else 0
  return max(len(used), 1)


def _emotion_next(by_item, i: int, items) -> bool:
  for j in range(i + 1, len(items)):
    if j in by_item:
      return by_item[j].act.emotion
    if items[j].value in _HARD_BREAKS:
      return False
  return False


def _emotion_so_far(found, i: int) -> bool:
  return any(f.act.emotion and f.item < i for f in found)


def _timed(found, phases: int, duration_s: float) -> list[Act]:
  """Every act with the span in which it happens."""
  length = duration_s / phases
  timed = []
  for one in found:
    act = one.act
    start, end = 0.0, duration_s
    if not one.free and phases > 1:
      start, end = one.phase * length, (one.phase + 1) * length
    if act.when == "start":
      start, end = 0.0, duration_s / 2
    elif act.when == "end":
      start, end = duration_s / 2, duration_s
    elif act.when == "after":
      start, end = min(act.start_s, duration_s), duration_s
    elif act.when == "throughout" or act.absent or act.name == STILL:
      start, end = 0.0, duration_s
    if act.hold == "held" and act.when != "start":
      end = duration_s
    timed.append(act.replace(start_s=start, end_s=end))
  return _emotions_timed(found, timed, duration_s)


def _emotions_timed(found, timed, duration_s: float) -> list[Act]:
  """An emotion stays until another one follows it; the same again is left out."""
  kept: list[int] = []
  groups: list[tuple[float, list[int]]] = []
  for i, act in enumerate(timed):
    if not act.emotion or act.absent:
      kept.append(i)
      continue
    if groups and groups[-1][0] == act.start_s:
      members = groups[-1][1]
      families = [LABELS[timed[j].name].family for j in members]
      if LABELS[act.name].family in families or len(members) > 1:
        continue  # "a curious, engaged look": one emotion, said twice
      members.append(i)
    else:
      groups.append((act.start_s, [i]))
    kept.append(i)
  names = lambda group: [timed[j].name for j in group[1]]
  merged: list[tuple[float, list[int]]] = []
  for group in groups:
    if not merged or names(group) != names(merged[-1]):
      merged.append(group)
  merged = merged[:_MAX_PHASES]
  starts = sorted(start for start, _ in merged)
  spans = {}
  for start, members in merged:
    end = min([s for s in starts if s > start], default=duration_s)
    for j in members:
      stop = end
      if timed[j].when == "start":
        stop = min(end, duration_s / 2)
      if timed[j].hold == "brief":
        stop = min(end, start + _BRIEF_S)
      spans[j] = stop
  return [
    timed[i].replace(end_s=spans[i]) if i in spans else timed[i]
    for i in kept
    if i in spans or not timed[i].emotion or timed[i].absent
  ]


def _possible(acts, duration_s: float, warnings) -> list[Act]:
  """The acts that can be done; what contradicts or does not fit is said."""
  present = {a.name for a in acts if not a.absent}
  families = {LABELS[a.name].family for a in acts if a.emotion and not a.absent}
  kept = []
  for act in acts:
    if act.absent:
      denied = LABELS[act.name].family if act.emotion else None
      if act.name in present or (denied in families and act.name != NEUTRAL):
        warnings.append(
          f"'{act.name.replace('_', ' ')}' is both asked for and denied; it is done"
        )
        continue
    if act.name == STILL and any(
      a.what == "head" and a.name != STILL and not a.absent for a in acts
    ):
      warnings.append("the head is to keep still and to move; it moves")
      continue
    name = act.name.replace("_", " ")
    if act.when == "after" and act.start_s > duration_s - _SHORTEST_S:
      warnings.append(
        f"'{name}' is to start when the {duration_s:g} s are over; it comes last"
      )
    room = max(int((act.end_s - act.start_s) / _SHORTEST_S), 1)
    if act.count > room:
      warnings.append(
        f"'{name}' {act.count} times does not fit into {act.end_s - act.start_s:g} s; "
        f"it is done {room} times"
      )
    kept.append(act)
  return kept


def says_something(items: list[Item]) -> bool:
  """Whether an item is about a face's emotion or motion."""
  return any(item.kind in CONTENT for item in items)
