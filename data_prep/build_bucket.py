"""Records for a bucket: built on this machine's disk, then copied there.

What is built is kept in $XDG_CACHE_HOME/tdmm-jax/builds (~/.cache by default) until all
of it has arrived, so that the same command continues wherever it was interrupted.
"""

import hashlib
import json
import pathlib
import shutil
import sys
from collections.abc import Callable

import tqdm

from data_prep import build_shards
from tdmm_jax import files
from tdmm_jax.errors import UserError

# Last: the records can be read from then on, and are finished.
_LAST = ("dataset_info.json", build_shards.BUILD_FILE)


def build(
  remote: str, make: Callable[[pathlib.Path], dict], progress: bool = True
) -> dict:
  """Builds records and copies them into a bucket, or finishes it.

  Args:
    remote: gs://BUCKET/PATH; empty, or of the very same request.
    make: builds the records in a local folder, or continues; its stats.
    progress: whether to show a bar on stderr.

  Returns:
    what `make` returns.

  Raises:
    UserError: other records are there, or the bucket cannot be reached.
  """
  target = files.as_path(remote.rstrip("/"))
  name = hashlib.blake2b(str(target).encode(), digest_size=10).hexdigest()
  staging = files.cache_folder() / "builds" / name
  held = _held(target)
  if "stats" in held:  # `make` compares the request with its own
    shutil.rmtree(staging, ignore_errors=True)
    files.write_json(staging / build_shards.BUILD_FILE, held)
  try:
    stats = make(staging)
  except UserError as error:
    raise UserError(str(error).replace(str(staging), str(target))) from error
  if "stats" not in held:
    _copy(staging, target, held, progress)
  shutil.rmtree(staging)
  return stats


def _held(target) -> dict:
  """build.json of the bucket's folder; {} in an empty one."""
  path = target / build_shards.BUILD_FILE
  with files.reached(path):
    if path.exists():
      try:
        return json.loads(path.read_text())
      except ValueError as error:
        raise UserError(
          f"{path}: unreadable; delete {target} and build again"
        ) from error
    if target.exists():
      raise UserError(
        f"{target}: not empty and not a record directory; choose another --out"
      )
  return {}


def _copy(staging: pathlib.Path, target, held: dict, progress: bool) -> None:
  request = json.loads((staging / build_shards.BUILD_FILE).read_text())["request"]
  if held:
    build_shards.compare_requests(target, held["request"], request)
  else:
    files.write_json(target / build_shards.BUILD_FILE, {"request": request})
  names = sorted(path.name for path in staging.iterdir() if path.name not in _LAST)
  names += _LAST
  sizes = {name: (staging / name).stat().st_size for name in names}
  bar = tqdm.tqdm(
    total=sum(sizes.values()),
    desc="copying records",
    unit="B",
    unit_scale=True,
    file=sys.stderr,
    disable=not progress,
  )
  with bar:
    for name in names:
      # An object of a bucket is whole or not there, so its size tells.
      if name in _LAST or _size(target / name) != sizes[name]:
        files.write_bytes(target / name, (staging / name).read_bytes())
      bar.update(sizes[name])


def _size(path) -> int | None:
  with files.reached(path):
    return path.stat().length if path.exists() else None
