"""What `make demo` runs: the whole main job, from nothing to a report.

  corpus -> tokenizer -> language model -> scores -> sentences to motions and back ->
  pictures and videos -> runs/demo/report.html, runs/demo/summary.json

Interrupt it at any time: the second run goes on from what is finished and from the last
checkpoint of what is not.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import sys
import time

from tdmm_jax import host

host.one_device_a_core()

import jax
import showcase
import tqdm

from configs import lm_demo, tokenizer_demo
from data_prep import build
from tdmm_jax import cluster, files, host
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import evaluate
from tdmm_jax.generate import face
from tdmm_jax.render import report
from tdmm_jax.runs import checkpoints, locate
from tdmm_jax.train import metric_logging
from tdmm_jax.train import run as train

# Stage -> seconds it takes on 2 cores; only used to say how long is left.
STAGES = {
  "corpus": 12,
  "tokenizer": 130,
  "lm": 480,
  "evaluation": 35,
  "real clips": 12,
  "pictures": 26,
}


class Stages:
  """Says what is being done and how long is left; keeps the seconds over restarts."""

  def __init__(self, run_dir: pathlib.Path):
    self._path = run_dir / "seconds.json"
    self.seconds = json.loads(self._path.read_text()) if self._path.exists() else {}
    self._expected = self._real = 1e-9

  @contextlib.contextmanager
  def stage(self, name: str, text: str):
    names = list(STAGES)
    left = sum(STAGES[n] for n in names[names.index(name) :])
    # How this machine compares with the planned one, once a stage has shown it.
    pace = min(max(self._real / self._expected, 0.3), 5) if self._real > 5 else 1
    print(
      f"\n[{names.index(name) + 1}/{len(names)}] {text} "
      f"(about {max(left * pace / 60, 0.5):.0f} min left in all)",
      flush=True,
    )
    before, start = self.seconds.get(name, 0.0), time.monotonic()
    try:
      yield
      self._expected += STAGES[name]
      self._real += time.monotonic() - start
    finally:
      self.seconds[name] = before + time.monotonic() - start
      files.write_json(self._path, self.seconds)


def _steps_done(workdir: pathlib.Path) -> int:
  folder = workdir / checkpoints.FOLDER
  names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
  return max((int(name) for name in names if name.isdigit()), default=0)


def _train(config, workdir: pathlib.Path) -> None:
  done = _steps_done(workdir)
  if done >= config.total_steps:
    print(f"already trained ({done} steps in {workdir})")
    return
  if done:
    print(f"going on from step {done}")
  # One device with every core's threads: a sixth faster than a device a core.
  train.train(config, workdir, devices=jax.devices()[:1])


def _evaluate(run, run_dir: pathlib.Path) -> dict:
  """Scores of the test split, kept in scores.json."""
  path = run_dir / "scores.json"
  if path.exists():
    print(f"already scored ({path})")
    return checkpoints.read_json(path)
  with tqdm.tqdm(total=5, desc="scoring", unit="part") as bar:

    def say(text: str) -> None:
      bar.set_postfix_str(text)
      bar.update()

    # The network behind FID takes longer to train than the demo may.
    options = evaluate.Options(quick=True)
    scores = evaluate.evaluate(run, run_dir / "records", options, say=say)
  files.write_json(path, scores)
  return scores


def _curves(run_dir: pathlib.Path) -> dict[str, list]:
  curves = {}
  for folder, name, label in (
    ("tokenizer", "face_mm", "tokenizer face L1 (mm)"),
    ("tokenizer", "head_deg", "tokenizer head error (deg)"),
    ("lm", "loss", "language model loss"),
    ("lm", "l2m_token_accuracy", "Language2Motion token accuracy"),
    ("lm", "m2l_token_accuracy", "Motion2Language token accuracy"),
  ):
    for split in ("train", "valid"):
      curve = metric_logging.read_curve(run_dir / folder, split, name)
      if curve:
        curves[f"{label}/{split}"] = curve
  return curves


def _summary(stages: Stages, corpus: dict, scores: dict, real: dict) -> dict:
  seconds = {name: round(value, 1) for name, value in stages.seconds.items()}
  seconds["install"] = float(os.environ.get("TDMM_INSTALL_SECONDS", 0))
  seconds["total"] = round(sum(seconds.values()), 1)
  return {
    "seconds": seconds,
    "corpus": {key: corpus[key] for key in ("clips", "splits", "hours", "versions")},
    "tokenizer": scores["tokenizer"],
    "m2l": scores["m2l"],
    "l2m": scores["l2m"],
    "real": real,
  }


# What is compared with the released checkpoint: (group, score, words, decimals).
_COMPARED = (
  ("tokenizer", "face_error_mm", "tokenizer: face error, mm", 2),
  ("m2l", "cor_e", "motion to language: CorE", 2),
  ("m2l", "emotion_family_accuracy", "motion to language: emotion family", 2),
  ("l2m", "cor_e", "language to motion: CorE", 2),
  ("l2m", "emotion_family_accuracy", "language to motion: emotion family", 2),
  ("l2m", "token_accuracy", "language to motion: token accuracy", 2),
)


def beside_release(summary: dict) -> list[str]:
  """The demo's scores beside the released checkpoint's, a line each; none without one.

  Each is of its own test split: the demo's has 6 labels of a family, the release's all.
  """
  path = locate.RELEASE_DIR / "scores.json"
  if not path.exists():
    return []
  theirs = checkpoints.read_json(path)
  lines = [f"  {'beside the released checkpoint':36} {'demo':>9} {'release':>9}"]
  for group, key, words, decimals in _COMPARED:
    pair = [scores[group].get(key) for scores in (summary, theirs)]
    cells = ["" if value is None else f"{value:.{decimals}f}" for value in pair]
    lines.append(f"  {words:36} {cells[0]:>9} {cells[1]:>9}")
  count = f"{theirs['num_clips']} {theirs['split']} clips of all labels"
  return [*lines, f"  (each on its own test split; the release's: {count})"]


def _print_table(summary: dict, report_path: pathlib.Path) -> None:
  t, m, w, r = (summary[key] for key in ("tokenizer", "m2l", "l2m", "real"))
  ceiling = m["ceiling"]["emotion_family_accuracy"]
  rows = [
    ("tokenizer: face error", f"{t['face_error_mm']:.2f} mm",
     f"constant {t['constant_face_error_mm']:.2f} mm"),
    ("tokenizer: head error", f"{t['head_error_deg']:.2f} deg",
     f"constant {t['constant_head_error_deg']:.2f} deg"),
    ("tokenizer: codes used", f"{t['codebook_used']}", f"of {t['num_codes']}"),
    ("motion to language: emotion family", f"{m['emotion_family_accuracy']:.2f}",
     f"ceiling {ceiling:.2f}, chance {m['chance']:.2f}"),
    ("motion to language: head motion", f"{m['head_motion_accuracy']:.2f}", ""),
    ("language to motion: emotion family", f"{w['emotion_family_accuracy']:.2f}",
     f"ceiling {w['classifier_ceiling']:.2f}, chance {w['chance']:.2f}"),
    ("loop consistency", f"{w['loop_consistency']:.2f}", ""),
  ]  # fmt: skip
  if r["clips"]:
    rows.append(
      ("real clips: landmark error", f"{r['landmark_error']:.4f}",
       f"frozen face {r['frozen_landmark_error']:.4f}")
    )  # fmt: skip
  print("\n" + "\n".join(f"  {a:36} {b:>9}   {c}" for a, b, c in rows))
  print("\n" + "\n".join(beside_release(summary)))
  print(
    f"\n{summary['seconds']['total'] / 60:.1f} minutes in all, installation included"
  )
  print(f"report: {report_path}")


def demo(args) -> None:
  """Runs all stages; each skips what is finished."""
  run_dir = pathlib.Path(args.run)
  run_dir.mkdir(parents=True, exist_ok=True)
  stages = Stages(run_dir)
  record_dir = run_dir / "records"
  with stages.stage("corpus", f"Building the default corpus: {args.clips} clips"):
    corpus = build.build_corpus(
      record_dir,
      args.clips,
      labels_per_family=build.CORPORA["demo"].labels_per_family,
      written=build.CORPORA["demo"].written,
    )
  with stages.stage("tokenizer", "Training the geometry tokenizer"):
    config = tokenizer_demo.get_config()
    config.records_dir = str(record_dir)
    config.total_steps = args.tokenizer_steps or config.total_steps
    _train(config, run_dir / locate.TOKENIZER)
  with stages.stage("lm", "Training the language model in both directions"):
    config = lm_demo.get_config()
    config.records_dir = str(record_dir)
    config.tokenizer_dir = str(run_dir / locate.TOKENIZER)
    config.total_steps = args.lm_steps or config.total_steps
    _train(config, run_dir / locate.LANGUAGE_MODEL)
  run = face.Face(run_dir)
  with stages.stage("evaluation", "Scoring the held-out test split"):
    scores = _evaluate(run, run_dir)
  real_data = os.environ.get("TDMM_REAL_DATA")
  with stages.stage("real clips", "Fitting and describing the real clips"):
    real_clips = showcase.fit_real_clips(run, real_data)
  with stages.stage("pictures", "Generating, describing, rendering"):
    clips = records.load_clips(record_dir, "test")
    sections = showcase.sections(run, clips, real_clips, real_data, run_dir)
  real = showcase.real_scores(real_clips, real_data)
  summary = _summary(stages, corpus, scores, real)
  files.write_json(run_dir / "summary.json", summary)
  path = report.write_report(run_dir, summary, sections, _curves(run_dir))
  _print_table(summary, path)


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--run", default="runs/demo", help="where everything is written")
  parser.add_argument("--clips", type=int, default=build.CORPORA["demo"].num_clips)
  parser.add_argument("--tokenizer_steps", type=int, help="default: the config's")
  parser.add_argument("--lm_steps", type=int, help="default: the config's")
  parser.add_argument(
    "--fresh", action="store_true", help="delete --run and start over"
  )
  args = parser.parse_args()
  host.keep_freed()
  if args.fresh:
    shutil.rmtree(args.run, ignore_errors=True)
  try:
    demo(args)
  except UserError as error:
    print(f"demo: error: {error}", file=sys.stderr)
    return 2
  except cluster.Preempted as error:
    print(f"\ndemo: {error}", file=sys.stderr)
    return cluster.EXIT_PREEMPTED
  except KeyboardInterrupt:
    print("\ninterrupted; `make demo` goes on from here", file=sys.stderr)
    return 130
  return 0


if __name__ == "__main__":
  sys.exit(main())
