"""A FACS reading of a motion: which action units act, when, and how strongly.

Activations first: non-negative least squares over the displacement that each unit makes
on the head, so that any motion of a head with units can be read, whoever made its
coefficients. Then events: a unit acts from its onset to its offset, with an apex
between, in one of FACS' five intensities.

Source: Ekman, Friesen and Hager 2002, "Facial Action Coding System".

Shape letters: T frames, U action units, E expression coefficients, V vertices.
"""

import dataclasses

import numpy as np
import scipy  # parts of it are imported when they are used

from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file
from tdmm_jax.face.action_units import ACTION_UNITS
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.motion import FaceMotion

# FACS' number -> (name, the head's units or "jaw" / "lids", one-sided)
CODES = {
  "1": ("inner brow raiser", "inner_brow_raiser", True),
  "2": ("outer brow raiser", "outer_brow_raiser", True),
  "4": ("brow lowerer", "brow_lowerer", True),
  "5": ("upper lid raiser", "upper_lid_raiser", True),
  "6": ("cheek raiser", "cheek_raiser", True),
  "7": ("lid tightener", "lid_tightener", True),
  "9": ("nose wrinkler", "nose_wrinkler", True),
  "10": ("upper lip raiser", "upper_lip_raiser", True),
  "11": ("nasolabial deepener", "nasolabial_deepener", True),
  "12": ("lip corner puller", "lip_corner_puller", True),
  "13": ("sharp lip puller", "sharp_lip_puller", True),
  "14": ("dimpler", "dimpler", True),
  "15": ("lip corner depressor", "lip_corner_depressor", True),
  "16": ("lower lip depressor", "lower_lip_depressor", True),
  "17": ("chin raiser", "chin_raiser", False),
  "18": ("lip pucker", "lip_pucker", False),
  "20": ("lip stretcher", "lip_stretcher", True),
  "22": ("lip funneler", "lip_funneler", False),
  "23": ("lip tightener", "lip_tightener", False),
  "24": ("lip pressor", "lip_pressor", False),
  "25": ("lips part", "lips_part", False),
  "26": ("jaw drop", "jaw", False),
  "28": ("lip suck", "lip_suck", False),
  "29": ("jaw thrust", "jaw_thrust", False),
  "30": ("jaw sideways", "jaw_sideways", True),
  "34": ("cheek puff", "cheek_puff", True),
  "35": ("cheek suck", "cheek_suck", False),
  "38": ("nostril dilator", "nostril_dilator", False),
  "39": ("nostril compressor", "nostril_compressor", False),
  "43": ("eyes closed", "lids", True),
  "45": ("blink", "lids", True),
}
# Where each intensity begins: A a trace, B slight, C marked, D severe, E the most.
INTENSITIES = {"A": 0.15, "B": 0.3, "C": 0.5, "D": 0.75, "E": 1.0}
_JAW_RAD = 0.35  # of a jaw dropped all the way without stretching it: activation 1
_APEX = 0.9  # of the peak: the apex lasts while the unit is above
_RESTS = 0.4  # of the peak: below, an event is over, or a new one begins
_SHORTEST_S = 0.12  # of an event
_BLINK_S = 0.6  # lids closed for longer are AU43, for less AU45
_LIDS_ACT = 0.5  # closure
_SMOOTHING_S = 0.12  # of a Hann window over the activations


@dataclasses.dataclass(frozen=True)
class Action:
  """One event of one action unit.

  Attributes:
    code: FACS' number. name: in words. side: "both", "left", "right" (the subject's) or
      "" for a unit without sides.
    onset_s, apex_s, offset_s: when it begins, is strongest and has ended, s.
    apex_start_s, apex_stop_s: while it is within a tenth of its peak, s.
    activation: at the apex; 1 is a strong yet natural action.
    intensity: "A" .. "E".
  """

  code: str
  name: str
  side: str
  onset_s: float
  apex_s: float
  offset_s: float
  apex_start_s: float
  apex_stop_s: float
  activation: float
  intensity: str


def activations(motion: FaceMotion, face: FaceModel) -> np.ndarray:
  """Action units of each frame, float64[T, U], none below 0.

  Args:
    motion: of the face model given.
    face: a head with action units.

  Raises:
    UserError: the face model has no action units, or the motion is of another.
  """
  if motion.face_model != face.name:
    raise UserError(
      f"motion is in basis '{motion.face_model}' but the face model is '{face.name}'; "
      "convert it first (`tdmm retarget`)"
    )
  if face.name not in head_file.NAMES:
    raise UserError(
      f"{face.name}: has no action units; convert the motion to the default head "
      "(`tdmm retarget`)"
    )
  matrix_EU = head_file.activation_matrix(face.name)
  width = face.num_expression
  area_V = np.sqrt(np.asarray(face.vertex_areas, np.float64))
  rows = np.asarray(face.basis[1 : 1 + width], np.float64).reshape(width, 3, -1)
  rows = (rows * area_V).reshape(width, -1)
  root_EE = np.linalg.cholesky(rows @ rows.T + 1e-18 * np.eye(width)).T
  fields_EU = root_EE @ matrix_EU
  wanted_TE = np.asarray(motion.expression, np.float64)[:, :width] @ root_EE.T
  scale = np.linalg.norm(fields_EU, axis=0).mean()
  return np.stack(
    [scipy.optimize.nnls(fields_EU / scale, row / scale)[0] for row in wanted_TE]
  )


def tracks(motion: FaceMotion, face: FaceModel) -> dict[tuple[str, str], np.ndarray]:
  """The level of each action unit over time: (code, side) -> float64[T].

  Args and errors: as `activations`. AU43 and AU45 are both the lids' closure.
  """
  units_TU = activations(motion, face)
  sided = {
    "lids": {"left": motion.eyelids[:, 0], "right": motion.eyelids[:, 1]},
    "jaw": {"": np.maximum(motion.jaw_pose[:, 0], 0.0) / _JAW_RAD},
  }
  found = {}
  for code, (_, unit, one_sided) in CODES.items():
    if unit in sided:
      levels = sided[unit]
    elif one_sided:
      levels = {
        side: units_TU[:, ACTION_UNITS.index(f"{unit}_{side[0]}")]
        for side in ("left", "right")
      }
    else:
      levels = {"": units_TU[:, ACTION_UNITS.index(unit)]}
    for side, level_T in levels.items():
      found[code, side] = _smooth(np.asarray(level_T, np.float64), motion.fps)
  return found


def read_actions(motion: FaceMotion, face: FaceModel) -> list[Action]:
  """The events of a motion, in the order of their onsets.

  Args and errors: as `activations`. Frames that are not valid count as observed: they
  are interpolated.
  """
  actions = []
  levels = tracks(motion, face)
  for code, (name, _, one_sided) in CODES.items():
    least = _LIDS_ACT if code in ("43", "45") else INTENSITIES["A"]
    sides = ("left", "right") if one_sided else ("",)
    events = {side: _events(levels[code, side], least) for side in sides}
    for side, event in _paired(events, levels, code):
      made = _action(code, name, side, event, motion.fps)
      length = made.offset_s - made.onset_s
      if code in ("43", "45") and (length < _BLINK_S) != (code == "45"):
        continue
      if length >= (_SHORTEST_S if code != "45" else 0.0):
        actions.append(made)
  return sorted(actions, key=lambda action: (action.onset_s, int(action.code)))


def _smooth(level_T, fps):
  """A Hann window that keeps the ends in place."""
  length = max(round(_SMOOTHING_S * fps) // 2 * 2 + 1, 1)
  window = np.hanning(length + 2)[1:-1]
  padded = np.pad(level_T, length // 2, mode="edge")
  return np.convolve(padded, window / window.sum(), mode="valid")


def _events(level_T, least) -> list[tuple[int, int, int, np.ndarray]]:
  """(onset, apex, offset) frames and the level of each event, offset excluded.

  An event reaches from where the level leaves the trace to where it comes back; two
  peaks with a valley well below both are two events.
  """
  found, start = [], None
  low = np.append(level_T < least, True)
  for t, at_rest in enumerate(low):
    if not at_rest and start is None:
      start = t
    elif at_rest and start is not None:
      found += _split(level_T, start, t)
      start = None
  return [(a, a + int(level_T[a:b].argmax()), b, level_T) for a, b in found]


def _split(level_T, start, stop):
  """The span, cut at its valleys that lie well below the peaks on both sides."""
  for t in start + np.argsort(level_T[start:stop], kind="stable"):
    before, after = level_T[start : t + 1].max(), level_T[t:stop].max()
    if level_T[t] >= _RESTS * min(before, after):
      continue
    if t > start and t + 1 < stop and min(before, after) > 2 * INTENSITIES["A"]:
      return _split(level_T, start, t) + _split(level_T, t, stop)
  return [(start, stop)]


def _paired(events, levels, code):
  """Events of both sides that overlap and are much alike become one."""
  if "" in events:
    return [("", event) for event in events[""]]
  made, right = [], list(events["right"])
  for event in events["left"]:
    match = next(
      (other for other in right if min(event[2], other[2]) > max(event[0], other[0])),
      None,
    )
    peak = lambda e: e[3][e[1]]
    if match is None or not 0.5 < peak(event) / peak(match) < 2.0:
      made.append(("left", event))
      continue
    right.remove(match)
    both = 0.5 * (levels[code, "left"] + levels[code, "right"])
    start, stop = min(event[0], match[0]), max(event[2], match[2])
    made.append(("both", (start, start + int(both[start:stop].argmax()), stop, both)))
  return made + [("right", event) for event in right]


def _action(code, name, side, event, fps) -> Action:
  onset, apex, offset, level_T = event
  peak = float(level_T[apex])
  near = level_T >= _APEX * peak
  first = last = apex
  while first > onset and near[first - 1]:
    first -= 1
  while last + 1 < offset and near[last + 1]:
    last += 1
  letters = [letter for letter, least in INTENSITIES.items() if peak >= least]
  seconds = lambda frame: round(frame / fps, 3)
  return Action(
    code=code,
    name=name,
    side=side,
    onset_s=seconds(onset),
    apex_s=seconds(apex),
    offset_s=seconds(offset),
    apex_start_s=seconds(first),
    apex_stop_s=seconds(last + 1),
    activation=round(peak, 3),
    intensity=letters[-1] if letters else "A",
  )


def table(actions: list[Action]) -> str:
  """The events as lines of text, one each, under a heading."""
  if not actions:
    return "no action unit acts"
  rows = [("AU", "side", "grade", "onset", "apex", "offset", "what")]
  rows += [
    (
      a.code,
      a.side or "-",
      a.intensity,
      f"{a.onset_s:.2f} s",
      f"{a.apex_s:.2f} s",
      f"{a.offset_s:.2f} s",
      a.name,
    )
    for a in actions
  ]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return "\n".join(
    "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
    for row in rows
  )
