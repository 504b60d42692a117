"""A clip at a glance: evenly spaced frames in a row, with their times and a caption.

Shapes: T frames, H and W a frame's height and width in pixels.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from tdmm_jax import files
from tdmm_jax.render import caption as captions
from tdmm_jax.render import video

GAP = 6
LABEL_WIDTH = 84


def sheet_indices(num_frames: int, num: int) -> np.ndarray:
  """`num` frame indices, evenly spaced, first and last included; fewer if T is less."""
  num = max(1, min(num, num_frames))
  return np.round(np.linspace(0, num_frames - 1, num)).astype(int)


def _fit(frame: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
  """Scales a frame into a white cell (W, H) without changing its shape."""
  scale = min(cell[0] / frame.shape[1], cell[1] / frame.shape[0])
  width, height = (max(round(n * scale), 1) for n in (frame.shape[1], frame.shape[0]))
  picture = np.full((cell[1], cell[0], 3), 255, np.uint8)
  left, top = (cell[0] - width) // 2, (cell[1] - height) // 2
  picture[top : top + height, left : left + width] = video.resize(
    frame, (width, height)
  )
  return picture


def _row(frames, indices, cell: tuple[int, int], times_s=None) -> np.ndarray:
  """One row of frames in cells of (W, H), with the time of each under it, if given."""
  parts = []
  for i in indices:
    picture = _fit(frames[i], cell)
    if times_s is not None:
      stamp = captions.caption_strip(f"{times_s[i]:.2f} s", cell[0], 11, captions.FAINT)
      picture = np.concatenate([picture, stamp])
    parts += [picture, np.full((picture.shape[0], GAP, 3), 255, np.uint8)]
  return np.concatenate(parts[:-1], 1)


def _label(text: str, height: int) -> np.ndarray:
  """A row's name in a white column as high as the row, the text half-way up."""
  column = np.full((height, LABEL_WIDTH, 3), 255, np.uint8)
  strip = captions.caption_strip(text, LABEL_WIDTH, 12, captions.INK, "left")[:height]
  top = (height - strip.shape[0]) // 2
  column[top : top + strip.shape[0]] = strip
  return column


def picture(
  frames: np.ndarray,
  caption: str = "",
  num: int = 8,
  label: str = "",
  extra_rows: Mapping[str, np.ndarray] | None = None,
  height: int = 160,
  fps: float = 25.0,
  times_s: Sequence[float] | None = None,
) -> np.ndarray:
  """The caption above `num` evenly spaced frames and their times, uint8[H, W, 3].

  Args:
    frames: uint8[T, H, W, 3], the last row, with the times.
    caption: wrapped over the sheet's width.
    num: frames in a row.
    label: the name of the row of `frames`.
    extra_rows: name -> uint8[T', H', W', 3], rows above, sampled at the same share of
      their length (a real video above the fit, the truth above a reconstruction) and
      fitted into cells of the shape of `frames`; see `video.crop_to_points`.
    height: of each frame on the sheet, in pixels.
    fps: of `frames`, for the times.
    times_s: of each of `frames`, instead; those of frames that were picked already.

  Raises:
    ValueError: if a clip has no frame.
  """
  rows = [*(extra_rows or {}).items(), (label, frames)]
  if any(len(clip) == 0 for _, clip in rows):
    raise ValueError("a contact sheet needs at least one frame in each row")
  num = min(num, *(len(clip) for _, clip in rows))
  times_s = np.arange(len(frames)) / fps if times_s is None else times_s
  named = any(name for name, _ in rows)
  cell = (max(round(frames.shape[2] * height / frames.shape[1]), 1), height)
  pictures = []
  for i, (name, clip) in enumerate(rows):
    indices = sheet_indices(len(clip), num)
    row = _row(clip, indices, cell, times_s if i == len(rows) - 1 else None)
    if named:
      row = np.concatenate([_label(name, row.shape[0]), row], 1)
    pictures.append(row)
  width = pictures[-1].shape[1]
  parts = [captions.caption_strip(caption, width, 16)]
  for row in pictures:
    parts.append(row)
    parts.append(np.full((GAP, width, 3), 255, np.uint8))
  return np.concatenate(parts)


def contact_sheet(
  frames: np.ndarray, path: str | os.PathLike, *arguments, **options
) -> pathlib.Path:
  """Writes what `picture` draws, with its arguments, as a PNG; returns the path."""
  path = pathlib.Path(path)
  sheet = picture(frames, *arguments, **options)
  with files.then_rename(path) as temporary:
    Image.fromarray(sheet).save(temporary, "png")
  return path
