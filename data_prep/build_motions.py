"""open3dfacevid: records of motions that were tracked in videos, or imported.

Every row of a prompt manifest is paired with a motion file of a folder: the row's own
`motion` (a path in that folder), or the one file named after its clip_id. The output of
`data_prep.quality` is such a folder, with its manifest in clips.jsonl; so is one of any
layout that `tdmm_jax.face.files.read` reads. Rows may carry `attributes`, `captions`,
`split`, `generator`, `tracker`, `quality` (0..1), and `import`, what the motion's file
does not contain (see `import_options`); what they lack is parsed from the prompt or
taken from the command line. All clips are checked before the first shard is written, so
that a broken one is reported at once.
"""

import collections
import dataclasses
import functools
import hashlib
import json
import os
import pathlib

from data_prep import build_shards, manifest, prompts, records, workers
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file, motion
from tdmm_jax.face.files import read
from tdmm_jax.language import lexicon

FPS = 25.0
DROPPED_FILE = "dropped.jsonl"
_SUFFIXES = (".npz", ".npy", ".pkl", ".csv")
_IMPORT_OPTIONS = ("fps", "layout", "head_pose", "blink_scale")


def split_of_row(row: dict) -> str:
  """The row's split, or the one its clip_id falls into.

  Raises:
    UserError: the row names another.
  """
  split = row.get("split", prompts.split_of(row["clip_id"]))
  if split not in prompts.SPLITS:
    raise UserError(
      f"clip '{row['clip_id']}': split {split!r}; choose one of {list(prompts.SPLITS)}"
    )
  return split


@dataclasses.dataclass(frozen=True)
class TrackedClips:
  """Makes records of planned rows, each with the path of its motion."""

  num_expression: int
  num_shape: int
  versions: dict[str, str]
  dataset = records.OPEN3DFACEVID

  def features(self):
    return records.features(self.num_expression, self.num_shape, with_camera=True)

  def __call__(self, row: dict) -> dict:
    return records.to_example(
      row,
      motion.resample(read.load_motion(row["motion"], **row["import"]), FPS),
      row["generator"],
      row["tracker"],
      row["quality"],
      self.versions,
      with_camera=True,
    )


def _files_of(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
  """Name without suffix -> motion files.

  Raises:
    UserError: no such folder.
  """
  if not folder.is_dir():
    raise UserError(f"{folder}: no such folder; give the folder of the motions")
  files = collections.defaultdict(list)
  for path in sorted(folder.iterdir()):
    if path.suffix in _SUFFIXES:
      files[path.name.removesuffix(path.suffix)].append(path)
  return files


def _motion_of(row, folder, files) -> pathlib.Path:
  """The row's motion file; UserError if there is none, or several."""
  if "motion" in row:
    return folder / row["motion"]
  found = files.get(row["clip_id"], [])
  if not found:
    raise UserError("has no motion")
  if len(found) > 1:
    raise UserError(f"has several motions: {', '.join(path.name for path in found)}")
  return found[0]


def import_options(row: dict, folder: pathlib.Path) -> dict:
  """What `io.load_motion` is told of the row's file: its `import`, paths in the folder.

  For example {"layout": "mmhead", "fps": 30}, or {"head_pose": "clip_7.6drepnet.npy"}
  beside SPECTRE's codes.

  Raises:
    UserError: names an unknown key or a bad value.
  """
  options = row.get("import", {})
  if not isinstance(options, dict) or not set(options) <= set(_IMPORT_OPTIONS):
    raise UserError(f"import {options!r}; it may hold {', '.join(_IMPORT_OPTIONS)}")
  for name in ("fps", "blink_scale"):
    value = options.get(name, 1)
    if not isinstance(value, (int, float)) or not value > 0:
      raise UserError(f"import: {name} {value!r} is not a number above 0")
  if "head_pose" not in options:
    return options
  return options | {"head_pose": os.path.abspath(folder / str(options["head_pose"]))}


def pair(rows, folder, generator: str, tracker: str, num_workers: int = 1):
  """Pairs the manifest's rows with motions, all of which are read.

  Args:
    rows: of a manifest.
    folder: of the motions.
    generator: where a row has none.
    tracker: where a row has none.
    num_workers: processes.

  Returns:
    The plan's rows; [{clip_id, reason}] of those left out; (face_model, number of
    expression coefficients, of shape coefficients) of all of them, None if no row is
    whole.
  """
  folder = pathlib.Path(folder)
  files = _files_of(folder)
  if not files and not any("motion" in row for row in rows):
    raise UserError(f"{folder}: no motions in it ({', '.join(_SUFFIXES)})")
  found, jobs = {}, []
  for row in rows:
    try:
      jobs.append((row, os.fspath(_motion_of(row, folder, files))))
    except UserError as error:
      found[row["clip_id"]] = None, None, str(error)
  look = functools.partial(
    _pair_row, folder=folder, generator=generator, tracker=tracker
  )
  for (row, path), result in workers.each(look, jobs, num_workers):
    if result == workers.DIED:
      result = None, None, f"{path}: {workers.DIED}"
    found[row["clip_id"]] = result
  plan, dropped, form = [], [], None
  for row in rows:
    planned, own, reason = found[row["clip_id"]]
    if reason is None and form not in (None, own):
      path = planned["motion"]
      reason = f"{path}: is {_spoken(own)}, those before it {_spoken(form)}"
    if reason is not None:
      dropped.append({"clip_id": row["clip_id"], "reason": reason})
      continue
    plan.append(planned)
    form = own
  return plan, dropped, form


def _pair_row(job, folder, generator: str, tracker: str):
  """The plan's row, its form, None; or None, None, why not."""
  row, path = job
  try:
    options = import_options(row, folder)
    clip = motion.resample(read.load_motion(path, **options), FPS)
    if not clip.valid.any():
      raise UserError(f"{path}: no frame is valid")
    planned = _planned(row, path, clip.num_frames / FPS, generator, tracker)
    sources = [path, *([options["head_pose"]] if "head_pose" in options else [])]
    content = [workers.identity(source)["sha256"] for source in sources]
  except UserError as error:
    return None, None, str(error)
  own = (clip.face_model, clip.num_expression, len(clip.shape))
  return planned | {"import": options, "content": content}, own, None


def _spoken(form) -> str:
  return f"{form[0]} with {form[1]} expression and {form[2]} shape coefficients"


def _planned(row, path, duration_s, generator, tracker) -> dict:
  quality = row.get("quality", 1.0)
  if not isinstance(quality, (int, float)) or not 0 <= quality <= 1:
    raise UserError(f"quality {quality!r} is not between 0 and 1")
  return {
    "clip_id": row["clip_id"],
    "prompt": row["prompt"],
    "split": split_of_row(row),
    "attributes": row.get("attributes") or lexicon.parse(row["prompt"], duration_s),
    "captions": list(row.get("captions", ())),
    "motion": os.path.abspath(path),
    "generator": str(row.get("generator", generator)),
    "tracker": str(row.get("tracker", tracker)),
    "quality": float(quality),
  }


def head_version(face_model: str, spec: str | None) -> str:
  """The version of the face model that the motions are in."""

  if spec is None and face_model not in head_file.NAMES:
    raise UserError(
      f"the motions are in '{face_model}': give its model file with --face_model"
    )
  from tdmm_jax.face import load_model  # brings JAX, which workers do not need

  model = load_model.load_face_model(spec or face_model)
  if model.name != face_model:
    raise UserError(f"--face_model: {spec} is '{model.name}', the motions {face_model}")
  return model.version


def _filtered_before(motion_dir) -> dict[str, int]:
  """Clips by reason that data_prep.quality dropped, where it made the folder."""
  path = pathlib.Path(motion_dir) / "quality.json"
  if not path.exists():
    return {}
  try:
    return {
      name: int(count)
      for name, count in json.loads(path.read_text())["dropped"].items()
    }
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(
      f"{path}: not a quality report; run data_prep.quality again"
    ) from error


def build_motions(
  out_dir,
  prompts_path,
  motion_dir,
  *,
  face_model: str | None = None,
  generator: str = "",
  tracker: str = "",
  keep_going: bool = False,
  num_workers: int = 2,
  progress: bool = True,
  shard_clips: int = 512,
  run=build_shards.build,
) -> dict:
  """Writes tracked motions and their prompts as records, or continues such a build.

  Args:
    out_dir: the record directory; new, empty, or of the very same request.
    prompts_path: a prompt manifest (JSON lines).
    motion_dir: folder with a motion for each of its clips.
    face_model: FLAME's model file, where the motions are FLAME's.
    generator: what made the videos, for rows that do not say.
    tracker: what tracked them, for rows that do not say.
    keep_going: whether to leave broken and missing clips out; `dropped.jsonl` lists
      them with the reason, and the stats count them.
    num_workers: processes.
    progress: whether to show a bar on stderr.
    shard_clips: clips in one file.
    run: what carries it out: `build_shards.build`, or Beam's.

  Returns:
    The stats of `build_shards.build` and "dropped": {reason: clips}: what the quality
    filter dropped, and as "unusable" what is left out here.

  Raises:
    UserError: a clip is missing or broken (unless keep_going), a manifest is, or the
      directory holds other records.
  """
  rows = manifest.read(prompts_path)
  plan, dropped, form = pair(rows, motion_dir, generator, tracker, num_workers)
  if (dropped and not keep_going) or not plan:
    first = dropped[0]
    raise UserError(
      f"{prompts_path}: {len(dropped)} of {len(rows)} clips cannot be used; the first "
      f"is '{first['clip_id']}': {first['reason']}; fix them"
      + (", or leave them out with --keep_going" if plan else "")
    )
  versions = {"head": head_version(form[0], face_model), "simulator": "none"}
  versions["lexicon"] = lexicon.VERSION
  request = {
    "num_clips": len(plan),
    "shard_clips": shard_clips,
    "suite": records.file_digest(prompts_path),
    "motions": hashlib.sha256(
      json.dumps([[row["clip_id"], row["content"]] for row in plan]).encode()
    ).hexdigest(),
    "generator": generator,
    "tracker": tracker,
    "dropped": len(dropped),
    "versions": versions,
  }
  out_dir = os.path.abspath(os.fspath(out_dir))
  reasons = _filtered_before(motion_dir)
  if dropped:
    reasons["unusable"] = len(dropped)
  stats = run(
    out_dir,
    request,
    lambda: (plan, {"dropped": reasons}),
    TrackedClips(form[1], form[2], versions),
    splits=prompts.SPLITS,
    shard_clips=shard_clips,
    num_workers=num_workers,
    progress=progress,
  )
  if dropped:
    manifest.write(os.path.join(out_dir, DROPPED_FILE), dropped)
  return stats
