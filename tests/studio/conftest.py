"""A studio that really serves, and a real browser."""

import contextlib
import os
import pathlib
import shutil
import threading
import time

import pytest

import tdmm_jax
from tdmm_jax.runs import locate
from tdmm_jax.studio import server


@contextlib.contextmanager
def serving(face, folder, warm: bool = False):
  """The address of a studio that serves on a free port of this machine."""
  import uvicorn

  app = server.make_app(face, folder, warm=warm)
  config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
  served = uvicorn.Server(config)
  thread = threading.Thread(target=served.run, daemon=True)
  thread.start()
  while not served.started:
    assert thread.is_alive()
    time.sleep(0.05)
  port = served.servers[0].sockets[0].getsockname()[1]
  yield f"http://127.0.0.1:{port}"
  served.should_exit = True
  thread.join(timeout=30)


@pytest.fixture(scope="session")
def studio(loaded_run, tmp_path_factory):
  with serving(loaded_run, tmp_path_factory.mktemp("studio")) as address:
    yield address


@pytest.fixture
def released_studio(tmp_path):
  """The studio with the checkpoint that comes with the package."""
  with serving(tdmm_jax.load(locate.RELEASE), tmp_path, warm=True) as address:
    yield address


@pytest.fixture
def no_face_is_live():
  """Waits for the end of all live faces in this process, each of which has a thread."""

  def wait():
    for _ in range(600):
      if all(thread.name != "sentences" for thread in threading.enumerate()):
        return
      time.sleep(0.05)
    pytest.fail("a live face goes on that no page shows")

  return wait


def chromium() -> str | None:
  """A browser to test with: TDMM_CHROMIUM, or Debian's."""
  named = os.environ.get("TDMM_CHROMIUM") or shutil.which("chromium")
  return named if named and pathlib.Path(named).exists() else None


@pytest.fixture(scope="session")
def browser():
  """Headless Chromium with a software WebGL."""
  from playwright.sync_api import sync_playwright

  path = chromium()
  if path is None:
    pytest.skip("no chromium on this machine (apt-get install chromium)")
  flags = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --use-gl=angle "
    "--use-angle=swiftshader --enable-unsafe-swiftshader --disable-component-update "
    "--disable-background-networking --disable-sync"
  )
  with sync_playwright() as play:
    opened = play.chromium.launch(executable_path=path, args=flags.split())
    yield opened
    opened.close()
