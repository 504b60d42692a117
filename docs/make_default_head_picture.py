"""Draws docs/default_head.png: the default head, its action units and some emotions.

python docs/make_default_head_picture.py [--out docs/default_head.png]
"""

import argparse
import pathlib

import numpy as np
from PIL import Image

from tdmm_jax import files
from tdmm_jax.face import action_units, face_model, load_model
from tdmm_jax.render import caption, scene

CELL = (224, 261)
CROP = (32, 24, 192, 237)  # of a cell: the face
COLUMNS = 9

# name -> (action units, jaw opening in rad, lids left and right)
EMOTIONS = {
  "happy": (
    dict(lip_corner_puller=0.9, cheek_raiser=0.7, lips_part=0.5, upper_lip_raiser=0.3),
    0.05,
    (0, 0),
  ),
  "laughing": (
    dict(lip_corner_puller=1, cheek_raiser=1, upper_lip_raiser=0.4),
    0.22,
    (0.3, 0.3),
  ),
  "sad": (
    dict(inner_brow_raiser=1, lip_corner_depressor=0.8, chin_raiser=0.4),
    0.0,
    (0.25, 0.25),
  ),
  "angry": (
    dict(brow_lowerer=1, lid_tightener=0.7, upper_lid_raiser=0.4, lip_pressor=0.8),
    0.0,
    (0, 0),
  ),
  "surprised": (
    dict(inner_brow_raiser=1, outer_brow_raiser=1, upper_lid_raiser=0.9),
    0.3,
    (0, 0),
  ),
  "afraid": (
    dict(
      inner_brow_raiser=1, outer_brow_raiser=0.6, brow_lowerer=0.6, upper_lid_raiser=1,
      lip_stretcher=0.8, lips_part=0.6,
    ),
    0.1,
    (0, 0),
  ),
  "disgusted": (
    dict(nose_wrinkler=1, upper_lip_raiser=0.7, brow_lowerer=0.5, cheek_raiser=0.4),
    0.0,
    (0.15, 0.15),
  ),
  "contemptuous": (dict(dimpler_l=0.9, lip_corner_puller_l=0.6), 0.0, (0, 0)),
  "pouting": (dict(lip_pucker=0.6, chin_raiser=0.8, brow_lowerer=0.3), 0.0, (0, 0)),
  "kissing": (dict(lip_pucker=1.0), 0.0, (0.4, 0.4)),
  "winking": (
    dict(lip_corner_puller=0.7, cheek_raiser_l=0.8, lip_corner_puller_r=0.5),
    0.0,
    (1, 0),
  ),
  "smirking": (dict(lip_corner_puller_r=0.8, outer_brow_raiser_r=0.6), 0.0, (0, 0)),
  "shouting": (
    dict(brow_lowerer=0.8, lower_lip_depressor=0.6, upper_lip_raiser=0.5),
    0.36,
    (0, 0),
  ),
  "asleep": ({}, 0.03, (1, 1)),
}  # fmt: skip


def vertices_of(head, units, jaw=0.0, eyelids=(0, 0)) -> np.ndarray:
  """float32[V, 3]; `units` names action units, bare names act on both sides."""
  activations = np.zeros(len(action_units.ACTION_UNITS))
  for name, value in units.items():
    both = [name + "_l", name + "_r"]
    for one in [name] if name in action_units.ACTION_UNITS else both:
      activations[action_units.ACTION_UNITS.index(one)] = value
  return np.asarray(
    face_model.head_fixed_vertices(
      head,
      action_units.activations_to_expression(activations),
      np.array([jaw, 0, 0], np.float32),
      np.array(eyelids, np.float32),
      np.zeros(6, np.float32),
    )
  )


def labelled_grid(head, faces: dict[str, np.ndarray]) -> np.ndarray:
  """uint8[H, W, 3]: a grid of faces with their names."""
  frames = scene.render_frames(head, np.stack(list(faces.values())), size=CELL)
  left, top, right, bottom = CROP
  width = right - left
  cells = [
    np.concatenate(
      [frame[top:bottom, left:right], caption.caption_strip(name, width, 11)[:40]]
    )
    for name, frame in zip(faces, frames, strict=True)
  ]
  tall = max(len(cell) for cell in cells)
  fill = lambda cell: np.pad(
    cell, ((0, tall - len(cell)), (0, 0), (0, 0)), constant_values=255
  )
  cells = [fill(cell) for cell in cells]
  cells += [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
  rows = [
    np.concatenate(cells[i : i + COLUMNS], 1) for i in range(0, len(cells), COLUMNS)
  ]
  return np.concatenate(rows)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--out", default="docs/default_head.png")
  args = parser.parse_args()
  head = load_model.default_head()
  neutral = vertices_of(head, {})[None]
  width = (CROP[2] - CROP[0]) * COLUMNS
  views = ("front", "three_quarter", "side")
  size = (width // 3, int(width / 2.6))
  top = np.concatenate(
    [scene.render_frames(head, neutral, size=size, view=view)[0] for view in views], 1
  )
  emotions = {name: vertices_of(head, *pose) for name, pose in EMOTIONS.items()}
  names = dict.fromkeys(
    name.removesuffix("_l").removesuffix("_r") for name in action_units.ACTION_UNITS
  )
  one_sided = {"jaw_sideways": "jaw_sideways_l"}  # both at once would cancel
  units = {
    name.replace("_", " "): vertices_of(head, {one_sided.get(name, name): 1.0})
    for name in names
  }
  parts = [
    np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=255)
    for part in (top, labelled_grid(head, emotions), labelled_grid(head, units))
  ]
  picture = Image.fromarray(np.concatenate(parts)).convert("L")
  with files.then_rename(pathlib.Path(args.out)) as temporary:
    picture.save(temporary, "png", optimize=True)


if __name__ == "__main__":
  main()
