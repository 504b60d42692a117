"""Real prompts acted out, real clips put into words, and where it goes wrong.

  python -m benchmarks.real_world --run release --real DIR --records runs/small/records

DIR holds `open3dfacevid_clips/`: prompts, landmarks, videos. Writes docs/real/ (a
picture of each prompt's motion and of each clip's fitted face, and real.json) and the
generated part of docs/real/README.md; minutes on two cores. The clips are not ours to
hand on, so these hold neither their frames nor their prompts' sentences: `--frames`
shows both, in a page of its own in runs/real_world.
"""

import argparse
import os
import pathlib
import sys

import numpy as np
from PIL import Image

from benchmarks import real_causes, real_page, results
from demo import showcase
from tdmm_jax import files, host
from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion_vector
from tdmm_jax.generate import face as inference
from tdmm_jax.language import lexicon
from tdmm_jax.render import contact_sheet, scene, video
from tdmm_jax.runs import locate

FOLDER = pathlib.Path("docs/real")
PAGE = FOLDER / "README.md"
LOCAL = pathlib.Path("runs/real_world")
JSON = "real.json"
_PIXELS, _NUM = 144, 8  # of a frame in a picture, and frames in a row
_COLORS = 48  # grey heads on white need no more, and the files stay small


def _row(face, vectors_TP) -> np.ndarray:
  """The motion's frames of a picture, drawn."""
  few = vectors_TP[contact_sheet.sheet_indices(len(vectors_TP), _NUM)]
  motion = motion_vector.to_motion(few, face.name)
  vertices = face_lib.motion_vertices(face, motion)
  return scene.render_frames(face, vertices, (_PIXELS, _PIXELS))


def _video_row(clip: dict, folder: pathlib.Path) -> np.ndarray:
  """The video's frames at the same instants, cut to the face."""
  frames, _ = video.read_video(folder / clip["video"])
  tracked = clip["tracked"]
  seen = tracked["detected"][:, None, None]
  points = np.where(seen, tracked["landmarks_px"], np.nan)
  frames = video.crop_to_points(frames, points)
  return frames[contact_sheet.sheet_indices(len(frames), _NUM)]


def _save(path, frames, num_frames: int, caption: str, label="", above=None) -> str:
  """Writes a picture of rows; `frames` are some of a motion of `num_frames`."""
  fps = 25.0 * (len(frames) - 1) / max(num_frames - 1, 1)  # for the times below
  sheet = contact_sheet.picture(
    frames, caption, _NUM, label, above, _PIXELS, fps or None
  )
  picture = Image.fromarray(sheet)
  if not above or "video" not in above:
    picture = picture.quantize(_COLORS)
  with files.then_rename(path) as temporary:
    picture.save(temporary, "png", optimize=True)
  return path.name


def study(run, corpus: real_causes.Simulated, real, num_seeds: int):
  """All texts and scores.

  Returns:
    What JSON holds, but for the pictures' names; the real clips, fitted; motion codes
    of their prompts; and the vectors that the clips' tokens decode to.

  Raises:
    UserError: there are no real clips.
  """
  fitted = showcase.fit_real_clips(run, str(real))
  if len(fitted) < 2:
    raise UserError(
      f"{real}: no {showcase.REAL_CLIPS}/prompts.jsonl of two clips; name the real data"
    )
  prompts = [clip["prompt"] for clip in fitted]
  texts, acted, reworded = real_causes.of_texts(run, corpus, prompts, num_seeds)
  motions, read = real_causes.of_motions(run, corpus, fitted)
  shown, described = {}, {}
  for i, clip in enumerate(fitted):
    clip_id, truth = clip["clip_id"], lexicon.parse(clip["prompt"])
    shown[clip_id] = acted.scores[i] | {"reads": truth, "says": acted.captions[i]}
    shown[clip_id]["reworded"] = reworded.scores[i]
    fit = {key: clip["fit"][key] for key in real_page.FIT}
    errors = {key: read.errors[clip_id][key] for key in real_causes.ERRORS}
    said = lexicon.parse(read.captions[i])
    described[clip_id] = real_causes.judge.judge(truth, said) | fit | errors
    described[clip_id]["says"] = read.captions[i]
  found = {
    "versions": {
      "run": run.version,
      "tokenizer": run.codec.version,
      "head": run.codec.face.version,
      "lexicon": lexicon.VERSION,
    },
    "seeds": num_seeds,
    "reader_clips": corpus.reader.num_clips,
    "prompts": shown,
    "clips": described,
    "texts": texts,
    "new_words": real_causes.new_words(prompts, corpus.texts),
    "forms_seen": real_causes.forms_seen(corpus.texts),
    "motions": motions,
  }
  return found, fitted, acted.codes, read.decoded


def draw(run, found: dict, fitted, codes, decoded, out, videos=None) -> None:
  """Writes the pictures and notes their names.

  Args:
    videos: folder of the clips' videos, to be shown too, with the prompts.
  """
  face = run.codec.face
  for clip, made in zip(fitted, run.codec.decode_vectors(codes), strict=True):
    clip_id = clip["clip_id"]
    item = found["prompts"][clip_id]
    path = out / f"prompt_{clip_id}.png"
    item["picture"] = _save(path, _row(face, made), len(made), item["says"])
    if videos:
      item["prompt"] = clip["prompt"]
  for clip, made in zip(fitted, decoded, strict=True):
    clip_id = clip["clip_id"]
    item = found["clips"][clip_id]
    above = {"fitted": _row(face, motion_vector.from_motion(clip["motion"]))}
    if videos:
      above = {"video": _video_row(clip, videos)} | above
      item["prompt"] = clip["prompt"]
    path = out / f"clip_{clip_id}.png"
    frames = _row(face, made)
    item["picture"] = _save(path, frames, len(made), item["says"], "tokens", above)


def write(args) -> pathlib.Path:
  """Measures, draws and writes; returns the page's path.

  Raises:
    UserError: the run, the records or the real data are not there; frames in docs/.
  """
  local = args.frames
  out = args.out or (LOCAL if local else FOLDER)
  page = args.page or (out / "page.md" if local else PAGE)
  docs = FOLDER.parent.resolve()
  if local and any(path.resolve().is_relative_to(docs) for path in (out, page)):
    raise UserError(f"--frames: {out} is in {docs}; frames are not ours to hand on")
  if local:
    text = "# Real prompts and clips\n\n{}\n{}\n".format(*real_page.MARKS)
  elif page.is_file():
    text = page.read_text()
  else:
    raise UserError(f"{page}: no such page; name another --page")
  results.rewritten(text, "", page, real_page.MARKS)  # before minutes are spent
  directory = locate.find(args.run)
  run = inference.Face(directory)
  corpus = real_causes.simulated(
    args.records or directory / "records", args.train_clips, args.clips
  )
  found, *rest = study(run, corpus, args.real, args.seeds)
  out.mkdir(parents=True, exist_ok=True)
  videos = pathlib.Path(args.real) / showcase.REAL_CLIPS if local else None
  draw(run, found, *rest, out, videos)
  files.write_json(out / JSON, found)
  folder = os.path.relpath(out, page.parent)
  made = real_page.markdown(found, "" if folder == "." else f"{folder}/")
  with files.then_rename(page) as temporary:
    temporary.write_text(results.rewritten(text, made, page, real_page.MARKS))
  return page


def main(argv=None) -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  option = parser.add_argument
  option("--run", help="default: the released checkpoint")
  option("--real", default=os.environ.get("TDMM_REAL_DATA"), help="folder of real data")
  option("--records", help="that it was trained on (default: the run's)")
  option("--out", type=pathlib.Path, help=f"of the pictures (default: {FOLDER})")
  option("--page", type=pathlib.Path, help=f"to write into (default: {PAGE})")
  option("--frames", action="store_true", help=f"show frames, in {LOCAL}")
  option("--seeds", type=int, default=8, help="motions of each prompt (default: 8)")
  option("--clips", type=int, default=16, help="simulated, beside (default: 16)")
  option("--train_clips", type=int, default=3_000, help="for regressions (3000)")
  args = parser.parse_args(argv)
  host.keep_freed()
  try:
    if not args.real:
      raise UserError("--real: not given, and TDMM_REAL_DATA is not set; name a folder")
    for name, least in (("seeds", 1), ("clips", 2), ("train_clips", 2)):
      if getattr(args, name) < least:
        raise UserError(f"--{name} {getattr(args, name)}: give {least} at least")
    page = write(args)
  except (UserError, OSError) as error:
    print(f"real_world: error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2
  print(page)
  return 0


if __name__ == "__main__":
  sys.exit(main())
