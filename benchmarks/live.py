"""How punctual `tdmm live` is, and whether its memory stays: a soak test.

  python -m benchmarks.live --minutes N [--run DIR] [--json FILE]

Sends Live Link packets to a receiver on this machine, a process of its own, with a new
sentence every six seconds. Prints the 99th percentile of how late frames were sent, how
many were sent, dropped and received, and the process' peak memory after half a minute
and at the end. Figures mean something on a machine that does nothing else.
"""

import argparse
import json
import multiprocessing
import pathlib
import resource
import socket
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np

import tdmm_jax
from tdmm_jax import errors, files, host

EVERY_S = 6.0
SETTLED_S = 30.0  # all programs are compiled by then
SENTENCES = (
  "A woman looks very happy, nodding.",
  "He frowns angrily.",
  "She looks surprised and raises her eyebrows.",
  "A man talks, calm.",
)


def receive(ready, over, counted) -> None:
  """Counts datagrams until `over`; its port and its count go through queues."""
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
    listening.bind(("127.0.0.1", 0))
    listening.settimeout(0.5)
    ready.put(listening.getsockname()[1])
    count = 0
    while True:
      try:
        listening.recv(2048)
        count += 1
      except TimeoutError:
        if over.is_set():
          break
    counted.put(count)


def sentences(seconds: float) -> Iterator[str]:
  """One every EVERY_S, for so long."""
  stop, number = time.monotonic() + seconds, 0
  while time.monotonic() < stop:
    yield SENTENCES[number % len(SENTENCES)]
    number += 1
    time.sleep(min(EVERY_S, max(stop - time.monotonic(), 0.0)))


def peak_mb() -> float:
  """Peak resident memory of this process; Linux counts in KiB, macOS in bytes."""
  unit = 2**20 if sys.platform == "darwin" else 2**10
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(run: str | None, minutes: float) -> dict[str, float]:
  """The figures of one stream of so many minutes."""
  from tdmm_jax.live import session

  live = session.Session(tdmm_jax.load(run))
  context = multiprocessing.get_context("spawn")
  ready, counted, over = context.Queue(), context.Queue(), context.Event()
  receiver = context.Process(target=receive, args=(ready, over, counted), daemon=True)
  receiver.start()
  sender = session.connect(f"live-link://127.0.0.1:{ready.get()}", live.hear)
  late_s, early = [], {}
  settled = threading.Timer(
    min(SETTLED_S, minutes * 30), lambda: early.setdefault("mb", peak_mb())
  )
  settled.start()
  tell = lambda line: print(line, file=sys.stderr)
  cpu = time.process_time()
  loop = session.run(live, [sender], sentences(minutes * 60), tell, late=late_s.append)
  cpu = time.process_time() - cpu
  settled.join()
  over.set()
  return {
    "minutes": minutes,
    "late_p50_ms": float(np.percentile(late_s, 50) * 1e3),
    "late_p99_ms": float(np.percentile(late_s, 99) * 1e3),
    "sent": loop.sent,
    "dropped": loop.dropped,
    "received": counted.get(),
    "processor_ms_per_frame": cpu * 1e3 / loop.sent,
    "peak_mb_settled": early["mb"],
    "peak_mb_end": peak_mb(),
  }


@errors.entry_point("benchmarks.live")
def main(argv: list[str] | None = None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks.live", description=__doc__.partition("\n")[0]
  )
  parser.add_argument("--minutes", type=float, default=10.0, help="(default: 10)")
  parser.add_argument("--run", help="run directory (default: as tdmm's)")
  parser.add_argument("--json", type=pathlib.Path, help="also write the figures here")
  args = parser.parse_args(argv)
  if not 0.1 <= args.minutes <= 24 * 60:
    raise errors.UserError(f"--minutes {args.minutes:g}: give 0.1 to 1440")
  host.one_device_a_core()
  figures = measure(args.run, args.minutes)
  for name, value in figures.items():
    print(
      f"{name:24} {value:.4g}" if isinstance(value, float) else f"{name:24} {value}"
    )
  if args.json:
    files.write_text(args.json, json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
  sys.exit(main())
