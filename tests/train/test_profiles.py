"""A profile holds the steps that it is said to hold, and XProf reads it."""

import contextlib
import gzip
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import jax
import jax.numpy as jnp
import pytest

from tdmm_jax.train import profiles

BIN = str(pathlib.Path(sys.executable).parent)
XPROF = shutil.which("xprof", path=os.pathsep.join([BIN, os.environ["PATH"]]))


@jax.jit
def step(x):
  """Long enough for the host to be far ahead of the device."""
  return jax.lax.fori_loop(0, 40, lambda _, x: jnp.sin(x @ x), x)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """Twelve steps, of which 5 to 9 are recorded."""
  folder = tmp_path_factory.mktemp("profiled")
  profile = profiles.Profile(folder, 4)
  state = step(jnp.ones((300, 300)) / 300)
  for done in range(1, 13):
    with jax.profiler.StepTraceAnnotation("train", step_num=done):
      state = step(state)
    profile(done, state)
  profile.close()
  return folder


def recorded(trace: dict) -> list[str]:
  """Names of events; a step's is followed by its number, as XProf shows it."""
  events = [event for event in trace["traceEvents"] if event.get("ph") == "X"]
  number = lambda event: event.get("args", {}).get("step_num", "")
  return [
    f"train {number(event)}" if event["name"] == "train" else event["name"]
    for event in events
  ]


def the_five_steps(names: list[str]) -> None:
  steps = [f"train {done}" for done in range(1, 13)]
  assert [name for name in steps if name in names] == steps[4:9]
  loops = [name for name in names if name.startswith("while")]
  assert len(loops) == 5  # from begin to end, and no others


def test_the_devices_are_seen_at_the_five_steps_and_at_no_other(workdir):
  (path,) = workdir.glob("plugins/profile/*/*.trace.json.gz")
  the_five_steps(recorded(json.loads(gzip.decompress(path.read_bytes()))))


def test_a_training_that_ends_earlier_leaves_a_profile(tmp_path):
  profile = profiles.Profile(tmp_path, 1)
  profile(1, step(jnp.ones((2, 2))))
  profile.close()
  profile.close()
  assert len(list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))) == 1


@pytest.mark.skipif(
  XPROF is None, reason="no xprof; run `pip install -r requirements-xprof.txt`"
)
def test_xprof_reads_it(workdir):
  port, grpc_port = free_ports(2)
  flags = ["--logdir", str(workdir), "--port", port, "--grpc_port", grpc_port]
  with subprocess.Popen([XPROF, *flags], stderr=subprocess.DEVNULL) as server:
    try:
      ask = lambda path: answer(f"http://localhost:{port}/data/plugin/profile/{path}")
      (run,) = ask("runs")
      assert {"overview_page", "trace_viewer@"} <= set(ask(f"run_tools?run={run}"))
      (host,) = ask(f"hosts?run={run}&tag=trace_viewer@")
      of = f"run={run}&tag=trace_viewer@&host={host['hostname']}"
      the_five_steps(recorded(ask(f"data?{of}")))
    finally:
      server.terminate()


def free_ports(num: int) -> list[str]:
  with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(num)]
    for each in sockets:
      each.bind(("localhost", 0))
    return [str(each.getsockname()[1]) for each in sockets]


def answer(url: str):
  """JSON from a server that may still be starting."""
  for _ in range(600):
    try:
      with urllib.request.urlopen(url, timeout=60) as response:
        body = response.read()
        zipped = response.headers.get("Content-Encoding") == "gzip"
        return json.loads(gzip.decompress(body) if zipped else body)
    except urllib.error.URLError as error:
      if not isinstance(error.reason, ConnectionError):
        raise
      time.sleep(0.1)
  raise TimeoutError(f"{url} does not answer")
