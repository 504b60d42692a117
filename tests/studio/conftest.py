"""A studio that really serves, and a real browser."""

import os
import pathlib
import shutil
import threading
import time

import pytest

from tdmm_jax.studio import server


@pytest.fixture(scope="session")
def studio(loaded_run, tmp_path_factory):
  """The studio's address; it serves on a free port of this machine."""
  import uvicorn

  folder = tmp_path_factory.mktemp("studio")
  app = server.make_app(loaded_run, folder)
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
