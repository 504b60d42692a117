"""Files that appear under their name only when they are complete."""

import contextlib
import errno
import json
import os
import pathlib
import secrets
import time
from collections.abc import Iterator

from tdmm_jax.errors import UserError

PREFIX = ".tmp-"  # of a file's name while it is being written
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OF_WRITING = (*_FULL, errno.EIO, errno.EROFS, errno.ESTALE)  # these name no file


@contextlib.contextmanager
def then_rename(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields an empty file beside `path`, which becomes `path` if all goes well.

  For libraries that need a name to write to; `write_bytes`, `write_text` and
  `write_json` are shorter where the content is at hand. The temporary file ends like
  `path`, has the permissions that the umask leaves, and is deleted if anything is
  raised. Missing folders are made.

  Raises:
    UserError: `path` cannot be written: a full disk, a missing permission ... Any
      other exception of the block is passed on.
  """
  path = pathlib.Path(path)
  temporary = path.with_name(f"{PREFIX}{secrets.token_hex(6)}{path.suffix}")
  try:
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      temporary.open("xb").close()
    except OSError as error:
      raise _unwritable(path, error) from error
    try:
      yield temporary
      temporary.replace(path)
    except OSError as error:
      if error.filename is None:
        ours = error.errno in _OF_WRITING
      else:
        ours = os.fspath(error.filename) == str(temporary)
      if not ours:
        raise
      raise _unwritable(path, error) from error
  finally:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)


def _unwritable(path: pathlib.Path, error: OSError) -> UserError:
  full = error.errno in _FULL
  advice = "make room" if full else "choose a place that you may write to"
  return UserError(f"{path}: cannot be written ({error.strerror or error}); {advice}")


def cache_folder() -> pathlib.Path:
  """Where what can be made again is kept: $XDG_CACHE_HOME/tdmm-jax (~/.cache/...)."""
  caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
  return pathlib.Path(caches, "tdmm-jax")


def is_remote(path: str | os.PathLike) -> bool:
  """Whether it is in a bucket: gs://BUCKET/NAME."""
  return "://" in str(path)


def as_path(name: str | os.PathLike) -> pathlib.Path:
  """The path of a local file or folder, or of one in a bucket."""
  if not is_remote(name):
    return pathlib.Path(name)
  from etils import epath  # slow to import

  return epath.Path(name)


def is_folder(path: str | os.PathLike) -> bool:
  """Whether there is such a folder; in a bucket, whether anything is below the name.

  Raises:
    UserError: see `reached`.
  """
  path = as_path(path)
  if not is_remote(path):
    return path.is_dir()
  with reached(path):
    return path.exists()  # gcsfs' is_dir takes a refusal for a no


@contextlib.contextmanager
def reached(path: str | os.PathLike) -> Iterator[None]:
  """Turns what the clients of buckets raise into one line; for local paths, nothing.

  Raises:
    UserError: there is no such bucket, no permission, no client, no network ...
  """
  if not is_remote(path):
    yield
    return
  try:
    yield
  except (UserError, MemoryError):
    raise
  except ImportError as error:
    raise UserError(
      f"{path}: no client for it is installed ({error}); install gcsfs"
    ) from error
  except Exception as error:  # each client has errors of its own, of no common kind
    said = " ".join(str(error).split())[:200] or type(error).__name__
    raise UserError(
      f"{path}: cannot be reached ({said}); check the bucket's name, and that this "
      "machine's account may use it"
    ) from error


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
  """Writes a file that is never seen half-written; `path` may be gs://BUCKET/NAME.

  Raises:
    UserError: see `then_rename` and `reached`.
  """
  if is_remote(path):  # an object in a bucket is whole or not there
    with reached(path):
      as_path(path).write_bytes(data)
    return
  with then_rename(path) as temporary:
    temporary.write_bytes(data)


def write_text(path: str | os.PathLike, text: str) -> None:
  """`write_bytes` of text in UTF-8."""
  write_bytes(path, text.encode())


def write_json(path: str | os.PathLike, content) -> None:
  """`write_bytes` of JSON, indented and with a newline at the end."""
  write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def remove_leftovers(folder: str | os.PathLike, older_than_s: float = 0.0) -> None:
  """Deletes what killed processes left half-written.

  Args:
    folder: nothing else may be writing there, unless
    older_than_s: spares files that were written to within this time.
  """
  for path in pathlib.Path(folder).glob(f"{PREFIX}*"):
    with contextlib.suppress(FileNotFoundError):  # its own process was faster
      if time.time() - path.stat().st_mtime >= older_than_s:
        path.unlink()
