"""Does a face do what people write? Held-out written sentences, acted out and judged.

  python -m benchmarks.free_sentences --run DIR [--seeds 3] [--num 128] [--json FILE]

The sentences are those of data_prep/written that no training sees. Each is acted out
with every seed, and a classifier names the emotion's family: the regression that
`tdmm evaluate` judges with, fitted here to simulated motions of the suite's kind, as
many of each family, neutral ones apart. What it makes of true motions of the very same
sentences is the ceiling; a share is of that. Of two emotions in turn the first is
looked for in the first half, and the second in the last quarter; of two at once either
counts.

Accuracies are macro-averaged over families. Neutral prompts have a row of their own:
there the question is whether the face stays neutral.
"""

import argparse
import collections
import sys

import numpy as np

import tdmm_jax
from data_prep import attribute_sampling, simulate
from data_prep import written_sentences as written
from tdmm_jax import errors, files
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion_vector
from tdmm_jax.language import lexicon, understanding
from tdmm_jax.metrics import attributes

SECONDS = 4.0
FAMILIES = tuple(dict.fromkeys((*lexicon.FAMILIES, lexicon.NEUTRAL)))
CHANCE = 1 / len(FAMILIES)
_FIT_SEED, _TRUE_SEED = 1, 2  # seeds that no corpus has: theirs are longer


def _true_motion(wanted: dict, *seed: int) -> np.ndarray:
  """The attributes acted out by the simulator, in the style of some generator."""
  names = [list(styles) for styles in (simulate.GENERATORS, simulate.TRACKERS)]
  generator, tracker = (styles[seed[-1] % len(styles)] for styles in names)
  motion = simulate.simulate(wanted, seed, SECONDS, generator, tracker)
  return motion_vector.from_motion(motion)


def fitted_classifier(num_clips: int) -> attributes.AttributeClassifier:
  """The regression, fitted to simulated motions: as many of each family."""
  labels = collections.defaultdict(list)
  for name in lexicon.LABELS:
    labels[written.family({"emotion": name})].append(name)
  vectors, families = [], []
  for i in range(num_clips):
    family = FAMILIES[i % len(FAMILIES)]
    rng = np.random.default_rng((_FIT_SEED, i))
    label = labels[family][i // len(FAMILIES) % len(labels[family])]
    wanted = attribute_sampling.sample_attributes(label, SECONDS, rng)
    vectors.append(_true_motion(wanted, _FIT_SEED, i))
    families.append(family)
  return attributes.AttributeClassifier(vectors, families)


def chosen(num: int | None, seed: int = 0) -> list[dict]:
  """Held-out sentences: all, or `num` of them, as many of each family."""
  rows = written.load("held_out")
  by_family = collections.defaultdict(list)
  for i in np.random.default_rng(seed).permutation(len(rows)):
    by_family[written.family(rows[i])].append(rows[i])
  turns = [
    row
    for rank in range(len(rows))
    for name in FAMILIES
    for row in by_family[name][rank : rank + 1]
  ]
  return turns[:num]


def judged(classifier, rows: list[dict], vectors: list[np.ndarray]) -> list[dict]:
  """Per sentence: what was seen, is the family right, does the second one follow?"""
  begun = [v[: len(v) // 2] if "then" in r else v for r, v in zip(rows, vectors)]
  seen = classifier.predict(begun)
  ended = classifier.predict([v[-len(v) // 4 :] for v in vectors])
  found = []
  for row, first, last in zip(rows, seen, ended, strict=True):
    asked = {written.family(row)}
    if "with" in row:
      asked.add(written.family(row["with"]))
    right = {"seen": first, "right": first in asked, "second": None}
    if "then" in row:
      right["second"] = last == written.family(row["then"])
    found.append(right)
  return found


def _macro(rows, right) -> float:
  """Mean over families of the share that is right."""
  return attributes.macro_accuracy(right, [written.family(row) for row in rows])


def _table(rows, truth, made: list[list[dict]], key) -> dict[str, dict]:
  """name -> its number of sentences, accuracy, that of true motions, and the share."""
  groups = collections.defaultdict(list)
  for i, row in enumerate(rows):
    groups[key(row)].append(i)
  table = {}
  for name, members in groups.items():
    own = float(np.mean([truth[i]["right"] for i in members]))
    ours = float(np.mean([one[i]["right"] for one in made for i in members]))
    share = ours / own if own else None
    table[name] = {"num": len(members), "accuracy": ours, "true": own, "share": share}
  return table


def scores(face, rows: list[dict], seeds: int, num_clips: int) -> dict:
  """All tables, of the run's motions of these sentences."""
  classifier = fitted_classifier(num_clips)
  wanted = [
    written.attributes(row, SECONDS, np.random.default_rng((_TRUE_SEED, i)))
    for i, row in enumerate(rows)
  ]
  acted = [_true_motion(a, _TRUE_SEED, i) for i, a in enumerate(wanted)]
  truth, made = judged(classifier, rows, acted), []
  texts = [row["text"] for row in rows]
  for seed in range(seeds):
    motions = face.generate_many(texts, [SECONDS] * len(texts), seed=seed)
    vectors = [motion_vector.from_motion(motion) for motion in motions]
    made.append(judged(classifier, rows, vectors))
  felt = [i for i, row in enumerate(rows) if row["emotion"] != lexicon.NEUTRAL]
  feeling = [rows[i] for i in felt]
  right = lambda found: _macro(feeling, [found[i]["right"] for i in felt])
  each, own = [right(found) for found in made], right(truth)
  second = lambda found: [f["second"] for f in found if f["second"] is not None]
  followed, truly = [s for one in made for s in second(one)], second(truth)
  said = lambda read: _macro(
    feeling,
    [written.family(read(row["text"])) == written.family(row) for row in feeling],
  )
  return {
    "sentences": len(rows),
    "seeds": seeds,
    "chance": CHANCE,
    "classifier_clips": num_clips,
    "accuracy": float(np.mean(each)),
    "accuracy_of_seeds": each,
    "true": own,
    "share": float(np.mean(each)) / own,
    "read_by_the_lexicon": said(lexicon.parse),
    "read_or_guessed": said(understanding.read),
    "second_emotion": {
      "num": len(truly),
      "accuracy": float(np.mean(followed)) if followed else None,
      "true": float(np.mean(truly)) if truly else None,
    },
    "neutral": _table(rows, truth, made, written.family).get(lexicon.NEUTRAL),
    "by_family": _table(feeling, *_picked(felt, truth, made), written.family),
    "by_voice": _table(feeling, *_picked(felt, truth, made), lambda r: r["voice"]),
  }


def _picked(indices, truth, made):
  """The judgements of some sentences."""
  pick = lambda found: [found[i] for i in indices]
  return pick(truth), [pick(found) for found in made]


def printed(found: dict) -> str:
  """The tables as text."""
  number = lambda value: "   -" if value is None else f"{value:.2f}"
  lines = [
    f"{found['sentences']} held-out sentences, {found['seeds']} seeds; chance "
    f"{found['chance']:.2f}; the lexicon reads {found['read_by_the_lexicon']:.2f}, "
    f"with guesses {found['read_or_guessed']:.2f}",
    f"{'':16s}  num  right  true  share",
  ]
  line = lambda name, row: (
    f"{name:16s} {row['num']:4d}   {number(row['accuracy'])}  {number(row['true'])}"
    f"   {number(row.get('share'))}"
  )
  felt = sum(row["num"] for row in found["by_family"].values())
  lines.append(line("all families", found | {"num": felt}))
  if found["second_emotion"]["num"]:
    lines.append(line("second emotion", found["second_emotion"]))
  if found["neutral"]:
    lines.append(line("stays neutral", found["neutral"]))
  for table in ("by_family", "by_voice"):
    rows = sorted(found[table].items(), key=lambda item: -item[1]["accuracy"])
    lines += ["", *(line(name, row) for name, row in rows)]
  return "\n".join(lines)


@errors.entry_point("benchmarks.free_sentences")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks.free_sentences", description=__doc__.split("\n")[0]
  )
  parser.add_argument("--run", help="a trained run (default: the released one)")
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--num", type=int, help="sentences, evenly over the families")
  parser.add_argument(
    "--classifier_clips", type=int, default=4_000, help="simulated motions to fit on"
  )
  parser.add_argument("--json", help="a file for all numbers")
  args = parser.parse_args(argv)
  for name in ("seeds", "num", "classifier_clips"):
    value = getattr(args, name)
    if value is not None and value < 1:
      raise UserError(f"--{name} {value}: give at least 1")
  face = tdmm_jax.load(args.run)
  rows = chosen(args.num)
  found = {"run": args.run} | scores(face, rows, args.seeds, args.classifier_clips)
  print(printed(found))
  if args.json:
    files.write_json(args.json, found)


if __name__ == "__main__":
  sys.exit(main())
