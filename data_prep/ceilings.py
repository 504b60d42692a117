"""What can be told from the raw motion at all: the ceilings of a corpus.

  python -m data_prep.ceilings RECORDS

Logistic regression on mean, standard deviation and peaks of the motion vector
(`tdmm_jax.metrics.attributes`), trained on the training split and scored on the test
split, for the family, label and intensity of the longest segment, for the voice, the
head motion and each micro-action. Accuracies are macro-averaged over families.
"""

import argparse
import collections
import json
import sys
import warnings

from sklearn.exceptions import ConvergenceWarning

from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon
from tdmm_jax.metrics import attributes

TARGETS = ("family", "emotion", "intensity", "speaking", "manner", "head_motion")


def _value(clip: dict, target: str) -> str:
  value = clip["attributes"].get(target, lexicon.PLAIN)
  return "+".join(value) if isinstance(value, list) else str(value)


def _predict(train, test, labels) -> list[str]:
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    model = attributes.AttributeClassifier([c["vectors"] for c in train], labels)
  return model.predict([clip["vectors"] for clip in test])


def ceiling(train: list[dict], test: list[dict], target: str) -> dict[str, float]:
  """{"accuracy", "chance", "majority"} of one target."""
  families = [clip["attributes"]["family"] for clip in test]
  truth = [_value(clip, target) for clip in test]
  predicted = _predict(train, test, [_value(clip, target) for clip in train])
  correct = [p == t for p, t in zip(predicted, truth, strict=True)]
  counts = collections.Counter(truth)
  return {
    "accuracy": attributes.macro_accuracy(correct, families),
    "chance": 1 / len({_value(clip, target) for clip in train}),
    "majority": max(counts.values()) / len(truth),
  }


def micro_action_f1(train: list[dict], test: list[dict]) -> float:
  """F1 over all micro-actions, each told by a regression of its own."""
  found: list[list[str]] = [[] for _ in test]
  for name in lexicon.MICRO_ACTIONS:
    has = [str(name in clip["attributes"]["micro_actions"]) for clip in train]
    if len(set(has)) == 2:
      for names, said in zip(found, _predict(train, test, has), strict=True):
        names += [name] if said == "True" else []
  truth = [clip["attributes"]["micro_actions"] for clip in test]
  return attributes.micro_f1(found, truth)


def main(argv=None) -> int:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.ceilings",
    description="Logistic-regression ceilings of a record directory.",
    epilog="example: python -m data_prep.ceilings runs/demo/records",
  )
  parser.add_argument("records", help="a record directory")
  parser.add_argument(
    "--targets", nargs="+", choices=TARGETS, default=TARGETS, help="default: all"
  )
  parser.add_argument("--json", action="store_true", help="print JSON")
  args = parser.parse_args(argv)
  try:
    train = records.load_clips(args.records, "train")
    test = records.load_clips(args.records, "test")
  except UserError as error:
    print(error, file=sys.stderr)
    return 2
  scores: dict = {target: ceiling(train, test, target) for target in args.targets}
  scores["micro_action_f1"] = micro_action_f1(train, test)
  if args.json:
    print(json.dumps(scores, indent=2))
    return 0
  print(f"{len(train)} training clips, {len(test)} test clips")
  print(f"{'':12} {'ceiling':>8} {'chance':>8} {'majority':>8}")
  for target in args.targets:
    row = scores[target]
    cells = " ".join(f"{row[k]:8.3f}" for k in ("accuracy", "chance", "majority"))
    print(f"{target:12} {cells}")
  print(f"micro-actions: F1 {scores['micro_action_f1']:.3f}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
