"""What is denied is not seen, and what is counted is done no more often than that.

A run shakes a head on now and then, blinks once more, and lets an interested face smile
that was told not to. The corpus knows none of it: lids that are asked for something do
nothing else, a head swings in its acts alone, and of what is denied next to nothing is
left (data_prep/simulate.py). So it is here, in the frames that are made.

Units: frames. Shape letters: T frames, P motion vector, E expression coefficients.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy  # parts of it are imported when they are used

from tdmm_jax.data import tasks
from tdmm_jax.face import action_units, head_file, motion_vector
from tdmm_jax.generate import inputs
from tdmm_jax.generate.windows import Span
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import understanding
from tdmm_jax.language.acts import KINDS, STILL
from tdmm_jax.language.emotion_words import LABELS

_CONTEXT = 24  # frames to each side that a frame depends on
_BLINK = 13  # lids that close for no longer than this blink
_SWAY = 6.0  # of a head at rest: standard deviation of what it is smoothed by
_MARGIN, _FADE = 3, 5  # frames around an act that are its own; and until it is left
_LEFT = 0.08  # of what is denied, as the simulator leaves it
_COUNTED = {"lids": ("blink", "wink"), "head": ("nod", "shake", "dip")}
_CAUSES = (*_COUNTED["lids"], *_COUNTED["head"], STILL)
_SMILE = ("lip_corner_puller", "sharp_lip_puller", "cheek_raiser")
_VOR_GAIN = 0.95  # of data_prep/eyes.py: eyes turn against the head, so that they look


class Restraint(NamedTuple):
  """What a span's frames do not do.

  Attributes:
    first, last: frames first .. last - 1 are the span's; towards both it fades.
    lids, head: (first, last) frames of the acts in which they may blink, or swing; None
      where they are free to.
    smiles: whether it may.
  """

  first: int
  last: int
  lids: tuple[tuple[float, float], ...] | None
  head: tuple[tuple[float, float], ...] | None
  smiles: bool


def of(face, spans: Sequence[Span], seed: int, number: int = 0) -> list[Restraint]:
  """The restraints of the spans' prompts, where there are any; see tempo.moves_of."""
  found = []
  for span in spans:
    told = acts_lib.acts_of(understanding.read(span.prompt))
    if not any(a.absent or a.name in _CAUSES for a in told):
      continue
    acts = inputs.acts_of(face, span, seed, number)
    rooms = {part: _rooms(part, acts, span.start) for part in _COUNTED}
    denied = {LABELS[a.name].family for a in acts if a.emotion and a.absent}
    smiles = "happiness" not in denied
    if not smiles or any(room is not None for room in rooms.values()):
      # Nothing is before a motion, or after it, that would have to be faded into.
      first = span.start or -_FADE
      last = span.stop + (_FADE if span is spans[-1] else 0)
      found.append(Restraint(first, last, *rooms.values(), smiles))
  return found


def _rooms(part: str, acts, start: int):
  """Frames of the acts of a part, if any is counted, denied or still; else None."""
  mine = [a for a in acts if not a.emotion and a.what == part]
  if not any(a.name in (*_COUNTED[part], STILL) for a in mine):
    return None
  done = [a for a in mine if not a.absent and a.name in KINDS]
  frame = lambda seconds: start + seconds * tasks.FPS
  return tuple((frame(a.start_s), frame(a.end_s)) for a in done)


def follow(
  pieces: Iterable[np.ndarray], restraints: Sequence[Restraint], face_model: str
) -> Iterator[np.ndarray]:
  """Yields motion vectors with the restraints kept; as many frames as came.

  They come later by `_CONTEXT` frames, so that it does not matter how a motion is cut.

  Args:
    pieces: float32[n, P], one after another, from frame 0 on.
    restraints: see `of`.
    face_model: the name of the motion's basis.
  """
  if not restraints:
    yield from pieces
    return
  held, origin, done = None, 0, 0
  for piece in itertools.chain(pieces, [None]):
    if piece is not None:
      held = piece if held is None else np.concatenate([held, piece])
    if held is None:
      return
    ready = origin + len(held) - (0 if piece is None else _CONTEXT)
    if ready <= done:
      continue
    made = held.copy()
    for restraint in restraints:
      made = restrained(made, origin, restraint, face_model)
    yield made[done - origin : ready - origin]
    past = max(ready - _CONTEXT, origin)
    held, origin, done = held[past - origin :], past, ready


def restrained(
  vectors_TP: np.ndarray, origin: int, restraint: Restraint, face_model: str
) -> np.ndarray:
  """float32[T, P]: frames origin .. origin + T - 1 with one restraint kept."""
  made_TP = vectors_TP.copy()
  fields = motion_vector.split(made_TP)  # views
  frames_T = np.arange(origin, origin + len(made_TP))
  if restraint.lids is not None:
    open_T2 = _without_blinks(fields["eyelids"])
    weight_T1 = _outside(frames_T, restraint, restraint.lids)
    fields["eyelids"][:] += weight_T1 * (open_T2 - fields["eyelids"])
  if restraint.head is not None:
    head_T3 = fields["head_pose"]
    calm_T3 = scipy.ndimage.gaussian_filter1d(
      head_T3, _SWAY, axis=0, mode="nearest", truncate=3.0
    )
    change_T3 = _outside(frames_T, restraint, restraint.head) * (calm_T3 - head_T3)
    head_T3 += change_T3
    for eye in (fields["eye_pose"][:, :2], fields["eye_pose"][:, 3:5]):
      eye -= _VOR_GAIN * change_T3[:, :2]
  if not restraint.smiles and face_model in head_file.NAMES:
    weight_T1 = _outside(frames_T, restraint, ())
    fields["expression"][:] -= weight_T1 * _smile(fields["expression"], face_model)
  return made_TP


def _without_blinks(lids_T2: np.ndarray) -> np.ndarray:
  """Lids without what closes for a moment, also where the motion ends meanwhile."""
  inner = min(_BLINK, len(lids_T2) - 1)
  ends = (lids_T2[inner], lids_T2[-1 - inner])
  padded = [np.repeat(end_2[None], _BLINK, axis=0) for end_2 in ends]
  whole = np.concatenate([padded[0], lids_T2, padded[1]])
  opened = scipy.ndimage.grey_opening(whole, (_BLINK, 1), mode="nearest")
  return opened[_BLINK:-_BLINK]


def _outside(frames_T, restraint: Restraint, rooms) -> np.ndarray:
  """float32[T, 1]: 1 in frames of the span, but 0 in the rooms; it fades in between."""
  weight_T = np.minimum(frames_T - restraint.first + 1, restraint.last - frames_T)
  weight_T = weight_T.astype(float)
  for first, last in rooms:
    away_T = np.maximum(first - frames_T, frames_T - last) - _MARGIN
    weight_T = np.minimum(weight_T, away_T)
  return np.clip(weight_T / _FADE, 0.0, 1.0)[:, None].astype(np.float32)


def _smile(expression_TE, face_model: str) -> np.ndarray:
  """float32[T, E]: what of an expression is a smile, but for what is left of it."""
  matrix_EU = head_file.activation_matrix(face_model)
  units = [f"{unit}_{side}" for unit in _SMILE for side in "lr"]
  units = [action_units.ACTION_UNITS.index(unit) for unit in units]
  active_TU = expression_TE @ np.linalg.pinv(matrix_EU)[units].T
  shown_TE = np.maximum(active_TU, 0.0) @ matrix_EU[:, units].T
  return ((1.0 - _LEFT) * shown_TE).astype(np.float32)
