"""What the machine and its users do to the command: full disks, Ctrl-C, bombs.

  python -m benchmarks.faults [--run DIR] [--only NAME] [--json FILE]

Each case runs `tdmm` as a process of its own. None may end in a traceback, leave a file
half-written, or take 2 GB of memory. Prints a line for each; exit code 1 if one fails.
"""

import argparse
import ctypes
import dataclasses
import io
import json
import os
import pathlib
import pickle
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable

import numpy as np

from tdmm_jax import files
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.runs import locate

MOST_MB = 2048
MOMENTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of a command's whole time: when Ctrl-C comes
_PR_CAPBSET_DROP, _OVERRIDES = 24, (1, 2)  # Linux: CAP_DAC_OVERRIDE, _READ_SEARCH
_TDMM = [sys.executable, "-m", "tdmm_jax.cli"]
_TIMEOUT_S = 1800
_SAMPLED_S = 0.02


@dataclasses.dataclass
class Ending:
  """How a command ended: exit code, stderr, seconds, and its greatest memory."""

  code: int
  said: str
  seconds: float
  peak_mb: float


@dataclasses.dataclass
class Verdict:
  """A case's name, what was wrong (nothing is right), and its longest ending."""

  name: str
  faults: list[str]
  seconds: float = 0.0
  peak_mb: float = 0.0


def command(
  arguments, interrupt_s: float | None = None, before=None, env=None
) -> Ending:
  """Runs `tdmm` with these arguments.

  Args:
    arguments: of the command.
    interrupt_s: when to send SIGINT, if at all.
    before: called in the child, before the command.
    env: more environment variables.
  """
  start = time.monotonic()
  with tempfile.TemporaryFile() as heard:
    process = subprocess.Popen(
      [*_TDMM, *map(str, arguments)],
      stdout=subprocess.DEVNULL,
      stderr=heard,
      preexec_fn=before,
      env={**os.environ, **(env or {})},
    )
    timer = threading.Timer(interrupt_s or 0, os.kill, (process.pid, signal.SIGINT))
    if interrupt_s is not None:
      timer.start()
    peak_mb = 0.0
    while process.poll() is None:
      peak_mb = max(peak_mb, _peak_mb(process.pid))
      time.sleep(_SAMPLED_S)
    timer.cancel()
    heard.seek(0)
    said = heard.read().decode(errors="replace")
  seconds = time.monotonic() - start
  return Ending(process.returncode, said, seconds, peak_mb)


def _peak_mb(pid: int) -> float:
  """A process's greatest memory so far; 0 where the system does not say.

  wait4's ru_maxrss is no measure: it counts this process, too, out of the fork.
  """
  try:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
  except OSError:
    return 0.0
  found = re.search(r"VmHWM:\s+(\d+) kB", status)
  return int(found[1]) / 1024 if found else 0.0


def judge(
  name: str, endings, codes=(2,), folder: pathlib.Path | None = None, whole=()
) -> Verdict:
  """What is wrong with how commands ended.

  Args:
    name: of the case.
    endings: of its commands.
    codes: exit codes that are right.
    folder: where nothing half-written may lie.
    whole: files that must be there and be readable motions.
  """
  faults = []
  for ending in endings:
    if ending.code not in codes:
      last = (ending.said.strip().splitlines() or ["nothing"])[-1]
      faults.append(f"exit code {ending.code} ({last[:120]})")
    if "Traceback" in ending.said:
      faults.append("a traceback")
    if ending.peak_mb > MOST_MB:
      faults.append(f"{ending.peak_mb:.0f} MB")
    if ending.code == 2 and len(_errors(ending.said)) != 1:
      faults.append(f"{len(_errors(ending.said))} lines of error")
  if folder is not None:
    left = [path.name for path in folder.rglob(f"{files.PREFIX}*")]
    faults += [f"{name} is left" for name in left]
    for path in folder.rglob("*.npz"):
      try:
        motion_lib.load_npz(path)
      except Exception as error:
        faults.append(f"{path.name} is half-written ({error})")
  faults += [f"{path.name} is not there" for path in whole if not path.exists()]
  return Verdict(
    name,
    faults,
    max((ending.seconds for ending in endings), default=0.0),
    max((ending.peak_mb for ending in endings), default=0.0),
  )


def _errors(said: str) -> list[str]:
  return [line for line in said.splitlines() if line.startswith("tdmm: error:")]


def _small_disk():
  """Files end after 4 KB, as on a disk that is full."""
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def full_disk(run, folder) -> Verdict:
  source = _motion(folder / "long.npz", 250)
  (folder / "out").mkdir()
  env = {"TDMM_COMPILATION_CACHE": "off"}  # a cache that is full is another matter
  endings = [
    command(["export", source, "-o", folder / "out" / name], None, _small_disk, env)
    for name in ("a.npz", "a.glb", "a.csv", "a.obj", "a.usda")
  ]
  endings += [
    command(["render", source, "-o", folder / "out" / "a.mp4"], None, _small_disk, env),
    command(
      ["cut", source, "--frames", "0-200", "-o", folder / "out" / "b.npz"],
      *(None, _small_disk, env),
    ),
  ]
  return judge("full disk", endings, (2,), folder / "out")


def _as_others():
  """Root keeps to the permissions of files: takes them from what it may execute."""
  for capability in _OVERRIDES:
    ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def read_only(run, folder) -> Verdict:
  source = _motion(folder / "a.npz")
  shut = folder / "shut"
  shut.mkdir()
  shut.chmod(0o555)
  before = _as_others if os.geteuid() == 0 else None
  env = {"TDMM_COMPILATION_CACHE": "off", "HOME": str(folder)}
  endings = [
    command(["export", source, "-o", shut / "a.csv"], None, before, env),
    command(
      ["cut", source, "--frames", "0-9", "-o", shut / "a.npz"], None, before, env
    ),
  ]
  return judge("read-only folder", endings, (2,), shut)


def header_bombs(run, folder) -> Verdict:
  """A few bytes that ask for terabytes, of every container that is read."""
  bombs = folder / "bombs"
  bombs.mkdir()
  header = np.lib.format.magic(1, 0)
  text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 8), }"
  text = text.ljust(117) + b"\n"
  npy = header + struct.pack("<H", len(text)) + text
  (bombs / "a.npy").write_bytes(npy)
  with zipfile.ZipFile(bombs / "a.npz", "w") as archive:
    archive.writestr("expression.npy", npy)
  with zipfile.ZipFile(bombs / "zeros.npz", "w", zipfile.ZIP_DEFLATED) as archive:
    stream = io.BytesIO()
    np.save(stream, np.zeros((1, 50)))
    with archive.open("expression.npy", "w", force_zip64=True) as member:
      for _ in range(3 << 10):
        member.write(bytes(1 << 20))
  shape = (10**12, 50)
  state = (1, shape, np.dtype("f8"), False, b"")
  (bombs / "a.pkl").write_bytes(pickle.dumps({"expression": _Lying(state)}))
  (bombs / "bytes.pkl").write_bytes(b"\x80\x05\x96" + struct.pack("<Q", 10**13) + b".")
  document = json.dumps(
    {
      "asset": {"version": "2.0", "extras": {"tdmm": {"face_model": "default_v2"}}},
      "meshes": [{"extras": {"targetNames": []}, "weights": []}],
      "animations": [{"channels": [{"sampler": 0, "target": {"node": 0}}],
                      "samplers": [{"output": 0}]}],
      "accessors": [{"bufferView": 0, "type": "VEC4", "count": 10**12}],
      "bufferViews": [{"byteOffset": 0}],
    }
  ).encode()  # fmt: skip
  document += b" " * (-len(document) % 4)
  length = 20 + len(document)
  glb = struct.pack("<4sIII4s", b"glTF", 2, length, len(document), b"JSON") + document
  (bombs / "a.glb").write_bytes(glb)
  endings = [
    command(["cut", bomb, "--frames", "0-9", "-o", folder / "out.npz"])
    for bomb in sorted(bombs.iterdir())
  ]
  return judge("header bombs", endings, (2,))


class _Lying:
  """Pickles as an array of any shape, whatever it holds."""

  def __init__(self, state):
    self.state = state

  def __reduce__(self):
    rebuild, arguments, _ = np.zeros(0).__reduce__()
    return rebuild, arguments, self.state


def interrupts(run, folder) -> Verdict:
  """Ctrl-C at five moments of generating."""
  ask = ["generate", "She smiles, then nods.", "--num", 20, "--run", run, "--out"]
  whole = command([*ask, folder / "whole"])
  endings = [
    command([*ask, folder / f"cut{i}"], share * whole.seconds)
    for i, share in enumerate(MOMENTS)
  ]
  # -SIGINT is 130 to a shell: CPython ends so where the interrupt met an exec.
  codes = (0, 130, -signal.SIGINT)
  verdict = judge("Ctrl-C at five moments", endings, codes, folder)
  verdict.faults += judge("", [whole], (0,)).faults
  return verdict


def two_writers(run, folder) -> Verdict:
  """Two commands write the same files at once."""
  source, out = _motion(folder / "a.npz", 250), folder / "out"
  ask = [*_TDMM, "cut", str(source), "--frames", "0-200", "-o", str(out / "b.npz")]
  heard = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
  processes = [subprocess.Popen(ask, **heard) for _ in range(2)]
  endings = []
  for process in processes:
    said = process.communicate(timeout=_TIMEOUT_S)[1].decode()
    endings.append(Ending(process.returncode, said, 0.0, 0.0))
  return judge("two writers", endings, (0,), out, [out / "b.npz"])


def many_variants(run, folder) -> Verdict:
  """A hundred million of everything that can be counted."""
  source, most = _motion(folder / "a.npz"), 10**8
  ask = ["generate", "She smiles.", "--run", run, "--out", folder / "out"]
  endings = [
    command([*ask, "--num", most]),
    command([*ask, "--takes", most]),
    command([*ask, "--seconds", most]),
    command(["describe", source, "--run", run, "--beams", most]),
    command(["render", source, "-o", folder / "a.mp4", "--size", most]),
    command(["render", source, "-o", folder / "a.png", "--frames", most]),
  ]
  return judge("a hundred million variants", endings, (2,), folder)


def ten_minutes(run, folder) -> Verdict:
  """600 s: a motion of that length is read, described and written."""
  source = _motion(folder / "a.npz", 15_000)
  endings = [
    command(["describe", source, "--run", run]),
    command(["encode", source, "--run", run, "-o", folder / "a.json"]),
    command(["export", source, "-o", folder / "a.csv"]),
    command(["export", source, "-o", folder / "a.glb"]),
    command(["render", source, "-o", folder / "a.png"]),
    command(["cut", source, "--frames", "100-14900", "-o", folder / "b.npz"]),
  ]
  written = [folder / name for name in ("b.npz", "a.csv", "a.glb", "a.png")]
  return judge("600 s", endings, (0,), folder, written)


def unicode(run, folder) -> Verdict:
  """Names and prompts of all the world."""
  odd = folder / "лицо 😀 وجه\u0301"
  odd.mkdir()
  source = _motion(odd / "take.01 (копия).npz")
  prompt = "她微笑 😀 ‮elims‬ e\u0301 \x07 She smiles."
  endings = [
    command(["cut", source, "--frames", "0-9", "-o", odd / "日本.02.npz"]),
    command(
      ["render", source, "-o", odd / "ビデオ.mp4", "--size", 64, "--caption", prompt]
    ),
    command(["generate", prompt, "--seconds", 0.4, "--run", run, "--out", odd / "out"]),
  ]
  whole = [odd / "日本.02.npz", odd / "ビデオ.mp4", odd / "out" / "motion.npz"]
  return judge("unicode", endings, (0,), folder, whole)


CASES: dict[str, Callable] = {
  case.__name__: case
  for case in (
    *(full_disk, read_only, header_bombs, interrupts, two_writers),
    *(many_variants, ten_minutes, unicode),
  )
}


def _motion(path, num_frames: int = 25) -> pathlib.Path:
  """A face that does something, so that its file does not fit on a full disk."""
  rng = np.random.default_rng(0)
  clip = motion_lib.zeros(num_frames)
  moved = np.cumsum(rng.normal(size=clip.expression.shape), axis=0)
  motion_lib.save_motion(path, clip.replace(expression=np.tanh(moved / 9)))
  return path


def main(argv=None) -> int:
  parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
  parser.add_argument("--run", help="run directory (default: the release)")
  parser.add_argument("--only", choices=sorted(CASES), action="append")
  parser.add_argument("--json", metavar="FILE", help="write the verdicts there")
  args = parser.parse_args(argv)
  run = pathlib.Path(args.run or locate.find()).resolve()
  verdicts = []
  for name in args.only or CASES:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tdmm-faults-"))
    try:
      verdict = CASES[name](run, folder)
    finally:
      (folder / "shut").exists() and (folder / "shut").chmod(0o755)
      shutil.rmtree(folder)
    verdicts.append(verdict)
    said = "; ".join(verdict.faults) or "well"
    peak = f"{verdict.peak_mb:5.0f} MB" if verdict.peak_mb else ""
    print(f"{verdict.name:28} {verdict.seconds:6.1f} s {peak:9} {said}", flush=True)
  if args.json:
    files.write_json(args.json, [dataclasses.asdict(v) for v in verdicts])
  return 1 if any(verdict.faults for verdict in verdicts) else 0


if __name__ == "__main__":
  sys.exit(main())
