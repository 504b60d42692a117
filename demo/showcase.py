"""What the demo's report shows: sentences acted out, motions put into words."""

import collections
import json
import pathlib

import numpy as np
import tqdm

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion_vector
from tdmm_jax.face.fit import fit_landmarks, landmarks
from tdmm_jax.face.motion import save_motion
from tdmm_jax.generate import face as inference
from tdmm_jax.generate import inputs
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon, understanding
from tdmm_jax.metrics import acts as measures
from tdmm_jax.render import contact_sheet, scene, video
from tdmm_jax.render.report import Card, Section

SECONDS = 4.0
SIZE = 256
NUM_TEST_MOTIONS = 6
PROMPTS = pathlib.Path(__file__).with_name("prompts.jsonl")
REAL_CLIPS = "open3dfacevid_clips"


def _read_jsonl(path: pathlib.Path) -> list[dict]:
  try:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
  except (OSError, json.JSONDecodeError) as error:
    raise UserError(f"{path}: cannot be read ({error}); restore it") from error


def _real_rows(real_data: str | None) -> list[dict]:
  path = pathlib.Path(real_data or "") / REAL_CLIPS / "prompts.jsonl"
  return _read_jsonl(path) if real_data and path.exists() else []


def fit_real_clips(run: inference.Face, real_data: str | None) -> list[dict]:
  """`fitted_clips` of the real clips, where there are any."""
  rows = _real_rows(real_data)
  if not rows:
    print("no real clips: set TDMM_REAL_DATA to a folder that has them")
    return []
  return fitted_clips(run, rows, pathlib.Path(real_data) / REAL_CLIPS)


def fitted_clips(run: inference.Face, rows: list[dict], folder) -> list[dict]:
  """Fits the face model to each clip's landmarks and describes the motion.

  Args:
    rows: dicts of clip_id, prompt (what is known of it), and video and landmarks, files
      of `folder`.
  """
  fitted = []
  for row in tqdm.tqdm(rows, desc="fitting real clips", unit="clip"):
    tracked = landmarks.read_landmarks(folder / row["landmarks"])
    motion, diagnostics = fit_landmarks.fit_landmarks(run.codec.face, **tracked)
    fitted.append(row | {"motion": motion, "tracked": tracked, "fit": diagnostics})
  codes = run.codec.encode([clip["motion"] for clip in fitted])
  for clip, code in zip(fitted, codes, strict=True):
    clip |= {"codes": code, "says": run.describe(clip["motion"])}
  return fitted


def real_scores(fitted: list[dict], real_data: str | None) -> dict:
  """The summary's `real`: counts and mean landmark errors; None without real clips."""
  mean = lambda key: (
    float(np.mean([clip["fit"][key] for clip in fitted])) if fitted else None
  )
  return {
    "prompts": len(_real_rows(real_data)),
    "clips": len(fitted),
    "landmark_error": mean("landmark_error"),
    "frozen_landmark_error": mean("frozen_landmark_error"),
    "num_landmarks": fitted[0]["fit"]["num_landmarks"] if fitted else None,
  }


class Studio:
  """Renders clips of one face model into a folder, with a progress bar."""

  def __init__(self, face, run_dir: pathlib.Path, num_frames: int):
    self.face, self.folder = face, run_dir / "media"
    self.folder.mkdir(exist_ok=True)
    self.bar = tqdm.tqdm(total=num_frames, desc="rendering", unit="frame")

  def draw(self, motion, identity: bool = False) -> np.ndarray:
    vertices = face_lib.motion_vertices(self.face, motion, identity=identity)
    size = (SIZE, SIZE)
    return scene.render_frames(self.face, vertices, size, progress=self.bar.update)

  def save(self, name: str, caption: str, frames, extra=None, label="", fps=25.0):
    """Writes video and sheet; `extra` are named clips shown beside and above."""
    extra = extra or {}
    beside = video.beside([*extra.values(), frames], SIZE) if extra else frames
    movie, sheet = self.folder / f"{name}.mp4", self.folder / f"{name}.png"
    video.write_video(movie, beside, fps, caption)
    contact_sheet.contact_sheet(
      frames, sheet, caption, label=label, extra_rows=extra, fps=fps
    )
    return {"sheet": f"media/{sheet.name}", "video": f"media/{movie.name}"}


def _tags(attributes: dict) -> dict:
  return {
    "emotion": f"{attributes['emotion']} ({attributes['family']})",
    "intensity": attributes["intensity"],
    "head": ", ".join(attributes["head_motion"]) or "still",
    "micro-actions": ", ".join(attributes["micro_actions"]) or "none",
    "voice": attributes["speaking"],
  }


def _seen(run, motion, prompt: str) -> list[str]:
  """What was understood of a prompt, and what geometry sees of it."""
  guess = inputs.guess(run, prompt)
  asked = acts_lib.acts_of(understanding.read(prompt, SECONDS, guess))
  tracks = measures.tracks_of(run.codec.face, motion)
  # No curve tells a neutral or a calm face.
  asked = [a for a in asked if not a.emotion or measures.emotion(tracks, a.name).any()]
  found = measures.aspects(tracks, asked)
  missed = collections.Counter(aspect for aspect, right in found if not right)
  understood = run.understand(prompt, SECONDS)
  notes = [f"understood as: {understood.text or 'nothing'}"]
  notes += [f"warned: {warning}" for warning in understood.warnings]
  if found:
    right = len(found) - missed.total()
    lost = f"; not: {', '.join(missed)}" if missed else ""
    notes.append(f"geometry sees {right} of {len(found)}{lost}")
  return notes


def acted_out(run, studio, rows: list[dict], prefix: str) -> list[Card]:
  """Acts prompts out, and lets the model describe its own motions: the loop.

  Args:
    rows: dicts of clip_id and prompt.
    prefix: of the files' names.
  """
  prompts = [row["prompt"] for row in rows]
  codes = run.generate_codes(prompts, [SECONDS] * len(prompts))
  motions = run.motions_of(dict(enumerate(codes)), prompts)
  cards = []
  for row, code, motion in zip(rows, codes, motions):
    text = run.describe(motion)
    name = f"{prefix}_{row['clip_id']}"
    save_motion(studio.folder / f"{name}.npz", motion)
    media = studio.save(name, row["prompt"], studio.draw(motion))
    understood = run.understand(row["prompt"], SECONDS).text
    asked, heard = lexicon.parse(understood or row["prompt"]), lexicon.parse(text)
    kept = "kept" if asked["family"] == heard["family"] else "lost"
    notes = [*_seen(run, motion, row["prompt"]), f"emotion family {kept} in the loop"]
    cards.append(
      Card(row["prompt"], **media, says=text, tokens=code.tolist(),
           attributes=_tags(asked), notes=notes)
    )  # fmt: skip
  return cards


def _described(run, studio, clips: list[dict]) -> list[Card]:
  """Held-out test motions: truth beside the tokenizer's reconstruction, and caption."""
  codes = run.codec.encode_vectors([clip["vectors"] for clip in clips])
  says = run.describe_codes(codes)
  cards = []
  for clip, code, decoded, text in zip(clips, codes, run.codec.decode(codes), says):
    truth = motion_vector.to_motion(clip["vectors"], clip["face_model"])
    extra = {"truth": studio.draw(truth)}
    name = f"test_{clip['clip_id']}"
    media = studio.save(name, text, studio.draw(decoded), extra, "decoded")
    cards.append(
      Card(text, **media, says=text, reference=clip["prompt"], tokens=code.tolist(),
           attributes=_tags(clip["attributes"]))
    )  # fmt: skip
  return cards


def real_clips(studio, fitted: list[dict], folder: pathlib.Path) -> list[Card]:
  """Real videos beside the fitted face, with the caption the model gives."""
  cards = []
  for clip in fitted:
    frames, fps = video.read_video(folder / clip["video"])
    tracked = clip["tracked"]
    points = tracked["landmarks_px"][tracked["detected"]]
    frames = video.crop_to_points(frames, points)
    drawn = studio.draw(clip["motion"], identity=True)
    # The fit is at 25 fps; the video is shown at the same instants.
    times = np.arange(len(drawn)) * fps / clip["motion"].fps
    frames = frames[np.minimum(np.round(times).astype(int), len(frames) - 1)]
    name = f"real_{clip['clip_id']}"
    media = studio.save(name, clip["prompt"], drawn, {"video": frames}, "fitted")
    error, frozen = (
      clip["fit"][key] for key in ("landmark_error", "frozen_landmark_error")
    )
    note = f"landmark error {error:.4f}; with a frozen face {frozen:.4f}"
    cards.append(
      Card(clip["clip_id"], **media, says=clip["says"], reference=clip["prompt"],
           tokens=clip["codes"].tolist(), notes=[note])
    )  # fmt: skip
  return cards


def sections(
  run, test_clips, fitted, real_data, run_dir: pathlib.Path
) -> list[Section]:
  """All sections of the report; renders everything they show into `run_dir/media`."""
  prompts, real_prompts = _read_jsonl(PROMPTS), _real_rows(real_data)
  test_clips = test_clips[:NUM_TEST_MOTIONS]
  num_generated = (len(prompts) + len(real_prompts)) * round(SECONDS * 25)
  num_shown = sum(2 * len(clip["vectors"]) for clip in test_clips)
  num_real = sum(clip["motion"].num_frames for clip in fitted)
  studio = Studio(run.codec.face, run_dir, num_generated + num_shown + num_real)
  result = [
    Section(
      "Sentences acted out",
      "Each motion is generated from its prompt alone; below it stands the caption "
      "that the same model gives its own motion.",
      acted_out(run, studio, prompts, "demo"),
    ),
    Section(
      "Motions put into words",
      "Held-out test motions, described from their tokens. Left: the truth; right: "
      "what the tokens decode to.",
      _described(run, studio, test_clips),
    ),
  ]
  if real_prompts:
    result.append(
      Section(
        "Real prompts acted out",
        "Prompts written for real video generators; nothing like them was trained on.",
        acted_out(run, studio, real_prompts, "prompt"),
      )
    )
  if fitted:
    folder = pathlib.Path(real_data) / REAL_CLIPS
    result.append(
      Section(
        "Real clips put into words",
        "Landmarks of real video clips, fitted with the face model, tokenised and "
        "described. The model was trained on simulated motion only.",
        real_clips(studio, fitted, folder),
      )
    )
  studio.bar.close()
  return result
