"""The way from people's faces to words, measured.

  python -m benchmarks.people --run DIR|release --real DIR [--picture FILE]
  python -m benchmarks.people [--real DIR] [--clips N]

With `--run`, what a run says of real clips, beside simple readers and chance: families,
valence, speaking, head (`people_words`). Without, the fit, its FACS reading and its
stand-in, on simulated people and on real ones (`people_fit`). DIR holds clips of actors
by emotion (`mead_*/`) and clips with prompts (`open3dfacevid_clips/`); with
`ravdess_openface/` a reader learns from other people.

Minutes on two cores; fits are kept in `--work`, so that a second time takes seconds.
Prints a table; `--json` writes all figures.
"""

import argparse
import os
import pathlib
import sys

from benchmarks import people_fit, people_words
from tdmm_jax import errors, files, host
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file, load_model
from tdmm_jax.generate import face as inference
from tdmm_jax.runs import locate

WORK = pathlib.Path("runs/people")


@errors.entry_point("people")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  option = parser.add_argument
  option("--run", help="a run directory, or 'release'; without it the fit is measured")
  option("--real", default=os.environ.get("TDMM_REAL_DATA"), help="folder of real data")
  option("--work", type=pathlib.Path, default=WORK, help=f"fits (default: {WORK})")
  option("--picture", type=pathlib.Path, help="PNG of who was taken for what; --run")
  option("--face_model", default=head_file.DEFAULT, help="a head to fit; without --run")
  option("--clips", type=int, default=24, help="simulated ones of a kind (default: 24)")
  option("--json", type=pathlib.Path, help="file for all figures")
  args = parser.parse_args(argv)
  host.keep_freed()
  if args.clips < 1:
    raise UserError(f"--clips {args.clips}: give 1 at least")
  if args.picture and not args.run:
    raise UserError("--picture: is of what a run says; name one with --run")
  folder = pathlib.Path(args.real) if args.real else None
  if args.run:
    if folder is None:
      raise UserError("--real: not given, and TDMM_REAL_DATA is not set; name a folder")
    run = inference.Face(locate.find(args.run))
    found = people_words.measure(run, folder, args.work, args.clips)
    said = people_words.table(found)
    if args.picture:
      people_words.picture(found, args.picture)
  else:
    face = load_model.load_face_model(args.face_model)
    found = people_fit.measure(face, folder, args.work, args.clips)
    said = people_fit.table(found)
  if args.json:
    files.write_json(args.json, found)
  print(said)


if __name__ == "__main__":
  sys.exit(main())
