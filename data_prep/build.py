"""Builds the embedded default corpus: prompts, simulated motion, TFDS records.

  python -m data_prep.build --corpus demo --out runs/demo/records

The unit of work is a shard: it is written under a temporary name and renamed, and
skipped when it is there already, so an interrupted build goes on where it stopped. The
TFDS metadata comes last; read the directory with
`tfds.builder_from_directory(DIR).as_data_source("train")`.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time

import numpy as np
import tqdm

from data_prep import prompts, records, simulate
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon

_REQUEST_FILE = "build.json"


@dataclasses.dataclass(frozen=True)
class Corpus:
  """A size of the default corpus; `seconds` are the shortest and longest clip."""

  num_clips: int
  seconds: tuple[float, float]
  shard_clips: int


CORPORA = {
  "demo": Corpus(5_000, (3.2, 4.8), 128),
  "small": Corpus(10_000, (4.0, 6.0), 512),
  "full": Corpus(57_600, (4.0, 6.0), 512),
}


@dataclasses.dataclass(frozen=True)
class _Shard:
  path: str
  plans: tuple[prompts.ClipPlan, ...]
  basis: simulate.HeadBasis


def versions(basis: simulate.HeadBasis) -> dict[str, str]:
  """The versions every record carries."""
  return {
    "head": basis.version,
    "simulator": simulate.VERSION,
    "lexicon": lexicon.VERSION,
  }


def feature_spec(basis: simulate.HeadBasis):
  """The features of this head's records."""
  return records.features(len(basis.activation_matrix), basis.num_shape)


def example_of(plan: prompts.ClipPlan, basis: simulate.HeadBasis) -> dict:
  """Simulates one clip; its generator and tracker follow from its seed."""
  rng = np.random.default_rng((*plan.seed, 1))
  generator = list(simulate.GENERATORS)[int(rng.integers(len(simulate.GENERATORS)))]
  tracker = list(simulate.TRACKERS)[int(rng.integers(len(simulate.TRACKERS)))]
  motion = simulate.simulate(
    plan.attributes, (*plan.seed, 2), plan.duration_s, generator, tracker, basis
  )
  quality = 1.0 - 10.0 * simulate.TRACKERS[tracker][0]
  made_by = versions(basis)
  return records.to_example(plan, motion, generator, tracker, quality, made_by)


def _write_shard(shard: _Shard) -> tuple[str, int, int]:
  """(path, clips, bytes); a shard that is there is not made again."""
  if os.path.exists(shard.path):
    return shard.path, len(shard.plans), os.path.getsize(shard.path)
  serialize = feature_spec(shard.basis).serialize_example
  written = records.write_shard(
    shard.path, (serialize(example_of(plan, shard.basis)) for plan in shard.plans)
  )
  return shard.path, len(shard.plans), written


def _plan_shards(out_dir, plans, shard_clips: int, basis) -> dict[str, list[_Shard]]:
  shards = {}
  for split in prompts.SPLITS:
    mine = [plan for plan in plans if plan.split == split]
    chunks = [mine[i : i + shard_clips] for i in range(0, len(mine), shard_clips)]
    shards[split] = [
      _Shard(records.shard_path(out_dir, split, i, len(chunks)), tuple(chunk), basis)
      for i, chunk in enumerate(chunks)
    ]
  return shards


def _check_request(out_dir: str, request: dict) -> dict:
  """The contents of build.json, made if the directory is new.

  Raises:
    UserError: if the directory holds something else: names both.
  """
  path = os.path.join(out_dir, _REQUEST_FILE)
  if not os.path.exists(path):
    if os.path.isdir(out_dir) and os.listdir(out_dir):
      raise UserError(
        f"{out_dir}: not empty and not a record directory; choose another --out"
      )
    os.makedirs(out_dir, exist_ok=True)
    _write_json(path, {"request": request})
    return {"request": request}
  try:
    with open(path, encoding="utf-8") as file:
      held = json.load(file)
    old = held["request"]
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(f"{path}: unreadable; delete {out_dir} and build again") from error
  for name, wanted in request["versions"].items():
    found = old.get("versions", {}).get(name)
    if found != wanted:
      raise UserError(
        f"{out_dir}: holds records of {name} version {found}, this program has "
        f"{wanted}; delete it or choose another --out"
      )
  for name, wanted in request.items():
    if old.get(name) != wanted:
      raise UserError(
        f"{out_dir}: was built with {name} {old.get(name)}, not {wanted}; "
        "delete it or choose another --out"
      )
  return held


def _remove_leftovers(out_dir: str) -> None:
  """Removes temporary files of a build that was killed."""
  for name in os.listdir(out_dir):
    if re.search(r"\.tmp\d*$", name):
      os.unlink(os.path.join(out_dir, name))


def _write_json(path: str, content: dict) -> None:
  handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), suffix=".tmp")
  with os.fdopen(handle, "w", encoding="utf-8") as file:
    json.dump(content, file, indent=2)
  os.chmod(temporary, 0o644)
  os.replace(temporary, path)


def build_corpus(
  out_dir,
  num_clips: int,
  seed: int = 0,
  num_workers: int = 2,
  progress: bool = True,
  seconds: tuple[float, float] = CORPORA["demo"].seconds,
  shard_clips: int = CORPORA["demo"].shard_clips,
) -> dict:
  """Writes a record directory, or finishes one, or returns at once if it is done.

  Args:
    out_dir: the directory; new, empty, or of the very same request.
    num_clips: how many clips over all splits.
    seed: same seed, same records.
    num_workers: processes; 1 works in this one.
    progress: whether to show a bar on stderr.
    seconds: shortest and longest clip.
    shard_clips: clips in one file.

  Returns:
    {"clips", "splits": {split: clips}, "frames", "hours", "bytes", "seconds",
    "versions"}; `seconds` is the time the work took when it was done.

  Raises:
    UserError: if the directory holds other records, of another version or request.
  """
  out_dir = os.path.abspath(os.fspath(out_dir))
  prompts.check_request(num_clips, seconds)
  basis = simulate.head_basis()
  request = {"num_clips": num_clips, "seed": seed, "seconds": list(seconds)}
  request |= {"shard_clips": shard_clips, "suite": prompts.VERSION}
  request["versions"] = versions(basis)
  held = _check_request(out_dir, request)
  if "stats" in held:
    return held["stats"]
  _remove_leftovers(out_dir)
  started = time.monotonic()
  plans = prompts.make_suite(num_clips, seed, seconds)
  shards = _plan_shards(out_dir, plans, shard_clips, basis)
  todo = [shard for split in shards.values() for shard in split]
  sizes = _run(todo, num_workers, num_clips, progress)
  num_bytes = {
    split: sum(sizes[s.path] for s in group) for split, group in shards.items()
  }
  lengths = {split: [len(s.plans) for s in group] for split, group in shards.items()}
  records.write_metadata(out_dir, feature_spec(basis), lengths, num_bytes)
  hours = sum(plan.duration_s for plan in plans) / 3600
  stats = {
    "clips": num_clips,
    "splits": {split: sum(counts) for split, counts in lengths.items()},
    "frames": sum(round(plan.duration_s * simulate.FPS) for plan in plans),
    "hours": round(hours, 4),
    "bytes": sum(num_bytes.values()),
    "seconds": round(time.monotonic() - started, 2),
    "versions": versions(basis),
  }
  _write_json(
    os.path.join(out_dir, _REQUEST_FILE), {"request": request, "stats": stats}
  )
  return stats


def _run(todo, num_workers: int, num_clips: int, progress: bool) -> dict[str, int]:
  """Writes the shards; path -> bytes."""
  sizes = {}
  bar = tqdm.tqdm(total=num_clips, unit="clip", desc="corpus", disable=not progress)
  with bar:
    if num_workers <= 1 or len(todo) <= 1:
      done = map(_write_shard, todo)
      _collect(done, sizes, bar)
      return sizes
    # A fork would copy JAX's threads half alive.
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(num_workers, len(todo))) as pool:
      _collect(pool.imap_unordered(_write_shard, todo), sizes, bar)
  return sizes


def _collect(done, sizes: dict[str, int], bar) -> None:
  for path, clips, size in done:
    sizes[path] = size
    bar.update(clips)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.build",
    description="Build the simulated corpus as TFDS records (array_record).",
    epilog=(
      "example: python -m data_prep.build --corpus demo --out runs/demo/records; "
      "interrupted, the same command goes on"
    ),
  )
  sizes = ", ".join(f"{name}: {c.num_clips} clips" for name, c in CORPORA.items())
  parser.add_argument("--corpus", choices=CORPORA, default="demo", help=sizes)
  parser.add_argument(
    "--num", type=int, help="clips, instead of the corpus' own number"
  )
  parser.add_argument("--seed", type=int, default=0, help="same seed, same records")
  parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
  parser.add_argument("--out", required=True, help="directory of the records")
  return parser


def main(argv=None) -> int:
  args = _parser().parse_args(argv)
  corpus = CORPORA[args.corpus]
  try:
    stats = build_corpus(
      args.out,
      corpus.num_clips if args.num is None else args.num,
      args.seed,
      num_workers=args.workers,
      seconds=corpus.seconds,
      shard_clips=corpus.shard_clips,
    )
  except UserError as error:
    print(error, file=sys.stderr)
    return 2
  except OSError as error:
    print(f"{args.out}: {error.strerror or error}; mend it and go on", file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print(f"{args.out}: interrupted; the same command goes on", file=sys.stderr)
    return 130
  print(json.dumps(stats, indent=2))
  return 0


if __name__ == "__main__":
  sys.exit(main())
