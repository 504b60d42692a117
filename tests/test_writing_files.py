"""Files are whole or not there, and whoever cannot write is told in one line."""

import errno
import io
import json
import os
import pathlib
import resource
import stat

import pytest

from tdmm_jax import files
from tdmm_jax.errors import UserError

WRITERS = {
  "bytes": lambda path: files.write_bytes(path, b"new"),
  "text": lambda path: files.write_text(path, "new"),
  "json": lambda path: files.write_json(path, {"new": 1}),
}


class Full(io.BytesIO):
  """A file on a full disk: it takes no bytes, or fails to flush them at the end."""

  def __init__(self, when):
    super().__init__()
    self.when = when

  def write(self, data):
    if self.when == "write":
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return super().write(data)

  def close(self):
    if self.when == "close" and not self.closed:
      super().close()
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    super().close()


@pytest.fixture
def umask_077():
  before = os.umask(0o077)
  yield
  os.umask(before)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("when", ["write", "close"])
def test_a_full_disk_is_one_line_and_the_old_file_stays(
  tmp_path, monkeypatch, write, when
):
  path = tmp_path / "a.json"
  path.write_text("old")
  real = pathlib.Path.open
  stand_in = lambda self, mode="r", *rest, **options: (
    Full(when) if mode == "wb" else real(self, mode, *rest, **options)
  )
  with monkeypatch.context() as patch:
    patch.setattr(pathlib.Path, "open", stand_in)
    with pytest.raises(UserError) as said:
      write(path)
  assert str(said.value) == (
    f"{path}: cannot be written (No space left on device); make room"
  )
  assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.json"]


def test_a_real_limit_on_the_size_of_files(tmp_path):
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
  try:
    with pytest.raises(UserError, match=r"a\.bin: cannot be written \(File too large"):
      files.write_bytes(tmp_path / "a.bin", bytes(5_000))
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert not os.listdir(tmp_path)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch, write):
  def refuse(self, mode="r", *_, **__):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

  # As root, whom permissions do not stop, a stand-in must do.
  with monkeypatch.context() as patch:
    patch.setattr(pathlib.Path, "open", refuse)
    with pytest.raises(UserError) as said:
      write(tmp_path / "a.json")
  assert str(said.value).startswith(f"{tmp_path / 'a.json'}: cannot be written (Perm")
  assert not os.listdir(tmp_path)


def test_a_folder_that_is_a_file_and_a_file_that_is_a_folder(tmp_path):
  (tmp_path / "file").write_text("x")
  with pytest.raises(UserError, match=r"a\.txt: cannot be written"):
    files.write_text(tmp_path / "file" / "a.txt", "new")
  (tmp_path / "folder").mkdir()
  with pytest.raises(UserError, match="folder: cannot be written"):
    files.write_text(tmp_path / "folder", "new")
  assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_the_umask_is_respected(tmp_path, umask_077):
  for name, write in WRITERS.items():
    write(tmp_path / name)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
  os.umask(0o022)
  files.write_text(tmp_path / "open", "x")
  assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o644


def test_content_and_missing_folders(tmp_path):
  path = tmp_path / "deep" / "er" / "a.json"
  files.write_json(path, {"b": [1, "é"], "a": None})
  assert list(json.loads(path.read_text())) == ["b", "a"]
  files.write_text(path, "é\n")
  assert path.read_bytes() == "é\n".encode()


def test_the_fault_of_a_block_is_its_own(tmp_path):
  path = tmp_path / "a.mp4"
  for error in (
    ValueError("bad frame"),
    FileNotFoundError(errno.ENOENT, "No such file", "other.wav"),
    ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
    KeyboardInterrupt(),
  ):
    with pytest.raises(type(error)), files.then_rename(path) as temporary:
      assert temporary.parent == tmp_path and temporary.suffix == ".mp4"
      temporary.write_text("half")
      raise error
    assert not os.listdir(tmp_path)


def test_leftovers_of_killed_processes_go(tmp_path):
  (tmp_path / f"{files.PREFIX}0123.npz").write_text("half")
  (tmp_path / "whole.npz").write_text("whole")
  files.remove_leftovers(tmp_path)
  assert os.listdir(tmp_path) == ["whole.npz"]
