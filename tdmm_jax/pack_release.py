"""Packs a trained run as the package carries it: float16, with checksums.

  python -m tdmm_jax.pack_release --run runs/release --out tdmm_jax/release
  python -m tdmm_jax.pack_release --run runs/release --out tdmm_jax/release \
      --scores scores.json --compare runs/full/records

`--scores`, the file that `tdmm evaluate --json` wrote, goes along, and into
MODEL_CARD.md. `--compare` also encodes clips of the valid split with the tokenizer
before and after, and prints which share of the tokens differs.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

import jinja2
import numpy as np
from safetensors.numpy import load_file

from tdmm_jax.codec import motion_codec
from tdmm_jax.errors import UserError
from tdmm_jax.runs import checkpoints, locate, packed

MAX_BYTES = 40_000_000  # what an installation may grow by
SCORES, CARD = "scores.json", "MODEL_CARD.md"
_TEMPLATE = pathlib.Path(__file__).parent / "model_card.md.j2"
_VOCABULARY = ("spiece.model", "vocab.json")
_FOLDERS = {"records_dir", "tokenizer_dir", "init_from"}
_CLIPS = 64  # compared


def pack(run_dir, out_dir) -> int:
  """Writes a run's tokenizer, language model and (if it has one) evaluator network.

  What else is in `out_dir` (a model card, scores) stays.

  Returns:
    bytes of all files.

  Raises:
    UserError: the run is not whole, or too large.
  """
  run_dir, out_dir = pathlib.Path(run_dir), pathlib.Path(out_dir)
  out_dir.mkdir(parents=True, exist_ok=True)
  steps = {}
  # Beside the final place, so that renaming works; nothing half-packed has its name.
  with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix="packing") as folder:
    folder = pathlib.Path(folder)
    for part in (locate.TOKENIZER, locate.LANGUAGE_MODEL, locate.EVALUATOR):
      if part == locate.EVALUATOR and not (run_dir / part).is_dir():
        continue
      steps[part] = _pack_part(run_dir / part, folder / part)
    packed.write_checksums(folder, steps)
    total = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    if total > MAX_BYTES:
      raise UserError(
        f"{run_dir}: {total / 1e6:.1f} MB packed, the limit is {MAX_BYTES / 1e6:g}; "
        "train smaller models"
      )
    for part in (locate.TOKENIZER, locate.LANGUAGE_MODEL, locate.EVALUATOR):
      shutil.rmtree(out_dir / part, ignore_errors=True)
    for path in folder.iterdir():
      path.replace(out_dir / path.name)
  return total


def _pack_part(source: pathlib.Path, target: pathlib.Path) -> int:
  """Packs one model; the number of its updates."""
  target.mkdir()
  model = checkpoints.restore_model(source)
  packed.write_tensors(target / packed.TENSORS, model)
  stored = checkpoints.read_json(source / checkpoints.CONFIG_FILE)
  if "dtype" in stored["config"]["model"]:
    # Trained in bfloat16 maybe; most CPUs are slow at it.
    stored["config"]["model"]["dtype"] = "float32"
  for key in _FOLDERS & stored["config"].keys():
    folder = pathlib.PurePath(stored["config"][key])
    if folder.is_absolute():  # of the machine that trained it: nobody else's business
      stored["config"][key] = folder.name
  checkpoints.write_json(target / checkpoints.CONFIG_FILE, stored)
  for name in _VOCABULARY:
    if (source / name).exists():
      shutil.copyfile(source / name, target / name)
  return int(model["step"])


def write_card(directory, scores: dict | None = None) -> None:
  """Writes MODEL_CARD.md of a packed run, and the scores beside it.

  Args:
    scores: of `tdmm evaluate`; without them those that lie there, if any.
  """
  from tdmm_jax.evaluation import tables

  directory = pathlib.Path(directory)
  if scores is not None:
    checkpoints.write_json(directory / SCORES, scores)
  elif (directory / SCORES).exists():
    scores = checkpoints.read_json(directory / SCORES)
  held = packed.read_checksums(directory)
  sizes = [(directory / name).stat().st_size for name in held["sha256"]]
  params = lambda part: sum(
    x.size
    for name, x in load_file(directory / part / packed.TENSORS).items()
    if name.startswith("params/")
  )
  stored = checkpoints.read_json(directory / locate.LANGUAGE_MODEL / "config.json")
  shown = ""
  if scores is not None:
    text = tables.markdown(scores, "release", "the full corpus")
    shown = text.split("\n", 2)[2].replace("\n## ", "\n### ").strip()
  template = jinja2.Template(_TEMPLATE.read_text(), keep_trailing_newline=True)
  card = template.render(
    counts={part: f"{params(part) / 1e6:.1f} million" for part in held["steps"]},
    steps=held["steps"],
    megabytes=f"{sum(sizes) / 1e6:.1f}",
    versions=stored["versions"],
    seconds=f"{stored['config']['max_frames'] / 25:g}",
    scores=shown,
  )
  (directory / CARD).write_text(card)


def token_difference(run_dir, packed_dir, records_dir) -> float:
  """Share of the valid split's frames whose token is another one after packing."""
  from tdmm_jax.data import records

  split = records.open_split(records_dir, "valid")
  vectors = [records.to_clip(split[i])["vectors"] for i in range(len(split))[:_CLIPS]]
  before, after = (
    motion_codec.load(pathlib.Path(directory) / locate.TOKENIZER).encode_vectors(
      vectors
    )
    for directory in (run_dir, packed_dir)
  )
  return float(np.mean(np.concatenate(before) != np.concatenate(after)))


def main(argv=None) -> int:
  parser = argparse.ArgumentParser(
    prog="python -m tdmm_jax.pack_release", description=__doc__.split("\n")[0]
  )
  parser.add_argument("--run", required=True, help="the trained run's directory")
  parser.add_argument("--out", required=True, help="the folder to write")
  parser.add_argument("--scores", metavar="FILE", help="of tdmm evaluate --json")
  parser.add_argument("--compare", metavar="RECORDS", help="count tokens that differ")
  args = parser.parse_args(argv)
  try:
    scores = checkpoints.read_json(args.scores) if args.scores else None
    content = {"out": args.out, "bytes": pack(args.run, args.out)}
    write_card(args.out, scores)
    if args.compare:
      share = token_difference(args.run, args.out, args.compare)
      content["share_of_tokens_that_differ"] = share
  except UserError as error:
    print(f"pack_release: error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2
  except OSError as error:
    print(f"pack_release: error: {error}; choose another --out", file=sys.stderr)
    return 2
  print(json.dumps(content, indent=2))
  return 0


if __name__ == "__main__":
  sys.exit(main())
