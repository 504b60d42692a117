"""How often a counted act is done, by the peaks of what it moves.

An encoder that reads a motion knows well that somebody nods, and less well how often.
Where it reads an act, the motion itself is looked at: a nod is a peak of the head's
pitch, a blink one of both lids.

Shape letters: T frames, P motion vector.
"""

import numpy as np
import scipy  # parts of it are imported when they are used

from tdmm_jax.face import motion_vector
from tdmm_jax.face.turns import transform
from tdmm_jax.language import act_reading, cues
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language.acts import KINDS, Act

_MOST = 5  # captions count no further
_ROOM_S = 0.3  # before and after what was read
_SMOOTH = 3  # frames
# A peak stands out by so much of the largest change around the act, at least.
_PROMINENCE = 0.45
# Nods go down as fast as up; a head that takes longer to come up dips.
_DIP = 0.44
_SWING = 0.5  # ... and a swing reaches so much of the widest one
# A change that is smaller is none: rad of head, gaze and jaw, and shares of lids.
_LEAST = {"head": 0.035, "gaze": 0.09, "lids": 0.3, "jaw": 0.05}
_WAYS = {"left": (1, 1), "right": (1, -1), "up": (0, -1), "down": (0, 1)}


def counted(read: dict, vectors_TP: np.ndarray) -> dict:
  """What was read, with the counts of its acts as the motion has them.

  Args:
    read: attributes (act_reading.acts_read).
    vectors_TP: the motion that was read.
  """
  told = [_counted(a, vectors_TP) for a in acts_lib.acts_of(read)]
  return act_reading.with_acts(read, told)


def _counted(act: Act, vectors_TP) -> Act:
  if act.emotion or not KINDS[act.name].counted:
    return act
  track_T = _track(act, vectors_TP)
  if track_T is None:
    return act
  first = max(round((act.start_s - _ROOM_S) * cues.FPS), 0)
  last = round((act.end_s + _ROOM_S) * cues.FPS)
  around_T = track_T[first:last]
  count = _swings if act.name == "shake" else _peaks
  times = count(around_T, _LEAST[act.what])
  if not times or (times == 1 and not act.count):
    return act
  if act.name == "nod" and times == 1 and _rise_share(around_T) < _DIP:
    return act.replace(name="dip", count=0)
  return act.replace(count=min(times, _MOST))


def _rise_share(track_T: np.ndarray) -> float:
  """Of the time around a track's peak, above a third of it: the share before it."""
  peak = int(track_T.argmax())
  sides = []
  for side_T in (track_T[: peak + 1][::-1], track_T[peak:]):
    low = side_T.min() + (side_T[0] - side_T.min()) / 3
    sides.append(int(np.argmax(side_T < low)))
  return sides[0] / max(sum(sides), 1)


def _peaks(track_T: np.ndarray, least: float) -> int:
  """Peaks of a track; its ends are valleys."""
  if len(track_T) < 2:
    return 0
  reach = float(np.ptp(track_T))
  if reach < least:
    return 0
  padded = np.concatenate([[track_T.min()], track_T, [track_T.min()]])
  found, _ = scipy.signal.find_peaks(padded, prominence=_PROMINENCE * reach)
  return len(found)


def _swings(track_T: np.ndarray, least: float) -> int:
  """How often a track goes to one side and to the other, from rest to rest."""
  if len(track_T) < 2:
    return 0
  around_T = track_T - (track_T[0] + track_T[-1]) / 2
  high = _SWING * float(np.abs(around_T).max())
  if high < _SWING * least:
    return 0
  sides = [
    scipy.signal.find_peaks(s * around_T, height=high, prominence=high)[0]
    for s in (1, -1)
  ]
  return round(sum(map(len, sides)) / 2 + 1e-6)


def _track(act: Act, vectors_TP) -> np.ndarray | None:
  """float[T]: how much of an act there is; None of one that is not measured."""
  fields = motion_vector.split(vectors_TP)
  smooth = lambda rows_T: scipy.ndimage.uniform_filter1d(
    rows_T, _SMOOTH, mode="nearest"
  )
  if act.what == "head":
    turns = transform.Rotation.from_rotvec(fields["head_pose"]).as_euler("YXZ")
    return smooth(turns[:, 0 if act.name == "shake" else 1])
  if act.name in ("blink", "wink"):
    left_T, right_T = fields["eyelids"].T
    if act.name == "blink":
      return smooth(np.minimum(left_T, right_T))
    return smooth(left_T - right_T if act.side == "left" else right_T - left_T)
  if act.name == "gaze_shift" and act.direction in _WAYS:
    axis, sign = _WAYS[act.direction]
    return smooth(sign * fields["eye_pose"][:, axis])
  if act.name == "jaw_drop":
    return smooth(fields["jaw_pose"][:, 0])
  return None
