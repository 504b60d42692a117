"""The tokenizers of configs/tokenizer_table.py beside each other, on one split.

  python -m benchmarks.tokenizer_table --rows runs/tokenizers \\
      --records runs/small/records

`--rows`: a folder with one training run in `ROW/SEED`. Prints a table in markdown, the
mean over seeds and their spread. `--json FILE` takes all numbers.
"""

import argparse
import pathlib
import sys

import numpy as np

from tdmm_jax import errors, files
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import evaluate
from tdmm_jax.runs import checkpoints

# Key of the scores, heading, digits. `share`: of what the mean training frame costs.
COLUMNS = (
  ("num_codes", "codes", 0),
  ("face_error_mm", "face, mm", 3),
  ("face_share", "share", 3),
  ("head_error_deg", "head, deg", 3),
  ("head_share", "share", 3),
  ("lip_error_mm", "LVE-L2, mm", 2),
  ("lip_lve_sq_mm2", "LVE-sq, mm²", 2),
  ("lip_lve_rms_mm", "LVE-rms, mm", 2),
  ("fdd_mm2", "FDD, mm²", 3),
  ("jitter_ratio", "jitter", 3),
  ("codebook_used", "codes used", 0),
  ("perplexity", "perplexity", 0),
)


def measure(workdir, clips: list[dict]) -> dict:
  """All numbers of one training run."""
  codec = motion_codec.load(workdir)
  scores = evaluate.reconstruction(codec, clips) | {"num_codes": codec.num_codes}
  for name, part in (("face", "face_error_mm"), ("head", "head_error_deg")):
    scores[f"{name}_share"] = scores[part] / scores[f"constant_{part}"]
  return scores


def table(found: dict[str, dict[str, dict]]) -> str:
  """Markdown of {row: {seed: scores}}; a row of several seeds: mean ± spread."""
  heads = ["row", "seeds", *(heading for _, heading, _ in COLUMNS)]
  lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
  for row, seeds in found.items():
    cells = [row, str(len(seeds))]
    for key, _, digits in COLUMNS:
      values = [scores[key] for scores in seeds.values()]
      cell = f"{np.mean(values):,.{digits}f}"
      if len(values) > 1 and np.ptp(values) > 0:
        cell += f" ± {np.std(values, ddof=1):,.{digits}f}"
      cells.append(cell)
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join(lines)


@errors.entry_point("tokenizer_table")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--rows", required=True, help="folder of ROW/SEED")
  parser.add_argument("--records", required=True)
  parser.add_argument("--split", default="test", choices=("valid", "test"))
  parser.add_argument("--clips", type=int, help="at most so many")
  parser.add_argument("--json", help="where all numbers go")
  args = parser.parse_args(argv)
  runs = sorted(filter(checkpoints.has_checkpoint, pathlib.Path(args.rows).glob("*/*")))
  if not runs:
    raise UserError(f"{args.rows}: no trained tokenizer in any ROW/SEED; train one")
  clips = records.load_clips(args.records, args.split, args.clips)
  found: dict[str, dict[str, dict]] = {}
  for workdir in runs:
    row = found.setdefault(workdir.parent.name, {})
    row[workdir.name] = measure(workdir, clips)
    print(workdir, file=sys.stderr)
  if args.json:
    content = {"split": args.split, "num_clips": len(clips), "rows": found}
    files.write_json(args.json, content)
  print(f"{len(clips)} clips of {args.split}\n\n{table(found)}")


if __name__ == "__main__":
  sys.exit(main())
