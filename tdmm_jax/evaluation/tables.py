"""Scores as markdown: the paper's three tables and the project's own."""

from collections.abc import Sequence

# A column: (key, words, factor, decimals).
_JUDGED = (
  ("cor_e", "CorE", 1, 2),
  ("cor_m", "CorM", 1, 2),
  ("cor_i", "CorI", 1, 2),
)
_LANGUAGE = (
  ("bleu_1", "BLEU-1", 1, 3),
  ("bleu_4", "BLEU-4", 1, 3),
  ("rouge_l", "ROUGE-L", 1, 3),
  ("cider", "CIDEr", 1, 2),
  ("bertscore", "BERTScore", 1, 3),
)
_ACCURACIES = (
  ("emotion_family_accuracy", "family, %", 100, 1),
  ("emotion_label_accuracy", "label, %", 100, 1),
  ("intensity_accuracy", "intensity, %", 100, 1),
  ("head_motion_accuracy", "head, %", 100, 1),
  ("speaking_accuracy", "voice, %", 100, 1),
  ("micro_action_f1", "micro-actions, F1", 1, 2),
  ("side_accuracy", "side, %", 100, 1),
  ("direction_accuracy", "direction, %", 100, 1),
  ("count_accuracy", "count, %", 100, 1),
)
_FIDELITY = (
  ("l2", "L2", 1, 3),
  ("fd", "FD", 1, 2),
  ("token_accuracy", "Tok", 1, 3),
  *_JUDGED,
)
_BY_CLASSIFIER = (
  ("cor_e_classifier", "CorE", 1, 2),
  ("cor_m_classifier", "CorM", 1, 2),
  ("cor_i_classifier", "CorI", 1, 2),
  ("emotion_family_accuracy", "family, %", 100, 1),
  ("jitter_ratio", "jitter", 1, 2),
)
_SPACE = (
  ("fid", "FID", 1, 4),
  ("text_top1", "R@1", 1, 3),
  ("text_top2", "R@2", 1, 3),
  ("text_top3", "R@3", 1, 3),
  ("motion_top1", "motion R@1", 1, 3),
  ("motion_top2", "motion R@2", 1, 3),
  ("motion_top3", "motion R@3", 1, 3),
  ("mm_dist", "MM-dist", 1, 3),
  ("diversity", "Diversity", 1, 3),
  ("multimodality", "MultiModality", 1, 3),
)
_ERRORS = (
  ("face_error_mm", "face, mm", 1, 2),
  ("head_error_deg", "head, °", 1, 2),
  ("lip_error_mm", "LVE-L2, mm", 1, 2),
  ("lip_lve_sq_mm2", "LVE-sq, mm²", 1, 1),
  ("lip_lve_rms_mm", "LVE-rms, mm", 1, 2),
  ("fdd_mm2", "FDD, mm²", 1, 3),
  ("fdd_abs_mm", "FDD-abs, mm", 1, 3),
  ("fve_mm", "FVE, mm", 1, 2),
  ("mve_mm", "MVE, mm", 1, 2),
  ("jitter_ratio", "jitter", 1, 2),
)
_FILES = (("l2", "L2", 1, 3), ("fd", "FD", 1, 2), *_ERRORS)


def table(rows: Sequence[tuple[str, dict]], columns) -> list[str]:
  """Lines of a markdown table; ± is half of the 95 % interval over replications."""
  shown = [c for c in columns if any(group.get(c[0]) is not None for _, group in rows)]
  lines = ["| | " + " | ".join(words for _, words, *_ in shown) + " |"]
  lines.append("|---|" + "---|" * len(shown))
  for name, group in rows:
    cells = [_cell(group, *column) for column in shown]
    lines.append(f"| {name} | " + " | ".join(cells) + " |")
  return lines


def _cell(group: dict, key: str, _, factor: float, decimals: int) -> str:
  value = group.get(key)
  if value is None:
    return ""
  text = f"{value * factor:.{decimals}f}"
  spread = group.get("interval", {}).get(key)
  if spread is None:
    return text
  return f"{text} ± {spread * factor:.{decimals}f}"


def _named(group: dict, name: str, **rows: str) -> list[tuple[str, dict]]:
  """The group's own row and those to compare it with, where there are any."""
  beside = [(words, group[key]) for key, words in rows.items() if group.get(key)]
  return [(name, group), *beside]


def markdown(scores: dict, name: str, corpus: str) -> str:
  """The tables of a run's scores (`evaluate.evaluate`).

  Args:
    name: what the run is called.
    corpus: what the records are called.
  """
  m2l, l2m = scores["m2l"], scores["l2m"]
  captions = _named(
    m2l,
    name,
    real_captions="real captions",
    ceiling="regressions on the true motion (reference)",
    floor="captions of other clips (floor)",
  )
  motions = _named(
    l2m,
    name,
    tokenizer="real motions through the tokenizer",
    ceiling="real motions",
    floor="shuffled (floor)",
  )
  if "llm_judge" in m2l:
    captions.insert(1, (f"{name}, judged by {m2l['llm_judge']['model']}",
                        m2l["llm_judge"]))  # fmt: skip
  what = f"{scores['num_clips']} {scores['split']} clips of {corpus}"
  replicated = f"{l2m['replications']} replications"
  lines = [
    f"# {name}",
    "",
    f"{what}, seed {scores['seed']}, {replicated} of what is sampled (mean ± 1.96 "
    "std/√n). Formulas: docs/metrics.md.",
    "",
    "## Motion2Language",
    "",
    *table(captions, (*_JUDGED, *_LANGUAGE)),
    "",
    *table(captions, _ACCURACIES),
    "",
    "## Language2Motion",
    "",
    "CorE, CorM and CorI of the run's own captions of its motions:",
    "",
    *table(motions, _FIDELITY),
    "",
    "By regressions on the motion, trained on true motions only:",
    "",
    *table(motions, _BY_CLASSIFIER),
  ]
  if scores["versions"].get("evaluator"):
    lines += ["", f"In the evaluator's space, pools of {l2m['pool']}:", ""]
    lines += table(motions, _SPACE)
  lines += ["", "## Corpus", "", "| trained on | M2L CorE |", "|---|---|"]
  lines += [f"| {corpus} | {m2l['cor_e']:.2f} |"]
  lines += ["", "## Tokenizer", "", *_tokenizer(scores["tokenizer"])]
  for task, title in (("continuation", "Continuation"), ("inbetween", "In-between")):
    if scores.get(task):
      rows = _named(
        scores[task],
        name,
        tokenizer="the true tokens",
        floor="frames of another clip (floor)",
      )
      lines += ["", f"## {title}, new frames", "", *table(rows, _FILES)]
      if scores["versions"].get("evaluator"):
        lines += ["", *table(rows, _SPACE)]
  return "\n".join([*lines, *_missing(scores)]) + "\n"


def _tokenizer(group: dict) -> list[str]:
  constant = {
    key.removeprefix("constant_"): value
    for key, value in group.items()
    if key.startswith("constant_")
  }
  rows = [("through the tokenizer", group), ("mean frame (floor)", constant)]
  used = f"{group['codebook_used']} of {group['num_codes']} codes occur"
  return [*table(rows, _ERRORS), "", f"{used}, perplexity {group['perplexity']:.0f}."]


def files_markdown(scores: dict, name: str) -> str:
  """The tables of `files.scores`."""
  lines = [f"# {name}", "", f"{scores['num_clips']} clips, {scores['frames']} frames."]
  motion = _named(scores["motion"], name, floor="motions of other clips (floor)")
  lines += ["", "## Motion", "", *table(motion, _FILES)]
  if scores["m2l"] is not None:
    captions = _named(
      scores["m2l"],
      name,
      real_captions="real captions",
      floor="captions of other clips (floor)",
    )
    lines += ["", "## Captions", "", *table(captions, (*_JUDGED, *_LANGUAGE))]
    lines += ["", *table(captions, _ACCURACIES)]
  return "\n".join([*lines, *_missing(scores)]) + "\n"


def _missing(scores: dict) -> list[str]:
  if not scores["unavailable"]:
    return []
  rows = [f"- {what}: {why}" for what, why in scores["unavailable"].items()]
  return ["", "Not measured:", "", *rows]
