"""What an encoder reads of a motion, as acts: what a caption is then written about.

An encoder that was asked which acts are on (models/cue_embedding.py) knows more than
captions say: their decoder loses one of three. So it is told them, in fixed terms, and
puts them into a sentence (data/tasks.py). What cannot be seen is left out: an emotion
counts as its family, nothing is denied.

Shape letters: T frames, R readings (language/cues.py).
"""

import numpy as np
import scipy  # parts of it are imported when they are used

from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import cues, lexicon, placing
from tdmm_jax.language.acts import KINDS, STILL, USUAL_SIZE, Act
from tdmm_jax.language.emotion_words import LABELS, NEUTRAL

_OF_FAMILY: dict[str, str] = {}  # a label that stands for its whole family
for _name, _label in LABELS.items():
  _OF_FAMILY.setdefault(_label.family, _name)
_OF_FAMILY["neutral"] = NEUTRAL
# Where an act is on; F1 on valid clips is about the same from 0.3 up. Where an emotion
# is on, and what is said of how an act is done.
_ON, _LIKELY = 0.4, 0.5
_FAINT = 0.1  # an emotion below, all over a clip, is none
_SMOOTH = 3  # frames
_SHARED = 0.5  # of an act's time; more with a rival that is read more, and it is none
_GAP_S, _SHORTEST_S = 0.2, 0.14  # within an act; of one
_EMOTIONS_SHORTEST_S = 0.5
_BEATS_GAP_S = 1.0  # beats further apart are of two acts
_SIZES = {"slight": 2, "strong": 4}
# How often what is told in training is wrong, as readings are.
_DROPPED, _ADDED, _MISCOUNTED, _OTHER_FAMILY = 0.06, 0.06, 0.05, 0.02
_JITTER_S = 0.12


def visible(attributes: dict) -> dict:
  """Attributes without what cannot be read off a motion, its acts placed.

  Emotions are their families', of the usual size; nothing is denied, still or held;
  when an act happens, its span says.
  """
  told = []
  for act in acts_lib.acts_of(attributes):
    if act.absent or act.name == STILL:
      continue
    if act.emotion:
      name = _OF_FAMILY[LABELS[act.name].family]
      told.append(Act(name, emotion=True, start_s=act.start_s, end_s=act.end_s))
      continue
    size = USUAL_SIZE
    if act.size != USUAL_SIZE:
      size = _SIZES["slight" if act.size < USUAL_SIZE else "strong"]
    told.append(act.replace(size=size, hold="", when=""))
  if not any(act.emotion for act in told):
    end_s = max(segment["end_s"] for segment in attributes["segments"])
    told.insert(0, Act(NEUTRAL, emotion=True, end_s=end_s))
  return with_acts(attributes, told)


def with_acts(attributes: dict, told: list[Act]) -> dict:
  """The attributes, but of these acts."""
  end_s = max(segment["end_s"] for segment in attributes["segments"])
  voice = (attributes["speaking"], attributes.get("manner", lexicon.PLAIN))
  return lexicon.attributes_of(told, end_s, *voice)


def misread(attributes: dict, rng: np.random.Generator) -> dict:
  """Visible attributes with some of the mistakes of a reading.

  So that a decoder that is told them still looks at the motion.
  """
  end_s = max(segment["end_s"] for segment in attributes["segments"])
  told = []
  for act in acts_lib.acts_of(attributes):
    if not act.emotion and rng.random() < _DROPPED:
      continue
    if act.emotion and act.name != NEUTRAL and rng.random() < _OTHER_FAMILY:
      names = list(_OF_FAMILY.values())
      act = act.replace(name=names[int(rng.integers(len(names)))])
    if act.count and rng.random() < _MISCOUNTED:
      act = act.replace(count=max(1, min(act.count + int(rng.choice((-1, 1))), 5)))
    start, end = np.clip(
      np.array([act.start_s, act.end_s]) + rng.normal(0, _JITTER_S, 2), 0, end_s
    )
    if act.emotion and not act.start_s:
      start = 0.0
    told.append(act.replace(start_s=float(start), end_s=float(max(start, end))))
  if rng.random() < _ADDED:
    told.append(_any_act(end_s, rng))
  return with_acts(attributes, told)


def _any_act(end_s: float, rng: np.random.Generator) -> Act:
  names = list(KINDS)
  name = names[int(rng.integers(len(names)))]
  start = float(rng.uniform(0, 0.7 * end_s))
  act = Act(name, start_s=start, end_s=min(start + float(rng.uniform(0.4, 2)), end_s))
  pick = lambda options: options[int(rng.integers(len(options)))]
  if KINDS[name].directions:
    act = act.replace(direction=pick(KINDS[name].directions))
  elif KINDS[name].sided:
    act = act.replace(side=pick(("left", "right")))
  return act


def acts_read(shares_TR: np.ndarray) -> dict:
  """The visible attributes of a motion of which so much was read.

  Args:
    shares_TR: float[T, READINGS], 0 .. 1, of a motion's frames at cues.FPS.
  """
  shares_TR = scipy.ndimage.uniform_filter1d(shares_TR, _SMOOTH, axis=0, mode="nearest")
  duration_s = len(shares_TR) / cues.FPS
  told = _emotions(shares_TR)
  told += _apart([pair for name in KINDS for pair in _of_kind(name, shares_TR)])
  first = lambda act: (not act.emotion, act.start_s)
  voice, manner = _voice(shares_TR)
  return lexicon.attributes_of(sorted(told, key=first), duration_s, voice, manner)


def families(shares_TR: np.ndarray) -> dict[str, float]:
  """Family -> its share of what is read of emotions in a motion; they sum to 1."""
  found = {f: float(shares_TR[:, cues.channel(f)].mean()) for f in _OF_FAMILY}
  whole = max(sum(found.values()), 1e-9)
  return {family: share / whole for family, share in found.items()}


def with_family(read: dict, family: str) -> dict:
  """What was read, with this emotion alone, if it is not among those read."""
  told = acts_lib.acts_of(read)
  if family in {LABELS[act.name].family for act in told if act.emotion}:
    return read
  end_s = max(segment["end_s"] for segment in read["segments"])
  felt = Act(_OF_FAMILY[family], emotion=True, end_s=end_s)
  return with_acts(read, [felt, *(act for act in told if not act.emotion)])


def _runs(on_T: np.ndarray, gap_s: float, shortest_s: float) -> list[slice]:
  """Where something is on, gaps closed, short ones left out."""
  runs: list[slice] = []
  for (run,) in scipy.ndimage.find_objects(scipy.ndimage.label(on_T)[0]):
    if runs and run.start - runs[-1].stop <= gap_s * cues.FPS:
      runs[-1] = slice(runs[-1].start, run.stop)
    else:
      runs.append(run)
  return [run for run in runs if run.stop - run.start >= shortest_s * cues.FPS]


def _span(run: slice) -> dict:
  return {"start_s": run.start / cues.FPS, "end_s": run.stop / cues.FPS}


def _emotions(shares_TR: np.ndarray) -> list[Act]:
  """The families that are shown, one after the other or at once; neutral if none."""
  found, duration_s = [], len(shares_TR) / cues.FPS
  for family, label in _OF_FAMILY.items():
    share_T = shares_TR[:, cues.channel(family)]
    runs = _runs(share_T > _LIKELY, 2 * _GAP_S, _EMOTIONS_SHORTEST_S)
    found += [Act(label, emotion=True, **_span(run)) for run in runs]
  if not found:
    means = {f: shares_TR[:, cues.channel(f)].mean() for f in _OF_FAMILY}
    family = max(means, key=means.get)
    label = _OF_FAMILY[family] if means[family] > _FAINT else NEUTRAL
    found = [Act(label, emotion=True, end_s=duration_s)]
  found.sort(key=lambda act: act.start_s)
  found[0] = found[0].replace(start_s=0.0)
  if len(found) == 1:
    found[0] = found[0].replace(end_s=duration_s)
  return found


def _apart(read: list[tuple[float, Act]]) -> list[Act]:
  """Of acts that move the same part at the same time, the one that is read most.

  One nod is no dip as well.
  """
  kept: list[Act] = []
  for _, act in sorted(read, key=lambda pair: -pair[0]):
    parts, length = placing.parts_of(act.name), act.end_s - act.start_s
    rivals = [other for other in kept if placing.parts_of(other.name) & parts]
    shared = [
      min(act.end_s, other.end_s) - max(act.start_s, other.start_s) for other in rivals
    ]
    if not any(seconds > _SHARED * length for seconds in shared):
      kept.append(act)
  return kept


def _of_kind(name: str, shares_TR: np.ndarray) -> list[tuple[float, Act]]:
  """The acts of a kind, each with how surely it is read."""
  kind = KINDS[name]
  ways = [""] if not kind.directions else []
  ways += [*kind.directions, *(acts_lib.SIDES if kind.sided else ())]
  channels = [cues.channel(name, way) for way in ways]
  shares_TW = shares_TR[:, channels]
  runs: list[tuple[slice, str]] = []
  # Of one kind with several ways, their sum tells whether it is on.
  for run in _runs(shares_TW.sum(1) > _ON, _GAP_S, _SHORTEST_S):
    way = ways[int(shares_TW[run].mean(0).argmax())]
    before, its_way = runs[-1] if runs else (slice(-(10**6), -(10**6)), "")
    near = run.start - before.stop <= _BEATS_GAP_S * cues.FPS
    if kind.counted and near and way == its_way:
      runs[-1] = (slice(before.start, run.stop), way)
    else:
      runs.append((run, way))
  found = []
  for run, way in runs:
    act = Act(name, **_span(run))
    if way:
      act = act.replace(**{"direction" if way in kind.directions else "side": way})
    on_T = shares_TW[run].sum(1) > _ON
    how = {what: cues.reading_of_kind(name, what) for what in cues.OF_KIND}
    mean = {what: shares_TR[run, i][on_T].mean() for what, i in how.items()}
    tempo = max(("slow", "quick"), key=mean.get)
    size = max(_SIZES, key=mean.get)
    if mean[tempo] > _LIKELY:
      act = act.replace(tempo=tempo)
    if mean[size] > _LIKELY:
      act = act.replace(size=_SIZES[size])
    # What comes several times may also be on several times.
    beat_T = shares_TR[run, how["beat"]] > _ON
    beats = max(len(_runs(row, 0.0, _SHORTEST_S)) for row in (beat_T & on_T, on_T))
    if name == "sniff":  # too quick to be read apart: their time tells
      beats = max(beats, placing.count_of(act))
    if kind.counted and (beats > 1 or name in placing.COUNTED):
      act = act.replace(count=min(max(beats, 1), 5))
    found.append((float(shares_TW[run].sum(1)[on_T].mean()), act))
  return found


def _voice(shares_TR: np.ndarray) -> tuple[str, str]:
  """(speaking, manner)."""
  share = {voice: shares_TR[:, cues.channel(*voice)].mean() for voice in cues.VOICES}
  if sum(share.values()) < _ON:
    return "silent", lexicon.PLAIN
  voice, manner = max(share, key=share.get)
  return voice, manner or lexicon.PLAIN
