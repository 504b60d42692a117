"""Tracks faces in videos: mediapipe's landmarks, then this project's fitter.

  python -m data_prep.track VIDEO_DIR --prompts prompts.jsonl --out tracks
  python -m data_prep.track VIDEO_DIR --prompts prompts.jsonl --out tracks \
      --records records   # and on, through the quality filter, to TFDS records

VIDEO_DIR holds `<clip_id>.mp4` (or what a row's `video` names). Written to the output:

  landmarks/<clip_id>.npz   mediapipe's 478 points a frame
  motions/<clip_id>.npz     a FaceMotion at 25 fps
  motions/<clip_id>.json    how well it went, or why it failed
  tracks.jsonl              a row for every clip: its prompt, status, reason, measures
  summary.json              the counts

The unit of work is a clip; a finished one is skipped, so an interrupted run continues
where it stopped, and a failed one is tried again. Finished is what was made of this
very video, by this tracker, for this head: a video that was made anew is tracked anew.
No clip is lost without a reason, and none ends the run: broken ones, ones on which a
process dies, and ones that take longer than --timeout fail alone.

Several machines share the work with `--shard I/N`, all into one output folder; the same
command without it gathers what they did (and tries what failed once more).
"""

import argparse
import functools
import json
import os
import pathlib
import sys
import time
from typing import Any

import tqdm

from data_prep import manifest, track_landmarks, track_measures, workers
from data_prep.track_measures import summary
from tdmm_jax import errors, files
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file, load_model
from tdmm_jax.face.fit import fit_landmarks
from tdmm_jax.face.fit.landmarks import read_landmarks
from tdmm_jax.face.motion import save_motion

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif")
DETECTOR = "mediapipe-0.10.21+film-1"  # what landmarks/ depends on beside the video
TRACKER = f"{DETECTOR}+fit-{fit_landmarks.VERSION}"
_LEFT_S = 3600.0  # an unfinished file that is older belongs to no run


def plan(source, prompts=None) -> list[dict[str, Any]]:
  """One row for each clip of the manifest and each video of the folder.

  Args:
    source: folder of videos, or one video.
    prompts: manifest; without one every video is a clip of its own name.

  Returns:
    rows of clip_id, prompt, `video` (an absolute path or None) and the manifest's other
    keys; `reason` where there is nothing to track: "no_video", "no_prompt".

  Raises:
    UserError: no such folder, no videos in it, a broken manifest, a bad clip_id.
  """
  source = pathlib.Path(source)
  if source.is_dir():
    files = [p for p in sorted(source.iterdir()) if p.suffix.lower() in VIDEO_SUFFIXES]
  elif source.exists():
    files, source = [source], source.parent
  else:
    raise UserError(f"{source}: no such folder or video; check the name")
  if not files:
    listed = " ".join(VIDEO_SUFFIXES)
    raise UserError(
      f"{source}: no videos in it ({listed}); give a folder that has some"
    )
  by_stem = {path.stem: path for path in files}
  if prompts is None:
    rows = [{"clip_id": stem, "prompt": ""} for stem in by_stem]
  else:
    rows = manifest.read(prompts)
  rows = [_with_video(row, source, by_stem, prompts) for row in rows]
  used = {row["video"] for row in rows}
  left = [path for path in files if os.path.abspath(path) not in used]
  # A single video needs no prompt; beside a manifest, one without is counted.
  rows += [
    {
      "clip_id": path.stem,
      "prompt": "",
      "video": os.path.abspath(path),
      "reason": "no_prompt",
    }
    for path in left
  ]
  return rows


def _with_video(row, folder, by_stem, prompts):
  clip_id = row["clip_id"]
  if not clip_id or clip_id != os.path.basename(clip_id) or clip_id.startswith("."):
    raise UserError(f"{prompts}: clip_id {clip_id!r} is no file name; rename it")
  named = row.get("video")
  path = folder / named if isinstance(named, str) else by_stem.get(clip_id)
  if path is None or not path.is_file():
    return {**row, "video": None, "reason": "no_video"}
  return {**row, "video": os.path.abspath(path)}


def shard_of(rows, shard: str | None) -> list[dict[str, Any]]:
  """The rows that fall to one of several machines.

  Args:
    rows: of `plan`.
    shard: "I/N", the I-th of N; counted from 0 or from 1, for N is 0 as well.

  Raises:
    UserError: another form.
  """
  index, count = workers.share(shard)
  return rows[index::count]


def track(
  rows,
  out_dir,
  face_model: str = head_file.DEFAULT,
  python: str | None = None,
  landmarks_dir=None,
  num_workers: int = 1,
  progress: bool = True,
  shard: str | None = None,
  timeout_s: float = track_landmarks.TIMEOUT_S,
) -> list[dict[str, Any]]:
  """Tracks the clips of `plan`; writes the files named above.

  Args:
    rows: of `plan`.
    out_dir: new, or of an earlier run, which is continued.
    face_model: name or path of the face model to fit.
    python: interpreter with mediapipe; see `track_landmarks.environment_python`.
    landmarks_dir: has `<clip_id>[.landmarks].npz` already; mediapipe is not run.
    num_workers: processes.
    progress: whether to show bars.
    shard: "I/N": only these rows, listed in tracks-I-of-N.jsonl.
    timeout_s: of mediapipe, for one video.

  Returns:
    The rows of tracks.jsonl: `status` is "tracked" or "failed", with `reason`.

  Raises:
    UserError: nothing to track, a missing environment, a full disk.
  """
  out_dir, rows = pathlib.Path(out_dir), shard_of(rows, shard)
  todo = [row for row in rows if "reason" not in row]
  head = _head(face_model)
  for folder in ("landmarks", "motions"):
    (out_dir / folder).mkdir(parents=True, exist_ok=True)
    files.remove_leftovers(out_dir / folder, _LEFT_S)
  paths, failures = _landmark_files(
    todo, out_dir, python, landmarks_dir, num_workers, progress, timeout_s
  )
  wanted = {"tracker": TRACKER, "face_model": head.name, "head": head.version}
  jobs = [
    (paths[row["clip_id"]], out_dir / "motions" / f"{row['clip_id']}.npz", own)
    for row in todo
    if row["clip_id"] in paths
    and (own := _unfinished(out_dir, row["clip_id"], paths[row["clip_id"]], wanted))
  ]
  fit = functools.partial(_fit_clip, face_model=face_model)
  for job, result in _progress(
    workers.each(fit, jobs, num_workers), len(jobs), "fit", progress
  ):
    if result == workers.DIED:
      _, out, own = job
      report = {"status": "failed", "reason": "died", "message": workers.DIED, **own}
      files.write_json(out.with_suffix(".json"), report)
  done = [_result(row, out_dir, paths, failures, wanted) for row in rows]
  suffix = "" if shard is None else f"-{shard.replace('/', '-of-')}"
  manifest.write(out_dir / f"tracks{suffix}.jsonl", done)
  totals = summary(done) | {"tracker": TRACKER}
  files.write_json(out_dir / f"summary{suffix}.json", totals)
  return done


@functools.cache
def _head(face_model: str):
  """The face model, read once in each process."""
  return load_model.load_face_model(face_model)


def to_records(tracks_dir, records_dir, face_model: str, num_workers: int) -> dict:
  """Filters and smooths what was tracked (into TRACKS/clean) and writes records.

  Returns:
    {"quality": of `quality.filter_clips`, "records": of `build_motions`}.

  Raises:
    UserError: no clip is kept, or the directory holds other records.
  """
  from data_prep import build_motions, quality  # TFDS and scikit-learn are slow to load

  clean = pathlib.Path(tracks_dir) / "clean"
  flame = None if face_model in head_file.NAMES else face_model
  filtered = quality.filter_clips(
    tracks_dir, clean, face_model=flame, num_workers=num_workers
  )
  if not filtered["kept"]:
    raise UserError(
      f"{tracks_dir}: no clip is kept ({filtered['dropped']}); see clean/dropped.jsonl "
      "or run data_prep.quality with other limits"
    )
  stats = build_motions.build_motions(
    records_dir,
    clean / "clips.jsonl",
    clean,
    face_model=flame,
    num_workers=num_workers,
  )
  return {"quality": filtered, "records": stats}


def _progress(items, total, name, show):
  return tqdm.tqdm(items, total=total, desc=name, unit="clip", disable=not show)


def _landmark_files(
  rows, out_dir, python, landmarks_dir, num_workers, progress, timeout_s
):
  """clip_id -> npz of landmarks, and clip_id -> (reason, message) why there is none."""
  if landmarks_dir is not None:
    return _given_landmarks(rows, pathlib.Path(landmarks_dir))
  paths = {
    row["clip_id"]: out_dir / "landmarks" / f"{row['clip_id']}.npz" for row in rows
  }
  jobs, origins = [], {}
  for row in rows:
    path = paths[row["clip_id"]]
    held = _read_json(path.with_suffix(".json"))
    video = workers.identity(row["video"], held.get("video"))
    current = workers.same(video, held.get("video")) and path.exists()
    if not current or held.get("detector") != DETECTOR:
      jobs.append((row["video"], path))
      origins[os.fspath(path)] = row["clip_id"], {"detector": DETECTOR, "video": video}
  failures = {}
  if jobs:
    answers = track_landmarks.track_videos(
      jobs, track_landmarks.environment_python(python), num_workers, timeout_s
    )
    for answer in _progress(answers, len(jobs), "landmarks", progress):
      clip_id, origin = origins[answer["out"]]
      if "error" in answer:
        failures[clip_id] = answer.get("reason", "undecodable"), answer["error"]
        del paths[clip_id]
      else:
        files.write_json(pathlib.Path(answer["out"]).with_suffix(".json"), origin)
  return paths, failures


def _given_landmarks(rows, folder):
  if not folder.is_dir():
    raise UserError(f"{folder}: no such folder of landmarks; check the name")
  paths, failures = {}, {}
  for row in rows:
    names = (f"{row['clip_id']}.landmarks.npz", f"{row['clip_id']}.npz")
    found = [folder / name for name in names if (folder / name).is_file()]
    if found:
      paths[row["clip_id"]] = found[0]
    else:
      failures[row["clip_id"]] = "no_landmarks", f"no landmarks in {folder}"
  return paths, failures


def _unfinished(out_dir, clip_id, landmarks, wanted) -> dict | None:
  """What this clip's motion must be made of, or None where it has been."""
  held = _read_json(out_dir / "motions" / f"{clip_id}.json")
  origin = workers.identity(landmarks, held.get("landmarks"))
  there = (out_dir / "motions" / f"{clip_id}.npz").exists()
  agrees = all(held.get(key) == value for key, value in wanted.items())
  agrees = agrees and workers.same(origin, held.get("landmarks"))
  if there and agrees and held.get("status") == "tracked":
    return None
  return wanted | {"landmarks": origin}


def _fit_clip(job, face_model) -> None:
  """Fits one clip and writes its motion, then its measures."""
  landmarks, out, wanted = job
  report: dict[str, Any] = {"status": "tracked", **wanted}
  motion = None
  try:
    tracked = read_landmarks(landmarks)
    report["frames"] = len(tracked["detected"])
    report["detected_frames"] = int(tracked["detected"].sum())
    report["fps"] = float(tracked["fps"])
    if not report["detected_frames"]:
      report |= {"status": "failed", "reason": "no_face"}
    else:
      head = _head(face_model)
      start = time.process_time()
      motion, measures = fit_landmarks.fit_landmarks(head, **tracked)
      report["fit_cpu_s"] = time.process_time() - start
      for key in ("landmark_error", "frozen_landmark_error", "expression_rms"):
        report[key] = float(measures[key])
      names = ("landmarks_px", "detected", "fps")
      seen = {name: tracked[name] for name in names}
      report |= track_measures.opening_agreement(head, motion, **seen)
  except UserError as error:
    report |= {"status": "failed", "reason": "bad_landmarks", "message": str(error)}
  except Exception as error:  # one clip's fault must not end the others' work
    message = f"{type(error).__name__}: {error}"
    report |= {"status": "failed", "reason": "fault", "message": message}
  if report["status"] == "tracked":
    save_motion(out, motion)
  files.write_json(out.with_suffix(".json"), report)


def _result(row, out_dir, paths, failures, wanted) -> dict[str, Any]:
  """The clip's row of tracks.jsonl."""
  clip_id = row["clip_id"]
  row = {**row, **wanted}
  if "reason" in row:
    return {**row, "status": "failed"}
  if clip_id in failures:
    reason, message = failures[clip_id]
    return {**row, "status": "failed", "reason": reason, "message": message}
  report = _read_json(out_dir / "motions" / f"{clip_id}.json")
  row |= {key: value for key, value in report.items() if key != "landmarks"}
  row["landmarks"] = os.path.relpath(paths[clip_id], out_dir)
  if row["status"] == "tracked":
    row["motion"] = f"motions/{clip_id}.npz"
  return row


def _read_json(path) -> dict[str, Any]:
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError):
    return {}


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.track",
    description="Track the faces in videos: landmarks, then a fitted FLAME motion.",
    epilog="interrupted, the same command continues where it stopped",
  )
  parser.add_argument("videos", metavar="VIDEO_DIR", help="folder of videos, or one")
  parser.add_argument("--prompts", metavar="FILE", help="manifest: JSON lines")
  parser.add_argument("--out", required=True, metavar="DIR", help="output folder")
  parser.add_argument(
    "--face_model",
    default=head_file.DEFAULT,
    help=f"{head_file.DEFAULT}, or FLAME's model file",
  )
  parser.add_argument(
    "--landmarks", metavar="DIR", help="has <clip_id>[.landmarks].npz: no mediapipe"
  )
  parser.add_argument(
    "--python", help="interpreter that has mediapipe (default: .venv-track's)"
  )
  parser.add_argument(
    "--records", metavar="DIR", help="filter by quality and write TFDS records here"
  )
  parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
  parser.add_argument(
    "--shard",
    metavar="I/N",
    help="the I-th of N shares of the clips only",
  )
  parser.add_argument(
    "--timeout",
    type=float,
    default=track_landmarks.TIMEOUT_S,
    metavar="S",
    help="give a video up after so many seconds (default: %(default)g)",
  )
  return parser


@errors.entry_point("data_prep.track", "the same command resumes")
def main(argv: list[str] | None = None) -> int:
  """Tracks; prints the summary; returns the exit code."""
  args = _parser().parse_args(argv)
  if args.workers < 1:
    raise UserError(f"--workers {args.workers}: out of range; give at least 1")
  if not args.timeout > 0:
    raise UserError(f"--timeout {args.timeout:g}: out of range; give seconds above 0")
  if args.records and args.shard:
    raise UserError("--records: not with --shard; gather the shards first, without it")
  rows = track(
    plan(args.videos, args.prompts),
    args.out,
    args.face_model,
    args.python,
    args.landmarks,
    args.workers,
    shard=args.shard,
    timeout_s=args.timeout,
  )
  counts = summary(rows)
  if args.records and counts["tracked"]:
    counts |= to_records(args.out, args.records, args.face_model, args.workers)
  print(json.dumps(counts, indent=2))
  for row in rows:
    if row["status"] == "failed":
      print(f"{row['clip_id']}: {row.get('message', row['reason'])}", file=sys.stderr)
  return 0 if counts["tracked"] else 2


if __name__ == "__main__":
  sys.exit(main())
