"""`tdmm render`: one or more motions, and a real video, as one film or contact sheet.

Shapes: T frames, V vertices, H and W a picture's height and width in pixels.
"""

import dataclasses
import itertools
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_model_lib
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.render import caption as captions
from tdmm_jax.render import contact_sheet, heat_map, scene, video

SHEET = ".png"
MAX_SHEET_FRAMES = 200  # pictures in a row
SUFFIXES = (*video.SUFFIXES, SHEET)
_GAP = 8


@dataclasses.dataclass(frozen=True)
class Style:
  """How a clip is drawn.

  Attributes:
    view: one of `scene.VIEWS`.
    size: side of each square picture, pixels; even, 64 to 2048.
    identity: with each motion's own identity instead of the mean head.
    wireframe: with the mesh's edges.
    error: paint each motion but the first by its distance to the first, with a bar.
    error_max_mm: the bar's end; by default the 99th percentile, rounded up.
    caption: under the whole.
    labels: over each motion; as many as motions, or none.
    sheet_frames: pictures in a row of a contact sheet.
  """

  view: str = "front"
  size: int = 512
  identity: bool = False
  wireframe: bool = False
  error: bool = False
  error_max_mm: float | None = None
  caption: str = ""
  labels: tuple[str, ...] = ()
  sheet_frames: int = 8


def check(path: str | os.PathLike, style: Style, count: int, audio=None) -> None:
  """Checks everything that can be checked before the work.

  Args:
    path: the file to be written.
    style: see `Style`.
    count: how many motions.
    audio: a file with sound, or None.

  Raises:
    UserError: the suffix, size, view, number of labels or sound is not possible.
  """
  suffix = pathlib.Path(path).suffix.lower()
  if suffix not in SUFFIXES:
    raise UserError(
      f"{path}: cannot write a {suffix or 'suffixless'} video; end the name in "
      f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    )
  if not 64 <= style.size <= 2048 or style.size % 2:
    raise UserError(f"size {style.size}: give an even number from 64 to 2048")
  if style.view not in scene.VIEWS:
    raise UserError(f"view {style.view}: choose one of {', '.join(scene.VIEWS)}")
  if style.labels and len(style.labels) != count:
    raise UserError(
      f"labels: {len(style.labels)} given for {count} motions; give one for each"
    )
  if style.error and count < 2:
    raise UserError("error: compares motions; give at least two")
  if style.error_max_mm is not None and not style.error_max_mm > 0:
    raise UserError(f"error_max_mm {style.error_max_mm:g}: give millimetres above 0")
  if not 1 <= style.sheet_frames <= MAX_SHEET_FRAMES:
    raise UserError(f"sheet_frames {style.sheet_frames}: give 1 to {MAX_SHEET_FRAMES}")
  if audio is not None and suffix != ".mp4":
    raise UserError(f"audio: {suffix} is silent; end the name in .mp4")
  if audio is not None and not pathlib.Path(audio).is_file():
    raise UserError(f"{audio}: no such sound; check the path")


def render(
  path: str | os.PathLike,
  face: FaceModel,
  motions: Sequence[FaceMotion],
  style: Style = Style(),
  beside: str | os.PathLike | None = None,
  audio: str | os.PathLike | None = None,
) -> dict[str, Any]:
  """Draws motions side by side and writes the file; a shorter one holds its last frame.

  Args:
    path: ends in .mp4, .gif or .png (a contact sheet, one row a motion).
    face: the motions' face model.
    motions: all at one frame rate.
    style: see `Style`.
    beside: a real video, shown first, from its start.
    audio: a file whose sound is laid under, from its start.

  Returns:
    file, frames, fps, frames_per_s (drawing and writing), and with `error` the mean and
    greatest distance of each compared motion, error_mm and error_max_mm.

  Raises:
    UserError: see `check`; motions that do not fit the model; an unreadable video.
  """
  check(path, style, len(motions), audio)
  footage = None
  if beside is not None:
    footage = _at_rate(*video.read_video(beside, style.size), motions[0].fps)
  lengths = [motion.num_frames for motion in motions]
  result: dict[str, Any] = {"file": str(path), "fps": motions[0].fps}
  result["frames"] = max(lengths if footage is None else [len(footage), *lengths])
  start = time.perf_counter()
  is_sheet = pathlib.Path(path).suffix.lower() == SHEET
  shown = [np.arange(length) for length in lengths]
  if is_sheet:  # no other frame is drawn
    columns = min(
      style.sheet_frames, *lengths, *([] if footage is None else [len(footage)])
    )
    shown = [contact_sheet.sheet_indices(length, columns) for length in lengths]
    if footage is not None:
      footage = footage[contact_sheet.sheet_indices(len(footage), columns)]
  values_mm, top_mm = None, 0.0
  if style.error:
    values_mm = [_distance_mm(face, motions[0], m, style.identity) for m in motions[1:]]
    top_mm = style.error_max_mm or heat_map.round_up(
      max(np.percentile(values, 99) for values in values_mm)
    )
    result["error_mm"] = [float(values.mean()) for values in values_mm]
    result["error_max_mm"] = [float(values.max()) for values in values_mm]
  drawn = []
  for i, (motion, rows) in enumerate(zip(motions, shown, strict=True)):
    paint = None
    if values_mm is not None and i > 0:
      paint = _paint(values_mm[i - 1], top_mm, rows)
    drawn.append(
      scene.draw_frames(
        face,
        face_model_lib.frames(face, motion_lib.take(motion, rows), style.identity),
        (style.size, style.size),
        style.view,
        paint=paint,
        wireframe=style.wireframe,
      )
    )
  labels = list(style.labels) or [""] * len(drawn)
  if footage is not None:
    drawn, labels = [footage, *drawn], ["video" if style.labels else "", *labels]
  if is_sheet:
    _write_sheet(path, drawn, labels, style, shown[-1] / motions[0].fps)
  else:
    frames = _columns(drawn, labels, style.size)
    if values_mm is not None:
      frames = heat_map.with_bar(frames, top_mm)
    video.write_video(path, frames, motions[0].fps, style.caption, audio)
  result["frames_per_s"] = result["frames"] / (time.perf_counter() - start)
  return result


def _write_sheet(path, drawn, labels, style: Style, times_s) -> None:
  clips = [np.stack(list(clip)) for clip in drawn]
  *above, last = zip(labels, clips)
  contact_sheet.contact_sheet(
    last[1],
    path,
    style.caption,
    len(times_s),
    last[0] or (str(len(clips)) if above else ""),
    {label or f"{i + 1}": clip for i, (label, clip) in enumerate(above)},
    height=min(style.size, 320),
    times_s=times_s,
  )


def _distance_mm(face, first: FaceMotion, other: FaceMotion, identity) -> np.ndarray:
  """float32[T', V]: vertex distances over the frames that both have."""
  frames = min(first.num_frames, other.num_frames)
  distances = np.empty((frames, face.num_vertices), np.float32)
  both = (face_model_lib.frames(face, motion, identity) for motion in (first, other))
  for row, points, moved in zip(distances, *both):
    row[:] = np.linalg.norm(points - moved, axis=-1) * 1e3
  return distances


def _paint(values_mm, top_mm: float, frames) -> Iterator[np.ndarray]:
  """Of each of these frames, float32[V] in 0 .. 1; the last one's goes on."""
  for t in np.minimum(frames, len(values_mm) - 1):
    yield np.clip(values_mm[t] / top_mm, 0.0, 1.0)


def _at_rate(frames, fps, wanted) -> np.ndarray:
  """The frames nearest in time at another rate."""
  count = max(round(len(frames) / fps * wanted), 1)
  nearest = np.round(np.arange(count) / wanted * fps).astype(int)
  return frames[np.minimum(nearest, len(frames) - 1)]


def _columns(clips, labels, size) -> Iterator[np.ndarray]:
  """Frames uint8[H, W, 3] of clips side by side, each under its label."""
  if len(clips) == 1 and not labels[0]:
    yield from clips[0]
    return
  first_frames, clips = zip(*(_peek(clip) for clip in clips))
  widths = [max(round(f.shape[1] * size / f.shape[0]), 1) for f in first_frames]
  head = _heading(labels, widths, size)
  for frame in video.beside(clips, size, _GAP):
    yield np.concatenate([head, frame])


def _peek(frames) -> tuple[np.ndarray, Iterator[np.ndarray]]:
  """The first frame, and all of them."""
  frames = iter(frames)
  first = next(frames)
  return first, itertools.chain([first], frames)


def _heading(labels, widths, size) -> np.ndarray:
  """uint8[H, W, 3]: each label over its clip; H is 0 where there are none."""
  head = np.full((0, sum(widths) + _GAP * (len(widths) - 1), 3), 255, np.uint8)
  if not any(labels):
    return head
  parts = [
    captions.caption_strip(label or " ", width, max(11, size // 24))
    for label, width in zip(labels, widths, strict=True)
  ]
  height = max(part.shape[0] for part in parts)
  head = np.full((height, head.shape[1], 3), 255, np.uint8)
  left = 0
  for part in parts:
    head[: part.shape[0], left : left + part.shape[1]] = part
    left += part.shape[1] + _GAP
  return head
