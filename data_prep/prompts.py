"""The prompt suite: attributes sampled evenly, with true prompts and paraphrases.

  python -m data_prep.prompts --num 2000 --seed 0 --out prompts.jsonl

One JSON line a clip: clip_id, split, prompt, captions, attributes, duration_s, seed.
Every label occurs equally often in each split (counts differ by one at most) unless
another distribution is asked for, for comparison. Some training clips can have
prompts that people wrote instead (`written_sentences`). The same
seed gives the same lines; clip N does not depend on how many clips are asked for,
except through its label. Splits are 90/5/5 by hash of clip_id.
"""

import argparse
import dataclasses
import hashlib
import sys

import numpy as np

from data_prep import act_sampling, manifest, paraphrase, sentences, written_sentences
from data_prep.attribute_sampling import sample_attributes
from data_prep.label_distributions import suite_labels, train_labels
from tdmm_jax import errors
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon

SPLITS = ("train", "valid", "test")
NUM_CAPTIONS = 5
_NEUTRAL_SHARE = 0.25  # of the clips; half of what people ask for is an act alone

REVISION = 5  # raise it when the same seed gives another suite with the same tables
VERSION = hashlib.sha1(
  repr(
    (REVISION, lexicon.VERSION, sentences.PATTERNS, sentences.FRAMINGS)
    + (sentences.OPENINGS, str(sentences.PEOPLE), act_sampling.HIDDEN_BY_FAMILY)
    + (act_sampling.WEIGHTS, act_sampling.COUNTED, act_sampling.ABSENT, _NEUTRAL_SHARE)
    + (act_sampling.ABSENT_SHARE,)
  ).encode()
).hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class ClipPlan:
  """One line of the suite."""

  clip_id: str
  split: str
  prompt: str
  captions: list[str]
  attributes: dict
  duration_s: float
  seed: tuple[int, ...]


def split_of(clip_id: str) -> str:
  """90/5/5 by SHA-1 of the clip_id, so a clip never changes sides."""
  percent = int(hashlib.sha1(clip_id.encode()).hexdigest(), 16) % 100
  return "train" if percent < 90 else "valid" if percent < 95 else "test"


def _labels_of_split(names, split: str, count: int, seed: int) -> list[str]:
  """`count` labels, each as often as its share of `names`; a shuffled cycle."""
  labels: list[str] = []
  rng = np.random.default_rng((seed, SPLITS.index(split), 1))
  while len(labels) < count:
    labels += [names[i] for i in rng.permutation(len(names))]
  return labels[:count]


def check_request(num_clips: int, seconds: tuple[float, float]) -> None:
  """Raises UserError if no clip is asked for, or the durations make no sense."""
  if num_clips < 1:
    raise UserError(f"--num: {num_clips} clips asked for; give at least 1")
  if not 0.4 <= seconds[0] <= seconds[1]:
    raise UserError(f"durations: {seconds} s; give a shortest of at least 0.4 s first")


def make_suite(
  num_clips: int,
  seed: int,
  seconds: tuple[float, float] = (4.0, 6.0),
  num_captions: int = NUM_CAPTIONS,
  labels_per_family: int | None = None,
  labels: str = "balanced",
  written: float = 0.0,
) -> list[ClipPlan]:
  """Plans `num_clips` clips with durations (whole frames of 25 fps) in `seconds`.

  Args:
    labels_per_family: see `suite_labels`.
    labels: the distribution of the labels in train and valid, see `train_labels`; the
      test split is balanced, and the same whatever the others are.
    written: share of the training clips whose prompt is one of `written_sentences`;
      their captions are the suite's.

  Raises:
    UserError: if no clip is asked for, or the durations or the share make no sense.
  """
  check_request(num_clips, seconds)
  if not 0 <= written <= 1:
    raise UserError(f"written {written:g}: no share of clips; give 0 (none) to 1")
  ids = [f"sim_{seed}_{i:06d}" for i in range(num_clips)]
  splits = [split_of(clip_id) for clip_id in ids]
  names = dict.fromkeys(SPLITS, train_labels(labels, labels_per_family))
  names["test"] = suite_labels(labels_per_family)
  for split in SPLITS:
    if labels == "balanced" or split == "test":
      more = round(len(names[split]) * _NEUTRAL_SHARE / (1 - _NEUTRAL_SHARE))
      names[split] = [*names[split], *[lexicon.NEUTRAL] * more]
  next_label = {
    s: iter(_labels_of_split(names[s], s, splits.count(s), seed)) for s in SPLITS
  }
  low, high = round(seconds[0] * 25), round(seconds[1] * 25)
  free_rows = written_sentences.draws(seed)
  plans = []
  for i, (clip_id, split) in enumerate(zip(ids, splits)):
    clip_seed = (seed, SPLITS.index(split), 2, i)
    rng = np.random.default_rng(clip_seed)
    duration_s = int(rng.integers(low, high + 1)) / 25
    free = None
    if split == "train" and np.random.default_rng((*clip_seed, 1)).random() < written:
      free = next(free_rows)
      attributes = written_sentences.attributes(free, duration_s, rng)
    else:
      label = next(next_label[split])
      attributes = sample_attributes(label, duration_s, rng, names[split])
    subjects = paraphrase.subjects_of(rng)
    texts = paraphrase.captions(attributes, split, num_captions, rng, subjects)
    prompt = free["text"] if free else texts[0]
    while prompt in texts:
      prompt = paraphrase.prompt_of(attributes, split, rng, subjects)
    plans.append(
      ClipPlan(
        clip_id=clip_id,
        split=split,
        prompt=prompt,
        captions=texts,
        attributes=attributes,
        duration_s=duration_s,
        seed=clip_seed,
      )
    )
  return plans


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.prompts",
    description="Write a prompt suite: JSON lines of prompts with their attributes.",
    epilog="example: python -m data_prep.prompts --num 2000 --out prompts.jsonl",
  )
  parser.add_argument("--num", type=int, required=True, help="number of clips")
  parser.add_argument("--seed", type=int, default=0, help="same seed, same suite")
  parser.add_argument("--out", required=True, help="the JSON-lines file to write")
  parser.add_argument(
    "--seconds",
    type=float,
    nargs=2,
    default=(4.0, 6.0),
    metavar=("MIN", "MAX"),
    help="range of clip durations (default: 4 6)",
  )
  parser.add_argument(
    "--written",
    type=float,
    default=0.0,
    metavar="SHARE",
    help="share of the training clips with a written sentence for a prompt (0)",
  )
  return parser


@errors.entry_point("data_prep.prompts")
def main(argv=None) -> None:
  args = _parser().parse_args(argv)
  seconds = tuple(args.seconds)
  plans = make_suite(args.num, args.seed, seconds, written=args.written)
  manifest.write(args.out, map(dataclasses.asdict, plans))
  print(f"{args.out}: {len(plans)} prompts")


if __name__ == "__main__":
  sys.exit(main())
