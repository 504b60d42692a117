"""Runs mediapipe in its own virtual environment and exchanges files with it.

`track_mediapipe.py` runs there: jobs go to its standard input, answers come back as
lines, landmarks as npz. A tracker that dies or hangs on a video costs only that video:
another process continues with the next.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent import futures

from tdmm_jax.errors import UserError

SCRIPT = pathlib.Path(__file__).with_name("track_mediapipe.py")
PYTHON_VARIABLE = "TDMM_TRACK_PYTHON"
TIMEOUT_S = 1800.0  # for one video; ten minutes of it take half as long on one core


def environment_python(python: str | None = None) -> str:
  """The interpreter that has mediapipe.

  Args:
    python: given by the user; else $TDMM_TRACK_PYTHON, else .venv-track beside the
      project or in the working directory.

  Raises:
    UserError: there is none.
  """
  given = python or os.environ.get(PYTHON_VARIABLE)
  places = [SCRIPT.parents[1], pathlib.Path.cwd()]
  found = [given] if given else [str(p / ".venv-track/bin/python") for p in places]
  for path in found:
    if os.access(path, os.X_OK):
      return os.path.abspath(path)
  raise UserError(
    f"{found[0]}: mediapipe's environment is not there; make it with `make track`, "
    f"name its python with --python or ${PYTHON_VARIABLE}, or give --landmarks"
  )


def track_videos(
  jobs, python: str, workers: int = 1, timeout_s: float = TIMEOUT_S
) -> Iterator[dict]:
  """Tracks videos; yields one answer each, in any order.

  Args:
    jobs: of (video, npz to write). The folders exist.
    python: of `environment_python`.
    workers: processes.
    timeout_s: for one video; a decoder may hang.

  Yields:
    {"out", "frames", "detected"} or {"out", "error"[, "reason"]}.

  Raises:
    UserError: the environment is broken, or the output cannot be written.
  """
  jobs = list(jobs)
  if not jobs:
    return
  _check_environment(python)
  shares = [share for i in range(workers) if (share := jobs[i::workers])]
  with futures.ThreadPoolExecutor(len(shares)) as pool:
    streams = [_Stream(python, share, timeout_s) for share in shares]
    waiting = {pool.submit(next, stream, None): stream for stream in streams}
    try:
      while waiting:
        done, _ = futures.wait(waiting, return_when=futures.FIRST_COMPLETED)
        for future in done:
          stream = waiting.pop(future)
          answer = future.result()
          if answer is None:
            continue
          if answer.get("fatal"):
            raise UserError(
              f"{answer['out']}: {answer['error']}; make room and run it again"
            )
          waiting[pool.submit(next, stream, None)] = stream
          yield answer
    finally:
      for stream in streams:
        stream.close()


def _check_environment(python: str) -> None:
  run = subprocess.run(
    [python, "-c", "import av, mediapipe, numpy"], capture_output=True, text=True
  )
  if run.returncode:
    said = (run.stderr.strip().splitlines() or ["nothing"])[-1]
    raise UserError(f"{python}: has no working mediapipe ({said}); run `make track`")


class _Stream:
  """Answers of one process; a new process after a crash."""

  def __init__(self, python: str, jobs, timeout_s: float):
    self._command = [python, str(SCRIPT)]
    self._timeout_s = timeout_s
    self._jobs = list(jobs)
    self._process = None
    self._log = None

  def __iter__(self):
    return self

  def __next__(self) -> dict:
    if not self._jobs:
      self.close()
      raise StopIteration
    video, out = self._jobs.pop(0)
    if self._process is None:
      self._start()
    line, late = "", threading.Event()

    def give_up(process):
      late.set()
      process.kill()

    timer = threading.Timer(self._timeout_s, give_up, [self._process])
    timer.start()
    try:
      job = json.dumps({"video": os.fspath(video), "out": os.fspath(out)})
      self._process.stdin.write(job + "\n")
      self._process.stdin.flush()
      line = self._process.stdout.readline()
    except BrokenPipeError:
      pass
    finally:
      timer.cancel()
    if line:
      return json.loads(line)
    said = self._last_words()
    self.close()
    answer = {"out": os.fspath(out), "reason": "died"}
    if late.is_set():
      error = f"not tracked within {self._timeout_s:g} s; cut it, or allow more time"
      return answer | {"reason": "timeout", "error": error}
    return answer | {"error": f"the tracker died on it ({said})"}

  def _start(self) -> None:
    self._log = tempfile.TemporaryFile(mode="w+", errors="replace")  # noqa: SIM115
    self._process = subprocess.Popen(
      self._command,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self._log,
      text=True,
      env={**os.environ, "OMP_NUM_THREADS": "1", "GLOG_minloglevel": "2"},
    )

  def _last_words(self) -> str:
    code = self._process.wait()
    self._log.seek(0)
    lines = self._log.read().strip().splitlines()
    return f"exit code {code}: {lines[-1] if lines else 'no message'}"

  def close(self) -> None:
    if self._process is None:
      return
    for stream in (self._process.stdin, self._process.stdout):
      with contextlib.suppress(BrokenPipeError):
        stream.close()
    if self._process.poll() is None:
      self._process.terminate()
      self._process.wait()
    self._log.close()
    self._process = None
