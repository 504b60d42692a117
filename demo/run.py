"""What `make demo` runs: the released checkpoint at work, with a report.

  held-out clips -> scores -> real clips -> sentences to motions and back -> pictures
  and videos -> runs/demo/report.html, runs/demo/summary.json

Nothing is trained; `make train` does that. Interrupt it at any time: the second run
goes on from what is finished.
"""

import argparse
import os
import pathlib
import sys

from tdmm_jax import files, host

if __name__ == "__main__":
  host.one_device_a_core()
  host.keep_compiled()

from data_prep import build
from demo import showcase, stages
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.generate import face
from tdmm_jax.render import report
from tdmm_jax.runs import locate

SECONDS = {"clips": 6, "evaluation": 40, "real clips": 12, "pictures": 40}
NUM_CLIPS = 1_000  # of which one in twenty is a test clip; the others teach the judge


def demo(args) -> None:
  """Runs all stages; each skips what is finished."""
  run_dir = pathlib.Path(args.run)
  if (run_dir / locate.LANGUAGE_MODEL).is_dir():
    raise UserError(
      f"{run_dir}: holds a trained run, which the demo would write over; name another "
      "--run, or move it"
    )
  timed = stages.Stages(run_dir, SECONDS)
  with timed.stage("clips", f"Simulating {args.clips} clips to measure with"):
    # So few are made sooner than other processes have started.
    corpus = build.build_corpus(run_dir / "records", args.clips, num_workers=1)
  run = face.Face(locate.find(args.checkpoint))
  with timed.stage("evaluation", "Scoring the released checkpoint on held-out clips"):
    scores = stages.scores_of(run, run_dir)
  real_data = os.environ.get("TDMM_REAL_DATA")
  with timed.stage("real clips", "Fitting and describing the real clips"):
    real_clips = showcase.fit_real_clips(run, real_data)
  with timed.stage("pictures", "Generating, describing, rendering"):
    clips = records.load_clips(run_dir / "records", "test")
    sections = showcase.sections(run, clips, real_clips, real_data, run_dir)
  real = showcase.real_scores(real_clips, real_data)
  summary = stages.summary_of(timed, corpus, scores, real)
  files.write_json(run_dir / "summary.json", summary)
  path = report.write_report(run_dir, summary, sections)
  print(f"\n  {locate.title(locate.find(args.checkpoint))}")
  stages.print_table(summary)
  stages.print_end(summary, path)


def main(argv=None) -> int:
  parser = argparse.ArgumentParser(
    prog="python -m demo.run", description=__doc__.split("\n")[0]
  )
  add = parser.add_argument
  add("--run", default="runs/demo", help="where everything is written")
  add("--checkpoint", default=locate.RELEASE, help="a run directory to show instead")
  add("--clips", type=int, default=NUM_CLIPS, help="how many are simulated")
  add("--fresh", action="store_true", help="delete --run and start over")
  return stages.run_stages("demo", demo, parser, argv)


if __name__ == "__main__":
  sys.exit(main())
