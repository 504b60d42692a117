"""Real prompts acted out and real clips put into words, as a page with pictures.

  python -m benchmarks.real_world --run release --real DIR

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
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from benchmarks import results
from demo import showcase
from tdmm_jax import errors, files, host
from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion_vector
from tdmm_jax.generate import face as inference
from tdmm_jax.language import lexicon
from tdmm_jax.metrics import judge, reconstruction
from tdmm_jax.render import contact_sheet, scene, video
from tdmm_jax.runs import locate

FOLDER = pathlib.Path("docs/real")
PAGE = FOLDER / "README.md"
LOCAL = pathlib.Path("runs/real_world")
JSON = "real.json"
MARKS = (
  "<!-- Prompts and clips: written by `python -m benchmarks.real_world` -->",
  "<!-- End of prompts and clips -->",
)
SECONDS = 4.0
_PIXELS, _NUM = 144, 8  # of a frame in a picture, and frames in a row
_COLORS = 48  # grey heads on white need no more, and the files stay small
_ASPECT_NAMES = ("CorE", "CorM", "CorI")
_FIT = ("landmark_error", "frozen_landmark_error")
_TOKENS = ("face_error_mm", "head_error_deg")
_TOKENS += tuple(f"constant_{name}" for name in _TOKENS)

# ------------------------------------------------------------------- measuring


def _judged(truths: Sequence[dict], captions: Sequence[str]) -> list[dict]:
  """CorE, CorM and CorI of each caption."""
  said = map(lexicon.parse, captions)
  return [judge.judge(t, s) for t, s in zip(truths, said, strict=True)]


def study(run, real, num_seeds: int):
  """All texts and scores.

  Returns:
    What JSON holds, but for the pictures' names; the real clips, fitted; motion codes
    of their prompts; and the vectors that the clips' tokens decode to.

  Raises:
    UserError: there are no real clips.
  """
  fitted = showcase.fit_real_clips(run, str(real))
  if not fitted:
    raise UserError(f"{real}: no {showcase.REAL_CLIPS}/prompts.jsonl; name real data")
  prompts = [clip["prompt"] for clip in fitted]
  truths = [lexicon.parse(prompt) for prompt in prompts]
  seconds = [min(SECONDS, run.max_seconds)] * len(prompts)
  made = [run.generate_codes(prompts, seconds, seed) for seed in range(num_seeds)]
  captions = [run.describe_codes(codes) for codes in made]
  scores = [_judged(truths, texts) for texts in captions]
  acted = {}
  for i, clip in enumerate(fitted):
    each = {name: [row[i][name] for row in scores] for name in judge.ASPECTS}
    says = captions[0][i]
    acted[clip["clip_id"]] = judge.means(each) | {"reads": truths[i], "says": says}
  vectors = [motion_vector.from_motion(clip["motion"]) for clip in fitted]
  decoded = run.codec.decode_vectors([clip["codes"] for clip in fitted])
  mean_P = run.codec.variables["stats"]["params_mean"]
  described = {}
  judged = _judged(truths, [clip["says"] for clip in fitted])
  for i, clip in enumerate(fitted):
    true = {"vectors": vectors[i], "valid": clip["motion"].valid}
    lost = reconstruction.errors(run.codec.face, [true], [decoded[i]], mean_P)
    described[clip["clip_id"]] = judged[i] | {
      **{key: float(clip["fit"][key]) for key in _FIT},
      **{key: lost[key] for key in _TOKENS},
      "says": clip["says"],
    }
  found = {
    "versions": {
      "run": run.version,
      "tokenizer": run.codec.version,
      "head": run.codec.face.version,
      "lexicon": lexicon.VERSION,
    },
    "seeds": num_seeds,
    "prompts": acted,
    "clips": described,
  }
  return found, fitted, made[0], decoded


# -------------------------------------------------------------------- pictures


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
  points = tracked["landmarks_px"][tracked["detected"]]
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


# -------------------------------------------------------------------- the page


def reading(attributes: Mapping) -> str:
  """What the lexicon reads in a text: "smiling (happiness) 2, calm 3; speaking"."""
  emotions = []
  for segment in attributes["segments"]:
    label, family = segment["emotion"], segment["family"]
    named = label if label == family else f"{label} ({family})"
    emotions.append(f"{named} {segment['intensity']}")
  order = attributes["segments"][-1]["start_s"] > 0
  moves = [*attributes["head_motion"], *attributes["micro_actions"]]
  voice = attributes["speaking"]
  if attributes["manner"] != "plain":
    voice += f" ({attributes['manner']})"
  words = (", then " if order else ", ").join(emotions)
  return "; ".join([words, *(move.replace("_", " ") for move in moves), voice])


def _table(head: Sequence[str], rows: Sequence[Sequence]) -> list[str]:
  line = lambda cells: f"| {' | '.join(map(str, cells))} |"
  return [line(head), "|" + "---|" * len(head), *map(line, rows)]


def _scores(item: Mapping) -> list[str]:
  return [f"{item[name]:.2f}" for name in judge.ASPECTS]


def _pictures(items: Mapping[str, Mapping], folder: str) -> list[str]:
  lines = []
  for clip_id, item in items.items():
    lines += ["", f"![{clip_id}]({folder}{item['picture']})"]
    if "prompt" in item:  # only in a page that is nobody's but the user's
      lines += ["", f"Its prompt: *{item['prompt']}*"]
  return lines


def markdown(found: Mapping, folder: str) -> str:
  """The generated part of the page, made from what the JSON file holds.

  Args:
    found: of `study`, with the pictures' names.
    folder: of the pictures, seen from the page: "real/".
  """
  prompts, clips, versions = found["prompts"], found["clips"], found["versions"]
  share = lambda clip, name: (
    f"{clip[name]:.2f} ({clip[name] / clip[f'constant_{name}']:.2f})"
  )
  lines = [
    f"Run {versions['run']}, tokenizer {versions['tokenizer']}, lexicon "
    f"{versions['lexicon']}; {found['seeds']} seeds of each prompt.",
    "",
    "## Prompts acted out",
    "",
    "The caption is the run's own of the first seed's motion, which the picture shows; "
    "the scores are means over the seeds.",
    "",
    *_table(
      ("prompt of", "the lexicon reads", "the run says of its motion", *_ASPECT_NAMES),
      [
        (f"`{clip_id}`", reading(p["reads"]), p["says"], *_scores(p))
        for clip_id, p in prompts.items()
      ],
    ),
    *_pictures(prompts, folder),
    "",
    "## Clips put into words",
    "",
    "Scored against what the lexicon reads in the clip's prompt.",
    "",
    *_table(
      ("clip", "the run says", *_ASPECT_NAMES, "landmarks, % (frozen face)")
      + ("tokens: face, mm (share)", "tokens: head, ° (share)"),
      [
        (
          f"`{clip_id}`",
          c["says"],
          *_scores(c),
          f"{100 * c['landmark_error']:.2f} ({100 * c['frozen_landmark_error']:.2f})",
          share(c, "face_error_mm"),
          share(c, "head_error_deg"),
        )
        for clip_id, c in clips.items()
      ],
    ),
    "",
    "Landmarks: mean distance of the fitted ones from the tracked, over the distance "
    "of the outer canthi. Share: of what the mean training frame loses.",
    *_pictures(clips, folder),
  ]
  return "\n".join(lines)


def write(args) -> pathlib.Path:
  """Measures, draws and writes; returns the page's path.

  Raises:
    UserError: the run or the real data are not there; frames in docs/.
  """
  local = args.frames
  out = args.out or (LOCAL if local else FOLDER)
  page = args.page or (out / "page.md" if local else PAGE)
  docs = FOLDER.parent.resolve()
  if local and any(path.resolve().is_relative_to(docs) for path in (out, page)):
    raise UserError(f"--frames: {out} is in {docs}; frames are not ours to hand on")
  if local:
    text = "# Real prompts and clips\n\n{}\n{}\n".format(*MARKS)
  elif page.is_file():
    text = page.read_text()
  else:
    raise UserError(f"{page}: no such page; name another --page")
  results.rewritten(text, "", page, MARKS)  # before minutes are spent
  run = inference.Face(locate.find(args.run))
  found, *rest = study(run, args.real, args.seeds)
  videos = pathlib.Path(args.real) / showcase.REAL_CLIPS if local else None
  draw(run, found, *rest, out, videos)
  files.write_json(out / JSON, found)
  folder = os.path.relpath(out, page.parent)
  made = markdown(found, "" if folder == "." else f"{folder}/")
  files.write_text(page, results.rewritten(text, made, page, MARKS))
  return page


@errors.entry_point("real_world")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  option = parser.add_argument
  option("--run", help="default: the released checkpoint")
  option("--real", default=os.environ.get("TDMM_REAL_DATA"), help="folder of real data")
  option("--out", type=pathlib.Path, help=f"of the pictures (default: {FOLDER})")
  option("--page", type=pathlib.Path, help=f"to write into (default: {PAGE})")
  option("--frames", action="store_true", help=f"show frames, in {LOCAL}")
  option("--seeds", type=int, default=8, help="motions of each prompt (default: 8)")
  args = parser.parse_args(argv)
  host.keep_freed()
  if not args.real:
    raise UserError("--real: not given, and TDMM_REAL_DATA is not set; name a folder")
  if args.seeds < 1:
    raise UserError(f"--seeds {args.seeds}: give 1 at least")
  print(write(args))


if __name__ == "__main__":
  sys.exit(main())
