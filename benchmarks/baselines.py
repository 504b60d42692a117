"""What a run has to beat: nearest-neighbour retrieval, no prompt, tokens alone.

  python -m benchmarks.baselines --run runs/release --records runs/full/records \\
      --json docs/results/baselines.json

Scores of the test split, computed as `tdmm evaluate` computes a run's own: the motion
of the training clip with the nearest texts, the run's motions for an empty prompt, and
the true motions through the run's tokenizer. CorE, CorM and CorI are those of the run's
captions of these motions.
"""

import argparse
import json
import logging
import sys

from tdmm_jax import errors, files
from tdmm_jax.data import records
from tdmm_jax.evaluation import baselines, evaluate, motion_sets
from tdmm_jax.generate import face
from tdmm_jax.metrics import regressions
from tdmm_jax.runs import locate


def measure(args) -> dict:
  """The scores of each baseline, as JSON."""
  directory = locate.find(args.run)
  run = face.Face(directory)
  network, why = evaluate.network_of(directory)
  logging.info(why)
  clips = records.load_clips(args.records, args.split, args.max_clips)
  train = records.load_clips(args.records, "train")
  truth = motion_sets.Truth(run.codec.face, clips, train, network)
  reader = regressions.AttributeReader(train)
  say = lambda text: print(text, file=sys.stderr)
  found = {
    kind: baselines.scores(
      kind, run, truth, train, reader, args.replications, args.seed, say
    )
    for kind in baselines.KINDS
  }
  return found | {
    "schema_version": evaluate.SCHEMA_VERSION,
    "split": args.split,
    "seed": args.seed,
    "num_clips": len(clips),
    "versions": {"tokenizer": run.codec.version, "run": run.version},
    "unavailable": {"evaluator space": why} if why else {},
  }


@errors.entry_point("baselines")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add("--run", help="run directory; default: the release, or runs/train")
  add("--records", required=True)
  add("--split", choices=("valid", "test"), default="test")
  add("--max_clips", type=int, help="the first so many of the split")
  add("--replications", type=int, default=1, help="of what is sampled")
  add("--seed", type=int, default=0)
  add("--json", help="write the scores here")
  args = parser.parse_args(argv)
  found = measure(args)
  if args.json:
    files.write_json(args.json, found)
  print(json.dumps(found, indent=2, sort_keys=True))


if __name__ == "__main__":
  sys.exit(main())
