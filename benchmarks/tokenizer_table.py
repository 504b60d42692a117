"""The tokenizers of configs/tokenizer_table.py beside each other, on one split.

  python -m benchmarks.tokenizer_table --rows runs/tokenizers \\
      --records runs/small/records

`--rows`: a folder with one training run in `ROW/SEED`. For each: errors on the face and
the head, and their shares of what the mean training frame alone would cost; the lips'
errors in the three conventions; upper-face dynamics (FDD); jitter; use of the codes.
A run with refinements has a second row, `ROW + refinement`: decoded from all codes of a
frame; the codes counted there are the refinements. Prints a table in markdown;
`--json FILE` takes all numbers.
"""

import argparse
import json
import pathlib
import sys
import time

import jax
import numpy as np

from tdmm_jax import files
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.metrics import codebook, reconstruction
from tdmm_jax.runs import checkpoints

_BATCH = 32
_LENGTH_MULTIPLE = 64
REFINED = " + refinement"  # names the row of all codes of a run

# Key of the scores, heading, digits.
COLUMNS = (
  ("parameters_m", "parameters, M", 1),
  ("steps", "steps", 0),
  ("num_codes", "codes", 0),
  ("face_error_mm", "face, mm", 3),
  ("face_share", "of constant", 3),
  ("head_error_deg", "head, deg", 3),
  ("head_share", "of constant", 3),
  ("lip_error_mm", "LVE-L2, mm", 2),
  ("lip_lve_sq_mm2", "LVE-sq, mm²", 2),
  ("lip_lve_rms_mm", "LVE-rms, mm", 2),
  ("fdd_mm2", "FDD, mm²", 3),
  ("fdd_abs_mm", "FDD (ARTalk), mm", 3),
  ("jitter_ratio", "jitter ratio", 3),
  ("used_share", "codes used", 3),
  ("perplexity_share", "perplexity / codes", 3),
)


def find_rows(folder) -> list[pathlib.Path]:
  """The training runs `ROW/SEED` of a folder, sorted.

  Raises:
    UserError: there are none.
  """
  found = sorted(
    path
    for path in pathlib.Path(folder).glob("*/*")
    if checkpoints.has_checkpoint(path)
  )
  if not found:
    raise UserError(f"{folder}: no trained tokenizer in any ROW/SEED; train one first")
  return found


def padded(clips: list[dict]) -> tuple[np.ndarray, np.ndarray]:
  """All clips at one length, float32[N, T, P], and what is theirs, float32[N, T]."""
  longest = max(len(clip["vectors"]) for clip in clips)
  length = -(-longest // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
  size = -(-len(clips) // _BATCH) * _BATCH
  vectors = np.zeros((size, length, clips[0]["vectors"].shape[1]), np.float32)
  mask = np.zeros((size, length), np.float32)
  for row, clip in enumerate(clips):
    vectors[row, : len(clip["vectors"])] = clip["vectors"]
    mask[row, : len(clip["vectors"])] = 1.0
  return vectors, mask


def in_batches(call, values, mask) -> np.ndarray:
  """A codec's `call` on a few rows at a time: one shape, one compilation."""
  rows = range(0, len(values), _BATCH)
  return np.concatenate(
    [call(values[i : i + _BATCH], mask[i : i + _BATCH]) for i in rows]
  )


def measure(workdir, clips: list[dict]) -> dict[str, dict]:
  """All numbers of one training run, by what its row's name ends with."""
  start = time.perf_counter()
  codec = motion_codec.load(workdir)
  vectors, mask = padded(clips)
  codes = in_batches(codec.encode_window, vectors, mask)
  decoded = in_batches(codec.decode_window, codes, mask)
  rows = {"": _scores(codec, clips, codes, codec.num_codes, decoded)}
  if codec.num_refinements:
    codes = in_batches(codec.encode_refined_window, vectors, mask)
    decoded = in_batches(codec.decode_refined_window, codes, mask)
    level = np.arange(codec.num_refinements) * codec.num_codes
    num_codes = codec.num_refinements * codec.num_codes
    rows[REFINED] = _scores(codec, clips, codes[..., 1:] + level, num_codes, decoded)
  weights = jax.tree.leaves(codec.variables["params"])
  for scores in rows.values():
    scores["parameters_m"] = sum(x.size for x in weights) / 1e6
    scores["steps"], _ = checkpoints.restore_item(workdir, "model")
    scores["seconds"] = time.perf_counter() - start
  return rows


def _scores(codec, clips, codes, num_codes: int, decoded) -> dict:
  """Errors of decoded vectors [N, T, P], and use of the codes [N, T, ...]."""
  lengths = [len(clip["vectors"]) for clip in clips]
  scores = reconstruction.errors(
    codec.face,
    clips,
    [x[:n] for x, n in zip(decoded, lengths)],
    codec.variables["stats"]["params_mean"],
  )
  spoken = np.concatenate([x[:n].ravel() for x, n in zip(codes, lengths)])
  scores |= codebook.usage(spoken, num_codes)
  for part in ("face_error_mm", "head_error_deg"):
    name = part.split("_")[0]
    scores[f"{name}_share"] = scores[part] / scores[f"constant_{part}"]
  scores["used_share"] = scores["codebook_used"] / num_codes
  scores["perplexity_share"] = scores["perplexity"] / num_codes
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


def load_clips(args) -> list[dict]:
  return records.load_clips(args.records, args.split)[: args.clips]


def arguments(doc: str, clips: int | None) -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--rows", required=True, help="folder of ROW/SEED")
  parser.add_argument("--records", required=True)
  parser.add_argument("--split", default="test", choices=("valid", "test"))
  parser.add_argument("--clips", type=int, default=clips, help="at most so many")
  parser.add_argument("--json", help="where all numbers go")
  return parser


def write(path, content: dict) -> None:
  if path:
    files.write_json(pathlib.Path(path), content)


def main() -> None:
  args = arguments(__doc__, None).parse_args()
  clips = load_clips(args)
  found: dict[str, dict[str, dict]] = {}
  for workdir in find_rows(args.rows):
    for suffix, scores in measure(workdir, clips).items():
      found.setdefault(workdir.parent.name + suffix, {})[workdir.name] = scores
    print(f"{workdir}: {scores['seconds']:.1f} s", file=sys.stderr)
    write(args.json, {"split": args.split, "num_clips": len(clips), "rows": found})
  first = next(iter(next(iter(found.values())).values()))
  print(
    f"{len(clips)} clips of {args.split}; the mean training frame as output: ", end=""
  )
  constant = {k: v for k, v in first.items() if k.startswith("constant_")}
  print(json.dumps({k: round(v, 3) for k, v in constant.items()}))
  print("\n" + table(found))


def run(main) -> None:
  """Runs a benchmark's main; the user's error is one line and exit code 2."""
  try:
    main()
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
  run(main)
