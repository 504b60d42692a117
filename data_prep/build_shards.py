"""The unit of work of every build: one shard, planned, written once, verified.

A record directory under construction holds

  build.json            what was asked for; at the end also what came out
  plan/NAME.jsonl       the clips of each shard, written first, all at once
  NAME                  a finished shard ...
  NAME.sums.json        ... and its checksums, written after it

A shard whose file and checksums agree is never made again. When all are there, TFDS'
metadata and SHA256SUMS are written, and plan and sums go. `maker` is what turns a
plan's row into a record: it has `dataset`, `features()` and `__call__(row)`, and can be
pickled.
"""

import contextlib
import dataclasses
import fcntl
import functools
import json
import os
import re
import shutil
import time

import tqdm

from data_prep import manifest, records, workers
from tdmm_jax import files
from tdmm_jax.errors import UserError

BUILD_FILE, SUMS_FILE, PLAN_FOLDER = "build.json", "SHA256SUMS", "plan"
SUMS_SUFFIX = ".sums.json"


@dataclasses.dataclass(frozen=True)
class Shard:
  """A shard's final path, the file with its clips, its split and how many clips."""

  path: str
  plan: str
  split: str
  clips: int


# ------------------------------------------------------------------ one shard


def finished(shard: Shard) -> dict | None:
  """The shard's sums if its file exists and agrees with them."""
  try:
    with open(shard.path + SUMS_SUFFIX, encoding="utf-8") as file:
      sums = json.load(file)
    same = sums["sha256"] == records.file_digest(shard.path)
  except (OSError, ValueError, KeyError, TypeError):
    return None
  return sums if same else None


def write_shard(shard: Shard, maker) -> dict:
  """Makes one shard, unless it is there.

  Returns:
    {"path", "split", "clips", "frames", "record_bytes", "sha256" of the file,
    "records": SHA-256 of each}.

  Raises:
    OSError: disk full, no right to write ...
    UserError: of the maker, about a clip.
  """
  if (sums := finished(shard)) is not None:
    return sums
  features, frames = maker.features(), 0

  def serialized():
    nonlocal frames
    for row in manifest.read(shard.plan):
      example = maker(row)
      frames += len(example["valid"])
      yield records.serialize(features, example)

  size, digests = records.write_shard(shard.path, serialized())
  sums = {
    "path": os.path.basename(shard.path),
    "split": shard.split,
    "clips": len(digests),
    "frames": frames,
    "record_bytes": size,
    "sha256": records.file_digest(shard.path),
    "records": digests,
  }
  files.write_json(shard.path + SUMS_SUFFIX, sums)
  return sums


# ----------------------------------------------------------------- a directory


def check_request(out_dir: str, request: dict) -> dict:
  """The contents of build.json, made if the directory is new.

  Raises:
    UserError: if the directory holds something else: names both.
  """
  path = os.path.join(out_dir, BUILD_FILE)
  if not os.path.exists(path):
    others = os.listdir(out_dir) if os.path.isdir(out_dir) else []
    if any(not name.startswith(files.PREFIX) for name in others):
      raise UserError(
        f"{out_dir}: not empty and not a record directory; choose another --out"
      )
    os.makedirs(out_dir, exist_ok=True)
    files.write_json(path, {"request": request})
    return {"request": request}
  try:
    with open(path, encoding="utf-8") as file:
      held = json.load(file)
    compare_requests(out_dir, held["request"], request)
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(f"{path}: unreadable; delete {out_dir} and build again") from error
  return held


def compare_requests(out_dir, old: dict, request: dict) -> None:
  """Raises UserError, naming both, where a directory was built with another request."""
  for name, wanted in request["versions"].items():
    found = old.get("versions", {}).get(name)
    if found != wanted:
      raise UserError(
        f"{out_dir}: holds records of {name} version {found}, this program has "
        f"{wanted}; delete it or choose another --out"
      )
  for name in dict.fromkeys([*request, *old]):
    if old.get(name) != request.get(name):
      raise UserError(
        f"{out_dir}: was built with {name} {old.get(name)}, not {request.get(name)}; "
        "delete it or choose another --out"
      )


@contextlib.contextmanager
def locked(out_dir: str):
  """Keeps a second build out of the directory; the lock dies with its process.

  Raises:
    UserError: another build is at work there.
  """
  os.makedirs(out_dir, exist_ok=True)
  handle = os.open(out_dir, os.O_RDONLY)
  try:
    try:
      fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise UserError(
        f"{out_dir}: another build is at work here; wait for it or choose another --out"
      ) from error
    yield
  finally:
    os.close(handle)


def remove_leftovers(out_dir: str, done: bool = False) -> None:
  """Removes temporary files of a build that was killed; `done`: plan and sums too."""
  for name in os.listdir(out_dir):
    path = os.path.join(out_dir, name)
    needless = done and (name == PLAN_FOLDER or name.endswith(SUMS_SUFFIX))
    if needless or name.startswith(files.PREFIX):
      with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def write_plan(out_dir: str, rows, shard_clips: int, splits, dataset) -> None:
  """Writes the clips of every shard; the folder appears when it is whole.

  Args:
    out_dir: of the records.
    rows: JSON-able dicts with clip_id, prompt and split.
    shard_clips: clips in one shard.
    splits: the splits, in order.
    dataset: records.Dataset.
  """
  folder = os.path.join(out_dir, PLAN_FOLDER)
  if os.path.isdir(folder):
    return
  rows = list(rows)
  temporary = os.path.join(out_dir, f"{files.PREFIX}{PLAN_FOLDER}")
  os.mkdir(temporary)
  for split in splits:
    mine = [row for row in rows if row["split"] == split]
    chunks = [mine[i : i + shard_clips] for i in range(0, len(mine), shard_clips)]
    for i, chunk in enumerate(chunks):
      name = records.shard_name(dataset, split, i, len(chunks))
      # "00512" before the name: how many clips there are, without reading them.
      manifest.write(os.path.join(temporary, f"{len(chunk):05d}-{name}.jsonl"), chunk)
  os.rename(temporary, folder)


def shard_of(plan_name: str, out_dir: str, dataset) -> Shard:
  """The shard of a file of the plan, in a directory."""
  clips, name = re.fullmatch(r"(\d+)-(.*)\.jsonl", plan_name).groups()
  split = re.match(rf"{dataset.name}-(\w+)\.", name)[1]
  plan = os.path.join(out_dir, PLAN_FOLDER, plan_name)
  return Shard(os.path.join(out_dir, name), plan, split, int(clips))


def planned(out_dir: str, splits, dataset) -> list[Shard]:
  """The shards of a planned directory, split by split."""
  names = os.listdir(os.path.join(out_dir, PLAN_FOLDER))
  shards = [shard_of(name, out_dir, dataset) for name in names]
  return sorted(shards, key=lambda shard: (splits.index(shard.split), shard.path))


def absolute(out_dir) -> str:
  """An absolute path; gs://bucket/folder and the like stay as they are."""
  out_dir = os.fspath(out_dir)
  return out_dir if "://" in out_dir else os.path.abspath(out_dir)


def finish(out_dir: str, request: dict, all_sums, maker, extra: dict) -> dict:
  """Writes metadata, SHA256SUMS and the stats; removes what building needed.

  Args:
    out_dir: holds all shards.
    request: of build.json.
    all_sums: of `write_shard`, in the order of the shards.
    maker: of the records.
    extra: goes into the stats.

  Returns:
    The stats.
  """
  lengths, num_bytes = {}, {}
  for sums in all_sums:
    split = sums["split"]
    lengths.setdefault(split, []).append(sums["clips"])
    num_bytes[split] = num_bytes.get(split, 0) + sums["record_bytes"]
  records.write_metadata(out_dir, maker.dataset, maker.features(), lengths, num_bytes)
  listing = os.path.join(out_dir, SUMS_FILE)
  lines = [f"{sums['sha256']}  {sums['path']}\n" for sums in all_sums]
  files.write_text(listing, "".join(lines))
  frames = sum(sums["frames"] for sums in all_sums)
  digests = [digest for sums in all_sums for digest in sums["records"]]
  stats = {
    "clips": len(digests),
    "splits": {split: sum(counts) for split, counts in lengths.items()},
    "frames": frames,
    "hours": round(frames / 25 / 3600, 4),
    "bytes": sum(num_bytes.values()),
    "content_sha256": records.corpus_digest(digests),
    **extra,
  }
  content = {"request": request, "stats": stats}
  files.write_json(os.path.join(out_dir, BUILD_FILE), content)
  remove_leftovers(out_dir, done=True)
  return stats


def build(
  out_dir: str,
  request: dict,
  make_rows,
  maker,
  *,
  splits,
  shard_clips: int,
  num_workers: int,
  progress: bool,
) -> dict:
  """Writes a record directory, or finishes one, or returns at once if it is done.

  Args:
    out_dir: the directory; new, empty, or of the very same request.
    request: JSON-able; "versions" among it. What must agree to go on.
    make_rows: () -> (the plan's rows, what to add to the stats); called once.
    maker: see the module.
    splits: the splits, in order.
    shard_clips: clips in one file.
    num_workers: processes; 1 works in this one.
    progress: whether to show a bar on stderr.

  Returns:
    {"clips", "splits": {split: clips}, "frames", "hours", "bytes", "content_sha256",
    "seconds", "versions", ...}; `seconds` is how long the last run took.

  Raises:
    UserError: other records are there, another build is, a clip is broken.
    OSError: the disk is full, for example. Finished shards stay.
  """
  with locked(out_dir):
    held = check_request(out_dir, request)
    remove_leftovers(out_dir, done="stats" in held)
    if "stats" in held:
      return held["stats"]
    started = time.monotonic()
    if "planned" not in held or not os.path.isdir(os.path.join(out_dir, PLAN_FOLDER)):
      rows, extra = make_rows()
      write_plan(out_dir, rows, shard_clips, splits, maker.dataset)
      held = {"request": request, "planned": extra}
      files.write_json(os.path.join(out_dir, BUILD_FILE), held)
    shards = planned(out_dir, splits, maker.dataset)
    sums = run(shards, maker, num_workers, progress)
    extra = held["planned"] | {
      "seconds": round(time.monotonic() - started, 2),
      "versions": request["versions"],
    }
    return finish(out_dir, request, sums, maker, extra)


def run(shards: list[Shard], maker, num_workers: int, progress: bool) -> list[dict]:
  """Writes the shards on this many processes; returns their sums, in order.

  Raises:
    UserError: a process was killed by one of them, even alone.
  """
  total = sum(shard.clips for shard in shards)
  bar = tqdm.tqdm(total=total, unit="clip", desc="records", disable=not progress)
  with bar:
    job = functools.partial(write_shard, maker=maker)
    sums_of = {}
    for shard, sums in workers.each(job, shards, min(num_workers, len(shards))):
      if sums == workers.DIED:
        raise UserError(f"{shard.path}: {sums}; the same command continues")
      sums_of[shard] = sums
      bar.update(shard.clips)
    return [sums_of[shard] for shard in shards]
