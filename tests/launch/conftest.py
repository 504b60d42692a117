"""A gcloud whose slices are folders and whose workers are local processes."""

import os
import pathlib
import stat
import sys

import pytest
import tiny


def _script(path: pathlib.Path, text: str) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
  """A gcloud of two local workers on PATH; on theirs, an uv that installs nothing."""
  root = tmp_path / "cloud"
  root.mkdir()
  gcloud = tiny.REPO / "tests" / "launch" / "stand_in_gcloud.py"
  _script(
    tmp_path / "bin" / "gcloud", f'#!/bin/sh\nexec {sys.executable} {gcloud} "$@"\n'
  )
  python = f'#!/bin/sh\\nexec {sys.executable} "$@"\\n'
  _script(
    tmp_path / "worker_bin" / "uv",
    f"""#!/bin/sh
echo "uv $@" >> $HOME/uv.txt
if [ "$1" = venv ]; then
  for last; do :; done
  mkdir -p $last/bin && printf '{python}' > $last/bin/python
  chmod +x $last/bin/python
fi
""",
  )
  monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
  monkeypatch.setenv("STAND_IN", str(root))
  monkeypatch.setenv("STAND_IN_WORKERS", "2")
  monkeypatch.setenv("STAND_IN_PATH", str(tmp_path / "worker_bin"))
  return root
