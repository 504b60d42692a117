"""What `make train` runs: the whole chain, from nothing to a report.

  corpus -> tokenizer -> language model -> scores -> sentences to motions and back ->
  pictures and videos -> runs/train/report.html, runs/train/summary.json

Interrupt it at any time: the second run goes on from what is finished and from the last
checkpoint of what is not.
"""

import argparse
import os
import pathlib
import sys

from tdmm_jax import files, host

if __name__ == "__main__":
  host.one_device_a_core()
  host.keep_compiled()

import jax

from configs import lm_demo, tokenizer_demo
from data_prep import build
from demo import showcase, stages
from tdmm_jax.data import records
from tdmm_jax.generate import face
from tdmm_jax.render import report
from tdmm_jax.runs import checkpoints, locate
from tdmm_jax.train import metric_logging, run

SECONDS = {
  "corpus": 12,
  "tokenizer": 130,
  "lm": 480,
  "evaluation": 35,
  "real clips": 12,
  "pictures": 26,
}


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
  run.train(config, workdir, devices=jax.devices()[:1])


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
  """This run's scores beside the released checkpoint's, a line each.

  Each is of its own test split: this one's has 6 labels of a family, the release's all.
  """
  path = locate.RELEASE_DIR / "scores.json"
  if not path.exists():
    return []
  theirs = checkpoints.read_json(path)
  lines = [f"  {'beside the released checkpoint':36} {'this run':>9} {'release':>9}"]
  for group, key, words, decimals in _COMPARED:
    pair = [scores[group].get(key) for scores in (summary, theirs)]
    cells = ["" if value is None else f"{value:.{decimals}f}" for value in pair]
    lines.append(f"  {words:36} {cells[0]:>9} {cells[1]:>9}")
  count = f"{theirs['num_clips']} {theirs['split']} clips of all labels"
  return [*lines, f"  (each on its own test split; the release's: {count})"]


def chain(args) -> None:
  """Runs all stages; each skips what is finished."""
  run_dir = pathlib.Path(args.run)
  timed = stages.Stages(run_dir, SECONDS)
  record_dir = run_dir / "records"
  with timed.stage("corpus", f"Building the default corpus: {args.clips} clips"):
    corpus = build.build_corpus(
      record_dir,
      args.clips,
      labels_per_family=build.CORPORA["demo"].labels_per_family,
      written=build.CORPORA["demo"].written,
    )
  with timed.stage("tokenizer", "Training the geometry tokenizer"):
    config = tokenizer_demo.get_config()
    config.records_dir = str(record_dir)
    config.total_steps = args.tokenizer_steps or config.total_steps
    _train(config, run_dir / locate.TOKENIZER)
  with timed.stage("lm", "Training the language model in both directions"):
    config = lm_demo.get_config()
    config.records_dir = str(record_dir)
    config.tokenizer_dir = str(run_dir / locate.TOKENIZER)
    config.total_steps = args.lm_steps or config.total_steps
    _train(config, run_dir / locate.LANGUAGE_MODEL)
  trained = face.Face(run_dir)
  with timed.stage("evaluation", "Scoring the held-out test split"):
    scores = stages.scores_of(trained, run_dir)
  real_data = os.environ.get("TDMM_REAL_DATA")
  with timed.stage("real clips", "Fitting and describing the real clips"):
    real_clips = showcase.fit_real_clips(trained, real_data)
  with timed.stage("pictures", "Generating, describing, rendering"):
    clips = records.load_clips(record_dir, "test")
    sections = showcase.sections(trained, clips, real_clips, real_data, run_dir)
  real = showcase.real_scores(real_clips, real_data)
  summary = stages.summary_of(timed, corpus, scores, real)
  files.write_json(run_dir / "summary.json", summary)
  path = report.write_report(run_dir, summary, sections, _curves(run_dir))
  stages.print_table(summary)
  print("\n" + "\n".join(beside_release(summary)))
  stages.print_end(summary, path)


def main(argv=None) -> int:
  parser = argparse.ArgumentParser(
    prog="python -m demo.train", description=__doc__.split("\n")[0]
  )
  add = parser.add_argument
  add("--run", default="runs/train", help="where everything is written")
  add("--clips", type=int, default=build.CORPORA["demo"].num_clips)
  add("--tokenizer_steps", type=int, help="default: the config's")
  add("--lm_steps", type=int, help="default: the config's")
  add("--fresh", action="store_true", help="delete --run and start over")
  return stages.run_stages("train", chain, parser, argv)


if __name__ == "__main__":
  sys.exit(main())
