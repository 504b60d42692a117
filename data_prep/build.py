"""Builds record directories (TFDS, array_record) of any corpus.

The embedded default corpus, simulated; a prompt manifest of your own, simulated; or
motions that were tracked in videos or imported (open3dfacevid):

  python -m data_prep.build --corpus full --out records
  python -m data_prep.build --prompts prompts.jsonl --out records
  python -m data_prep.build --motions kept --out records

The unit of work is a shard: it is written under a temporary name and renamed. One that
exists and agrees with its checksum is skipped, so an interrupted build continues where
it stopped. The TFDS metadata comes last; read the directory with
`tfds.builder_from_directory(DIR).as_data_source("train")`.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import sys

import numpy as np

from data_prep import (
  build_bucket,
  build_motions,
  build_shards,
  label_distributions,
  manifest,
  prompts,
  records,
  simulate,
  written_sentences,
)
from tdmm_jax import errors, files
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon


@dataclasses.dataclass(frozen=True)
class Corpus:
  """A size of the default corpus.

  Attributes:
    seconds: shortest and longest clip.
    labels_per_family: the most usual labels of each family, so many; None is all.
    written: share of training clips with a prompt that somebody wrote.
  """

  num_clips: int
  seconds: tuple[float, float]
  shard_clips: int
  labels_per_family: int | None = None
  written: float = 0.15


CORPORA = {
  # A demo's model trains for minutes: of 193 labels it would see each 23 times.
  "demo": Corpus(5_000, (3.2, 4.8), 128, labels_per_family=6, written=0.25),
  "small": Corpus(10_000, (4.0, 6.0), 512),
  "full": Corpus(57_600, (4.0, 6.0), 512),
}


def versions(basis: simulate.HeadBasis) -> dict[str, str]:
  """The versions every simulated record carries."""
  return {
    "head": basis.version,
    "simulator": simulate.VERSION,
    "lexicon": lexicon.VERSION,
  }


def feature_spec(basis: simulate.HeadBasis):
  """The features of this head's records."""
  return records.features(len(basis.activation_matrix), basis.num_shape)


def example_of(
  plan: prompts.ClipPlan, basis: simulate.HeadBasis, tracked: float = 0.0
) -> dict:
  """Simulates one clip; its generator and tracker follow from its seed.

  Args:
    plan: the clip.
    basis: of the head that is driven.
    tracked: share of clips that come through landmarks and a fit; see `tracked`.
  """
  rng = np.random.default_rng((*plan.seed, 1))
  generator = list(simulate.GENERATORS)[int(rng.integers(len(simulate.GENERATORS)))]
  tracker = list(simulate.TRACKERS)[int(rng.integers(len(simulate.TRACKERS)))]
  motion = simulate.simulate(
    plan.attributes, (*plan.seed, 2), plan.duration_s, generator, tracker, basis
  )
  quality = 1.0 - 10.0 * simulate.TRACKERS[tracker][0]
  rng = np.random.default_rng((*plan.seed, 3))
  if rng.random() < tracked:
    from data_prep import tracked as tracking  # the only part that needs JAX
    from tdmm_jax.face import load_model

    face = load_model.load_face_model(motion.face_model)
    motion, tracker = tracking.tracked(motion, face, rng), tracking.TRACKER
  row = dataclasses.asdict(plan)
  return records.to_example(row, motion, generator, tracker, quality, versions(basis))


@dataclasses.dataclass(frozen=True)
class SimulatedClips:
  """Makes records of the rows of a prompt suite by acting them out."""

  basis: simulate.HeadBasis
  tracked: float = 0.0
  dataset = records.SIMULATED_FACES

  def features(self):
    return feature_spec(self.basis)

  def __call__(self, row: dict) -> dict:
    plan = prompts.ClipPlan(**row | {"seed": tuple(row["seed"])})
    if not self.tracked:
      return example_of(plan, self.basis)
    return example_of(plan, self.basis, self.tracked)


def plan_of_row(row: dict, seed: int, seconds: tuple[float, float]) -> prompts.ClipPlan:
  """What to simulate for a manifest's row; missing values are derived from its clip_id.

  Raises:
    UserError: names the clip whose split or duration makes no sense.
  """
  clip_id = row["clip_id"]
  own = int(hashlib.sha1(clip_id.encode()).hexdigest()[:15], 16)
  low, high = (round(limit * simulate.FPS) for limit in seconds)
  usual = (low + own % (high - low + 1)) / simulate.FPS
  duration_s = row.get("duration_s", usual)
  if not isinstance(duration_s, (int, float)) or not 0.4 <= duration_s <= 600:
    raise UserError(f"clip '{clip_id}': duration_s {duration_s!r}; give 0.4 to 600")
  return prompts.ClipPlan(
    clip_id=clip_id,
    split=build_motions.split_of_row(row),
    prompt=row["prompt"],
    captions=list(row.get("captions", ())),
    attributes=row.get("attributes") or lexicon.parse(row["prompt"], duration_s),
    duration_s=duration_s,
    seed=tuple(row.get("seed", (seed, own))),
  )


def build_corpus(
  out_dir,
  num_clips: int,
  seed: int = 0,
  num_workers: int = 2,
  progress: bool = True,
  seconds: tuple[float, float] = CORPORA["demo"].seconds,
  shard_clips: int = CORPORA["demo"].shard_clips,
  prompts_path=None,
  labels_per_family: int | None = None,
  labels: str = "balanced",
  written: float = 0.0,
  tracked: float = 0.0,
  run=build_shards.build,
) -> dict:
  """Simulates a corpus into a record directory, or continues an interrupted build.

  Args:
    out_dir: the directory; new, empty, or of the very same request.
    num_clips: how many clips over all splits; the manifest's rows, if that is given.
    seed: same seed, same records.
    num_workers: processes; 1 works in this one.
    progress: whether to show a bar on stderr.
    seconds: shortest and longest clip.
    shard_clips: clips in one file.
    prompts_path: a prompt manifest to act out instead of the project's own suite.
    labels_per_family: of the project's own suite; see `Corpus`.
    labels: of the project's own suite; see `label_distributions.train_labels`.
    written: of the project's own suite; see `prompts.make_suite`.
    tracked: share of the clips that come through landmarks of a drawn person, a
      tracker's errors and the fit; see `tracked`.
    run: what carries it out: `build_shards.build`, or Beam's.

  Returns:
    The stats of `build_shards.build`.

  Raises:
    UserError: if the directory holds other records, of another version or request.
  """
  prompts.check_request(num_clips, seconds)
  basis = simulate.head_basis()
  request = {"num_clips": num_clips, "seed": seed, "seconds": list(seconds)}
  request |= {"shard_clips": shard_clips, "suite": prompts.VERSION}
  if labels_per_family is not None:
    request["labels_per_family"] = labels_per_family
  if labels != "balanced":
    request["labels"] = labels
  if written:
    request |= {"written": written, "sentences": written_sentences.version()}
  if tracked:
    from data_prep import tracked as tracking  # the only part that needs JAX

    request["tracked"] = {"share": tracked, "version": tracking.VERSION}
  if prompts_path is not None:
    request["suite"] = records.file_digest(prompts_path)
  request["versions"] = versions(basis)

  def make_rows():
    if prompts_path is None:
      plans = prompts.make_suite(
        num_clips,
        seed,
        seconds,
        labels_per_family=labels_per_family,
        labels=labels,
        written=written,
      )
    else:
      plans = [plan_of_row(row, seed, seconds) for row in manifest.read(prompts_path)]
    return map(dataclasses.asdict, plans), {}

  return run(
    build_shards.absolute(out_dir),
    request,
    make_rows,
    SimulatedClips(basis, tracked),
    splits=prompts.SPLITS,
    shard_clips=shard_clips,
    num_workers=num_workers,
    progress=progress,
  )


def verify(out_dir) -> dict:
  """Reads every shard of a finished directory; {"shards", "sound"}.

  Raises:
    UserError: names the first file that is missing or not what SHA256SUMS says.
  """
  folder = files.as_path(out_dir)
  listing = folder / build_shards.SUMS_FILE
  with files.reached(listing):
    if not listing.exists():
      raise UserError(f"{listing}: missing; finish the build first")
    sums = [line.split("  ", 1) for line in listing.read_text().splitlines()]
  for digest, name in sums:
    path = folder / name
    if not path.exists():
      raise UserError(f"{path}: this shard is missing; build the records again")
    if records.file_digest(path) != digest:
      raise UserError(f"{path}: damaged (not its SHA-256); build the records again")
  return {"shards": len(sums), "sound": True}


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.build",
    description="Build TFDS records (array_record) of prompts and facial motion.",
    epilog=(
      "examples: python -m data_prep.build --corpus demo --out runs/train/records; "
      "python -m data_prep.build --prompts prompts.jsonl --motions tracked --out "
      "records. Interrupted, the same command continues. With --beam, what this help "
      "does not list goes to Apache Beam: --runner=DataflowRunner --project=P ..."
    ),
  )
  sizes = ", ".join(f"{name}: {c.num_clips} clips" for name, c in CORPORA.items())
  add = parser.add_argument
  add("--out", required=True, help="directory of the records; gs://BUCKET/PATH, too")
  add("--corpus", choices=CORPORA, default="demo", help=sizes)
  add(
    "--labels",
    choices=label_distributions.DISTRIBUTIONS,
    default="balanced",
    help="how often each label occurs in train and valid: all alike, as in video from "
    "the web (37, mostly neutral), as in laboratory corpora (8); test is balanced",
  )
  add(
    "--written",
    type=float,
    metavar="SHARE",
    help="share of the training clips whose prompt is a sentence that somebody wrote "
    "(demo 0.25, others 0.15; 0 with other --labels than balanced)",
  )
  add(
    "--tracked",
    type=float,
    default=0.0,
    metavar="SHARE",
    help="share of the clips as a tracker and the fit would see them, of drawn people "
    "(default: none)",
  )
  add("--num", type=int, help="clips, instead of the corpus' own number")
  add("--seed", type=int, default=0, help="same seed, same records")
  add("--prompts", help="a prompt manifest (JSON lines) instead of the own suite")
  add("--motions", help="folder of the prompts' motions: nothing is simulated")
  add("--face_model", help="with --motions of FLAME: its model file, for its version")
  add("--generator", default="", help="what made the videos, where no row says it")
  add("--tracker", default="", help="what tracked them, where no row says it")
  add(
    "--keep_going",
    action="store_true",
    help="leave clips out that have no motion or a broken one, and list them",
  )
  add("--shard_clips", type=int, help="clips in one file")
  add("--workers", type=int, default=os.cpu_count(), help="processes")
  add("--beam", action="store_true", help="run on Apache Beam (requirements-beam.txt)")
  add("--verify", action="store_true", help="check the files of a finished directory")
  return parser


def _build(args, beam_options: list[str]) -> dict:
  if args.verify:
    return verify(args.out)
  if files.is_remote(args.out) and not args.beam:
    make = lambda folder: _build(argparse.Namespace(**vars(args) | {"out": folder}), [])
    return build_bucket.build(args.out, make)
  corpus = CORPORA[args.corpus]
  shard_clips = args.shard_clips or corpus.shard_clips
  run = build_shards.build
  if args.beam:
    if files.is_remote(args.out) and args.motions:
      raise UserError(
        f"--out: with --beam, {args.out} is for a simulated corpus only; leave --beam "
        "out, and the motions are read here and their records copied there"
      )
    from data_prep import build_beam  # the only part that needs Beam installed

    run = build_beam.runner(beam_options)
  if args.labels != "balanced" and (args.prompts or args.motions):
    raise UserError("--labels: of the own suite only; leave it out with a manifest")
  if args.written and (args.prompts or args.motions):
    raise UserError("--written: of the own suite only; leave it out with a manifest")
  if not 0.0 <= args.tracked <= 1.0:
    raise UserError(f"--tracked {args.tracked:g}: give a share, 0 to 1")
  if args.tracked and args.motions:
    raise UserError("--tracked: of simulated motions only; leave it out with --motions")
  if args.motions:
    manifest_path = args.prompts or os.path.join(args.motions, "clips.jsonl")
    if args.prompts is None and not os.path.exists(manifest_path):
      raise UserError("--motions: needs --prompts, the manifest of these clips")
    return build_motions.build_motions(
      args.out,
      manifest_path,
      args.motions,
      face_model=args.face_model,
      generator=args.generator,
      tracker=args.tracker,
      keep_going=args.keep_going,
      num_workers=args.workers,
      shard_clips=shard_clips,
      run=run,
    )
  num_clips = corpus.num_clips if args.num is None else args.num
  written = args.written
  if written is None:
    written = corpus.written if args.labels == "balanced" else 0.0
  if args.prompts is not None:
    num_clips, written = len(manifest.read(args.prompts)), 0.0
  return build_corpus(
    args.out,
    num_clips,
    args.seed,
    num_workers=args.workers,
    seconds=corpus.seconds,
    shard_clips=shard_clips,
    prompts_path=args.prompts,
    labels_per_family=corpus.labels_per_family,
    labels=args.labels,
    written=written,
    tracked=args.tracked,
    run=run,
  )


@errors.entry_point("data_prep.build", "the same command resumes")
def main(argv=None) -> None:
  parser = _parser()
  args, others = parser.parse_known_args(argv)
  if others and not args.beam:
    parser.error(f"unrecognized arguments: {' '.join(others)}")
  print(json.dumps(_build(args, others), indent=2))


if __name__ == "__main__":
  sys.exit(main())
