"""Are acts done as they were asked for? Geometry alone: head angles and ARKit's curves.

No classifier has a say, and no text is read: `done` takes an act (language/acts.py)
and looks for it in a motion, aspect by aspect: whether it is there (or absent), on
which side, in which direction, how many times, how fast, when. Every threshold is in
`LIMITS`.

Shape letters: T frames.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy  # parts of it are imported when they are used

from tdmm_jax.face import arkit
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.face.turns import transform
from tdmm_jax.language.acts import KINDS, STILL, Act
from tdmm_jax.language.emotion_words import LABELS


class Limits(NamedTuple):
  """What counts as what; degrees of the head, shares of a full curve of ARKit."""

  nod_deg: float = 4.0  # prominence of a peak of pitch; also of dips
  shake_deg: float = 4.0  # prominence of a peak of yaw, to either side
  pose_deg: float = 5.0  # a tilt, turn, look up or down, or lean
  still_deg: float = 3.0  # range (5th to 95th percentile) of a head that keeps still
  absent: float = 0.12  # mean over the clip of what must not be seen
  present: float = 0.25  # peak of an act of the face, of a full one
  slight: float = 0.15  # peak of one that is asked for faintly
  peak: float = 0.18  # prominence of one of several
  closed: float = 0.5  # prominence of a blink or wink
  gaze: float = 0.3  # of LookIn, LookOut, LookUp, LookDown: 0.18 rad
  one_sided: float = 1.5  # how much larger the side that acts must be
  onset: float = 0.2  # of its peak, where an act has begun
  time_s: float = 0.4  # error of a time that was said
  end_s: float = 1.3  # an act "at the end" peaks in the last
  slow_rise_s: float = 0.19
  quick_rise_s: float = 0.17
  slow_each_s: float = 0.78
  quick_each_s: float = 0.66
  held: float = 0.5  # of its peak, at the end of the clip
  brief_s: float = 1.5  # above half of its peak


LIMITS = Limits()
# Act -> curve of ARKit; # stands for the side. The strongest of several counts.
_CURVES = {
  "brow_raise": ("BrowOuterUp#",),
  "brow_furrow": ("BrowDown#",),
  "lip_press": ("MouthPress#",),
  "lip_bite": ("MouthRollLower",),
  "pucker": ("MouthPucker",),
  "jaw_drop": ("JawOpen",),
  "squint": ("EyeSquint#", "CheekSquint#"),
  "nose_wrinkle": ("NoseSneer#",),
  "cheek_puff": ("CheekPuff",),
  "eyes_closed": ("EyeBlink#",),
  "blink": ("EyeBlink#",),
  "wide_eyes": ("EyeWide#",),
  "eye_roll": ("EyeLookUp#",),
  "lopsided_smile": ("MouthSmile#",),
  "duck_face": ("MouthFunnel", "MouthPucker"),
  "mouth_shrug": ("MouthShrugLower", "MouthFrown#"),
  "swallow": ("MouthShrugLower", "MouthPress#"),
  "sniff": ("NoseSneer#",),
  "deep_breath": ("MouthFunnel", "JawOpen"),
}
# Label or family -> curves that show it, which must not be seen where it is denied.
_OF_LABEL = {"smiling": ("MouthSmile#",), "frowning": ("MouthFrown#",)}
_OF_LABEL |= dict.fromkeys(("grinning", "laughing", "happy"), ("MouthSmile#",))
_OF_LABEL |= {"yawning": ("JawOpen",), "kissing": ("MouthPucker",)}
_OF_FAMILY = {
  "happiness": ("MouthSmile#",),
  "sadness": ("MouthFrown#", "BrowInnerUp"),
  "anger": ("BrowDown#",),
  "fear": ("MouthStretch#", "EyeWide#", "BrowInnerUp"),
  "surprise": ("BrowOuterUp#", "BrowInnerUp", "EyeWide#"),
  "disgust": ("NoseSneer#", "MouthUpperUp#"),
  "contempt": ("MouthDimple#", "MouthSmile#"),
  "pout": ("MouthShrugLower", "MouthPucker"),
  "pain": ("BrowDown#", "CheekSquint#", "EyeSquint#"),
  "tiredness": ("EyeBlink#",),
  "concentration": ("EyeSquint#", "BrowDown#"),
  "confusion": ("BrowDown#", "BrowOuterUp#"),
  "interest": ("BrowOuterUp#", "MouthSmile#"),
  "pride": ("MouthShrugLower", "MouthSmile#"),
  "embarrassment": ("EyeLookDown#", "MouthSmile#", "MouthPress#"),
}
_ANY_SIDE = (
  *("contempt", "confusion"),
)  # families whose curves show on one side, either one
_AXES = {"nod": 0, "dip": 0, "look_up": 0, "look_down": 0, "lean": 0}
_AXES |= {"shake": 1, "turn": 1, "look_away": 1, "double_take": 1, "tilt": 2}
_BOTH = ("Left", "Right")
_EVERY = 2  # frames: fitting the curves takes most of the time


class Tracks(NamedTuple):
  """What of a motion acts are measured by.

  Attributes:
    curves: name of ARKit -> float[T], 0 .. 1.
    head_T3: float[T, 3], degrees: pitch (> 0 down), yaw (> 0 to the subject's left),
      roll (> 0 towards the subject's right).
    fps: frames per second.
  """

  curves: dict[str, np.ndarray]
  head_T3: np.ndarray
  fps: float


def tracks_of(face: FaceModel, motion: FaceMotion) -> Tracks:
  """The tracks of a motion, smoothed over three frames.

  Args:
    face: the motion's own face model.
    motion: T frames.
  """
  frames = np.arange(motion.num_frames)
  fitted = frames[::_EVERY]
  found, _ = arkit.from_motion(face, motion_lib.take(motion, fitted))
  rows = [np.interp(frames, fitted, curve) for curve in found.weights_TA.T]
  turns = transform.Rotation.from_rotvec(motion_lib.world_head_rotation(motion))
  head = np.degrees(_smooth(turns.as_euler("YXZ")))[:, [1, 0, 2]]
  weights = _smooth(np.stack(rows, 1))
  curves = {name: weights[:, i] for i, name in enumerate(arkit.SHAPES)}
  return Tracks(curves, head, float(motion.fps))


def _smooth(rows_TN: np.ndarray) -> np.ndarray:
  padded = np.concatenate([rows_TN[:1], rows_TN, rows_TN[-1:]])
  return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def _curve(tracks: Tracks, names, sides=_BOTH) -> np.ndarray:
  """The strongest of the curves, sides averaged."""
  rows = []
  for name in names:
    parts = [tracks.curves[name.replace("#", side)] for side in sides]
    rows.append(np.mean(parts, 0))
  return np.max(rows, 0)


def _gaze(tracks: Tracks, direction: str) -> np.ndarray:
  look = {
    "left": ("EyeLookOutLeft", "EyeLookInRight"),
    "right": ("EyeLookInLeft", "EyeLookOutRight"),
    "up": ("EyeLookUpLeft", "EyeLookUpRight"),
    "down": ("EyeLookDownLeft", "EyeLookDownRight"),
  }[direction]
  return np.mean([tracks.curves[name] for name in look], 0)


def _other(side: str) -> str:
  return "right" if side == "left" else "left"


def sided(tracks: Tracks, name: str, side: str) -> np.ndarray:
  """float[T] of an act on one side."""
  if name == "wink":
    both = {s.lower(): tracks.curves[f"EyeBlink{s}"] for s in _BOTH}
    return np.maximum(both[side] - both[_other(side)], 0.0)
  return _curve(tracks, _CURVES[name], (side.capitalize(),))


def towards(tracks: Tracks, name: str, direction: str) -> np.ndarray:
  """float[T] of an act in one direction: degrees of the head, or a curve."""
  if name == "gaze_shift":
    return _gaze(tracks, direction)
  if name in ("mouth_shift", "jaw_shift"):
    part = "Mouth" if name == "mouth_shift" else "Jaw"
    return tracks.curves[f"{part}{direction.capitalize()}"]
  sign = -1.0 if direction in ("right", "back") else 1.0
  axis = _AXES[name]
  return (-sign if axis == 2 else sign) * tracks.head_T3[:, axis]


def track(tracks: Tracks, act: Act) -> np.ndarray:
  """float[T]: how much of an act there is, wherever it is not said on the likeliest
  side or in the likeliest direction."""
  if act.emotion:
    return emotion(tracks, act.name)
  kind = KINDS[act.name]
  if act.name in ("look_up", "look_down"):
    return tracks.head_T3[:, 0] * (1.0 if act.name == "look_down" else -1.0)
  if act.name in ("nod", "dip"):
    return tracks.head_T3[:, 0]
  if act.name == "shake":
    return tracks.head_T3[:, 1]
  if kind.directions:
    options = [act.direction] if act.direction else kind.directions
    return max((towards(tracks, act.name, d) for d in options), key=np.max)
  if act.side in ("left", "right"):
    return sided(tracks, act.name, act.side)
  if act.side == "one" or act.name in ("wink", "lopsided_smile"):
    return max((sided(tracks, act.name, s) for s in ("left", "right")), key=np.max)
  return _curve(tracks, _CURVES[act.name])


def emotion(tracks: Tracks, label: str) -> np.ndarray:
  """float[T] of what shows an emotion most; zeros for a neutral or calm face."""
  family = LABELS[label].family
  names = _OF_LABEL.get(label) or _OF_FAMILY.get(family)
  if names is None:
    return np.zeros(len(tracks.head_T3))
  if family in _ANY_SIDE:
    return np.maximum(*(_curve(tracks, names, (side,)) for side in _BOTH))
  return _curve(tracks, names)


def _prominence(act: Act) -> float:
  if act.name in ("nod", "dip"):
    return LIMITS.nod_deg
  if act.name in _AXES:
    return LIMITS.shake_deg
  if act.name in ("blink", "wink", "eyes_closed"):
    return 0.5 * LIMITS.closed if act.name == "wink" else LIMITS.closed
  return LIMITS.gaze if KINDS[act.name].what == "gaze" else LIMITS.peak


def peaks(track_T: np.ndarray, prominence: float) -> np.ndarray:
  """Frames of the peaks that stand out by `prominence`; ends count as valleys."""
  low = track_T.min() - 10 * prominence
  padded = np.concatenate([[low], track_T, [low]])
  found, properties = scipy.signal.find_peaks(padded, prominence=prominence)
  # A peak at an end stands out by its inner side alone.
  inner = []
  for at, left, right in zip(
    found, properties["left_bases"], properties["right_bases"]
  ):
    floors = [padded[i] for i in (left, right) if 0 < i < len(padded) - 1]
    if not floors:
      floors = [track_T.min()]
    if padded[at] - max(floors) >= prominence:
      inner.append(at - 1)
  return np.array(inner, int)


def count(tracks: Tracks, act: Act) -> int:
  """How many times an act is done."""
  track_T, least = track(tracks, act), _prominence(act)
  if act.name == "shake":
    return max(_swings(sign * track_T, least) for sign in (1.0, -1.0))
  largest = track_T.max()
  found = peaks(track_T, max(least, 0.3 * (largest - track_T.min())))
  return len(found)


def _swings(track_T: np.ndarray, least: float) -> int:
  """Peaks to one side of where the head rests; the rest itself is none."""
  rest = np.median(track_T)
  return sum(track_T[at] > rest + 0.5 * least for at in peaks(track_T, least))


def onset_s(track_T: np.ndarray, fps: float) -> float:
  """When a track first leaves its rest for a peak."""
  low, high = np.percentile(track_T, 10), track_T.max()
  first = int(np.argmax(track_T > low + 0.6 * (high - low)))
  before = track_T[: first + 1]
  floor = before.min()
  below = np.flatnonzero(before < floor + LIMITS.onset * (high - floor))
  return float((below[-1] + 1 if len(below) else 0) / fps)


def last_s(track_T: np.ndarray, fps: float) -> float:
  """When a track is last above half of its peak."""
  low, high = np.percentile(track_T, 10), track_T.max()
  return float(np.flatnonzero(track_T > low + 0.5 * (high - low))[-1] / fps)


def rise_s(track_T: np.ndarray, fps: float) -> float:
  """From a quarter to three quarters of the way to the first peak."""
  low, high = np.percentile(track_T, 10), track_T.max()
  first = int(np.argmax(track_T >= low + 0.75 * (high - low)))
  low = track_T[: first + 1].min()
  inner = low + 0.25 * (high - low)
  start = np.flatnonzero(track_T[: first + 1] <= inner)
  return float((first - (start[-1] if len(start) else 0)) / fps)


def _present(tracks: Tracks, act: Act) -> bool:
  track_T = track(tracks, act)
  if act.emotion:
    return bool(track_T.max() > (LIMITS.slight if act.size < 3 else LIMITS.present))
  scale = 0.6 if act.size < 3 else 1.0
  if act.name in ("nod", "dip", "shake"):
    return count(tracks, act) > 0
  if act.name in _AXES:
    return bool(track_T.max() > scale * LIMITS.pose_deg)
  if KINDS[act.name].what == "gaze":
    return bool(track_T.max() > scale * LIMITS.gaze)
  if act.name in ("blink", "wink", "eyes_closed"):
    return bool(track_T.max() > LIMITS.closed)
  return bool(track_T.max() > (LIMITS.slight if act.size < 3 else LIMITS.present))


def _is_absent(tracks: Tracks, act: Act) -> bool:
  if act.name == STILL:
    spans = np.percentile(tracks.head_T3, 95, 0) - np.percentile(tracks.head_T3, 5, 0)
    return bool(spans.max() < LIMITS.still_deg)
  if act.emotion:
    return bool(track(tracks, act).mean() < LIMITS.absent)
  if act.name in ("nod", "dip", "shake", "blink", "wink"):
    return count(tracks, act) == 0
  if act.name in _AXES:
    return bool(np.abs(track(tracks, act)).max() < LIMITS.pose_deg)
  return bool(track(tracks, act).mean() < LIMITS.absent)


def _side_is(tracks: Tracks, act: Act) -> bool:
  if act.name == "cheek_puff":
    return True  # ARKit has one curve for both cheeks
  # The excess of each side, so that what both do together does not count.
  left, right = (sided(tracks, act.name, side) for side in ("left", "right"))
  excess = {"left": (left - right).max(), "right": (right - left).max()}
  most = max(excess.values())
  if act.side == "both":
    return bool(most < LIMITS.present)
  if most < LIMITS.slight or most < LIMITS.one_sided * min(excess.values()):
    return False
  return act.side == "one" or excess[act.side] == most


def _direction_is(tracks: Tracks, act: Act, also: Sequence[Act]) -> bool:
  """Whether it goes there, and farther than to where no act of the kind is to go."""
  asked = {other.direction for other in also if other.name == act.name}
  ways = [d for d in KINDS[act.name].directions if d not in asked - {act.direction}]
  tops = {d: towards(tracks, act.name, d).max() for d in ways}
  return max(tops, key=tops.get) == act.direction


def _tempo_is(tracks: Tracks, act: Act) -> bool:
  track_T, slow = track(tracks, act), act.tempo == "slow"
  if not act.emotion and (act.count > 1 or act.name in ("nod", "shake")):
    found = peaks(track_T, _prominence(act))
    if len(found) > 1:
      each = float(np.median(np.diff(found))) / tracks.fps
      return each > LIMITS.slow_each_s if slow else each < LIMITS.quick_each_s
  rise = rise_s(track_T, tracks.fps)
  return rise > LIMITS.slow_rise_s if slow else rise < LIMITS.quick_rise_s


def _time_is(tracks: Tracks, act: Act) -> bool:
  track_T, end_s = track(tracks, act), len(tracks.head_T3) / tracks.fps
  start = onset_s(track_T, tracks.fps)
  if act.when == "start":
    return start <= LIMITS.time_s + 0.2
  if act.when == "after":
    return abs(start - act.start_s) <= LIMITS.time_s
  if act.when == "end":
    return last_s(track_T, tracks.fps) >= end_s - LIMITS.end_s
  return True


def _hold_is(tracks: Tracks, act: Act) -> bool:
  track_T = track(tracks, act)
  if act.hold == "held":
    return bool(track_T[-5:].mean() > LIMITS.held * track_T.max())
  low = np.percentile(track_T, 10)
  above = track_T > low + 0.5 * (track_T.max() - low)
  return bool(above.sum() / tracks.fps <= LIMITS.brief_s)


def done(tracks: Tracks, act: Act, also: Sequence[Act] = ()) -> dict[str, bool]:
  """Whether each aspect of an act that was said is so.

  Args:
    also: the other acts that the motion was to show.

  Returns:
    {"present" or "absent", and what else was said: "side", "direction", "count",
    "tempo", "time", "hold"}: right or wrong. Where the act is not there, all of it is
    wrong.
  """
  if act.absent or act.name == STILL:
    return {"absent": _is_absent(tracks, act)}
  present = _present(tracks, act)
  found = {"present": present}
  checks = {
    "side": (bool(act.side), _side_is),
    "direction": (bool(act.direction), lambda t, a: _direction_is(t, a, also)),
    "count": (bool(act.count), lambda t, a: count(t, a) == a.count),
    "tempo": (bool(act.tempo), _tempo_is),
    "time": (act.when in ("start", "after", "end"), _time_is),
    "hold": (bool(act.hold), _hold_is),
  }
  for name, (said, check) in checks.items():
    if said:
      found[name] = present and bool(check(tracks, act))
  return found


def in_order(tracks: Tracks, first: Act, second: Act) -> bool:
  """Whether the second act begins after the first."""
  times = [onset_s(track(tracks, act), tracks.fps) for act in (first, second)]
  return times[1] > times[0] + 0.2


def aspects(tracks: Tracks, acts: Sequence[Act]) -> list[tuple[str, bool]]:
  """(aspect, whether it is right) of all acts that a motion was to show."""
  found = [pair for act in acts for pair in done(tracks, act, acts).items()]
  present = [act for act in acts if not act.absent and act.name != STILL]
  for first, second in itertools.pairwise(present):
    if second.when == "then":
      found.append(("order", in_order(tracks, first, second)))
  return found
