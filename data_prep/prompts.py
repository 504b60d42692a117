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
import collections
import dataclasses
import hashlib
import sys
from collections.abc import Sequence

import numpy as np

from data_prep import (
  manifest,
  paraphrase,
  recipes,
  sentences,
  written_sentences,
)
from tdmm_jax import errors
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon, placing
from tdmm_jax.language.acts import KINDS, STILL, Act

SPLITS = ("train", "valid", "test")
NUM_CAPTIONS = 5

# What hides or contradicts an act: families that already do it ...
_HIDDEN_BY_FAMILY = {
  "blink": ("tiredness", "pain"),
  "eyes_closed": ("tiredness", "pain"),
  "wide_eyes": ("surprise", "fear", "anger", "tiredness", "pain", "interest"),
  "lopsided_smile": ("happiness", "contempt", "interest", "pride", "embarrassment")
  + ("confusion", "pout"),
  "duck_face": ("pout", "surprise", "happiness", "pain"),
  "mouth_shrug": ("sadness", "pride", "pout", "disgust", "anger", "concentration"),
  "mouth_shift": ("contempt", "confusion"),
  "jaw_shift": ("contempt", "surprise"),
  "swallow": ("pride", "pout", "concentration", "anger", "pain", "embarrassment"),
  "sniff": ("disgust", "pain"),
  "deep_breath": ("surprise", "fear", "tiredness", "happiness"),
  "eye_roll": ("embarrassment", "tiredness"),
  "look_away": ("embarrassment",),
  "double_take": ("surprise", "embarrassment"),
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
  "gaze_shift": ("embarrassment", "sadness", "tiredness"),
}
_LOOKING_LABELS = (
  *("nervous", "anxious", "bored", "thoughtful", "panicked", "disoriented"),
  *("flustered", "vigilant", "impatient", "dreamy", "inspired", "suspicious"),
  *("resentful", "jealous", "studious", "brooding", "averse", "dismissive"),
  *("hesitant", "dazed", "nostalgic", "lonely", "offended", "calculating"),
)
_HIDDEN_BY_LABEL = dict.fromkeys(
  ("gaze_shift", "eye_roll", "look_away", "double_take"), _LOOKING_LABELS
)
# ... and a mouth that is busy with words.
_MOUTH_PARTS = ("mouth", "jaw", "cheeks", "throat", "nose")
_MANNER_SHARES = (0.6, 0.1, 0.1, 0.1, 0.1)
# How often each act is asked for, against the others: those with sides or directions
# more often, so that none of these is too rare to be learned.
_WEIGHTS = {
  **{"nod": 3.6, "shake": 2.2, "tilt": 2.4, "turn": 2.8, "look_up": 1.5},
  **{"look_down": 1.5, "lean": 1.8, "dip": 1.0, "look_away": 1.5, "double_take": 1.3},
  **{"blink": 2.2, "wink": 2.4, "brow_raise": 2.6, "brow_furrow": 1.2},
  **{"lip_press": 1.1, "lip_bite": 1.1, "pucker": 1.3, "jaw_drop": 1.8, "squint": 1.6},
  **{"gaze_shift": 4.4, "nose_wrinkle": 1.2, "cheek_puff": 2.4, "eyes_closed": 2.0},
  **{"wide_eyes": 1.2, "eye_roll": 1.4, "lopsided_smile": 2.2, "duck_face": 1.1},
  **{"mouth_shrug": 1.1, "mouth_shift": 2.0, "jaw_shift": 2.0, "swallow": 1.1},
  **{"sniff": 1.1, "deep_breath": 1.1},
}
_COUNTED = {  # shares of not said, once, twice, three and four times
  "nod": (0.2, 0.2, 0.2, 0.2, 0.2),
  "shake": (0.35, 0.2, 0.25, 0.2, 0.0),
  "blink": (0.3, 0.15, 0.2, 0.2, 0.15),
  "wink": (0.45, 0.15, 0.25, 0.15, 0.0),
}
_SELDOM_COUNTED = (0.8, 0.0, 0.13, 0.07, 0.0)
_WITHOUT_SIZE = (
  *("wink", "blink", "eyes_closed", "eye_roll", "sniff", "swallow", "double_take"),
  *("deep_breath", "duck_face", "look_away", "lip_bite", "dip", "pucker"),
)
_WITHOUT_TEMPO = (
  "double_take",
  "deep_breath",
  "dip",
  "eye_roll",
  "look_away",
  "sniff",
  "swallow",
  "mouth_shrug",
)
# Never together: one hides the other.
_APART = (
  ("eyes_closed", "gaze_shift", "eye_roll", "blink", "wink", "wide_eyes", "squint"),
  ("brow_raise", "brow_furrow", "double_take", "wide_eyes"),
  ("gaze_shift", "eye_roll", "turn", "look_up", "look_down", "look_away")
  + ("double_take", "lean", "nod", "dip", "shake"),
)
_ABSENT = ("blink", "smiling", "brow_raise", "brow_furrow", "frowning", "jaw_drop")
_NEUTRAL_SHARE = 0.25  # of the clips; half of what people ask for is an act alone

DISTRIBUTIONS = ("balanced", "web", "lab")  # of the labels; see `train_labels`
_WEB_LABELS, _WEB_NEUTRAL, _WEB_COMMONEST = 37, 0.6, 20
_LAB_LABELS = (
  *("neutral", "calm", "happy", "sad"),
  *("angry", "afraid", "disgusted", "surprised"),
)

REVISION = 4  # raise it when the same seed gives another suite with the same tables
VERSION = hashlib.sha1(
  repr(
    (REVISION, lexicon.VERSION, sentences.PATTERNS, sentences.FRAMINGS)
    + (sentences.OPENINGS, str(sentences.PEOPLE), _HIDDEN_BY_FAMILY)
    + (_WEIGHTS, _COUNTED, _ABSENT, _NEUTRAL_SHARE)
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


def _allowed(labels, speaking: str) -> list[str]:
  """The acts that can be seen on such a face."""
  families = {lexicon.LABELS[label].family for label in labels}
  return [
    name
    for name, kind in KINDS.items()
    if not families & set(_HIDDEN_BY_FAMILY.get(name, ()))
    and not set(labels) & set(_HIDDEN_BY_LABEL.get(name, ()))
    and (speaking == "silent" or kind.what not in _MOUTH_PARTS)
  ]


def _apart(name: str, other: str) -> bool:
  if KINDS[name].what == KINDS[other].what:
    return True
  mouths = KINDS[name].what in _MOUTH_PARTS and KINDS[other].what in _MOUTH_PARTS
  return mouths or any(name in group and other in group for group in _APART)


def _names(rng, labels, speaking: str, still: bool) -> list[str]:
  """Which acts: none to three, of which none hides another."""
  shares = (0.25, 0.44, 0.26, 0.05)
  if tuple(labels) == (lexicon.NEUTRAL,):
    shares = (0.08, 0.47, 0.37, 0.08)
  chosen: list[str] = []
  for _ in range(int(rng.choice(4, p=shares))):
    options = [
      name
      for name in _allowed(labels, speaking)
      if not any(_apart(name, other) for other in chosen)
      and not (still and KINDS[name].what == "head")
    ]
    if not options:
      break
    weights = np.array([_WEIGHTS[name] for name in options])
    chosen.append(str(rng.choice(options, p=weights / weights.sum())))
  return chosen


def _act(rng, name: str, duration_s: float) -> Act:
  """An act with what is said of it but its time."""
  kind, act = KINDS[name], Act(name, end_s=duration_s)
  if name in ("wink", "lopsided_smile"):
    act = act.replace(side=str(rng.choice(("left", "right"))))
  elif kind.sided:
    options, shares = ("left", "right", "both", ""), (0.28, 0.28, 0.12, 0.32)
    act = act.replace(side=str(rng.choice(options, p=shares)))
  if kind.directions:
    act = act.replace(direction=str(rng.choice(kind.directions)))
  if kind.counted:
    shares = _COUNTED.get(name, _SELDOM_COUNTED)
    act = act.replace(count=int(rng.choice(5, p=shares)))
  several = name != "blink" or act.count > 1
  if name not in _WITHOUT_TEMPO and several and rng.random() < 0.32:
    act = act.replace(tempo=str(rng.choice(("slow", "quick"))))
  if kind.held and not act.count and act.tempo != "slow" and rng.random() < 0.4:
    act = act.replace(hold="held" if rng.random() < 0.68 else "brief")
  plain = not (act.tempo or act.hold == "brief")
  if name not in _WITHOUT_SIZE and plain and rng.random() < 0.34:
    act = act.replace(size=int(rng.choice((2, 4))))
  longest = max(act.count, 3 if name in _COUNTED else 1) * placing.each_s(act)[1]
  if kind.counted and longest > 0.8 * duration_s:
    act = act.replace(tempo="quick" if name == "nod" and act.count > 3 else "")
  return act


_AFTER_S = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


def _with_time(rng, act: Act, duration_s: float) -> Act:
  """The act at a time that words name, or at none."""
  longest = placing.each_s(act)[1] * max(act.count, 2) + 0.3
  at = [t for t in _AFTER_S if t + longest < duration_s]
  options = ["", "start"]
  options += ["after"] if at and act.tempo != "slow" else []
  options += ["end"] if act.hold != "held" and act.tempo != "slow" else []
  when = str(rng.choice(options, p=_normal([0.6, 0.12, 0.16, 0.12][: len(options)])))
  if when == "after":
    return act.replace(when=when, start_s=float(rng.choice(at)))
  if when == "end":
    return act.replace(when=when, start_s=duration_s / 2)
  return act.replace(when=when)


def _normal(shares):
  return np.array(shares) / sum(shares)


def _acts(rng, labels, speaking: str, then: bool, duration_s: float) -> list[Act]:
  """All acts but emotions that happen, with times that do not contradict."""
  acts = [
    _act(rng, name, duration_s)
    for name in _names(rng, labels, speaking, bool(rng.random() < 0.05))
  ]
  draw, alone = rng.random(), tuple(labels) == (lexicon.NEUTRAL,)
  short = [act.hold != "held" and act.tempo != "slow" and act.count < 3 for act in acts]
  if then or not acts:
    return [_with_time(rng, act, duration_s) for act in acts]
  if len(acts) > 1 and draw < 0.3 and all(short[:2]):
    half = duration_s / 2
    first = acts[0].replace(end_s=half)
    return [first, acts[1].replace(when="then", start_s=half)]
  if len(acts) > 1 and draw < 0.42:
    return [acts[0], acts[1].replace(when="while")]
  if len(acts) == 1 and draw < 0.15 and not alone:
    return [acts[0].replace(when="then", start_s=duration_s / 2)]
  return [_with_time(rng, act, duration_s) for act in acts]


def _absent(rng, labels, acts, speaking: str) -> list[Act]:
  """What must not be seen: a blink, a smile, a motion of the head ..."""
  if rng.random() > 0.12:
    return []
  families = {lexicon.LABELS[label].family for label in labels}
  options = []
  if not any(KINDS[act.name].what == "head" for act in acts):
    options += [Act(STILL)] * 2
  names = {act.name for act in acts}
  for name in _ABSENT:
    if name in lexicon.LABELS:
      hidden = lexicon.LABELS[name].family in families | {"contempt"}
      hidden |= bool(families & {"happiness", "contempt", "pout", "sadness"})
      hidden |= bool({"lopsided_smile", "mouth_shrug"} & names)
      if not hidden:
        options.append(Act(name, emotion=True, absent=True))
    elif not names & {name, "double_take", "wide_eyes", "deep_breath", "eyes_closed"}:
      busy = name == "jaw_drop" and speaking != "silent"
      shown = families & set(_HIDDEN_BY_FAMILY.get(name, ()))
      if not busy and not shown:
        options.append(Act(name, absent=True))
  return [options[int(rng.integers(len(options)))]] if options else []


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
  speaking = str(rng.choice(lexicon.SPEAKING_MODES, p=(0.54, 0.35, 0.11)))
  names = [name for name, *_ in spans]
  emotions = [
    Act(name, True, start, end, _intensity(rng, name), when="then" if start else "")
    for name, start, end in spans
  ]
  acts = _acts(rng, names, speaking, emotions[-1].when == "then", duration_s)
  chained = any(act.when == "then" for act in acts)
  if len(emotions) == 1 and label != lexicon.NEUTRAL:
    emotions = [_emotion_in_time(rng, emotions[0], duration_s, chained)]
  if not any(act.when in ("then", "while") for act in acts):
    acts += _absent(rng, names, acts, speaking)
  attributes = lexicon.attributes_of(
    [*emotions, *acts],
    duration_s,
    speaking,
    str(rng.choice(lexicon.MANNERS, p=_MANNER_SHARES)),
  )
  return placing.placed(attributes, duration_s, rng)


def _emotion_in_time(rng, act: Act, duration_s: float, chained: bool) -> Act:
  """Some emotions come slowly or quickly, and some after a time."""
  manner = recipes.MANNERS.get(act.name, recipes.USUAL)
  if manner != recipes.USUAL:
    return act
  draw = rng.random()
  if draw < 0.22:
    return act.replace(tempo="slow" if draw < 0.12 else "quick")
  if draw < 0.32 and not chained:
    start_s = float(rng.choice([t for t in _AFTER_S if t + 1.4 < duration_s] or [0.5]))
    return act.replace(when="after", start_s=start_s)
  return act


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
