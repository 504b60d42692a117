"""What a simple reader tells from the raw motion: the reference of a corpus.

  python -m data_prep.regressions RECORDS

Logistic regression on mean, standard deviation and peaks of the motion vector
(`tdmm_jax.metrics.regressions`), trained on the training split and scored on the test
split, for the family, label and intensity of the longest segment, for the voice, the
head motion and each micro-action. Accuracies are macro-averaged over families.
"""

import argparse
import json
import sys

from tdmm_jax import errors
from tdmm_jax.data import records
from tdmm_jax.metrics import regressions


@errors.entry_point("data_prep.regressions")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.regressions",
    description="Scores logistic regressions on the raw motion of a record directory.",
    epilog="example: python -m data_prep.regressions runs/train/records",
  )
  parser.add_argument("records", help="a record directory")
  parser.add_argument(
    "--targets",
    nargs="+",
    choices=regressions.TARGETS,
    default=regressions.TARGETS,
    help="default: all",
  )
  parser.add_argument("--json", action="store_true", help="print JSON")
  args = parser.parse_args(argv)
  train = records.load_clips(args.records, "train")
  test = records.load_clips(args.records, "test")
  reader = regressions.AttributeReader(train, args.targets)
  predicted = reader.read([clip["vectors"] for clip in test])
  truth = [clip["attributes"] for clip in test]
  scores = regressions.scores(reader.classes, predicted, truth)
  if args.json:
    print(json.dumps(scores, indent=2))
    return
  print(f"{len(train)} training clips, {len(test)} test clips")
  print(f"{'':12} {'score':>8} {'chance':>8} {'majority':>8}")
  for target in args.targets:
    row = scores[target]
    cells = " ".join(f"{row[k]:8.3f}" for k in ("accuracy", "chance", "majority"))
    print(f"{target:12} {cells}")
  print(f"micro-actions: F1 {scores['micro_action_f1']:.3f}")


if __name__ == "__main__":
  sys.exit(main())
