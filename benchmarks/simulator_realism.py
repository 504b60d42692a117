"""The simulator beside people: levels, durations, co-occurrence, blinks, gaze, spectra.

  python -m benchmarks.simulator_realism --real DIR [--json FILE] [--before FILE]

DIR holds what is compared with: `ravdess_openface/` (action units of acted speech by
OpenFace; levels from `clip_means.csv`, timing from `clips/`), `ckplus_facs/` (apexes
coded by hand) and `live_link_takes/` (blinks and gaze). Nothing of it is replayed or
kept: rows are statistics. `--before` puts a column beside, from the JSON of an earlier
run, such as that of an earlier simulator. Seconds.

Shape letters: T frames, A action units.
"""

import argparse
import csv
import json
import os
import pathlib
import sys

import numpy as np
from scipy import signal

from data_prep import expressions, simulate
from tdmm_jax import errors, files
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file
from tdmm_jax.language import lexicon

OPENFACE = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26)
# Of these, `clips` was not normalised clip by clip, so levels within it mean something.
_TIMED = (4, 6, 7, 10, 12, 14)
_JAW_RAD = 0.35  # activation 1 of AU 26
RAVDESS = {  # number in a file's name -> word, family
  "01": ("neutral", "neutral"),
  "03": ("happy", "happiness"),
  "04": ("sad", "sadness"),
  "05": ("angry", "anger"),
  "06": ("fearful", "fear"),
  "07": ("disgust", "disgust"),
  "08": ("surprised", "surprise"),
}
_LABELS = {  # family -> what the simulator is asked for
  "neutral": "neutral",
  "happiness": "happy",
  "sadness": "sad",
  "anger": "angry",
  "fear": "afraid",
  "disgust": "disgusted",
  "surprise": "surprised",
}
_CODED = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25)
_CK = {"happy": "happiness"}  # the others have our names
_SECONDS, _FPS, _LEVEL = 4.0, 25.0, 4
_BLINK, _LONGEST_BLINK_S = 0.5, 0.6  # closure
# Of a shift of the gaze: slower and smaller ones are drift.
_SHIFT_S, _SHIFT_RAD = 0.08, np.radians(3.0)
_BAND_HZ = (0.5, 6.0)


def simulated(clips: int, speaking: bool) -> dict[str, list]:
  """Family -> motions of the simulator."""
  voice, styles = "speaking" if speaking else "silent", list(simulate.GENERATORS)
  found = {}
  for family, label in _LABELS.items():
    asked = lexicon.make_attributes([(label, _LEVEL, 0.0, _SECONDS)], speaking=voice)
    found[family] = [
      simulate.simulate(asked, (i, 11), _SECONDS, styles[i % len(styles)])
      for i in range(clips)
    ]
  return found


def units_of(motion) -> np.ndarray:
  """float[T, A] of OPENFACE's units, the mean of both sides, 1 is a strong action."""
  activations = _activations(motion)
  return np.stack([_unit(activations, motion, code) for code in OPENFACE], 1)


def _activations(motion) -> np.ndarray:
  matrix = head_file.activation_matrix(motion.face_model)
  return np.linalg.solve(matrix, motion.expression.T).T


def _unit(activations, motion, code: int) -> np.ndarray:
  if code == 26:
    return np.maximum(motion.jaw_pose[:, 0], 0) / _JAW_RAD
  vector = expressions.recipe_vector(f"{code}=1")[: expressions.NUM_ACTION_UNITS]
  return activations[:, vector > 0].mean(1)


# ------------------------------------------------------------------ statistics


def level_cosines(levels: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> dict:
  """Family -> cosine of mean levels, each beside the own neutral's."""
  cosine = lambda a, b: float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9))
  return {
    family: cosine(levels[family] - levels["neutral"], real[family] - real["neutral"])
    for family in real
    if family != "neutral"
  }


def event_seconds(level_T, fps: float, least: float) -> list[float]:
  """How long a track stays above half of its peak, s, peaks of `least` at least."""
  if level_T.max() < least:
    return []
  starts, stops = _spans(level_T >= 0.5 * level_T.max())
  return list((stops - starts) / fps)


def _spans(marks_T) -> tuple[np.ndarray, np.ndarray]:
  """First frames of each run of true ones, and the frames after their last."""
  edges = np.diff(np.concatenate([[0], marks_T, [0]]).astype(int))
  return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def components(tracks_TA) -> int:
  """How many principal components hold 90 % of the variance."""
  size = np.linalg.svd(tracks_TA - tracks_TA.mean(0), compute_uv=False) ** 2
  return int(np.searchsorted(np.cumsum(size) / max(size.sum(), 1e-12), 0.9)) + 1


def slope(tracks_TA, fps: float) -> float:
  """Exponent of the mean power spectrum over _BAND_HZ: -1 is 1/f."""
  hz, power = signal.periodogram(tracks_TA, fps, detrend="linear", axis=0)
  band = (hz >= _BAND_HZ[0]) & (hz <= _BAND_HZ[1])
  mean = power[band].mean(1) + 1e-12
  return float(np.polyfit(np.log(hz[band]), np.log(mean), 1)[0])


def speed(tracks_TA, fps: float) -> float:
  """Mean speed over range, 1/s: how often a unit crosses its range."""
  reach = np.ptp(tracks_TA, axis=0)
  moving = reach > 0.1 * reach.max()
  rate = np.abs(np.diff(tracks_TA[:, moving], axis=0)).mean(0) * fps
  return float(np.mean(rate / reach[moving]))


def timing(clips, fps: float, least: float) -> dict:
  """Durations, components, speed and spectra of clips of OPENFACE's units."""
  seconds: dict[int, list] = {code: [] for code in _TIMED}
  for tracks in clips:
    for code in _TIMED:
      column = _smooth(tracks[:, OPENFACE.index(code)], fps)
      seconds[code] += event_seconds(column, fps, least)
  timed = [OPENFACE.index(code) for code in _TIMED]
  mean = lambda make: float(np.mean([make(tracks[:, timed]) for tracks in clips]))
  return {
    **{f"AU {c}: s above half peak": _median(s) for c, s in seconds.items()},
    "components for 90 %": mean(components),
    "speed over range, 1/s": mean(lambda x: speed(x, fps)),
    "spectrum's exponent": mean(lambda x: slope(x, fps)),
  }


def _smooth(level_T, fps):
  window = np.hanning(max(round(0.12 * fps) // 2 * 2 + 1, 3) + 2)[1:-1]
  padded = np.pad(level_T, len(window) // 2, mode="edge")
  return np.convolve(padded, window / window.sum(), "valid")


def _median(values) -> float | None:
  return float(np.median(values)) if len(values) else None


def blinks_and_gaze(tracks, fps: float) -> dict:
  """Of takes (lids [T], eye yaw and pitch [T, 2], rad)."""
  blinks, shifts, length = [], 0, 0.0
  window = max(round(_SHIFT_S * fps), 1)
  for lids, eyes in tracks:
    starts, stops = _spans(lids > _BLINK)
    each = (stops - starts) / fps
    blinks += list(each[each < _LONGEST_BLINK_S])
    moved = np.linalg.norm(eyes[window:] - eyes[:-window], axis=1)
    shifts += len(_spans(moved > _SHIFT_RAD)[0])
    length += len(lids) / fps
  return {
    "blinks a minute": 60 * len(blinks) / length,
    "blink, s below half open": _median(blinks),
    "blink, log sd": float(np.std(np.log(blinks))) if len(blinks) > 2 else None,
    "gaze shifts a minute": 60 * shifts / length,
  }


def likeness(pairs_AA, real_AA) -> float:
  """Correlation of two matrices' off-diagonal entries."""
  upper = np.triu_indices(len(real_AA), 1)
  return float(np.corrcoef(pairs_AA[upper], real_AA[upper])[0, 1])


# --------------------------------------------------------------------- sources


def _rows(path, delimiter=",") -> list[dict[str, str]]:
  try:
    with open(path, encoding="utf-8-sig") as file:
      return list(csv.DictReader(file, delimiter=delimiter))
  except OSError as error:
    raise UserError(f"{path}: {error.strerror}; name a folder that has it") from error


def real_levels(folder: pathlib.Path) -> dict[str, np.ndarray]:
  """Family -> mean level of OPENFACE's units, 0 .. 1, strong acting."""
  rows = _rows(folder / "ravdess_openface" / "clip_means.csv")
  found = {}
  for code, (name, family) in RAVDESS.items():
    mine = [
      row
      for row in rows
      if row["clip"].split("-")[2] == code
      and (row["intensity"] == "strong" or name == "neutral")
    ]
    values = [[float(row[f"AU{c:02d}_r"]) for c in OPENFACE] for row in mine]
    found[family] = np.mean(values, 0) / 5
  return found


def real_clips(folder: pathlib.Path) -> list[np.ndarray]:
  """Of each emotional clip the tracks of OPENFACE's units, 0 .. 1."""
  found = []
  for path in sorted((folder / "ravdess_openface" / "clips").glob("*.csv")):
    if RAVDESS.get(path.name.split("-")[2], ("", ""))[1] in ("", "neutral"):
      continue
    rows = _rows(path, ";")
    found.append(
      np.array([[float(row[f"AU{c:02d}_r"]) / 5 for c in OPENFACE] for row in rows])
    )
  return found


def real_pairs(folder: pathlib.Path) -> np.ndarray:
  """Correlation of _CODED over hand-coded apexes, each emotion counted alike."""
  rows = _rows(folder / "ckplus_facs" / "ckplus_au_emotion.csv")
  rows = [row for row in rows if _CK.get(row["emotion"], row["emotion"]) in _LABELS]
  table = np.array([[float(row[f"AU{code}"]) for code in _CODED] for row in rows])
  names = [row["emotion"] for row in rows]
  weights = np.array([1 / names.count(name) for name in names])
  covariance = np.cov(table.T, aweights=weights) + 1e-6 * np.eye(len(_CODED))
  sd = np.sqrt(np.diag(covariance))
  return covariance / (sd[:, None] * sd)


def simulated_pairs(motions) -> np.ndarray:
  """The same of simulated clips at their strongest: seen is half of an action."""
  seen = []
  for family, clips in motions.items():
    if family == "neutral":
      continue
    for motion in clips:
      activations = _activations(motion)
      peaks = [np.percentile(_unit(activations, motion, code), 90) for code in _CODED]
      seen.append(np.array(peaks) > 0.3)
  covariance = np.cov(np.array(seen, float).T) + 1e-6 * np.eye(len(_CODED))
  sd = np.sqrt(np.diag(covariance))
  return covariance / (sd[:, None] * sd)


def real_takes(folder: pathlib.Path):
  """Lids and gaze (yaw, pitch) of the Live Link takes, whose heads were not tracked."""
  columns = ("EyeBlinkLeft", "EyeBlinkRight", "LeftEyeYaw", "LeftEyePitch")
  for path in sorted((folder / "live_link_takes").glob("*.csv")):
    take = [[float(row[name] or 0) for name in columns] for row in _rows(path)]
    lids, eyes = np.split(np.array(take), 2, axis=1)
    yield lids.mean(1), eyes


def simulated_takes(motions):
  """The same of simulated motions."""
  for clips in motions.values():
    for motion in clips:
      yield motion.eyelids.mean(1), motion.eye_pose[:, [1, 0]]


# ------------------------------------------------------------------- reporting


def measure(folder: pathlib.Path, clips: int) -> dict:
  """{"simulator", "rows": {row: {"real", "simulated"}}}"""
  talking, silent = simulated(clips, True), simulated(clips, False)
  tracks = {f: [units_of(m) for m in ms] for f, ms in talking.items()}
  levels = {f: np.mean([t.mean(0) for t in ts], 0) for f, ts in tracks.items()}
  acted = [t for f, ts in tracks.items() if f != "neutral" for t in ts]
  real = real_levels(folder)
  rows: dict[str, dict] = {}
  for family, value in level_cosines(levels, real).items():
    rows[f"{family}: cosine of levels"] = {"real": 1.0, "simulated": value}
    for who, source in (("real", real), ("simulated", levels)):
      moved = source[family] - source["neutral"]
      top = np.argsort(-moved)[:4]
      rows.setdefault(f"{family}: strongest", {})[who] = " ".join(
        f"{OPENFACE[i]}" for i in top if moved[i] > 0.02
      )
  for who, found in (
    ("real", timing(real_clips(folder), 29.97, 0.2)),
    ("simulated", timing(acted, _FPS, 0.2)),
  ):
    for name, value in found.items():
      rows.setdefault(name, {})[who] = value
  pairs = likeness(simulated_pairs(silent), real_pairs(folder))
  rows["units together: likeness to coders'"] = {"real": 1.0, "simulated": pairs}
  for who, takes, fps in (
    ("real", real_takes(folder), 60.0),
    ("simulated", simulated_takes(silent), _FPS),
  ):
    for name, value in blinks_and_gaze(list(takes), fps).items():
      rows.setdefault(name, {})[who] = value
  return {"simulator": simulate.VERSION, "clips": clips, "rows": rows}


def table(found: dict, before: dict | None = None) -> str:
  """The rows as a markdown table."""
  say = lambda x: f"{x:.2f}" if isinstance(x, float) else "" if x is None else str(x)
  head = ["what", "people", f"simulator {found['simulator']}"]
  if before:
    head.insert(2, f"simulator {before['simulator']}")
  lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
  for name, row in found["rows"].items():
    cells = [name, say(row.get("real")), say(row.get("simulated"))]
    if before:
      cells.insert(2, say(before["rows"].get(name, {}).get("simulated")))
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join(lines)


@errors.entry_point("simulator_realism")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  option = parser.add_argument
  option("--real", default=os.environ.get("TDMM_REAL_DATA"), help="folder of real data")
  option("--clips", type=int, default=24, help="of each emotion (default: 24)")
  option("--json", type=pathlib.Path, help="file for all figures")
  option("--before", type=pathlib.Path, help="JSON of an earlier run, shown beside")
  args = parser.parse_args(argv)
  if not args.real:
    raise UserError("--real: not given, and TDMM_REAL_DATA is not set; name a folder")
  before = json.loads(args.before.read_text()) if args.before else None
  found = measure(pathlib.Path(args.real), args.clips)
  if args.json:
    files.write_json(args.json, found)
  print(table(found, before))


if __name__ == "__main__":
  sys.exit(main())
