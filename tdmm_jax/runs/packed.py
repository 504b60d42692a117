"""The form in which the package carries a trained run: small files with checksums.

  DIR/checksums.json              SHA-256 and number of updates, verified on load
  DIR/tokenizer|lm|evaluator/
    config.json                   as training wrote it
    model.safetensors             parameters and collections, without the optimiser
    spiece.model, vocab.json      where there is a vocabulary

Parameters are float16, and float32 again in memory; what decides which code a frame
gets is kept as it was, see `_KEPT`. A pretrained text encoder's matrices are int8.
`python -m tdmm_jax.pack_release` writes it.
"""

import hashlib
import json

import numpy as np
import safetensors
import safetensors.numpy
from etils import epath

from tdmm_jax import files
from tdmm_jax.errors import UserError

CHECKSUMS, TENSORS = "checksums.json", "model.safetensors"
FORMAT_VERSION = 1
# Kept float32: the normalisation of motions and geometry, codebooks (collections), and
# the linear paths of the tokenizer. All are small.
_KEPT = ("collections/", "params/linear_")
# A text encoder has more parameters than all else: its matrices are whole numbers, with
# a scale for each row (of tables) or column (of kernels), in an array of its own.
_ROUNDED = ("collections/text_encoder/", "params/text_encoder/")
_SCALE = ":scale"
_MEND = "install the package again, or pack the run again (tdmm_jax.pack_release)"


def is_packed(workdir) -> bool:
  """Whether a model's folder is of this form."""
  workdir = epath.Path(workdir)
  if (workdir / TENSORS).exists():
    return True
  # A file that is missing must not make it look like a folder with nothing in it.
  listing = workdir.parent / CHECKSUMS
  return listing.exists() and f'"{workdir.name}/' in listing.read_text()


def read_checksums(directory) -> dict:
  """checksums.json of a packed run: {"format_version", "steps", "sha256"}.

  Raises:
    UserError: missing, damaged, or of another format.
  """
  path = epath.Path(directory) / CHECKSUMS
  try:
    content = json.loads(path.read_text())
    version, _, _ = content["format_version"], content["steps"], content["sha256"]
  except FileNotFoundError as error:
    raise UserError(f"{path}: missing; {_MEND}") from error
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(f"{path}: damaged; {_MEND}") from error
  if version != FORMAT_VERSION:
    raise UserError(
      f"{path}: of format {version}, this program reads {FORMAT_VERSION}; install the "
      "package again"
    )
  return content


def verify(workdir) -> None:
  """Compares a model's folder with the checksums beside it.

  Raises:
    UserError: names the first file that is missing or has changed.
  """
  workdir = epath.Path(workdir)
  expected = {
    name: digest
    for name, digest in read_checksums(workdir.parent)["sha256"].items()
    if name.startswith(f"{workdir.name}/")
  }
  if not expected:
    raise UserError(f"{workdir.parent / CHECKSUMS}: no '{workdir.name}' in it; {_MEND}")
  for name, digest in sorted(expected.items()):
    path = workdir.parent / name
    if not path.exists():
      raise UserError(f"{path}: missing; {_MEND}")
    if _sha256(path) != digest:
      raise UserError(f"{path}: damaged (not its SHA-256); {_MEND}")


def _sha256(path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()


def read(workdir) -> tuple[int, dict]:
  """Its number of updates, and {"params", "collections"} in float32 numpy.

  Raises:
    UserError: a file is damaged or missing.
  """
  workdir = epath.Path(workdir)
  try:
    flat = safetensors.numpy.load((workdir / TENSORS).read_bytes())
  except safetensors.SafetensorError as error:
    raise UserError(f"{workdir / TENSORS}: damaged ({error}); {_MEND}") from error
  tree = {"params": {}, "collections": {}}
  for name, value in flat.items():
    *folders, last = name.split("/")
    branch = tree
    for folder in folders:
      branch = branch.setdefault(folder, {})
    if last.endswith(_SCALE):
      continue
    if value.dtype == np.int8:
      value = value * flat[name + _SCALE]
    branch[last] = value.astype(np.float32) if value.dtype == np.float16 else value
  return read_checksums(workdir.parent)["steps"][workdir.name], tree


def write_tensors(path, model: dict) -> None:
  """Writes {"params", "collections"} of arrays as one file.

  Raises:
    ValueError: a parameter is too large for float16.
  """
  flat = {}
  parts = {name: model[name] for name in ("params", "collections")}
  for name, value in _flat(parts):
    value = np.asarray(value, order="C")  # 0-d stays 0-d
    if name.startswith(_ROUNDED):
      if value.ndim > 1:
        axis = 0 if name.endswith("/kernel") else -1
        value, flat[name + _SCALE] = quantized(value, axis)
      flat[name] = value
      continue
    if value.dtype == np.float32 and not name.startswith(_KEPT):
      if np.abs(value).max() > np.finfo(np.float16).max:
        raise ValueError(f"{name}: {np.abs(value).max():g} is too large for float16")
      value = value.astype(np.float16)
    flat[name] = value
  files.write_bytes(path, safetensors.numpy.save(flat))


def quantized(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
  """(int8, float32 scale) whose product is `values` to half a scale.

  Args:
    axis: along which numbers share a scale.
  """
  scale = np.abs(values).max(axis=axis, keepdims=True) / 127
  scale = np.where(scale > 0, scale, 1).astype(np.float32)
  return np.rint(values / scale).astype(np.int8), scale


def _flat(tree, prefix: str = ""):
  """(path, array) of every leaf."""
  for key, value in tree.items():
    if isinstance(value, dict):
      yield from _flat(value, f"{prefix}{key}/")
    else:
      yield prefix + key, np.asarray(value)


def write_checksums(directory, steps: dict[str, int]) -> None:
  """Writes checksums.json of all files in the folders that `steps` names."""
  directory = epath.Path(directory)
  digests = {
    f"{folder}/{path.name}": _sha256(path)
    for folder in sorted(steps)
    for path in sorted((directory / folder).iterdir())
    if not path.is_dir()  # of a tokenizer's: the codes of corpora
  }
  content = {"format_version": FORMAT_VERSION, "steps": steps, "sha256": digests}
  files.write_json(directory / CHECKSUMS, content)
