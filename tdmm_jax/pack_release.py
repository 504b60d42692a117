"""Packs a trained run as the package carries it: float16, with checksums.

  python -m tdmm_jax.pack_release --run runs/release --out tdmm_jax/release
  python -m tdmm_jax.pack_release --run runs/release --out tdmm_jax/release \
      --scores scores.json --compare runs/full/records

  python -m tdmm_jax.pack_release --restamp runs/old

`--scores`, the file that `tdmm evaluate --json` wrote, goes along, and into
MODEL_CARD.md. `--compare` also encodes clips of the valid split with the tokenizer
before and after, and prints which share of the tokens differs. `--restamp` renews the
versions of a run of before they were hashes of the head's file and of weights.
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

from tdmm_jax import errors, files, vocab
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import evaluator, tables
from tdmm_jax.face import load_model
from tdmm_jax.generate.face import Face
from tdmm_jax.language import json_pieces, wordpieces
from tdmm_jax.models import lora
from tdmm_jax.runs import checkpoints, locate, packed

MAX_BYTES = 60_000_000  # what an installation may grow by
SCORES, CARD = "scores.json", "MODEL_CARD.md"
_TEMPLATE = pathlib.Path(__file__).parent / "model_card.md.j2"
_VOCABULARY = (
  *(vocab.PIECES_FILE, json_pieces.FILE, "vocab.json"),
  *(wordpieces.FILE, wordpieces.NOTICE),
)
_FOLDERS = {"records_dir", "tokenizer_dir", "init_from", "start_from"}
_CLIPS = 64  # compared
# Versions that default_v1 had as a hash of what a processor made of it.
_OLD_HEADS = {"a881e5b84f71": "default_v1", "13eb52a40309": "default_v1"}


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
    _stamp_tokenizer(folder)  # float16 weights are others
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
  model["params"] = lora.merged(model["params"], model["collections"])
  model["collections"].pop(lora.BASE, None)
  packed.write_tensors(target / packed.TENSORS, model)
  stored = checkpoints.read_json(source / checkpoints.CONFIG_FILE)
  if "dtype" in stored["config"]["model"]:
    # Trained in bfloat16 maybe; most CPUs are slow at it.
    stored["config"]["model"]["dtype"] = "float32"
  for key in _FOLDERS & stored["config"].keys():
    folder = pathlib.PurePath(stored["config"][key])
    if folder.is_absolute():  # of the machine that trained it: nobody else's business
      stored["config"][key] = folder.name
  reader = stored["config"].get("text_encoder", "")
  if reader.startswith("hf:"):
    folder = pathlib.PurePath(reader.removeprefix("hf:"))
    stored["config"]["text_encoder"] = f"hf:{folder.name}"
  files.write_json(target / checkpoints.CONFIG_FILE, stored)
  for name in _VOCABULARY:
    if (source / name).exists():
      shutil.copyfile(source / name, target / name)
  return int(model["step"])


def _stamp_tokenizer(run_dir: pathlib.Path) -> None:
  """Tells a run's language model the version of the tokenizer that lies beside it."""
  tokenizer = checkpoints.restore_model(run_dir / locate.TOKENIZER)
  path = run_dir / locate.LANGUAGE_MODEL / checkpoints.CONFIG_FILE
  stored = checkpoints.read_json(path)
  stored["versions"]["tokenizer"] = checkpoints.weights_version(tokenizer)
  files.write_json(path, stored)


def restamp(run_dir) -> list[str]:
  """Renews the versions of a run of before; its weights stay as they are.

  Returns:
    the models that were renewed.

  Raises:
    UserError: a model was trained on another head, or its tokenizer is not the run's.
  """
  run_dir = pathlib.Path(run_dir)
  names = (locate.TOKENIZER, locate.LANGUAGE_MODEL, locate.EVALUATOR)
  parts = [name for name in names if (run_dir / name).is_dir()]
  stored = {
    name: checkpoints.read_json(run_dir / name / checkpoints.CONFIG_FILE)
    for name in parts
  }
  if locate.TOKENIZER not in stored.get(locate.TOKENIZER, {}).get("versions", {}):
    raise UserError(
      f"{run_dir}: no tokenizer with versions of before; nothing to renew"
    )
  spoken = {
    stored[name]["versions"].get("tokenizer")
    for name in parts
    if name != locate.EVALUATOR
  }
  if len(spoken) != 1:
    raise UserError(
      f"{run_dir}: its language model speaks another tokenizer; train it again"
    )
  for name in parts:
    versions = stored[name]["versions"]
    head = _OLD_HEADS.get(versions["head"])
    if head != versions["face_model"]:
      raise UserError(
        f"{run_dir / name}: trained on face model version {versions['head']}, which "
        "this program does not know; train it again"
      )
    versions["head"] = load_model.load_face_model(head).version
    if name != locate.LANGUAGE_MODEL:
      versions.pop(name)
  for name in parts:
    files.write_json(run_dir / name / checkpoints.CONFIG_FILE, stored[name])
  if locate.LANGUAGE_MODEL in parts:
    _stamp_tokenizer(run_dir)
  if packed.is_packed(run_dir / parts[0]):
    packed.write_checksums(run_dir, packed.read_checksums(run_dir)["steps"])
    if (run_dir / SCORES).exists():  # of these weights, which have other names now
      scores = checkpoints.read_json(run_dir / SCORES)
      scores["versions"] |= _versions_of(run_dir)
      files.write_json(run_dir / SCORES, scores)
    write_card(run_dir)
  return parts


def _versions_of(run_dir: pathlib.Path) -> dict[str, str]:
  """What `tdmm evaluate` says of a run's weights."""
  run = Face(run_dir)
  network = evaluator.load(run_dir / locate.EVALUATOR)
  return {
    "head": run.codec.face.version,
    "tokenizer": run.codec.version,
    "evaluator": network.versions["evaluator"],
    "run": run.version,
  }


def write_card(directory, scores: dict | None = None) -> None:
  """Writes MODEL_CARD.md of a packed run, and the scores beside it.

  Args:
    scores: of `tdmm evaluate`; without them those that lie there, if any.
  """
  directory = pathlib.Path(directory)
  if scores is not None:
    files.write_json(directory / SCORES, scores)
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
  files.write_text(directory / CARD, card)


def token_difference(run_dir, packed_dir, records_dir) -> float:
  """Share of the valid split's frames whose token is another one after packing."""
  clips = records.load_clips(records_dir, "valid", _CLIPS)
  vectors = [clip["vectors"] for clip in clips]
  before, after = (
    motion_codec.load(pathlib.Path(directory) / locate.TOKENIZER).encode_vectors(
      vectors
    )
    for directory in (run_dir, packed_dir)
  )
  return float(np.mean(np.concatenate(before) != np.concatenate(after)))


@errors.entry_point("pack_release")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m tdmm_jax.pack_release", description=__doc__.split("\n")[0]
  )
  parser.add_argument("--run", help="the trained run's directory")
  parser.add_argument("--out", help="the folder to write")
  parser.add_argument("--scores", metavar="FILE", help="of tdmm evaluate --json")
  parser.add_argument("--compare", metavar="RECORDS", help="count tokens that differ")
  parser.add_argument("--restamp", metavar="RUN", help="renew an old run's versions")
  args = parser.parse_args(argv)
  if not args.restamp and not (args.run and args.out):
    parser.error("give --run and --out, or --restamp")
  if args.restamp:
    print(json.dumps({"run": args.restamp, "renewed": restamp(args.restamp)}))
    return
  scores = checkpoints.read_json(args.scores) if args.scores else None
  content = {"out": args.out, "bytes": pack(args.run, args.out)}
  write_card(args.out, scores)
  if args.compare:
    share = token_difference(args.run, args.out, args.compare)
    content["share_of_tokens_that_differ"] = share
  print(json.dumps(content, indent=2))


if __name__ == "__main__":
  sys.exit(main())
