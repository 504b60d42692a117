"""Where trained runs are, and what they are called; nothing here needs JAX.

A run is a directory that holds tokenizer/ and lm/, as `make train` leaves it; and
evaluator/, where the network is trained that some metrics are measured with.
"""

import json
import pathlib

from tdmm_jax import files
from tdmm_jax.errors import UserError

# Folders of a run.
TOKENIZER, LANGUAGE_MODEL, EVALUATOR = "tokenizer", "lm", "evaluator"
RELEASE = "release"
RELEASE_DIR = pathlib.Path(__file__).parents[1] / RELEASE  # packaged with the library
TRAIN_DIR = pathlib.Path("runs/train")  # what `make train` leaves


def find(name=None) -> pathlib.Path:
  """The directory of a run.

  Args:
    name: "release", the checkpoint that comes with the package, or a directory, here or
      in a bucket; by default the release if there is one, else runs/train.

  Raises:
    UserError: there is no such run.
  """
  if name is None:
    if _carries_release():
      return RELEASE_DIR
    if TRAIN_DIR.is_dir():
      return TRAIN_DIR
    raise UserError(
      f"run: not given and {TRAIN_DIR} does not exist; run `make train` first, or "
      "name a run directory"
    )
  if str(name) == RELEASE and not pathlib.Path(RELEASE).is_dir():
    if not _carries_release():
      raise UserError(
        "release: this version of the package carries no trained checkpoint; run "
        f"`make train` and load {str(TRAIN_DIR)!r}, or name a run directory"
      )
    return RELEASE_DIR
  return files.as_path(name)


def _carries_release() -> bool:
  """Whether the package has a trained run, not only a folder for it."""
  return any((RELEASE_DIR / part).is_dir() for part in (TOKENIZER, LANGUAGE_MODEL))


def title(directory: pathlib.Path) -> str:
  """One line that names a run's checkpoint: steps, face model, tokenizer version."""
  try:
    stored = json.loads((directory / LANGUAGE_MODEL / "config.json").read_text())
    versions = stored["versions"]
    listing = directory / "checksums.json"  # of a packed run
    if listing.exists():
      step = json.loads(listing.read_text())["steps"][LANGUAGE_MODEL]
    else:
      folder = directory / LANGUAGE_MODEL / "checkpoints"
      step = max(int(p.name) for p in folder.iterdir() if p.name.isdigit())
    face, tokenizer = versions["face_model"], versions["tokenizer"]
  except (OSError, ValueError, KeyError):
    return f"{directory} (no trained language model)"
  return f"{directory} (language model step {step}, tokenizer {tokenizer}, {face})"
