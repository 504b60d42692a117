"""Cues: which act is on when, for the decoder that writes the motion.

A cue is a row of float32[CUE_FIELDS]: what (a number of CHANNELS), the places of the
decoder at which its example begins and is over, those at which the act begins and is
over, how strong it is, how often it happens in that time, and how many places its rise
takes. Place 0 of an example writes <som>, place 1 the first frame. A row of zeros is
silent.
"""

import numpy as np

from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import placing
from tdmm_jax.language.acts import KINDS, SIDES, STILL, USUAL_SIZE
from tdmm_jax.language.emotion_words import LABELS

CHANNEL, FIRST, LAST, START, END, LEVEL, COUNT, RISE = range(8)
CUE_FIELDS = 8
FPS = 25
_FAMILIES = tuple(dict.fromkeys(label.family for label in LABELS.values()))
_ALL = (*KINDS, *_FAMILIES)
# (what, side or direction, whether it is absent): the rows of a model's table. With
# another kind of act or family a model is trained again.
CHANNELS = (
  *((name, "", absent) for absent in (False, True) for name in _ALL),
  *((name, side, False) for name in KINDS if KINDS[name].sided for side in SIDES),
  *((name, way, False) for name in KINDS for way in KINDS[name].directions),
  (STILL, "", False),
)
_NUMBERS = {channel: i for i, channel in enumerate(CHANNELS)}
_EMOTIONS_RISE_S = 0.4
_RISE_OF_EACH = 0.36  # at most, of one of several
_ENDLESS = 1e6


def of(attributes: dict, names=None, first_frame: int = 0) -> np.ndarray:
  """The cues float32[N, CUE_FIELDS] of attributes whose acts are placed.

  Args:
    attributes: of a record, or what `placing.placed` returns.
    names: of the acts that are told; all by default.
    first_frame: the frame that the decoder writes first.
  """
  told = [a for a in acts_lib.acts_of(attributes) if names is None or a.name in names]
  rows = np.zeros((len(told), CUE_FIELDS), np.float32)
  for row, act in zip(rows, told, strict=True):
    what = LABELS[act.name].family if act.emotion else act.name
    which = "" if act.absent else act.side or act.direction
    row[CHANNEL] = _NUMBERS[what, which, act.absent]
    row[LAST] = _ENDLESS
    row[START] = act.start_s * FPS + 1 - first_frame
    row[END] = act.end_s * FPS + 1 - first_frame
    row[LEVEL] = act.size / USUAL_SIZE
    rise_s = _EMOTIONS_RISE_S
    if not (act.emotion or act.absent or act.name == STILL):
      row[COUNT] = placing.count_of(act)
      each_s = (act.end_s - act.start_s) / row[COUNT]
      rise_s = min(sum(placing.rise_s(act)) / 2, _RISE_OF_EACH * each_s)
    row[RISE] = rise_s * FPS
  return rows


def packed(rows: np.ndarray, first: int, last: int) -> np.ndarray:
  """The cues of an example that has the places first .. last - 1 of a row."""
  moved = rows.copy()
  moved[:, [START, END]] += first
  moved[:, FIRST], moved[:, LAST] = first, last
  return moved


def padded(rows: np.ndarray, length: int) -> np.ndarray:
  """float32[length, CUE_FIELDS]: silent rows after these.

  Raises:
    ValueError: there are more.
  """
  if len(rows) > length:
    raise ValueError(
      f"{len(rows)} cues, there is room for {length}; raise config.model.motion_cues"
    )
  return np.pad(rows, ((0, length - len(rows)), (0, 0)))
