"""The numbers of a run as tables: each beside its constant, a reference or chance."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Measure:
  """A row of a summary table: a key, its words, unit, and what stands beside it.

  `beside` are (key, words) pairs, looked up in the same group (`a.b` is `b` inside
  `a`); those not measured are left out. `better` says which way is better.
  """

  key: str
  label: str
  unit: str = ""
  beside: tuple[tuple[str, str], ...] = ()
  better: str = ""


def _share(key, label, *beside):
  return Measure(key, label, "%", beside, "higher")


def _guessed(key, label, *beside):
  """A share beside those of the regression, the commonest answer and chance."""
  words = {"ceiling": "regression", "majority": "majority", "chance": "chance"}
  own = [(f"{group}.{key}", text) for group, text in words.items()]
  return _share(key, label, *own, *beside)


def _error(key, label, unit):
  return Measure(key, label, unit, (), "lower")


def _judged(by: str = "", suffix: str = ""):
  aspects = (("cor_e", "Emotion"), ("cor_m", "Motion"), ("cor_i", "Intensity"))
  return tuple(
    Measure(key + suffix, f"{words}, judged 1 to 5{by}", "", (), "higher")
    for key, words in aspects
  )


_JITTER = Measure("jitter_ratio", "Jitter, of the true motion's (1 is ideal)", "x")

_CONSTANT = "constant_"  # the score of the mean training frame as output

# The same scores of something else, which stand in a group beside its own.
_BESIDE = {
  "ceiling": "of the true motions",
  "real_captions": "real captions",
  "tokenizer": "true motions through the tokenizer",
  "floor": "shuffled",
  "interval": "±",
}

# Group -> (title, rows). Keys of the summary that no row names are listed as they are.
TABLES = {
  "tokenizer": (
    "Geometry tokenizer, test clips",
    (
      _error("face_error_mm", "Face error (area-weighted, head-fixed)", "mm"),
      Measure(
        "head_error_deg",
        "Head rotation error",
        "deg",
        (("constant_head_error_deg", "mean rotation as output"),),
        "lower",
      ),
      _error("lip_error_mm", "Lip error (LVE-L2: worst lip vertex)", "mm"),
      _error("lip_lve_sq_mm2", "Lip error (LVE-sq)", "mm²"),
      _error("lip_lve_rms_mm", "Lip error (LVE-rms)", "mm"),
      Measure("fdd_mm2", "Upper-face dynamics (FDD, CodeTalker)", "mm²"),
      _error("fdd_abs_mm", "Upper-face dynamics (FDD, ARTalk)", "mm"),
      _error("fve_mm", "Face error, not weighted", "mm"),
      _error("mve_mm", "Error of all vertices", "mm"),
      _JITTER,
      Measure("codebook_used", "Codes that occur", "%", (("num_codes", "codes"),)),
      Measure("codebook_zeros_ratio", "Codes that never occur", "%"),
      Measure("perplexity", "Code perplexity", "", (("num_codes", "codes"),)),
      Measure("num_frames", "Frames scored"),
    ),
  ),
  "m2l": (
    "Motion to language, test clips",
    (
      _guessed(
        "emotion_family_accuracy",
        "Emotion family named right",
        *(("ceiling", "regression"), ("majority", "majority"), ("chance", "chance")),
      ),
      _share("emotion_label_accuracy", "Emotion label named right"),
      _guessed("intensity_accuracy", "Intensity right (5 grades)"),
      _guessed("head_motion_accuracy", "Head motion right"),
      _guessed("micro_action_f1", "Micro-actions, F1"),
      _share("speaking_accuracy", "Voice right (silent, speaking, singing)"),
      _share("side_accuracy", "Sides right, of acts that are named"),
      _share("direction_accuracy", "Directions right, likewise"),
      _share("count_accuracy", "Counts right, likewise"),
      *_judged(),
      Measure("bleu_1", "BLEU-1, 0 to 1", "", (), "higher"),
      Measure("bleu_4", "BLEU-4, 0 to 1", "", (), "higher"),
      Measure("rouge_l", "ROUGE-L, 0 to 1", "", (), "higher"),
      Measure("cider", "CIDEr-D, 0 to 10", "", (), "higher"),
      Measure("bertscore", "BERTScore, F", "", (), "higher"),
      Measure("num_clips", "Clips described"),
    ),
  ),
  "l2m": (
    "Language to motion, test prompts",
    (
      _share(
        "emotion_family_accuracy",
        "Emotion family, seen by the classifier",
        ("classifier_ceiling", "same classifier on true motions"),
        ("majority", "majority"),
        ("chance", "chance"),
      ),
      _share("token_accuracy", "Tokens right, teacher-forced"),
      _share("loop_consistency", "Family kept from prompt to own caption"),
      *_judged(", by its own caption"),
      *_judged(", by the classifier", "_classifier"),
      _share("intensity_accuracy_classifier", "Intensity, seen by the classifier"),
      _share("head_motion_accuracy_classifier", "Head motion, seen by the classifier"),
      _share("micro_action_f1_classifier", "Micro-actions, F1, by the classifier"),
      Measure("l2", "Squared error of parameters (L2)", "", (), "lower"),
      Measure("fd", "Frechet distance of parameters (FD)", "", (), "lower"),
      _JITTER,
      Measure("fid", "Frechet distance of embedded motions (FID)", "", (), "lower"),
      *(_share(f"text_top{k}", f"Prompt finds its motion, top {k}") for k in (1, 2, 3)),
      *(
        _share(f"motion_top{k}", f"Motion finds its prompt, top {k}") for k in (1, 2, 3)
      ),
      Measure("pool", "Candidates to find it among"),
      Measure("mm_dist", "Prompt to motion, embedded (MM-dist)", "", (), "lower"),
      Measure("diversity", "Between motions, embedded (Diversity)"),
      Measure("multimodality", "Between motions of a prompt (MultiModality)"),
      Measure("multimodality_prompts", "Prompts that it is measured on"),
      Measure("multimodality_samples", "Motions of each of them"),
      Measure("num_clips", "Prompts acted out"),
      Measure("replications", "Seeds of the sampling"),
    ),
  ),
  "real": (
    "Real video clips, fitted to landmarks",
    (
      Measure("clips", "Clips fitted and described"),
      Measure("prompts", "Real prompts acted out"),
      Measure(
        "landmark_error",
        "Landmark error, over the outer-canthi distance",
        "",
        (("frozen_landmark_error", "with a frozen face"),),
        "lower",
      ),
      Measure("num_landmarks", "Landmarks of a frame"),
    ),
  ),
  "corpus": (
    "Corpus",
    (
      Measure("clips", "Clips"),
      Measure("splits.train", "Training clips"),
      Measure("splits.valid", "Validation clips"),
      Measure("splits.test", "Test clips"),
      Measure("hours", "Length", "h"),
      Measure("versions.head", "Version of the head"),
      Measure("versions.simulator", "Version of the simulator"),
      Measure("versions.lexicon", "Version of the lexicon"),
    ),
  ),
  "seconds": (
    "Time on this machine",
    (
      Measure("install", "Installation", "s"),
      Measure("corpus", "Corpus", "s"),
      Measure("tokenizer", "Tokenizer training", "s"),
      Measure("lm", "Language model training", "s"),
      Measure("evaluation", "Scoring", "s"),
      Measure("real clips", "Fitting real clips", "s"),
      Measure("pictures", "Pictures and videos", "s"),
      Measure("total", "All together", "s"),
    ),
  ),
}


def number(value: Any, unit: str = "") -> str:
  """A value in a table: shares in per cent, other floats with three figures."""
  if value is None:
    return "–"
  if isinstance(value, bool) or not isinstance(value, int | float):
    return str(value)
  if value != value:
    return "not a number"
  if unit == "%":
    return f"{100 * value:.1f} %" if abs(value) <= 1 else f"{value:,.0f}"
  if isinstance(value, int) or abs(value) >= 1000:
    text = f"{value:,.0f}"
  else:
    text = f"{value:.1f}" if abs(value) >= 100 or unit == "s" else f"{value:.3g}"
  return f"{text} {unit}".strip()


def flatten(group: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Nested mappings to one level: {"a": {"b": 1}} is {"a.b": 1}."""
  flat = {}
  for key, value in group.items():
    if isinstance(value, Mapping):
      flat.update(flatten(value, f"{prefix}{key}."))
    else:
      flat[f"{prefix}{key}"] = value
  return flat


def _base(key: str, values: Mapping[str, Any]) -> str:
  """The key it is compared with ("ceiling.l2" and "constant_l2": "l2"), or itself."""
  group, _, rest = key.partition(".")
  if group in _BESIDE and rest in values:
    return rest
  rest = key.removeprefix(_CONSTANT)
  return rest if rest in values else key


def _others(key: str, values: Mapping[str, Any], used: set, unit: str) -> list[str]:
  """The values to compare a key with in the group's own groups, if not yet used."""
  beside = []
  for group, words in _BESIDE.items():
    other = f"{group}.{key}"
    if values.get(other) is not None and other not in used:
      beside.append(f"{words} {number(values[other], unit)}")
    used.add(other)
  constant = f"{_CONSTANT}{key}"
  if constant in values and constant not in used:
    beside.append(f"mean frame as output {number(values[constant], unit)}")
    used.add(constant)
  return beside


def tables(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
  """The summary as tables: dicts with `title` and `rows` of four.

  A row is (words, value, list of what stands beside it, which way is better). Every
  key of the summary that was measured is in some row.
  """
  made = []
  loose = {k: v for k, v in summary.items() if not isinstance(v, Mapping)}
  groups = [*TABLES, *(k for k in summary if k not in TABLES and k not in loose)]
  for name in groups:
    values = flatten(summary.get(name, {}))
    title, measures = TABLES.get(name, (name, ()))
    rows, used = [], set()
    for measure in measures:
      used.add(measure.key)
      if values.get(measure.key) is None:  # not measured
        continue
      beside = []
      for key, words in measure.beside:
        if key in values and not isinstance(values[key], Mapping):
          used.add(key)
          unit = "" if key == "num_codes" else measure.unit
          beside.append(f"{words} {number(values[key], unit)}")
      beside += _others(measure.key, values, used, measure.unit)
      shown = number(values[measure.key], measure.unit)
      rows.append((measure.label, shown, beside, measure.better))
    for key in values:
      measured = values[key] is not None
      if measured and key not in used and _base(key, values) == key:
        rows.append((key, number(values[key]), _others(key, values, used, ""), ""))
    if rows:
      made.append({"title": title, "rows": rows})
  if loose:
    rows = [(key, number(value), [], "") for key, value in loose.items()]
    made.append({"title": "Run", "rows": rows})
  return made


def tiles(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
  """The four headline numbers, where measured: (value, words, what to compare with)."""
  family = "emotion_family_accuracy"
  picks = (
    ("tokenizer", "face_error_mm", "mm", "tokenizer face error")
    + ("constant_face_error_mm", "constant"),
    ("m2l", family, "%", "emotion named from motion", "ceiling", "regression"),
    ("l2m", family, "%", "emotion seen in motion")
    + ("classifier_ceiling", "true motions"),
    ("real", "landmark_error", "", "landmark error, real clips")
    + ("frozen_landmark_error", "frozen face"),
  )
  made = []
  for group, key, unit, label, beside, words in picks:
    values = summary.get(group, {})
    if values.get(key) is None:
      continue
    other = values.get(beside)
    if isinstance(other, Mapping):
      other = other.get(key)
    note = "" if other is None else f"{words} {number(other, unit)}"
    made.append((number(values[key], unit), label, note))
  return made
