"""Writes the tables of docs/results.md from the files that `tdmm evaluate` wrote.

  python -m benchmarks.results

docs/results/ holds a file for each row (configs/ablations.py names them),
baselines.json (`python -m benchmarks.baselines`), and trainings.json: {row:
{"hardware": "1 H100", "hours": 0.1}}. `release` is the checkpoint of version 0.1.0,
which was scored by the rows' evaluator network; a later one has its scores beside it. A
row without a file is left out. What stands in docs/results.md outside the two marks is
kept.
"""

import argparse
import pathlib
import sys

from configs import ablations
from tdmm_jax import errors, files
from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import baselines, tables
from tdmm_jax.runs import checkpoints

FOLDER, PAGE = pathlib.Path("docs/results"), pathlib.Path("docs/results.md")
BEGIN = "<!-- Tables: written by `python -m benchmarks.results` -->"
END = "<!-- End of the tables -->"
TRAININGS = "trainings.json"

# Of a table: (key, words, factor, decimals). A key of several words is a path.
_SPACE = (
  ("l2m.fid", "FID", 1, 3),
  ("l2m.text_top1", "R@1", 1, 3),
  ("l2m.text_top3", "R@3", 1, 3),
  ("l2m.mm_dist", "MM-dist", 1, 3),
  ("l2m.diversity", "Diversity", 1, 3),
)
_MOTION = (
  ("l2m.l2", "L2", 1, 3),
  ("l2m.fd", "FD", 1, 2),
  ("l2m.token_accuracy", "Tok", 1, 3),
  ("l2m.cor_e", "CorE", 1, 2),
  ("l2m.cor_m", "CorM", 1, 2),
  ("l2m.cor_i", "CorI", 1, 2),
  ("l2m.cor_e_classifier", "CorE, classifier", 1, 2),
  ("l2m.emotion_family_accuracy", "family, classifier, %", 100, 1),
  ("l2m.jitter_ratio", "jitter", 1, 2),
)
_CAPTION = (
  ("m2l.cor_e", "M2L CorE", 1, 2),
  ("m2l.cor_m", "M2L CorM", 1, 2),
  ("m2l.cor_i", "M2L CorI", 1, 2),
  ("m2l.emotion_family_accuracy", "M2L family, %", 100, 1),
)
_TOKENS = (
  ("tokenizer.face_error_mm", "tokens: face, mm", 1, 2),
  ("tokenizer.head_error_deg", "tokens: head, °", 1, 2),
)
_ASIDE = {
  "nearest": "motion of the nearest training text",
  "unconditional": "`reference` without a prompt",
  "tokenizer": "true motions through the tokenizer",
}


def rows_of(folder: pathlib.Path) -> dict[str, dict]:
  """{row: scores} of the files that are there, in the order of the tables.

  Raises:
    UserError: there are none, or one is not JSON.
  """
  names = ["release", *ablations.ROWS]
  files = {name: folder / f"{name}.json" for name in names}
  found = {
    name: checkpoints.read_json(path) for name, path in files.items() if path.exists()
  }
  if not found:
    raise UserError(f"{folder}: none of {', '.join(names)}.json; evaluate a run first")
  return found


def beside(scores: dict) -> list[tuple[str, dict]]:
  """What a run's own file says of true and of shuffled motions."""
  l2m = scores["l2m"]
  kinds = (("ceiling", "true motions"), ("floor", "motions of other prompts"))
  return [(words, {"l2m": l2m[key]}) for key, words in kinds if key in l2m]


def flat(scores: dict) -> dict:
  """The groups' scores as `tables.table` wants them: "l2m.fid" and its interval."""
  found: dict = {"interval": {}, "replications": 1}
  for group in ("l2m", "m2l", "tokenizer"):
    held = scores.get(group) or {}
    spread = held.get("interval", {})
    found["replications"] = max(found["replications"], held.get("replications", 1))
    for key, value in held.items():
      if isinstance(value, (int, float)):
        found[f"{group}.{key}"] = value
        found["interval"][f"{group}.{key}"] = spread.get(key)
  return found


def section(title: str, rows, columns) -> list[str]:
  """A heading and a table; nothing without two rows to compare."""
  if len(rows) < 2:
    return []
  lines = tables.table([(name, flat(scores)) for name, scores in rows], columns)
  return ["", f"### {title}", "", *lines]


def markdown(found: dict[str, dict], others: dict, trainings: dict) -> str:
  """All tables.

  Args:
    found: see `rows_of`.
    others: of `benchmarks.baselines`; may be empty.
    trainings: {row: {"hardware", "hours"}}; may be empty.
  """
  pick = lambda *names: [(f"`{name}`", found[name]) for name in names if name in found]
  aside = [
    (_ASIDE[kind], {"l2m": others[kind]}) for kind in baselines.KINDS if kind in others
  ]
  systems = pick("release", "reference", "t2m_gpt_our_tokens", "t2m_gpt") + aside
  reference = found.get("reference") or next(iter(found.values()))
  systems += beside(reference)
  lines = _about(found, trainings)
  lines += section("Systems: in the evaluator's space", systems, _SPACE)
  lines += section("Systems: fidelity, and what the motions show", systems, _MOTION)
  corpora = pick("reference", "web", "lab")
  lines += section("Corpora of the same hours", corpora, (*_CAPTION, *_MOTION))
  spaces = pick("reference", "params_tokens")
  columns = (*_TOKENS, *_CAPTION[:1], *_MOTION, *_SPACE[:1])
  lines += section("Geometry or coefficients", spaces, columns)
  sizes = pick("small", "reference", "large")
  lines += section("Sizes", sizes, (*_CAPTION, *_MOTION, *_SPACE[:1]))
  return "\n".join([*lines, ""])


def _about(found: dict[str, dict], trainings: dict) -> list[str]:
  """Which clips each row was scored on, its config, hardware and hours."""
  lines = [
    "| row | config | scored on | trained on | hours |",
    "|---|" + "---|" * 4,
  ]
  for name, scores in found.items():
    config = "release_lm.py" if name == "release" else f"ablations.py:{name}"
    training = trainings.get(name, {})
    hours = training.get("hours")
    clips = f"{scores['num_clips']} {scores['split']} clips"
    cells = [f"`{name}`", f"`configs/{config}`", clips, training.get("hardware", "")]
    lines.append("| " + " | ".join([*cells, f"{hours:.2f}" if hours else ""]) + " |")
  return lines


def rewritten(page: str, text: str, where, marks=(BEGIN, END)) -> str:
  """The page with the text between its marks.

  Raises:
    UserError: there are no marks.
  """
  begin, end = marks
  before, found_begin, rest = page.partition(begin)
  _, found_end, after = rest.partition(end)
  if not found_begin or not found_end:
    raise UserError(f"{where}: no '{begin}' with '{end}' after it; put them in")
  return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"


@errors.entry_point("results")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--folder", default=FOLDER, type=pathlib.Path)
  parser.add_argument("--page", default=PAGE, type=pathlib.Path)
  args = parser.parse_args(argv)
  others, trainings = (
    checkpoints.read_json(path) if path.exists() else {}
    for path in (args.folder / name for name in ("baselines.json", TRAININGS))
  )
  text = markdown(rows_of(args.folder), others, trainings)
  page = rewritten(args.page.read_text(), text, args.page)
  files.write_text(args.page, page)
  print(args.page)


if __name__ == "__main__":
  sys.exit(main())
