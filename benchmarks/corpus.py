"""How long a corpus takes to build, to read back, and whether kills leave a trace.

  python -m benchmarks.corpus --corpus full --out DIR              # build, then read
  python -m benchmarks.corpus --corpus full --out DIR --kills 3    # kill, then compare

Prints one JSON document. Peak memory is that of all processes of the build together
(proportional set size, sampled). Reading is decoded records per second of processor
time of one process, median of rounds; `tfds_records_per_s` is TFDS' own data source,
in turns with it. With `--kills`, another build of the same corpus is killed (SIGKILL,
the main process alone) at that many random moments, run to its end, and compared with
DIR by the digest of its sorted records, file by file, and by the names of its files.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

import numpy as np

from data_prep import build, build_shards

ROUNDS, RECORDS_A_ROUND = 15, 1_000


def start(corpus: str, out: pathlib.Path) -> subprocess.Popen:
  arguments = ["-m", "data_prep.build", "--corpus", corpus, "--out", str(out)]
  return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)


def memory_bytes(pid: int) -> int:
  """Proportional set size of the process and its descendants."""
  total, waiting = 0, [pid]
  while waiting:
    folder = pathlib.Path("/proc") / str(waiting.pop())
    try:
      lines = (folder / "smaps_rollup").read_text().splitlines()
      total += next(int(x.split()[1]) for x in lines if x.startswith("Pss:")) * 1024
      for children in folder.glob("task/*/children"):
        waiting += [int(child) for child in children.read_text().split()]
    except (OSError, StopIteration):
      continue  # it has just ended
  return total


def build_measured(corpus: str, out: pathlib.Path) -> dict:
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  begun, peak = time.monotonic(), 0
  process = start(corpus, out)
  while process.poll() is None:
    peak = max(peak, memory_bytes(process.pid))
    time.sleep(0.5)
  seconds = time.monotonic() - begun
  if process.returncode:
    raise SystemExit(f"{out}: the build failed")
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
  stats = stats_of(out)
  return {
    "clips": stats["clips"],
    "hours": stats["hours"],
    "build_s": round(seconds, 1),
    "build_cpu_s": round(cpu_s, 1),
    "clips_per_s": round(stats["clips"] / seconds, 1),
    "peak_memory_gb": round(peak / 1e9, 2),
    "gigabytes": round(stats["bytes"] / 1e9, 2),
  }


def stats_of(out: pathlib.Path) -> dict:
  return json.loads((out / build_shards.BUILD_FILE).read_text())["stats"]


def rate(source, picks) -> float:
  begun = time.process_time()
  for i in picks:
    source[i]
  return len(picks) / (time.process_time() - begun)


def reading(out: pathlib.Path) -> dict:
  """Records per second of processor time, ours and TFDS', in random order."""
  import tensorflow_datasets as tfds

  from tdmm_jax.data import records

  ours = records.open_split(out, "train")
  peer = tfds.builder_from_directory(out).as_data_source("train")
  rng = np.random.default_rng(0)
  rates: dict[str, list[float]] = {"records_per_s": [], "tfds_records_per_s": []}
  for _ in range(ROUNDS):
    picks = rng.integers(0, len(ours), RECORDS_A_ROUND).tolist()
    rates["records_per_s"].append(rate(ours, picks))
    rates["tfds_records_per_s"].append(rate(peer, picks[: RECORDS_A_ROUND // 5]))
  if "tensorflow" in sys.modules:
    raise SystemExit("TensorFlow was imported")
  return {name: round(statistics.median(values)) for name, values in rates.items()}


def finished_shards(out: pathlib.Path) -> list[str]:
  return sorted(p.name for p in out.glob("*.array_record-?????-of-?????"))


def kill_and_compare(corpus: str, whole: pathlib.Path, kills: int) -> dict:
  """Builds again beside `whole`, is killed and goes on; then compares."""
  out, rng = whole.with_name(whole.name + "_killed"), random.Random()
  shutil.rmtree(out, ignore_errors=True)
  total, killed_at = len(finished_shards(whole)), []
  for i in range(kills):
    process = start(corpus, out)
    # Anywhere in this kill's share of the work, in the middle of a shard or not.
    enough = rng.uniform(i, i + 1) * total / (kills + 1)
    while len(finished_shards(out)) < enough and process.poll() is None:
      time.sleep(0.01)
    time.sleep(rng.uniform(0.0, 2.0))
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
      raise SystemExit("the build ended before it could be killed")
    killed_at.append(len(finished_shards(out)))
  if start(corpus, out).wait():
    raise SystemExit(f"{out}: the build failed after {kills} kills")
  names = [sorted(p.name for p in folder.iterdir()) for folder in (whole, out)]
  sums = [(folder / build_shards.SUMS_FILE).read_text() for folder in (whole, out)]
  digests = [stats_of(folder)["content_sha256"] for folder in (whole, out)]
  build.verify(out)  # re-reads every shard
  result = {
    "shards": total,
    "killed_after_shards": killed_at,
    "same_content": digests[0] == digests[1],
    "same_files": sums[0] == sums[1],
    "leftovers": sorted(set(names[1]) ^ set(names[0])),
    "content_sha256": digests[1],
  }
  shutil.rmtree(out)
  return result


def main(argv=None) -> int:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks.corpus",
    description="Measure building and reading a corpus, or building it under fire.",
  )
  parser.add_argument("--corpus", choices=build.CORPORA, default="demo")
  parser.add_argument("--out", required=True, type=pathlib.Path, metavar="DIR")
  parser.add_argument("--kills", type=int, default=0, help="of another build (0)")
  args = parser.parse_args(argv)
  result: dict = {"corpus": args.corpus, "cores": os.cpu_count()}
  if not (args.out / "dataset_info.json").exists():
    result |= build_measured(args.corpus, args.out)
  if args.kills:
    result |= kill_and_compare(args.corpus, args.out, args.kills)
  else:
    result |= reading(args.out)
  print(json.dumps(result, indent=2))
  return 0


if __name__ == "__main__":
  sys.exit(main())
