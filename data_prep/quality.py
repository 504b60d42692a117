"""Keeps or drops tracked clips, each for a counted reason; smooths what is kept.

  python -m data_prep.quality TRACKS --out clean

TRACKS is what `python -m data_prep.track` wrote. Written to the output:

  motions/<clip_id>.npz   the kept motions, smoothed
  clips.jsonl             their manifest, for `python -m data_prep.build`
  dropped.jsonl           the others, each with its reasons
  quality.json            counts by reason, jitter before and after smoothing
  verdicts/<clip_id>.json what was found in a clip, and from what: not looked at again

A clip may have several reasons and is counted under the first. See `REASONS`. Faults
are looked for in the motion as it was tracked: smoothing would hide them.
"""

import argparse
import collections
import dataclasses
import functools
import hashlib
import json
import pathlib
import sys
from typing import Any

import numpy as np
import tqdm
from scipy import signal
from scipy.spatial.transform import Rotation

from data_prep import manifest, workers
from tdmm_jax import errors, files
from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import head_file, load_model
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.language import lexicon
from tdmm_jax.metrics import smoothness

REASONS = {
  "untracked": "the tracker failed; its own reason is in `tracker_reason`",
  "unreadable": "the motion file is missing or broken; what is wrong is in `message`",
  "second_face": "more than one face in too many of the frames looked at",
  "lost_frames": "too few frames with a face, or a gap that is too long",
  "too_short": "shorter than a motion worth learning",
  "bad_fit": "the fitted face is far from the landmarks",
  "jump": "head, jaw or face move implausibly far in one frame",
  "range": "a parameter leaves what a face can do",
  "jitter": "trembles more than the limit, after smoothing",
  "neutral": "an expressionless face where the prompt asks for an emotion",
}


@dataclasses.dataclass(frozen=True)
class Limits:
  """The limits of a clip; each is an option of the command."""

  second_face_share: float = 0.25  # of the frames in which faces were counted
  valid_share: float = 0.9
  gap_s: float = 0.4
  seconds: float = 1.0
  landmark_error: float = 0.05  # of the distance between the outer canthi
  head_step_deg: float = 25.0  # in one frame; see `_allowed` where frames are lost
  jaw_step_rad: float = 0.35
  face_step_mm: float = 8.0  # mean over the landmarks, head-fixed
  head_deg: float = 80.0
  jaw_open_rad: float = 0.7
  jaw_side_rad: float = 0.25
  expression: float = 6.0  # any coefficient
  jitter: float = 40.0  # m/s^3, mean over the landmarks, head-fixed
  neutral_mm: float = 0.5  # moves less, and differs less from rest, than this


WINDOW, ORDER = 5, 2  # of the Savitzky-Golay filter, frames and degree
_VERSION = 2  # of what is looked for: verdicts of another one are not taken over


def smooth(motion: FaceMotion) -> FaceMotion:
  """Savitzky-Golay: a parabola through five frames; blinks and visemes survive it.

  Rotations are smoothed as turns away from their clip's mean, so the axis-angle's
  seam at 180 degrees is far. Lids stay within 0 and 1. Shorter clips stay as they are.
  """
  if motion.num_frames < WINDOW:
    return motion

  def linear(track):
    smoothed = signal.savgol_filter(track, WINDOW, ORDER, axis=0, mode="interp")
    return smoothed.astype(np.float32)

  def turns(track):
    parts = []
    for part in np.split(np.asarray(track, np.float64), track.shape[1] // 3, axis=1):
      rotation = Rotation.from_rotvec(part)
      mean = rotation.mean()
      away = (mean.inv() * rotation).as_rotvec()
      parts.append((mean * Rotation.from_rotvec(linear(away))).as_rotvec())
    return np.concatenate(parts, axis=1).astype(np.float32)

  changes = {
    "expression": linear(motion.expression),
    "translation": linear(motion.translation),
    "eyelids": np.clip(linear(motion.eyelids), 0.0, 1.0),
    **{
      name: turns(getattr(motion, name))
      for name in ("jaw_pose", "neck_pose", "head_pose", "eye_pose")
    },
  }
  if motion.camera is not None:
    changes["camera"] = linear(motion.camera)
  return motion.replace(**changes)


def landmark_points(face_model, motion: FaceMotion) -> np.ndarray:
  """The landmarks of the head-fixed mean face, float32[T, L, 3], m."""
  corners = np.unique(face_model.landmark_triangles)
  small = face_lib.vertex_subset(face_model, corners)
  vertices = face_lib.motion_vertices(small, motion, head_fixed=True, identity=False)
  return np.asarray(face_lib.landmarks(small, vertices))


def jitter(points_TL3, motion: FaceMotion) -> float:
  """Mean third difference, m/s^3; 0 where no four valid frames follow one another."""
  total, windows = smoothness.jitter(points_TL3, motion.valid)
  return float(total / windows * motion.fps**3) if windows else 0.0


def inspect(
  motion: FaceMotion,
  points_TL3,
  rest_L3,
  row: dict[str, Any],
  limits: Limits,
  kept_TL3=None,
) -> list[str]:
  """The reasons to drop a clip, in the order of `REASONS`; none keeps it.

  Args:
    motion: as it was tracked, before smoothing.
    points_TL3: its `landmark_points`, and rest_L3 those of the neutral face; None
      where the face model is not at hand: `face_step`, `jitter` and `neutral` are not
      looked at then.
    row: of tracks.jsonl; uses prompt, attributes, landmark_error and `faces` (counts).
    limits: see `Limits`.
    kept_TL3: `landmark_points` of the motion as it will be kept, for `jitter` and
      `neutral`; by default those of `motion`.
  """
  found = set()
  valid, fps = motion.valid, motion.fps
  faces = np.asarray(row.get("faces", ()))
  if len(faces) and np.mean(faces > 1) > limits.second_face_share:
    found.add("second_face")
  if valid.mean() < limits.valid_share or _longest_gap(valid) > limits.gap_s * fps:
    found.add("lost_frames")
  if valid.sum() < limits.seconds * fps:
    found.add("too_short")
  if row.get("landmark_error", 0.0) > limits.landmark_error:
    found.add("bad_fit")
  found |= _motion_faults(motion, limits)
  if points_TL3 is not None:
    if kept_TL3 is None:
      kept_TL3 = points_TL3
    found |= _surface_faults(motion, points_TL3, kept_TL3, rest_L3, row, limits)
  return [reason for reason in REASONS if reason in found]


def _longest_gap(valid) -> int:
  edges = np.flatnonzero(np.concatenate([[True], valid, [True]]))
  return int(np.diff(edges).max() - 1)


def _motion_faults(motion, limits) -> set[str]:
  seen = np.flatnonzero(motion.valid)
  if not len(seen):
    return set()
  found, pauses = set(), _allowed(seen)
  head = Rotation.from_rotvec(motion_lib.world_head_rotation(motion))[seen]
  jaw = motion.jaw_pose[seen]
  if len(pauses):
    head_step = np.degrees((head[:-1].inv() * head[1:]).magnitude()) / pauses
    jaw_step = np.abs(np.diff(jaw, axis=0)).max(axis=1) / pauses
    if head_step.max() > limits.head_step_deg or jaw_step.max() > limits.jaw_step_rad:
      found.add("jump")
  if (
    np.degrees(head.magnitude().max()) > limits.head_deg
    or not -0.1 <= jaw[:, 0].min() <= jaw[:, 0].max() <= limits.jaw_open_rad
    or np.abs(jaw[:, 1:]).max() > limits.jaw_side_rad
    or np.abs(motion.expression[seen]).max() > limits.expression
  ):
    found.add("range")
  return found


def _allowed(seen) -> np.ndarray:
  """How many steps' worth of movement is plausible from each seen frame to the next.

  Less than one for each lost frame: nobody turns the head at the limit for long, and a
  tracker often loses the face just where it jumps to another.
  """
  return np.sqrt(np.diff(seen))


def _surface_faults(motion, points_TL3, kept_TL3, rest_L3, row, limits) -> set[str]:
  found = set()
  seen = np.flatnonzero(motion.valid)
  step = np.linalg.norm(np.diff(points_TL3[seen], axis=0), axis=-1).mean(axis=1) * 1000
  if len(step) and (step / _allowed(seen)).max() > limits.face_step_mm:
    found.add("jump")
  if jitter(kept_TL3, motion) > limits.jitter:
    found.add("jitter")
  if len(seen) and _asks_for_emotion(row):
    kept = kept_TL3[seen]
    mean = kept.mean(axis=0)
    moves = np.linalg.norm(kept - mean, axis=-1).mean() * 1000
    differs = np.linalg.norm(mean - rest_L3, axis=-1).mean() * 1000
    if moves < limits.neutral_mm and differs < limits.neutral_mm:
      found.add("neutral")
  return found


def _asks_for_emotion(row) -> bool:
  if not row.get("prompt"):
    return False
  attributes = row.get("attributes") or lexicon.parse(row["prompt"])
  strong = attributes["intensity"] >= 2  # "barely noticeable" may well look neutral
  return attributes["family"] not in ("neutral", "calm") and strong


def score(row: dict[str, Any], motion: FaceMotion, limits: Limits) -> float:
  """Quality of a kept clip, 0 to 1: valid frames, times how near the fit came."""
  fit = 1.0 - row.get("landmark_error", 0.0) / limits.landmark_error
  return float(np.clip(motion.valid.mean() * fit, 0.0, 1.0))


def filter_clips(
  tracks_dir,
  out_dir,
  limits: Limits = Limits(),
  face_model: str | None = None,
  smoothing: bool = True,
  progress: bool = True,
  num_workers: int = 1,
) -> dict[str, Any]:
  """Filters and smooths the clips of a tracker's output; writes the files named above.

  A clip whose motion, landmarks, row and limits are those of an earlier run is not
  looked at again.

  Args:
    tracks_dir: holds tracks.jsonl, motions/ and landmarks/.
    out_dir: new, or of an earlier run, which is overwritten.
    limits: see `Limits`.
    face_model: name or file; "default_v2" where the motions are in its basis.
    smoothing: whether to smooth.
    progress: whether to show a bar.
    num_workers: processes.

  Returns:
    The contents of quality.json.

  Raises:
    UserError: not a tracker's output, or the disk is full.
  """
  tracks_dir, out_dir = pathlib.Path(tracks_dir), pathlib.Path(out_dir)
  rows = manifest.read(tracks_dir / "tracks.jsonl")
  look = functools.partial(
    _look,
    tracks_dir=tracks_dir,
    out_dir=out_dir,
    limits=limits,
    face_model=face_model,
    smoothing=smoothing,
  )
  tracked = [row for row in rows if row.get("status") == "tracked"]
  verdicts = {}
  looked = workers.each(look, tracked, num_workers)
  shown = tqdm.tqdm(
    looked, desc="quality", unit="clip", total=len(tracked), disable=not progress
  )
  for row, verdict in shown:
    if verdict == workers.DIED:
      verdict = {"reasons": ["unreadable"], "message": workers.DIED}
    verdicts[row["clip_id"]] = verdict
  kept, dropped, trembling, unknown = [], [], [], 0
  for row in rows:
    name = f"motions/{row['clip_id']}.npz"
    if row.get("status") != "tracked":
      reason = row.get("reason", "unknown")
      dropped.append({**row, "reasons": ["untracked"], "tracker_reason": reason})
      _unlink(out_dir / name)
      continue
    verdict = verdicts[row["clip_id"]]
    if "jitter" in verdict:
      trembling.append(verdict["jitter"])
    unknown += not verdict.get("faces_counted", True)
    if verdict["reasons"]:
      told = {key: verdict[key] for key in ("reasons", "message") if key in verdict}
      dropped.append({**row, **told})
      _unlink(out_dir / name)
    else:
      kept.append({**row, "motion": name, "quality": verdict["quality"]})
  report = _report(kept, dropped, trembling, limits, smoothing)
  report["faces_not_counted"] = unknown
  _write(out_dir, kept, dropped, report)
  return report


def _look(row, tracks_dir, out_dir, limits, face_model, smoothing) -> dict[str, Any]:
  """What `filter_clips` finds in one clip; writes its motion if it is kept."""
  path, target = tracks_dir / row["motion"], out_dir / "motions"
  target = target / f"{row['clip_id']}.npz"
  place = out_dir / "verdicts" / f"{row['clip_id']}.json"
  held = _held(place)
  landmarks = tracks_dir / row.get("landmarks", f"landmarks/{row['clip_id']}.npz")
  settings = [row, dataclasses.asdict(limits), smoothing, WINDOW, ORDER, _VERSION]
  try:
    made_of = {
      "motion": workers.identity(path, held.get("motion")),
      "landmarks": None,
      "settings": hashlib.sha256(json.dumps(settings).encode()).hexdigest(),
    }
    if landmarks.exists():
      made_of["landmarks"] = workers.identity(landmarks, held.get("landmarks"))
    motion = motion_lib.load_npz(path)
    faces = _face_counts(landmarks)
  except (UserError, OSError) as error:
    return {"reasons": ["unreadable"], "message": str(error)}
  model, rest = _model(motion.face_model, face_model)
  made_of["head"] = None if model is None else model.version
  if made_of.items() <= held.items() and (held["reasons"] or target.exists()):
    return held
  kept = smooth(motion) if smoothing else motion
  verdict = {**made_of, "faces_counted": faces is not None}
  points = kept_points = None
  if model is not None:
    points = landmark_points(model, motion)
    kept_points = landmark_points(model, kept) if smoothing else points
    verdict["jitter"] = [jitter(points, motion), jitter(kept_points, kept)]
  told = row if faces is None else {**row, "faces": faces}
  verdict["reasons"] = inspect(motion, points, rest, told, limits, kept_points)
  if not verdict["reasons"]:
    verdict["quality"] = score(row, kept, limits)
    motion_lib.save_motion(target, kept)
  files.write_json(place, verdict)
  return verdict


def _held(path) -> dict[str, Any]:
  """The verdict of an earlier run; empty where there is none."""
  try:
    held = json.loads(path.read_text(encoding="utf-8"))
    return held if isinstance(held, dict) and "reasons" in held else {}
  except (OSError, ValueError):
    return {}


@functools.cache
def _model(name: str, spec: str | None):
  """The face model of a basis and its landmarks at rest; None where it is not given."""
  spec = name if name in head_file.NAMES else spec
  if not spec:
    return None, None
  model = load_model.load_face_model(spec)
  if model.name != name:
    raise UserError(f"--face_model: {spec} is '{model.name}', a motion is '{name}'")
  still = motion_lib.zeros(1, name, model.num_expression)
  return model, landmark_points(model, still)[0]


def _face_counts(path) -> np.ndarray | None:
  """How many faces were seen at a time; None where nobody counted."""
  return motion_lib.read_arrays(path).get("faces") if path.exists() else None


def _report(kept, dropped, trembling, limits, smoothing) -> dict[str, Any]:
  reasons = collections.Counter(row["reasons"][0] for row in dropped)
  before, after = np.mean(trembling, axis=0) if trembling else (None, None)
  seconds = sum(row["frames"] / row["fps"] for row in kept if row.get("fps"))
  return {
    "clips": len(kept) + len(dropped),
    "kept": len(kept),
    "dropped": {reason: reasons[reason] for reason in REASONS if reasons[reason]},
    "untracked": dict(
      collections.Counter(r["tracker_reason"] for r in dropped if "tracker_reason" in r)
    ),
    "kept_seconds": round(seconds, 3),
    "kept_detected_frames": sum(row.get("detected_frames", 0) for row in kept),
    "dropped_detected_frames": sum(row.get("detected_frames", 0) for row in dropped),
    "jitter_before_m_s3": None if before is None else float(before),
    "jitter_after_m_s3": None if after is None else float(after),
    "smoothing": f"savgol({WINDOW}, {ORDER})" if smoothing else "none",
    "limits": dataclasses.asdict(limits),
  }


def _write(out_dir, kept, dropped, report) -> None:
  manifest.write(out_dir / "dropped.jsonl", dropped)
  manifest.write(out_dir / "clips.jsonl", kept)
  files.write_json(out_dir / "quality.json", report)


def _unlink(path) -> None:
  """Removes what an earlier run with other limits left."""
  path.unlink(missing_ok=True)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.quality",
    description="Keep or drop tracked clips, each for a counted reason, and smooth.",
    epilog="reasons: " + "; ".join(f"{name}: {what}" for name, what in REASONS.items()),
  )
  parser.add_argument("tracks", metavar="TRACKS", help="what data_prep.track wrote")
  parser.add_argument("--out", required=True, metavar="DIR", help="output folder")
  parser.add_argument(
    "--face_model", help="FLAME's model file, for motions in its basis"
  )
  parser.add_argument(
    "--no_smoothing", action="store_true", help="keep the motions as they were tracked"
  )
  parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
  for field in dataclasses.fields(Limits):
    parser.add_argument(
      f"--{field.name}",
      type=float,
      default=field.default,
      help=f"(default: {field.default})",
    )
  return parser


@errors.entry_point("data_prep.quality")
def main(argv: list[str] | None = None) -> None:
  """Filters; prints the report; returns the exit code."""
  args = _parser().parse_args(argv)
  chosen = {f.name: getattr(args, f.name) for f in dataclasses.fields(Limits)}
  if args.workers < 1:
    raise UserError(f"--workers {args.workers}: out of range; give at least 1")
  report = filter_clips(
    args.tracks,
    args.out,
    Limits(**chosen),
    args.face_model,
    not args.no_smoothing,
    num_workers=args.workers,
  )
  print(json.dumps(report, indent=2))
  if report["faces_not_counted"]:
    print(
      f"data_prep.quality: warning: in {report['faces_not_counted']} clips nobody "
      "counted the faces (landmarks of another tracker): a second face is not noticed",
      file=sys.stderr,
    )


if __name__ == "__main__":
  sys.exit(main())
