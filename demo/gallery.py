"""A page of sentences acted out and of videos put into words, good and bad.

  python -m demo.gallery [--sentences FILE] [--clips FOLDER ...] [--out runs/gallery]

Nothing is chosen: each sentence once, seed 0, at default settings, with what was
understood of it, what geometry sees of that in the motion, and the motion's own
caption; each video of the folders with the face that was fitted to it and its caption.
Sentences are one a line; by default those of demo/sentences.txt. A folder of clips
holds NAME.landmarks.npz, as `tdmm fit` reads them, and the video NAME.mp4.
"""

import argparse
import pathlib

from tdmm_jax import host

if __name__ == "__main__":
  host.one_device_a_core()
  host.keep_compiled()

from demo import showcase
from tdmm_jax import errors
from tdmm_jax.errors import UserError
from tdmm_jax.generate import face
from tdmm_jax.render import report
from tdmm_jax.render.report import Section
from tdmm_jax.runs import locate

SENTENCES = pathlib.Path(__file__).with_name("sentences.txt")
_LANDMARKS = ".landmarks.npz"


def sentences_of(path: pathlib.Path) -> list[dict]:
  """Rows of clip_id and prompt.

  Raises:
    UserError: the file cannot be read, or holds no sentence.
  """
  try:
    lines = [line.strip() for line in path.read_text().splitlines()]
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(
      f"{path}: cannot be read ({error}); give one sentence a line"
    ) from error
  lines = [line for line in lines if line]
  if not lines:
    raise UserError(f"{path}: no sentence in it; give one a line")
  return [{"clip_id": f"{i:02d}", "prompt": line} for i, line in enumerate(lines, 1)]


def clips_of(folder: pathlib.Path) -> list[dict]:
  """Rows of a folder's clips: see `showcase.fitted_clips`.

  Raises:
    UserError: there are none, or one has no video.
  """
  found = sorted(folder.glob(f"*{_LANDMARKS}"))
  if not found:
    raise UserError(
      f"{folder}: no *{_LANDMARKS}; `python -m data_prep.track` makes them"
    )
  rows = []
  for path in found:
    name = path.name.removesuffix(_LANDMARKS)
    if not (folder / f"{name}.mp4").exists():
      raise UserError(f"{folder}/{name}.mp4: missing; put the video beside {path.name}")
    known = {"clip_id": name, "prompt": name.replace("_", " ")}
    rows.append(known | {"video": f"{name}.mp4", "landmarks": path.name})
  return rows


def gallery(args) -> pathlib.Path:
  """Makes the page; its path."""
  out = pathlib.Path(args.out)
  rows = sentences_of(pathlib.Path(args.sentences))
  folders = {
    pathlib.Path(folder): clips_of(pathlib.Path(folder)) for folder in args.clips
  }
  run = face.Face(locate.find(args.run))
  fitted = {f: showcase.fitted_clips(run, clips, f) for f, clips in folders.items()}
  out.mkdir(parents=True, exist_ok=True)
  num_frames = len(rows) * round(showcase.SECONDS * 25) + sum(
    clip["motion"].num_frames for clips in fitted.values() for clip in clips
  )
  studio = showcase.Studio(run.codec.face, out, num_frames)
  sections = [
    Section(
      "Sentences acted out",
      "Each once, seed 0; below it what was understood, what geometry sees of that, "
      "and the caption that the model gives its own motion.",
      showcase.acted_out(run, studio, rows, "sentence"),
    )
  ]
  for folder, clips in fitted.items():
    cards = showcase.real_clips(studio, clips, folder)
    sections.append(
      Section(f"Videos put into words: {folder.name}", "Fitted and described.", cards)
    )
  studio.bar.close()
  title, about = "Good and bad", "What a stranger gets: nothing here is chosen."
  return report.write_report(out, {}, sections, title=title, about=about)


@errors.entry_point("gallery", "nothing is kept of it")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m demo.gallery",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--run", help="a trained run; by default the release")
  parser.add_argument("--sentences", default=SENTENCES, help="one a line")
  parser.add_argument("--clips", nargs="*", default=[], help="folders of clips")
  parser.add_argument("--out", default="runs/gallery")
  print(gallery(parser.parse_args(argv)))


if __name__ == "__main__":
  raise SystemExit(main())
