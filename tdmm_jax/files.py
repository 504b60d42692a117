"""Files that appear under their name only when they are complete."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def then_rename(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a temporary name in `path`'s folder; it becomes `path` if all goes well.

  The temporary file has the suffix of `path`, and is deleted if anything is raised.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  handle, name = tempfile.mkstemp(
    suffix=path.suffix, prefix=f".{path.stem}.", dir=path.parent
  )
  os.close(handle)
  temporary = pathlib.Path(name)
  try:
    yield temporary
    temporary.chmod(0o644)
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)
