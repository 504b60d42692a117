"""The prompt suite: attributes sampled evenly, with true prompts and paraphrases.

  python -m data_prep.prompts --num 2000 --seed 0 --out prompts.jsonl

One JSON line a clip: clip_id, split, prompt, captions, attributes, duration_s, seed.
Every label occurs equally often in each split (counts differ by one at most) unless
another distribution is asked for, for comparison; the same
seed gives the same lines; clip N does not depend on how many clips are asked for,
except through its label. Splits are 90/5/5 by hash of clip_id.
"""

import argparse
import collections
import dataclasses
import hashlib
import sys
from collections.abc import Sequence

import numpy as np

from data_prep import manifest, paraphrase, sentences
from tdmm_jax import errors
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon

SPLITS = ("train", "valid", "test")
_SPLIT_PERCENT = {"train": 90, "valid": 5, "test": 5}
NUM_CAPTIONS = 5

# What hides or contradicts a micro-action: families that already do it ...
_HIDDEN_BY_FAMILY = {
  "wink": ("pain", "concentration", "tiredness", "disgust"),
  "brow_raise": ("surprise", "fear", "interest", "confusion", "sadness"),
  "brow_furrow": ("anger", "concentration", "confusion", "pain", "sadness", "disgust"),
  "lip_press": ("surprise", "embarrassment", "anger", "concentration", "pain"),
  "lip_bite": ("surprise", "pain", "embarrassment", "fear"),
  "pucker": ("pout", "surprise", "pain", "happiness", "confusion"),
  "jaw_drop": ("surprise", "tiredness", "fear", "happiness", "disgust"),
  "squint": ("concentration", "pain", "tiredness", "anger", "disgust", "happiness"),
  "nose_wrinkle": ("disgust", "pain"),
  "cheek_puff": ("surprise", "pain", "happiness"),
  "gaze_shift": ("embarrassment",),
}
_HIDDEN_BY_LABEL = {"gaze_shift": ("nervous", "anxious", "bored", "thoughtful")}
# ... and a mouth that is busy with words.
_MOUTH_ACTIONS = ("lip_press", "lip_bite", "pucker", "jaw_drop", "cheek_puff")
_MANNER_SHARES = (0.6, 0.1, 0.1, 0.1, 0.1)
_TWO_HEAD_MOTIONS = (("nod", "tilt"), ("shake", "look_down"), ("nod", "turn"))

DISTRIBUTIONS = ("balanced", "web", "lab")  # of the labels; see `train_labels`
_WEB_LABELS, _WEB_NEUTRAL, _WEB_COMMONEST = 37, 0.6, 20
_LAB_LABELS = (
  *("neutral", "calm", "happy", "sad"),
  *("angry", "afraid", "disgusted", "surprised"),
)

REVISION = 3  # raise it when the same seed gives another suite with the same tables
VERSION = hashlib.sha1(
  repr(
    (REVISION, lexicon.VERSION, sentences.PATTERNS, sentences.FRAMINGS)
    + (sentences.OPENINGS, str(sentences.PEOPLE), _HIDDEN_BY_FAMILY)
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


def _micro_actions(rng, labels, speaking: str) -> list[str]:
  families = {lexicon.LABELS[label].family for label in labels}
  allowed = [
    name
    for name in lexicon.MICRO_ACTIONS
    if not families & set(_HIDDEN_BY_FAMILY.get(name, ()))
    and not set(labels) & set(_HIDDEN_BY_LABEL.get(name, ()))
    and (speaking == "silent" or name not in _MOUTH_ACTIONS)
  ]
  count = int(rng.choice(3, p=(0.40, 0.45, 0.15)))
  return [str(name) for name in rng.choice(allowed, min(count, len(allowed)), False)]


def _head_motion(rng) -> list[str]:
  draw = rng.random()
  if draw < 0.5:
    return []
  if draw < 0.975:
    return [str(rng.choice(lexicon.HEAD_MOTIONS))]
  return list(_TWO_HEAD_MOTIONS[int(rng.integers(len(_TWO_HEAD_MOTIONS)))])


def _intensity(rng, label: str) -> int:
  return (
    lexicon.DEFAULT_INTENSITY if label == lexicon.NEUTRAL else int(rng.integers(1, 6))
  )


def suite_labels(per_family: int | None = None) -> list[str]:
  """All labels, or the first `per_family` of each family: its most usual words."""
  rank = collections.Counter()
  names = []
  for name, label in lexicon.LABELS.items():
    rank[label.family] += 1
    if per_family is None or rank[label.family] <= per_family:
      names.append(name)
  return names


def train_labels(labels: str = "balanced", per_family: int | None = None) -> list[str]:
  """One cycle of a distribution of labels, each as often as it occurs.

  Args:
    labels: one of DISTRIBUTIONS: "balanced": each once; "web": 37 of them as in video
      from the web, three of five clips neutral and the others by Zipf's law; "lab": the
      eight of acted laboratory corpora (RAVDESS, Livingstone and Russo 2018).
    per_family: of "balanced", see `suite_labels`.
  """
  if labels == "balanced":
    return suite_labels(per_family)
  if labels == "lab":
    return list(_LAB_LABELS)
  by_rank = [name for rank in range(1, 4) for name in _labels_of_rank(rank)]
  others = [name for name in by_rank if name != lexicon.NEUTRAL][: _WEB_LABELS - 1]
  cycle = []
  for rank, name in enumerate(others, start=1):
    cycle += [name] * max(round(_WEB_COMMONEST / rank), 1)
  neutral = round(len(cycle) * _WEB_NEUTRAL / (1 - _WEB_NEUTRAL))
  return [lexicon.NEUTRAL] * neutral + cycle


def _labels_of_rank(rank: int) -> list[str]:
  """The label of each family that is its rank-th most usual."""
  known = set(suite_labels(rank - 1))
  return [name for name in suite_labels(rank) if name not in known]


def sample_attributes(
  label: str, duration_s: float, rng, names: Sequence[str] | None = None
) -> dict:
  """Attributes whose first (and longest) segment is the label.

  About a sixth of the clips go over to a second emotion, a few percent show two at
  once; half keep their head still; half are silent.

  Args:
    names: labels that a second emotion is drawn from, one as often as it occurs there;
      all by default.
  """
  others = [
    name
    for name in (lexicon.LABELS if names is None else names)
    if lexicon.LABELS[name].family != lexicon.LABELS[label].family
    and name != lexicon.NEUTRAL
  ]
  draw = rng.random()
  if draw < 0.165:
    middle = duration_s * rng.uniform(0.58, 0.70)
    spans = ((label, 0.0, middle), (str(rng.choice(others)), middle, duration_s))
  elif draw < 0.20 and label != lexicon.NEUTRAL:
    spans = ((label, 0.0, duration_s), (str(rng.choice(others)), 0.0, duration_s))
  else:
    spans = ((label, 0.0, duration_s),)
  speaking = str(rng.choice(lexicon.SPEAKING_MODES, p=(0.5, 0.38, 0.12)))
  return lexicon.make_attributes(
    [(name, _intensity(rng, name), start, end) for name, start, end in spans],
    micro_actions=_micro_actions(rng, [name for name, *_ in spans], speaking),
    head_motion=_head_motion(rng),
    speaking=speaking,
    manner=str(rng.choice(lexicon.MANNERS, p=_MANNER_SHARES)),
  )


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
) -> list[ClipPlan]:
  """Plans `num_clips` clips with durations (whole frames of 25 fps) in `seconds`.

  Args:
    labels_per_family: see `suite_labels`.
    labels: the distribution of the labels in train and valid, see `train_labels`; the
      test split is balanced, and the same whatever the others are.

  Raises:
    UserError: if no clip is asked for, or the durations make no sense.
  """
  check_request(num_clips, seconds)
  ids = [f"sim_{seed}_{i:06d}" for i in range(num_clips)]
  splits = [split_of(clip_id) for clip_id in ids]
  names = dict.fromkeys(SPLITS, train_labels(labels, labels_per_family))
  names["test"] = suite_labels(labels_per_family)
  next_label = {
    s: iter(_labels_of_split(names[s], s, splits.count(s), seed)) for s in SPLITS
  }
  low, high = round(seconds[0] * 25), round(seconds[1] * 25)
  plans = []
  for i, (clip_id, split) in enumerate(zip(ids, splits)):
    clip_seed = (seed, SPLITS.index(split), 2, i)
    rng = np.random.default_rng(clip_seed)
    duration_s = int(rng.integers(low, high + 1)) / 25
    attributes = sample_attributes(
      next(next_label[split]), duration_s, rng, names[split]
    )
    texts = paraphrase.captions(attributes, split, num_captions + 1, rng)
    plans.append(
      ClipPlan(
        clip_id=clip_id,
        split=split,
        prompt=paraphrase.framed(texts[-1], split, rng),
        captions=texts[:-1],
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
  return parser


@errors.entry_point("data_prep.prompts")
def main(argv=None) -> None:
  args = _parser().parse_args(argv)
  plans = make_suite(args.num, args.seed, tuple(args.seconds))
  manifest.write(args.out, map(dataclasses.asdict, plans))
  print(f"{args.out}: {len(plans)} prompts")


if __name__ == "__main__":
  sys.exit(main())
