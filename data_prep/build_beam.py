"""The same shards on Apache Beam: Dataflow, Flink, Spark, or this machine.

  .venv-beam/bin/python -m data_prep.build --corpus full --out gs://bucket/records \
      --beam --runner=DataflowRunner --project=P --region=R --temp_location=gs://bucket/t

`run` has the signature of `build_shards.build`. The launcher plans and writes the plan
to the directory; the pipeline maps `build_shards.write_shard` over the plan's files;
the launcher writes the metadata last. A worker makes a shard on its own disk and copies
it to the directory under a temporary name. All files of the directory go through Beam's
FileSystems, so it may be on gs://, s3://, hdfs:// or a mounted disk. TFDS' own Beam
writer is not used: it does not resume, and its memory grows with the corpus.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import tempfile
import time
import uuid

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from data_prep import build_shards
from tdmm_jax import files
from tdmm_jax.errors import UserError

_RAW = {"compression_type": CompressionTypes.UNCOMPRESSED}


def _read(path: str) -> bytes:
  with FileSystems.open(path, **_RAW) as file:
    return file.read()


def _publish(local: str, final: str) -> None:
  """Copies a file under a temporary name, then renames it."""
  temporary = f"{final}.tmp{uuid.uuid4().int % 10**12}"
  with open(local, "rb") as source, FileSystems.create(temporary, **_RAW) as target:
    shutil.copyfileobj(source, target)
  if FileSystems.exists(final):
    FileSystems.delete([final])
  FileSystems.rename([temporary], [final])


def _names(folder: str) -> list[str]:
  """The files in a folder; none if it is not there."""
  (found,) = FileSystems.match([FileSystems.join(folder, "*")])
  return sorted(FileSystems.split(data.path)[1] for data in found.metadata_list)


@dataclasses.dataclass(frozen=True)
class WriteShard:
  """Plan file -> the shard's name; what every Beam worker runs."""

  out_dir: str
  maker: object

  def __call__(self, plan_name: str) -> str:
    with tempfile.TemporaryDirectory() as work:
      shard = build_shards.shard_of(plan_name, work, self.maker.dataset)
      name = os.path.basename(shard.path)
      if self._finished(name):
        return name
      os.mkdir(os.path.dirname(shard.plan))
      plan = FileSystems.join(self.out_dir, build_shards.PLAN_FOLDER, plan_name)
      with open(shard.plan, "wb") as file:
        file.write(_read(plan))
      build_shards.write_shard(shard, self.maker)
      for suffix in ("", build_shards.SUMS_SUFFIX):
        _publish(shard.path + suffix, FileSystems.join(self.out_dir, name + suffix))
    return name

  def _finished(self, name: str) -> bool:
    """Whether shard and sums are there and agree."""
    path = FileSystems.join(self.out_dir, name)
    sums_path = path + build_shards.SUMS_SUFFIX
    if not FileSystems.exists(path) or not FileSystems.exists(sums_path):
      return False
    sums = json.loads(_read(sums_path))
    return hashlib.sha256(_read(path)).hexdigest() == sums["sha256"]


def pipeline(plan_names: list[str], write: WriteShard, options) -> beam.Pipeline:
  """The graph: shard ids, spread over the workers, each made by the same function."""
  graph = beam.Pipeline(options=options)
  _ = (
    graph
    | "Shards" >> beam.Create(plan_names)
    | "Spread" >> beam.Reshuffle()
    | "Write" >> beam.Map(write)
  )
  return graph


def _held(out_dir: str, request: dict) -> dict:
  """The contents of build.json, checked against the request; {} in a new directory."""
  path = FileSystems.join(out_dir, build_shards.BUILD_FILE)
  if not FileSystems.exists(path):
    if _names(out_dir):
      raise UserError(
        f"{out_dir}: not empty and not a record directory; choose another --out"
      )
    return {}
  try:
    held = json.loads(_read(path))
    build_shards.compare_requests(out_dir, held["request"], request)
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(f"{path}: unreadable; delete {out_dir} and build again") from error
  return held


def _plan(out_dir, staging, request, make_rows, maker, splits, shard_clips) -> dict:
  """Writes the plan, then build.json, which says that the plan is whole."""
  rows, extra = make_rows()
  build_shards.write_plan(staging, rows, shard_clips, splits, maker.dataset)
  local = os.path.join(staging, build_shards.PLAN_FOLDER)
  remote = FileSystems.join(out_dir, build_shards.PLAN_FOLDER)
  for folder in (out_dir, remote):
    with contextlib.suppress(OSError):  # there already
      FileSystems.mkdirs(folder)
  for name in sorted(os.listdir(local)):
    _publish(os.path.join(local, name), FileSystems.join(remote, name))
  held = {"request": request, "planned": extra, "plan": sorted(os.listdir(local))}
  files.write_json(os.path.join(staging, build_shards.BUILD_FILE), held)
  _publish(
    os.path.join(staging, build_shards.BUILD_FILE),
    FileSystems.join(out_dir, build_shards.BUILD_FILE),
  )
  return held


def _clean(out_dir: str) -> None:
  """Removes plan, sums and temporary files of a finished directory."""
  ending = (build_shards.SUMS_SUFFIX,)
  old = [n for n in _names(out_dir) if n.endswith(ending) or ".tmp" in n]
  paths = [FileSystems.join(out_dir, name) for name in old]
  plan = FileSystems.join(out_dir, build_shards.PLAN_FOLDER)
  if _names(plan):
    paths.append(plan)
  if paths:
    FileSystems.delete(paths)


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
  beam_options: list[str],
) -> dict:
  """`build_shards.build` on Beam; the number of workers is one of Beam's options.

  Raises:
    UserError: the directory holds something else.
    Exception: whatever failed in a worker, as its runner reports it; the shards that
      are finished stay, and the same command continues.
  """
  del num_workers, progress
  started = time.monotonic()
  held = _held(out_dir, request)
  if "stats" in held:
    _clean(out_dir)
    return held["stats"]
  with tempfile.TemporaryDirectory() as staging:
    if "planned" not in held:
      held = _plan(out_dir, staging, request, make_rows, maker, splits, shard_clips)
    names = held.get("plan") or _names(
      FileSystems.join(out_dir, build_shards.PLAN_FOLDER)
    )
    options = PipelineOptions(beam_options)
    pipeline(names, WriteShard(out_dir, maker), options).run().wait_until_finish()
    shards = [build_shards.shard_of(name, staging, maker.dataset) for name in names]
    shards.sort(key=lambda shard: (splits.index(shard.split), shard.path))
    sums = [
      json.loads(
        _read(
          FileSystems.join(out_dir, os.path.basename(shard.path))
          + build_shards.SUMS_SUFFIX
        )
      )
      for shard in shards
    ]
    extra = held["planned"] | {
      "seconds": round(time.monotonic() - started, 2),
      "versions": request["versions"],
    }
    stats = build_shards.finish(staging, request, sums, maker, extra)
    made = ["features.json", build_shards.SUMS_FILE, "dataset_info.json"]
    for name in [*made, build_shards.BUILD_FILE]:
      _publish(os.path.join(staging, name), FileSystems.join(out_dir, name))
  _clean(out_dir)
  return stats


def runner(beam_options: list[str]):
  """`build`, with Beam's own options (`--runner=DataflowRunner`, ...)."""
  return functools.partial(build, beam_options=beam_options)
