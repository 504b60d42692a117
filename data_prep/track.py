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
where it stopped, and a failed one is tried again. No clip is lost without a reason.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import sys
import time
from typing import Any

import tqdm

from data_prep import manifest, track_landmarks, track_measures
from data_prep.track_measures import summary
from tdmm_jax import errors, files
from tdmm_jax.errors import UserError
from tdmm_jax.face import load_model
from tdmm_jax.face.fit import fit_landmarks
from tdmm_jax.face.motion import save_motion

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif")
TRACKER = f"mediapipe-0.10.21+fit-{fit_landmarks.VERSION}"


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


def track(
  rows,
  out_dir,
  face_model: str = "default_v1",
  python: str | None = None,
  landmarks_dir=None,
  workers: int = 1,
  progress: bool = True,
) -> list[dict[str, Any]]:
  """Tracks the clips of `plan`; writes the files named above.

  Args:
    rows: of `plan`.
    out_dir: new, or of an earlier run, which is continued.
    face_model: name or path of the face model to fit.
    python: interpreter with mediapipe; see `track_landmarks.environment_python`.
    landmarks_dir: has `<clip_id>[.landmarks].npz` already; mediapipe is not run.
    workers: processes.
    progress: whether to show bars.

  Returns:
    The rows of tracks.jsonl: `status` is "tracked" or "failed", with `reason`.

  Raises:
    UserError: nothing to track, a missing environment, a full disk.
  """
  out_dir = pathlib.Path(out_dir)
  todo = [row for row in rows if "reason" not in row]
  head = load_model.load_face_model(face_model)
  for folder in ("landmarks", "motions"):
    (out_dir / folder).mkdir(parents=True, exist_ok=True)
    files.remove_leftovers(out_dir / folder)
  paths, errors = _landmark_files(
    todo, out_dir, python, landmarks_dir, workers, progress
  )
  wanted = {"tracker": TRACKER, "face_model": head.name}
  jobs = [
    (paths[row["clip_id"]], out_dir / "motions" / f"{row['clip_id']}.npz", wanted)
    for row in todo
    if row["clip_id"] in paths and not _finished(out_dir, row["clip_id"], wanted)
  ]
  for _ in _progress(_fit_all(jobs, face_model, workers), len(jobs), "fit", progress):
    pass
  done = [_result(row, out_dir, errors, wanted) for row in rows]
  manifest.write(out_dir / "tracks.jsonl", done)
  files.write_json(out_dir / "summary.json", summary(done) | {"tracker": TRACKER})
  return done


def to_records(tracks_dir, records_dir, face_model: str, workers: int) -> dict:
  """Filters and smooths what was tracked (into TRACKS/clean) and writes records.

  Returns:
    {"quality": of `quality.filter_clips`, "records": of `build_motions`}.

  Raises:
    UserError: no clip is kept, or the directory holds other records.
  """
  from data_prep import build_motions, quality  # TFDS and scikit-learn are slow to load

  clean = pathlib.Path(tracks_dir) / "clean"
  flame = None if face_model == "default_v1" else face_model
  filtered = quality.filter_clips(tracks_dir, clean, face_model=flame)
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
    num_workers=workers,
  )
  return {"quality": filtered, "records": stats}


def _progress(items, total, name, show):
  return tqdm.tqdm(items, total=total, desc=name, unit="clip", disable=not show)


def _landmark_files(rows, out_dir, python, landmarks_dir, workers, progress):
  """clip_id -> npz of landmarks, and clip_id -> why there is none."""
  if landmarks_dir is not None:
    return _given_landmarks(rows, pathlib.Path(landmarks_dir))
  paths = {
    row["clip_id"]: out_dir / "landmarks" / f"{row['clip_id']}.npz" for row in rows
  }
  clip_of = {os.fspath(path): clip_id for clip_id, path in paths.items()}
  jobs = [
    (row["video"], paths[row["clip_id"]])
    for row in rows
    if not paths[row["clip_id"]].exists()
  ]
  errors = {}
  if jobs:
    answers = track_landmarks.track_videos(
      jobs, track_landmarks.environment_python(python), workers
    )
    for answer in _progress(answers, len(jobs), "landmarks", progress):
      if "error" in answer:
        clip_id = clip_of[answer["out"]]
        errors[clip_id] = answer["error"]
        del paths[clip_id]
  return paths, errors


def _given_landmarks(rows, folder):
  if not folder.is_dir():
    raise UserError(f"{folder}: no such folder of landmarks; check the name")
  paths, errors = {}, {}
  for row in rows:
    names = (f"{row['clip_id']}.landmarks.npz", f"{row['clip_id']}.npz")
    found = [folder / name for name in names if (folder / name).is_file()]
    if found:
      paths[row["clip_id"]] = found[0]
    else:
      errors[row["clip_id"]] = f"no landmarks in {folder}"
  return paths, errors


def _finished(out_dir, clip_id, wanted) -> bool:
  """Whether this clip is there, made by this program for this face model."""
  held = _read_json(out_dir / "motions" / f"{clip_id}.json")
  there = (out_dir / "motions" / f"{clip_id}.npz").exists()
  same = all(held.get(key) == value for key, value in wanted.items())
  return there and same and held.get("status") == "tracked"


def _fit_all(jobs, face_model, workers):
  if workers <= 1 or len(jobs) <= 1:
    yield from (_fit_clip(job, face_model) for job in jobs)
    return
  context = multiprocessing.get_context("spawn")  # a fork would copy JAX half alive
  with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
    futures = [pool.submit(_fit_clip, job, face_model) for job in jobs]
    for future in concurrent.futures.as_completed(futures):
      yield future.result()


def _fit_clip(job, face_model) -> None:
  """Fits one clip and writes its motion, then its measures."""
  landmarks, out, wanted = job
  report: dict[str, Any] = {"status": "tracked", **wanted}
  motion = None
  try:
    tracked = fit_landmarks.read_landmarks(landmarks)
    report["frames"] = len(tracked["detected"])
    report["detected_frames"] = int(tracked["detected"].sum())
    report["fps"] = float(tracked["fps"])
    if not report["detected_frames"]:
      report |= {"status": "failed", "reason": "no_face"}
    else:
      head = load_model.load_face_model(face_model)
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
  if report["status"] == "tracked":
    save_motion(out, motion)
  files.write_json(out.with_suffix(".json"), report)


def _result(row, out_dir, errors, wanted) -> dict[str, Any]:
  """The clip's row of tracks.jsonl."""
  clip_id = row["clip_id"]
  row = {**row, **wanted}
  if "reason" in row:
    return {**row, "status": "failed"}
  if clip_id in errors:
    return {
      **row,
      "status": "failed",
      "reason": "undecodable",
      "message": errors[clip_id],
    }
  row |= _read_json(out_dir / "motions" / f"{clip_id}.json")
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
    "--face_model", default="default_v1", help="default_v1, or FLAME's model file"
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
  return parser


@errors.entry_point("data_prep.track", "the same command resumes")
def main(argv: list[str] | None = None) -> int:
  """Tracks; prints the summary; returns the exit code."""
  args = _parser().parse_args(argv)
  if args.workers < 1:
    raise UserError(f"--workers {args.workers}: out of range; give at least 1")
  rows = track(
    plan(args.videos, args.prompts),
    args.out,
    args.face_model,
    args.python,
    args.landmarks,
    args.workers,
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
