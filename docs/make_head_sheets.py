"""Draws docs/head_sheet.png and docs/emotions.png: the default head, looked at closely.

  PYTHONPATH=. python docs/make_head_sheets.py

head_sheet.png: neutral and each action unit at 1, from the front, three-quarter, side.
emotions.png: one apex face of each of 12 emotion families, without captions, in an
order shuffled by a seed; emotions_key.json says which is which. It is a forced choice:
show a viewer the picture and the 12 names, and count.
"""

import json
import pathlib

import make_default_head_picture as picture
import numpy as np
from PIL import Image

from data_prep import expressions, simulate
from tdmm_jax import files
from tdmm_jax.face import action_units, face_model, load_model, motion
from tdmm_jax.render import caption, scene

FOLDER = pathlib.Path(__file__).parent
VIEWS = ("front", "three_quarter", "side")
CELL = (168, 190)
COLUMNS = 3  # triples in a row
EMOTION_CELL, EMOTION_COLUMNS, SEED = (320, 340), 4, 4
# Family -> the label that stands for it.
EMOTIONS = {
  "happiness": "happy",
  "sadness": "sad",
  "anger": "angry",
  "fear": "afraid",
  "surprise": "surprised",
  "disgust": "disgusted",
  "contempt": "contemptuous",
  "confusion": "confused",
  "embarrassment": "embarrassed",
  "tiredness": "sleepy",
  "pain": "pained",
  "pouting": "pouting",
}


def grid(cells: list[np.ndarray], columns: int) -> np.ndarray:
  cells = cells + [np.full_like(cells[0], 255)] * (-len(cells) % columns)
  rows = [
    np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)
  ]
  return np.concatenate(rows)


def unit_sheet(head) -> np.ndarray:
  names = dict.fromkeys(
    name.removesuffix("_l").removesuffix("_r") for name in action_units.ACTION_UNITS
  )
  one_sided = {"jaw_sideways": "jaw_sideways_l"}  # both at once would cancel
  faces = {"neutral": picture.vertices_of(head, {})}
  for name in names:
    faces[name] = picture.vertices_of(head, {one_sided.get(name, name): 1.0})
  faces["lids half closed"] = picture.vertices_of(head, {}, 0.0, (0.5, 0.5))
  faces["lids closed"] = picture.vertices_of(head, {}, 0.0, (1, 1))
  faces["jaw open, 0.3 rad"] = picture.vertices_of(head, {}, 0.3)
  vertices = np.stack(list(faces.values()))
  seen = [scene.render_frames(head, vertices, size=CELL, view=v) for v in VIEWS]
  cells = []
  for i, name in enumerate(faces):
    row = np.concatenate([frames[i] for frames in seen], 1)
    strip = caption.caption_strip(name.replace("_", " "), row.shape[1], 12)
    cells.append(np.concatenate([row, strip]))
  return grid(cells, COLUMNS)


def apex(label: str) -> motion.FaceMotion:
  """One frame: the label's recipe at full intensity, without noise."""
  channels = expressions.label_vectors()[label]
  value = lambda *names: np.array(
    [[channels[expressions.CHANNEL_INDEX[n]] for n in names]]
  )
  gaze = np.append(value("gaze_pitch", "gaze_yaw"), 0.0)[None]
  units = channels[None, : expressions.NUM_ACTION_UNITS]
  return motion.zeros(1).replace(
    expression=action_units.activations_to_expression(np.clip(units, 0, 1.25)),
    jaw_pose=np.append(value("jaw_open", "jaw_side"), 0.0)[None].astype(np.float32),
    eyelids=value("lid_l", "lid_r").astype(np.float32),
    eye_pose=np.concatenate([gaze, gaze], 1).astype(np.float32),
    head_pose=value("head_pitch", "head_yaw", "head_roll").astype(np.float32),
  )


def emotion_sheet(head) -> tuple[np.ndarray, dict]:
  order = np.random.default_rng(SEED).permutation(len(EMOTIONS))
  names = [list(EMOTIONS)[i] for i in order]
  cells = []
  for number, name in enumerate(names, start=1):
    vertices = face_model.motion_vertices(head, apex(EMOTIONS[name]))
    (frame,) = scene.render_frames(head, vertices, size=EMOTION_CELL, view="face")
    strip = caption.caption_strip(str(number), EMOTION_CELL[0], 16)
    cells.append(np.concatenate([frame, strip]))
  key = {
    "seed": SEED,
    "choices": sorted(EMOTIONS),
    "key": {str(i): name for i, name in enumerate(names, start=1)},
    "head": head.version,
    "simulator": simulate.VERSION,
  }
  return grid(cells, EMOTION_COLUMNS), key


def save(name: str, pixels: np.ndarray) -> None:
  with files.then_rename(FOLDER / name) as temporary:
    Image.fromarray(pixels).convert("L").save(temporary, "png", optimize=True)


def main():
  head = load_model.default_head()
  save("head_sheet.png", unit_sheet(head))
  pixels, key = emotion_sheet(head)
  save("emotions.png", pixels)
  with files.then_rename(FOLDER / "emotions_key.json") as temporary:
    temporary.write_text(json.dumps(key, indent=2) + "\n")


if __name__ == "__main__":
  main()
