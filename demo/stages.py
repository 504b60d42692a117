"""What both demos share: stages that say how long is left, scores kept, the table."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable

import tqdm

from tdmm_jax import cluster, errors, files, host
from tdmm_jax.evaluation import evaluate
from tdmm_jax.runs import checkpoints


class Stages:
  """Says what is being done and how long is left; keeps the seconds over restarts.

  `planned`: stage -> seconds it takes on two cores; used for nothing but the estimate.
  """

  def __init__(self, run_dir: pathlib.Path, planned: dict[str, float]):
    self._path = run_dir / "seconds.json"
    self.seconds = json.loads(self._path.read_text()) if self._path.exists() else {}
    self._planned = planned
    self._expected = self._real = 1e-9

  @contextlib.contextmanager
  def stage(self, name: str, text: str):
    names = list(self._planned)
    left = sum(self._planned[n] for n in names[names.index(name) :])
    # How this machine compares with the planned one, once a stage has shown it.
    pace = min(max(self._real / self._expected, 0.3), 8) if self._real > 5 else 1
    print(
      f"\n[{names.index(name) + 1}/{len(names)}] {text} "
      f"(about {max(left * pace / 60, 0.5):.0f} min left in all)",
      flush=True,
    )
    before, start = self.seconds.get(name, 0.0), time.monotonic()
    try:
      yield
      self._expected += self._planned[name]
      self._real += time.monotonic() - start
    finally:
      self.seconds[name] = before + time.monotonic() - start
      files.write_json(self._path, self.seconds)

  def totals(self) -> dict[str, float]:
    """Seconds of each stage, of the installation, and in all."""
    seconds = {name: round(value, 1) for name, value in self.seconds.items()}
    seconds["install"] = float(os.environ.get("TDMM_INSTALL_SECONDS", 0))
    return seconds | {"total": round(sum(seconds.values()), 1)}


def scores_of(run, run_dir: pathlib.Path) -> dict:
  """Scores of the test split of `run_dir/records`, kept in scores.json."""
  path = run_dir / "scores.json"
  if path.exists():
    kept = checkpoints.read_json(path)
    if kept["versions"]["run"] == run.version:
      print(f"already scored ({path})")
      return kept
  with tqdm.tqdm(total=5, desc="scoring", unit="part") as bar:

    def say(text: str) -> None:
      bar.set_postfix_str(text)
      bar.update()

    # The network behind FID takes longer to train than the demo may.
    options = evaluate.Options(quick=True)
    scores = evaluate.evaluate(run, run_dir / "records", options, say=say)
  files.write_json(path, scores)
  return scores


def summary_of(stages: Stages, corpus: dict, scores: dict, real: dict) -> dict:
  """What summary.json holds."""
  return {
    "seconds": stages.totals(),
    "corpus": {key: corpus[key] for key in ("clips", "splits", "hours", "versions")},
    "tokenizer": scores["tokenizer"],
    "m2l": scores["m2l"],
    "l2m": scores["l2m"],
    "real": real,
  }


def print_table(summary: dict) -> None:
  """The main scores, each beside what it is worth."""
  t, m, w, r = (summary[key] for key in ("tokenizer", "m2l", "l2m", "real"))
  ceiling = m["ceiling"]["emotion_family_accuracy"]
  rows = [
    ("tokenizer: face error", f"{t['face_error_mm']:.2f} mm",
     f"constant {t['constant_face_error_mm']:.2f} mm"),
    ("tokenizer: head error", f"{t['head_error_deg']:.2f} deg",
     f"constant {t['constant_head_error_deg']:.2f} deg"),
    ("tokenizer: codes used", f"{t['codebook_used']}", f"of {t['num_codes']}"),
    ("motion to language: emotion family", f"{m['emotion_family_accuracy']:.2f}",
     f"regression {ceiling:.2f}, chance {m['chance']:.2f}"),
    ("motion to language: head motion", f"{m['head_motion_accuracy']:.2f}", ""),
    ("language to motion: emotion family", f"{w['emotion_family_accuracy']:.2f}",
     f"true motions {w['classifier_ceiling']:.2f}, chance {w['chance']:.2f}"),
    ("loop consistency", f"{w['loop_consistency']:.2f}", ""),
  ]  # fmt: skip
  if r["clips"]:
    rows.append(
      ("real clips: landmark error", f"{r['landmark_error']:.4f}",
       f"frozen face {r['frozen_landmark_error']:.4f}")
    )  # fmt: skip
  print("\n" + "\n".join(f"  {a:36} {b:>9}   {c}" for a, b, c in rows))


def print_end(summary: dict, report_path: pathlib.Path) -> None:
  minutes = summary["seconds"]["total"] / 60
  print(f"\n{minutes:.1f} minutes in all, installation included")
  print(f"report: {report_path}")


def run_stages(
  command: str, work: Callable, parser: argparse.ArgumentParser, argv=None
) -> int:
  """Runs `work(args)` as `make COMMAND` does; the exit code."""
  args = parser.parse_args(argv)
  host.keep_freed()
  if args.fresh:
    shutil.rmtree(args.run, ignore_errors=True)
  pathlib.Path(args.run).mkdir(parents=True, exist_ok=True)

  @errors.entry_point(command, f"`make {command}` goes on from here")
  def guarded() -> int | None:
    try:
      work(args)
    except cluster.Preempted as error:
      print(f"\n{command}: {error}", file=sys.stderr)
      return cluster.EXIT_PREEMPTED

  return guarded()
