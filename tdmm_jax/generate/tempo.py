"""Slow and quick acts: their onset and offset take the time that their tempo says.

One token a frame, most of whose digits come round every few frames, blurs how fast an
act begins: a run's slow onsets are too quick and its quick ones too slow. So time is
stretched or pressed there, as an animator would: the frames between rest and apex are
shown when the simulator's law for the tempo (language/placing.py, minimum jerk) is as
far. Only what the act moves is retimed, only where a prompt's words give it a tempo,
and a clip keeps its length.

Units: frames. Shape letters: T frames, P motion vector, D width of tracks, E expression
coefficients.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.generate import inputs, joins, keeping
from tdmm_jax.generate.windows import Span
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import placing, understanding
from tdmm_jax.language.acts import KINDS, Act

EXPRESSION, JAW, LIDS, LEFT_EYE, RIGHT_EYE, HEAD = range(6)  # of joins.tracks_of
# What an act of each part moves, and which region of the face it leaves as it is.
_MOUTH = ((EXPRESSION, JAW), keeping.UPPER)
_BROWS = ((EXPRESSION,), keeping.LIPS)
_LIDS = ((EXPRESSION, LIDS), keeping.LIPS)
_MOVED = {
  "head": ((HEAD, LEFT_EYE, RIGHT_EYE), ""),
  "gaze": ((LEFT_EYE, RIGHT_EYE, LIDS), ""),
  "lids": _LIDS,
  "brows": _BROWS,
  **dict.fromkeys(("mouth", "jaw", "cheeks", "nose", "throat"), _MOUTH),
}
# A clip's acts come earlier or later than they are placed by so many frames at most.
_BEFORE, _AFTER = 25, 15
_ONSET = 100  # ... of which such a part holds the onset of what stays
_RESTS = 5  # frames, at most, that show the face before the act
_STAYS = 8.0  # frames, at least, between an onset and an offset
_BEGUN, _THERE = 0.06, 0.94  # of the way from rest to apex
_PAUSE = 6.0  # frames of rest or apex, at most, that make up for a quick change


class Move(NamedTuple):
  """An act with a tempo, and where its frames lie.

  Attributes:
    act: placed; its times are those of its span.
    start, end: frames of the motion, start_s and end_s.
    first, last: nothing outside first .. last - 1 is looked at or changed.
    moved: the tracks that it moves (joins.tracks_of).
    stays: the region whose expression it leaves as it is, "" for none.
  """

  act: Act
  start: float
  end: float
  first: int
  last: int
  moved: tuple[int, ...]
  stays: str


def moves_of(face, spans: Sequence[Span], seed: int, number: int = 0) -> list[Move]:
  """The acts of the spans' prompts that are slow or quick, in the order of `first`.

  Args:
    face: generate.face.Face.
    spans: of the motion; of each only the frames start .. stop - 1 are meant.
    seed, number: of the request, which choose when acts happen.
  """
  found = []
  for span in spans:
    told = understanding.read(span.prompt)
    said = [act for act in acts_lib.acts_of(told) if act.tempo]
    if not said:
      continue
    # Several quick ones were placed at their usual pace (understanding.placed).
    eased = {a.name for a in said if a.count and a.tempo == "quick" and not a.emotion}
    acts = [a for a in inputs.acts_of(face, span, seed, number) if not a.absent]
    for act in acts:
      if act.name in eased and not act.tempo:
        act = act.replace(tempo="quick")
      elif not act.tempo or (not act.emotion and placing.comes_and_goes(act)):
        continue  # as long as so many take at their tempo
      found += _move(act, span, told["speaking"] != "silent", acts)
  return sorted(found, key=lambda move: move.first)


def _move(act: Act, span: Span, speaks: bool, acts: Sequence[Act]) -> list[Move]:
  """The move of an act; none of lips that speak, which keep their time."""
  moved, stays = ((EXPRESSION, JAW), "") if act.emotion else _MOVED[act.what]
  if act.emotion and speaks:
    moved, stays = (EXPRESSION,), keeping.LIPS
  if speaks and stays == keeping.UPPER:
    return []
  frame = lambda seconds: span.start + seconds * tasks.FPS
  start, end = frame(act.start_s), frame(act.end_s)
  earliest, latest = _between_rivals(act, acts)
  first = max(round(start) - _BEFORE, round(frame(earliest)), span.start)
  last = min(round(end) + _AFTER, round(frame(latest)), span.stop)
  if act.emotion or act.hold == "held":  # only its onset is retimed
    last = min(last, round(start) + _ONSET)
  return [Move(act, start, end, first, last, moved, stays)]


def _between_rivals(act: Act, acts: Sequence[Act]) -> tuple[float, float]:
  """Seconds after what the act's part does before, and before what it does next."""
  rivals = [a for a in acts if a.start_s != act.start_s and a.emotion == act.emotion]
  if not act.emotion:
    parts = placing.parts_of(act.name)
    rivals = [other for other in rivals if other.name in KINDS]
    rivals = [other for other in rivals if placing.parts_of(other.name) & parts]
  before = [other.end_s for other in rivals if other.end_s <= act.start_s]
  after = [other.start_s for other in rivals if other.start_s >= act.end_s]
  return max(before, default=0.0), min(after, default=1e6)


def follow(
  pieces: Iterable[np.ndarray], moves: Sequence[Move], codec
) -> Iterator[np.ndarray]:
  """Yields motion vectors with the moves retimed; as many frames as came.

  Frames are held back from where a move may begin until its end is known, so that the
  result does not depend on how a motion is cut into pieces.

  Args:
    pieces: float32[n, P], one after another, from frame 0 on.
    moves: see `moves_of`.
    codec: motion_codec.MotionCodec of the vectors.
  """
  if not moves:
    yield from pieces
    return
  groups: list[list[Move]] = []
  for move in moves:
    if groups and move.first < max(other.last for other in groups[-1]):
      groups[-1].append(move)
    else:
      groups.append([move])
  held, done = None, 0
  for piece in pieces:
    held = piece if held is None else np.concatenate([held, piece])
    while len(held):
      first = groups[0][0].first if groups else done + len(held)
      if done < first:
        ready = min(first - done, len(held))
        yield held[:ready]
      else:
        ready = max(move.last for move in groups[0]) - done
        if len(held) < ready:
          break
        made = held[:ready]
        for move in groups.pop(0):
          at = slice(move.first - done, move.last - done)
          made = made.copy()
          made[at] = retimed(made[at], move, codec)
        yield made
      held, done = held[ready:], done + ready
  if held is not None and len(held):  # a motion that ends before its move does
    yield held


def retimed(vectors_TP: np.ndarray, move: Move, codec) -> np.ndarray:
  """float32[T, P]: the frames first .. last - 1 of a move, in its tempo.

  Args:
    vectors_TP: the same frames as they were made.
    move: what happens in them.
    codec: motion_codec.MotionCodec of the vectors.
  """
  tracks = [joins.tracks_of(vectors_TP.shape[1])[i] for i in move.moved]
  new_EE = _newness(codec.face, move.stays)
  if not move.act.emotion and placing.comes_and_goes(move.act):
    times_T = _pressed(move)
  else:
    course_T = _course(vectors_TP, move, tracks, new_EE, codec.std_P)
    if course_T is None:
      return vectors_TP
    times_T = _times(course_T, move)
  made_TP = vectors_TP.copy()
  for track in tracks:
    shown_TD = joins.at(vectors_TP[:, track.part], times_T, track)
    if track.part.start == 0 and new_EE is not None:
      shown_TD = vectors_TP[:, track.part] + (
        (shown_TD - vectors_TP[:, track.part]) @ new_EE.T
      )
    made_TP[:, track.part] = shown_TD
  return made_TP


def _newness(face, stays: str) -> np.ndarray | None:
  """float[E, E]: of a difference in expression, what is taken over; None: all of it."""
  if not stays:
    return None
  if (face.version, stays) not in _newnesses:
    _newnesses[face.version, stays] = keeping.newness(face, stays)
  return _newnesses[face.version, stays]


_newnesses: dict[tuple[str, str], np.ndarray] = {}


def _pressed(move: Move) -> np.ndarray:
  """float[T]: the frames of several acts at their usual pace, at a quick one."""
  total, act = move.last - move.first, move.act
  pace = sum(placing.each_s(act)) / sum(placing.each_s(act.replace(tempo="")))
  first = max(move.start - move.first - _PAUSE / 2, 0.0)
  last = min(move.end - move.first + _PAUSE, total - 1.0)
  rest = (last - first) * (1.0 - pace)
  if act.when == "end":
    at = [first - _PAUSE, first + rest, last]
    source = [first - _PAUSE, first, last]
  else:
    at = [first, last - rest, last + _PAUSE]
    source = [first, last, last + _PAUSE]
  frames_T = np.arange(total, dtype=float)
  if at[0] <= 0:
    at, source = [0.0, *at[1:]], [0.0, *source[1:]]
  inner = np.array(at) < total - 1
  at = [0.0, *np.array(at)[inner], total - 1.0]
  return np.interp(frames_T, at, [0.0, *np.array(source)[inner], total - 1.0])


def _course(vectors_TP, move: Move, tracks, new_EE, std_P) -> np.ndarray | None:
  """float[T]: how far the act has come, about 0 at rest and 1 at its apex.

  None where rest and apex look alike: the act is not there.
  """
  total = len(vectors_TP)
  start, end = (np.clip(t - move.first, 0, total - 1) for t in (move.start, move.end))
  early = slice(0, int(np.clip(start - _RESTS, 1, _RESTS)))
  length = end - start
  middle = slice(int(start + 0.4 * length), int(start + 0.7 * length) + 1)
  if move.act.emotion or move.act.hold == "held":
    middle = slice(int(start + 0.6 * length), int(end) + 1)
  parts = []
  for track in tracks:
    rest_D = vectors_TP[early, track.part].mean(0)
    offset_TD = joins.minus(
      vectors_TP[:, track.part], np.tile(rest_D, (total, 1)), track
    )
    if track.part.start == 0 and new_EE is not None:
      offset_TD = offset_TD @ new_EE.T
    parts.append(offset_TD / np.maximum(std_P[track.part], 1e-6))
  offsets_TD = np.concatenate(parts, 1)
  apex_D = offsets_TD[middle].mean(0)
  size = float(apex_D @ apex_D)
  return offsets_TD @ apex_D / size if size > 1e-6 else None


def _times(course_T: np.ndarray, move: Move) -> np.ndarray:
  """float[T]: which of its frames a move shows at each of its frames; monotone."""
  last = len(course_T) - 1
  start, end = (int(np.clip(t - move.first, 0, last)) for t in (move.start, move.end))
  length, slow = placing.usual_rise_s(move.act) * tasks.FPS, move.act.tempo == "slow"
  made = [_onset(course_T, start, end)]
  if not (move.act.emotion or move.act.hold == "held"):
    offset = _onset(course_T[::-1], last - end, last - start)
    made.append(offset and (last - offset[1], last - offset[0]))
  if len(made) == 2 and None not in made and made[0][1] >= made[1][0]:
    made.pop()  # it is over before it is there
  shown = [change and _shown(change, length, slow, i) for i, change in enumerate(made)]
  if None not in shown and len(shown) == 2:
    (begins, there), (leaves, over) = shown
    lacking = min(_STAYS, made[1][0] - made[0][1]) - (leaves - there)
    if lacking > 0:  # there is no time for both
      shown = [(begins, there - lacking / 2), (leaves + lacking / 2, over)]
  at, source = [0.0], [0.0]  # pairs of when and what is shown
  for change, span in zip(made, shown, strict=True):
    if change is None:
      continue
    pause = 0.0 if slow else _PAUSE
    before = max(change[0] - pause, (at[-1] + change[0]) / 2)
    if before < span[0] and before > at[-1]:
      at, source = [*at, before], [*source, before]
    inner = np.arange(np.floor(span[0]) + 1, np.ceil(span[1]))
    at = [*at, span[0], *inner, span[1]]
    source = [*source, change[0], *_lawful(course_T, change, span, inner), change[1]]
    if not slow:
      after = change[1] + pause
      at, source = [*at, after], [*source, after]
  keep = np.array(at) < last
  at, source = [*np.array(at)[keep], last], [*np.array(source)[keep], last]
  times_T = np.interp(np.arange(last + 1), at, np.maximum.accumulate(source))
  return np.clip(times_T, 0, last)


def _onset(course_T, start: int, end: int) -> tuple[int, int] | None:
  """(last frame of rest, first frame of the apex) of an onset; None: there is none."""
  top = min(float(course_T[start : end + 1].max()), 1.0)
  half = np.flatnonzero(course_T[start:] > 0.5 * top)
  if top <= 0 or not len(half):
    return None
  middle = start + int(half[0])
  rests = np.flatnonzero(course_T[: middle + 1] <= _BEGUN * top)
  begun = int(rests[-1]) if len(rests) else int(course_T[: middle + 1].argmin())
  there = middle + int(np.argmax(course_T[middle:] >= _THERE * top))
  return (begun, there) if there > begun + 1 else None


def _shown(change, length: float, slow: bool, offset: bool) -> tuple[float, float]:
  """When an onset or offset is shown that is to take `length`.

  What is slow begins (or is over) when it was made to, what is quick is in the middle.
  """
  first, last = change
  if slow:
    length = max(length, last - first)
    return (last - length, last) if offset else (first, first + length)
  middle, half = (first + last) / 2, min(length, last - first) / 2
  return middle - half, middle + half


def _lawful(course_T, change, span, at) -> np.ndarray:
  """The frames of a change in which the act is as far as minimum jerk would have it."""
  first, last = change
  part = np.asarray(course_T[first : last + 1], float)
  if part[0] > part[-1]:
    part = part[0] - part
  else:
    part = part - part[0]
  done = np.maximum.accumulate(np.clip(part / part[-1], 0.0, 1.0))
  done = done + 1e-6 * np.arange(len(done))
  x = (at - span[0]) / max(span[1] - span[0], 1e-6)
  law = x * x * x * (10.0 + x * (6.0 * x - 15.0))
  return np.interp(law, done, np.arange(first, last + 1))
