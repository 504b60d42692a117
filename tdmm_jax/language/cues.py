"""Cues: which act is on when, for the decoder that writes the motion, and as what an
encoder that reads one should find.

A cue is a row of float32[CUE_FIELDS]: what (a number of CHANNELS), the places of the
decoder at which its example begins and is over, those at which the act begins and is
over, how strong it is, how often it happens in that time (0: it comes once, or comes
and stays), how many places its rise takes, the side that it is done to or begins with
(1 left, -1 right) and its tempo (1 quick, -1 slow). Place 0 of an example writes <som>,
place 1 the first frame. A row of zeros is silent.
"""

import numpy as np

from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import placing
from tdmm_jax.language.acts import KINDS, SIDES, STILL, USUAL_SIZE
from tdmm_jax.language.emotion_words import LABELS

CHANNEL, FIRST, LAST, START, END, LEVEL, COUNT, RISE, SIDE, TEMPO = range(10)
CUE_FIELDS = 10
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
# How an act goes on while it is on (models/cue_embedding.py): it comes and goes, or ...
PULSES, BLINKS, CYCLES, SWINGS, DIPS, TAKES, ROLLS = range(7)
_SHAPES = {"blink": BLINKS, "nod": CYCLES, "shake": SWINGS, "dip": DIPS}
_SHAPES |= {"double_take": TAKES, "eye_roll": ROLLS}
SHAPES = tuple(_SHAPES.get(name, PULSES) for name, _, _ in CHANNELS)
_ENDLESS = 1e6


def of(attributes: dict, names=None, first_frame: int = 0) -> np.ndarray:
  """The cues float32[N, CUE_FIELDS] of attributes whose acts are placed.

  Args:
    attributes: of a record, or what `placing.placed` returns.
    names: of the acts that are told; all by default.
    first_frame: the frame that the decoder writes first.
  """
  told = [a for a in acts_lib.acts_of(attributes) if names is None or a.name in names]
  over_s = max(segment["end_s"] for segment in attributes["segments"])
  rows = np.zeros((len(told), CUE_FIELDS), np.float32)
  for row, act in zip(rows, told, strict=True):
    what = LABELS[act.name].family if act.emotion else act.name
    which = "" if act.absent else act.side or act.direction
    row[CHANNEL] = _NUMBERS[what, which, act.absent]
    row[LAST] = _ENDLESS
    row[START] = act.start_s * FPS + 1 - first_frame
    stays = act.emotion or act.absent or act.name == STILL or act.hold == "held"
    ends = not stays or act.end_s < over_s - placing.LAST_S
    row[END] = act.end_s * FPS + 1 - first_frame if ends else _ENDLESS
    row[LEVEL] = act.size / USUAL_SIZE
    row[TEMPO] = {"slow": -1, "": 0, "quick": 1}[act.tempo]
    if not (act.absent or act.name == STILL):
      row[RISE] = placing.usual_rise_s(act) * FPS
    if not (act.emotion or act.absent or act.name == STILL):
      row[COUNT] = placing.count_of(act) if placing.comes_and_goes(act) else 0
      row[SIDE] = 1 if placing.lateral(act) == "left" else -1
  return rows


def unguided(rows: np.ndarray) -> np.ndarray:
  """The cues of what a motion is guided away from: the opposite of what is denied.

  Blinks that are denied stay so: of those of a whole clip there is no usual place.
  """
  rows = rows[[CHANNELS[int(channel)][2] for channel in rows[:, CHANNEL]]].copy()
  for row in rows:
    what, which, _ = CHANNELS[int(row[CHANNEL])]
    row[CHANNEL] = _NUMBERS[what, which, what == "blink"]
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
