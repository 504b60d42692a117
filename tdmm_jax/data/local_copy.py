"""Records of a bucket, copied once to local disk: array_record reads local files alone.

The bucket is reached through etils.epath: TensorFlow's client where TensorFlow is
installed, else gcsfs.
"""

import hashlib
import pathlib
import shutil
import sys
from collections.abc import Sequence

import tqdm
from etils import epath

from tdmm_jax import files
from tdmm_jax.errors import UserError

_BLOCK_BYTES = 16 * 2**20
_SPARE_BYTES = 2**30  # of the disk, left free


def folder(remote) -> pathlib.Path:
  """Where the copy of a remote folder lies: $XDG_CACHE_HOME/tdmm-jax/records/..."""
  name = hashlib.blake2b(str(remote).rstrip("/").encode(), digest_size=10).hexdigest()
  return files.cache_folder() / "records" / name


def fetch(remote, names: Sequence[str]) -> pathlib.Path:
  """Copies files of a remote folder that the local one lacks; returns the local one.

  A file counts as there if it is as large as the remote one and was copied after that
  was written. It gets its name when it is whole, so that processes of one machine may
  copy at once, and an interrupted copy is continued with the next file.

  Raises:
    UserError: the bucket cannot be reached, lacks a file, or the disk has no room.
  """
  source, target = epath.Path(remote), folder(remote)
  missing = {}
  for name in names:
    with files.reached(source / name):
      if not (source / name).exists():
        raise UserError(f"{source / name}: missing; build the records again")
      stat = (source / name).stat()
    if not _is_copy(target / name, stat):
      missing[name] = stat.length
  if not missing:
    return target
  try:
    target.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(
      f"{target}: cannot be made ({error.strerror}); set XDG_CACHE_HOME to a folder "
      "that you may write to"
    ) from error
  free, needed = shutil.disk_usage(target).free, sum(missing.values())
  if free < needed + _SPARE_BYTES:
    raise UserError(
      f"{target}: the copy of {remote} needs {needed / 2**30:.1f} GiB (and 1 GiB "
      f"spare), {free / 2**30:.1f} GiB are free; make room, or set XDG_CACHE_HOME to a "
      "folder on a larger disk"
    )
  bar = tqdm.tqdm(
    total=needed,
    desc="copying records",
    unit="B",
    unit_scale=True,
    file=sys.stderr,
    disable=needed < _BLOCK_BYTES,
  )
  with bar:
    for name, length in missing.items():
      _copy(source / name, target / name, length, bar)
  return target


def _is_copy(path: pathlib.Path, stat) -> bool:
  if not path.exists():
    return False
  here = path.stat()
  return here.st_size == stat.length and here.st_mtime >= (stat.mtime or 0)


def _copy(source, target: pathlib.Path, length: int, bar) -> None:
  with files.then_rename(target) as temporary:
    with files.reached(source):
      reader = source.open("rb")
    with reader, temporary.open("wb") as writer:
      while True:
        with files.reached(source):
          block = reader.read(_BLOCK_BYTES)
        if not block:
          break
        writer.write(block)
        bar.update(len(block))
    copied = temporary.stat().st_size
    if copied != length:
      raise UserError(
        f"{source}: {copied} of {length} bytes arrived; run the same command again"
      )
