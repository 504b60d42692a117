"""The fit and its FACS reading: `python -m benchmarks.people`, without a run.

On random persons (`data_prep.tracked`) whose faces do what is known: a smile that is
held through the clip; action units that come and go amid talk, read directly and
through landmarks, misfit and the fit; motions of the default corpus, fitted, and by the
stand-in for the fit that `data_prep.build --tracked` uses. And on an actor's clips, by
emotion.

Shape letters: T frames, U action units.
"""

import pathlib

import numpy as np
import threadpoolctl

from benchmarks import people_clips
from data_prep import prompts, simulate, tracked
from data_prep.envelopes import hold
from tdmm_jax.face import action_units, facs, head_file, motion
from tdmm_jax.face.action_units import ACTION_UNITS
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.fit import fit_landmarks, landmark_model
from tdmm_jax.face.motion import FaceMotion

SMILE = [ACTION_UNITS.index(f"lip_corner_puller_{side}") for side in "lr"]
_SIZE = (800, 600)
SECONDS = 4.0
_HELD = 0.8  # activation of the smile that is held
# MEAD's emotion -> FACS codes, each of which (or one of which) explains the face.
EXPLAINED = {
  "happy": (("12",), ("6",)),
  "surprised": (("1",), ("2",), ("26",)),
  "sad": (("15", "1"),),
  "disgusted": (("9", "10"),),
}
_SEEN = 0.15  # level of a unit that is seen: a trace, FACS' A
# Units planted on simulated faces, with the strengths of FACS' B to E.
_PLANTED = ("1", "2", "4", "5", "6", "7", "9", "10", "12", "14", "15", "17", "20", "26")
_STRENGTHS = (0.4, 1.1)
_NEAR_S = 0.4  # of an event that is found: its span overlaps, its apex is as near


def _unit_columns(code: str) -> list[int]:
  name, one_sided = facs.CODES[code][1:]
  names = [f"{name}_l", f"{name}_r"] if one_sided else [name]
  return [ACTION_UNITS.index(name) for name in names]


def quiet_units() -> np.ndarray:
  """bool[U]: units that a talking mouth does not use."""
  return np.array([name not in landmark_model.SPEECH_UNITS for name in ACTION_UNITS])


def displacement_mm(units_TU, face: FaceModel) -> np.ndarray:
  """RMS over the landmarks of what units do to them: float[T]."""
  own = landmark_model.landmark_subset(face)
  width = face.num_expression
  fields = np.asarray(own.motion_basis[:width], np.float64).reshape(width, 3, -1)
  coefficients = action_units.activations_to_expression(units_TU, face.name)
  moved = np.einsum("te,eal->tla", coefficients, fields)
  return 1000 * np.sqrt((moved**2).sum(-1).mean(-1))


def _fit(points, face, **options):
  seen = np.ones(len(points), bool)
  return fit_landmarks.fit_landmarks(face, points, seen, 25.0, *_SIZE, **options)


def _acted(units_TU, jaw_T, face, rng) -> FaceMotion:
  """A motion of these units, of a head that is not quite still."""
  T = len(units_TU)
  jaw = np.zeros((T, 3), np.float32)
  jaw[:, 0] = jaw_T
  return motion.zeros(T, face.name, face.num_expression).replace(
    expression=action_units.activations_to_expression(units_TU, face.name),
    jaw_pose=jaw,
    head_pose=np.cumsum(rng.normal(0, 0.005, (T, 3)), 0).astype(np.float32),
  )


def simulated(asked: dict, seed, face: FaceModel, **style) -> FaceMotion:
  """The simulator's motion on this head, SECONDS long; `style` as `simulate` has it."""
  matrix = head_file.activation_matrix(face.name)
  basis = simulate.HeadBasis(face.version, face.num_shape, matrix)
  made = simulate.simulate(asked, seed, SECONDS, basis=basis, **style)
  return made.replace(face_model=face.name)


def _seen_by_tracker(clip, face, rng):
  rest = tracked.draw_person(face, rng)
  misfit = tracked.draw_misfit(face, clip.num_frames, rng)
  return tracked.landmarks(clip, face, rest, misfit)


# ------------------------------------------------------------------- simulated


def held_smile(face: FaceModel, persons: int) -> dict:
  """What a fit keeps of a smile that is held through the clip, and sees without one."""
  kept, invented = [], []
  for person in range(persons):
    for level, found in ((_HELD, kept), (0.0, invented)):
      rng = np.random.default_rng((person, 1))
      units = np.zeros((50, len(ACTION_UNITS)))
      units[:, SMILE] = level
      jaw = 0.04 * (1 - np.cos(np.arange(50) * 1.1))
      clip = _acted(units, jaw, face, rng)
      fitted, _ = _fit(_seen_by_tracker(clip, face, rng), face)
      mean = facs.activations(fitted, face)[:, SMILE].mean()
      found.append(float(mean / _HELD if level else mean))
  return {
    "kept": float(np.mean(kept)),
    "kept_each": kept,
    "smile_without_one": float(np.mean(invented)),
  }


def _planted(face, rng):
  """A clip of a talker with events of known onset, apex and offset: clip, events.

  An event is (code, onset_s, offset_s, from and to when it is strongest, level).
  """
  times = np.arange(round(SECONDS * 25)) / 25
  units = np.zeros((len(times), len(ACTION_UNITS)))
  jaw = 0.03 * (1 - np.cos(times * rng.uniform(20, 30)))
  events = []
  for code in rng.choice(_PLANTED, 3, replace=False):
    level = rng.uniform(*_STRENGTHS)
    start = rng.uniform(0.2, 2.2)
    end = start + rng.uniform(0.8, 1.5)
    rise, fall = rng.uniform(0.2, 0.4), rng.uniform(0.25, 0.5)
    shape = level * hold(times, start, end, rise, fall)
    if code == "26":
      jaw = jaw + 0.35 * shape
    else:
      units[:, _unit_columns(code)] = shape[:, None]
    above = np.flatnonzero(shape >= _SEEN)
    span = (times[above[0]], times[above[-1]] + 0.04)
    events.append((str(code), *span, start + rise, end - fall, level))
  return _acted(units, jaw, face, rng), events


def _matched(events, actions) -> dict:
  """Counts and timing errors of the actions read against the events planted."""
  left = [a for a in actions if a.code in _PLANTED and a.activation >= 2 * _SEEN]
  hits, onset, apex, offset, level = 0, [], [], [], []
  for code, start, end, apex_start, apex_end, strength in events:
    near = [
      a
      for a in left
      if a.code == code
      and min(a.offset_s, end) > max(a.onset_s, start)
      and apex_start - _NEAR_S <= a.apex_s <= apex_end + _NEAR_S
    ]
    if not near:
      continue
    best = max(near, key=lambda a: a.activation)
    left = [a for a in left if a.code != code or a not in near]
    hits += 1
    onset.append(abs(best.onset_s - start))
    offset.append(abs(best.offset_s - end))
    apex.append(max(apex_start - best.apex_s, best.apex_s - apex_end, 0.0))
    level.append(best.activation / strength)
  return {
    "hits": hits,
    "missed": len(events) - hits,
    "false": len(left),
    "timing": (onset, apex, offset, level),
  }


def facs_events(face: FaceModel, clips: int) -> dict:
  """F1 and timing of the FACS reading of planted events: direct, and tracked.

  Every unit of `_PLANTED` that does not act in a clip is a negative of it.
  """
  rows = {"direct": [], "tracked": []}
  for i in range(clips):
    rng = np.random.default_rng((i, 2))
    clip, events = _planted(face, rng)
    fitted, _ = _fit(_seen_by_tracker(clip, face, rng), face)
    for name, seen in (("direct", clip), ("tracked", fitted)):
      rows[name].append(_matched(events, facs.read_actions(seen, face)))
  return {name: _summary(found, clips) for name, found in rows.items()}


def _summary(rows, clips: int) -> dict:
  hits, missed, false = (sum(r[k] for r in rows) for k in ("hits", "missed", "false"))
  onset, apex, offset, level = (
    np.concatenate([row["timing"][i] for row in rows]) for i in range(4)
  )
  mean = lambda x: float(np.mean(x)) if len(x) else None
  return {
    "f1": 2 * hits / max(2 * hits + missed + false, 1),
    "precision": hits / max(hits + false, 1),
    "recall": hits / max(hits + missed, 1),
    "false_per_clip": false / clips,
    "onset_error_s": mean(onset),
    "apex_error_s": mean(apex),
    "offset_error_s": mean(offset),
    "level_share": mean(level),
  }


def stand_in(face: FaceModel, clips: int) -> dict:
  """Motions of the corpus, fitted for real and by the stand-in, of the same landmarks.

  Correlations are over frames and units; `rms` and `kept` (slope through zero over the
  truth) say how much is left.
  """
  plans = prompts.make_suite(max(200, clips), 3, (SECONDS, SECONDS))[:clips]
  truths, real, fast, quality = [], [], [], []
  known = tracked.facts_of(face)
  for i, plan in enumerate(plans):
    acted = simulated(plan.attributes, (i, 3), face)
    rng = np.random.default_rng((i, 4))
    rest = tracked.draw_person(face, rng)
    misfit = tracked.draw_misfit(face, acted.num_frames, rng)
    fitted, found = _fit(tracked.landmarks(acted, face, rest, misfit), face)
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
      quick = tracked.fitted(
        acted, known, 1.0, rest, misfit, np.ones(acted.num_frames, bool)
      )
    quality.append(found["landmark_error"])
    truths.append(facs.activations(acted, face))
    real.append(facs.activations(fitted, face))
    fast.append(facs.activations(quick, face))
  a, b, c = (np.concatenate(x) for x in (truths, real, fast))
  close = lambda x, y: float(np.corrcoef(x.ravel(), y.ravel())[0, 1])
  rms = lambda x: float(np.sqrt((x**2).mean()))
  return {
    "real_and_stand_in": close(b, c),
    "truth_and_real": close(a, b),
    "truth_and_stand_in": close(a, c),
    "rms": {"truth": rms(a), "real": rms(b), "stand_in": rms(c), "apart": rms(b - c)},
    "kept": {
      "real": float((a * b).sum() / (a**2).sum()),
      "stand_in": float((a * c).sum() / (a**2).sum()),
    },
    "landmark_error": float(np.mean(quality)),
  }


# ------------------------------------------------------------------------ real


def peaks(clip: FaceMotion, face: FaceModel) -> dict[str, float]:
  """FACS code -> 90th percentile over time of the stronger side's level."""
  found: dict[str, float] = {}
  for (code, _), level in facs.tracks(clip, face).items():
    found[code] = max(found.get(code, 0.0), float(np.percentile(level, 90)))
  return found


def real_actor(fitted: dict[str, FaceMotion], face: FaceModel) -> dict:
  """What must hold on an actor's clips; see EXPLAINED."""
  quiet = quiet_units()
  rows = {}
  for emotion, clip in fitted.items():
    units = facs.activations(clip, face) * quiet
    top = np.percentile(units, 90, axis=0)
    strongest = np.argsort(-top)[:4]
    rows[emotion] = {
      "expression_mm": float(displacement_mm(units, face).mean()),
      "strongest": {ACTION_UNITS[u]: round(float(top[u]), 2) for u in strongest},
      "codes": {code: round(level, 2) for code, level in peaks(clip, face).items()},
    }
    if emotion in EXPLAINED:
      found = rows[emotion]["codes"]
      rows[emotion]["explained"] = {
        " or ".join(codes): max(found[code] for code in codes)
        for codes in EXPLAINED[emotion]
      }
  happy = next(iter(rows["happy"]["strongest"]))
  return {
    "neutral_mm": rows["neutral"]["expression_mm"],
    "happy_strongest": happy,
    "explained": {
      e: all(level >= _SEEN for level in rows[e]["explained"].values())
      for e in EXPLAINED
    },
    "clips": rows,
  }


# ------------------------------------------------------------------- reporting


def table(found: dict) -> str:
  """The figures beside their goals."""
  lines = [("what", "measured", "goal")]
  add = lambda *row: lines.append(row)
  smile = found["held_smile"]
  add("held smile: share of AU 12 kept", f"{smile['kept']:.2f}", ">= 0.80")
  add("  AU 12 of the same persons at rest", f"{smile['smile_without_one']:.2f}", "")
  for name, row in found["facs"].items():
    add(f"FACS events, {name}: F1", f"{row['f1']:.2f}", "")
    add("  precision, recall", f"{row['precision']:.2f}, {row['recall']:.2f}", "")
    add("  false events a clip", f"{row['false_per_clip']:.2f}", "")
    timing = [row[f"{k}_error_s"] for k in ("onset", "apex", "offset")]
    if None not in timing:
      said = ", ".join(f"{t:.2f}" for t in timing)
      add("  onset, apex, offset error, s", said, "")
  fast = found["stand_in"]
  add("stand-in and real fit: correlation", f"{fast['real_and_stand_in']:.2f}", "")
  rms = fast["rms"]
  said = f"{rms['real']:.3f}, {rms['stand_in']:.3f}, {rms['apart']:.3f}"
  add("  RMS of units: real, stand-in, difference", said, "")
  hows = {"each clip alone": people_clips.ALONE, "as one person's": people_clips.PERSON}
  for how, name in hows.items():
    if name not in found:
      continue
    row = found[name]
    add(f"actor, {how}: neutral, mm", f"{row['neutral_mm']:.2f}", "<= 0.60")
    add("  happy: strongest unit", row["happy_strongest"], "lip_corner_puller")
    for emotion in EXPLAINED:
      levels = row["clips"][emotion]["explained"].items()
      said = ", ".join(f"{code}: {level:.2f}" for code, level in levels)
      add(f"  {emotion} explained by", said, f">= {_SEEN} each")
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  return "\n".join(
    "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
    for line in lines
  )


def measure(
  face: FaceModel, folder: pathlib.Path | None, work: pathlib.Path, clips: int
) -> dict:
  """All figures; `clips` of each simulated kind, fits of real ones kept in `work`."""
  found = {
    "face_model": {"name": face.name, "version": face.version},
    "fit": fit_landmarks.VERSION,
    "held_smile": held_smile(face, max(clips // 2, 1)),
    "facs": facs_events(face, clips),
    "stand_in": stand_in(face, clips),
  }
  if folder:
    clips = people_clips.read_clips(folder)
    actor = next((clip["set"] for clip in clips if "prompt" not in clip), None)
    clips = [clip for clip in clips if clip["set"] == actor]
    for how in (people_clips.ALONE, people_clips.PERSON) if clips else ():
      motions = people_clips.fit(clips, face, work, how)
      names = [clip["name"] for clip in clips]
      found[how] = real_actor(dict(zip(names, motions, strict=True)), face)
  return found
