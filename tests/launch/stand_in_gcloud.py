#!/usr/bin/env python3
"""A stand-in for gcloud: slices are folders, workers are local processes.

Understands the verbs of `gcloud compute tpus tpu-vm` that launch/ uses, runs the remote
commands for real, each worker in a home of its own, and tells the workers of each other
as Slurm would, so that `--cluster=auto` finds the cluster. Settings: STAND_IN (its
folder), STAND_IN_WORKERS, STAND_IN_PATH (prepended to the workers' PATH).
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import zlib

ROOT = pathlib.Path(os.environ["STAND_IN"])
COUNT = int(os.environ["STAND_IN_WORKERS"])


def fail(message: str) -> None:
  print(f"ERROR: (gcloud.stand-in) {message}", file=sys.stderr)
  sys.exit(1)


def worker_env(folder: pathlib.Path, index: int) -> dict[str, str]:
  life = (folder / "life").read_text()
  return os.environ | {
    "HOME": str(folder / f"worker_{index}"),
    "PATH": os.environ["STAND_IN_PATH"] + os.pathsep + os.environ["PATH"],
    "SLURM_JOB_ID": str(zlib.crc32(f"{folder}{life}".encode())),
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_NTASKS": str(COUNT),
    "SLURM_PROCID": str(index),
    "SLURM_LOCALID": str(index),
    "SLURM_STEP_NUM_NODES": "1",
  }


def chosen(options: dict) -> range:
  worker = options.get("worker", "0")
  return range(COUNT) if worker == "all" else range(int(worker), int(worker) + 1)


def main() -> None:
  words = [word for word in sys.argv[1:] if not word.startswith("--")]
  flags = [word[2:] for word in sys.argv[1:] if word.startswith("--")]
  options = dict(flag.split("=", 1) if "=" in flag else (flag, "") for flag in flags)
  if words[:3] != ["compute", "tpus", "tpu-vm"]:
    fail(f"not known here: {words}")
  verb, names = words[3], words[4:]
  with (ROOT / "calls.txt").open("a") as calls:
    calls.write(f"{verb} {' '.join(names)}\n")
  name = names[-1].split(":")[0]
  folder = ROOT / name
  if verb == "create":
    if folder.exists():
      fail("ALREADY_EXISTS")
    lives = (ROOT / "calls.txt").read_text().count("create ")
    for index in range(COUNT):
      (folder / f"worker_{index}").mkdir(parents=True)
    (folder / "life").write_text(str(lives))
    (folder / "state").write_text("READY")
    return
  if not folder.exists():
    fail(f"NOT_FOUND: {name}")
  if verb == "delete":
    shutil.rmtree(folder)
  elif verb == "describe":
    print(json.dumps({"name": name, "state": (folder / "state").read_text()}))
  elif verb == "scp":
    for index in chosen(options):
      target = names[-1].split(":")[1]
      shutil.copy(names[0], folder / f"worker_{index}" / target)
  elif verb == "ssh":
    if (folder / "state").read_text() != "READY":
      fail("cannot connect")
    running = [
      subprocess.Popen(
        ["bash", "-c", options["command"]],
        cwd=folder / f"worker_{index}",
        env=worker_env(folder, index),
        stdin=subprocess.DEVNULL,
      )
      for index in chosen(options)
    ]
    sys.exit(max(process.wait() for process in running))
  else:
    fail(f"not known here: {verb}")


if __name__ == "__main__":
  main()
