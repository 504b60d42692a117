"""Errors on a face as colour, with a bar that says how many millimetres a colour is.

Shapes: T frames, H and W a picture's height and width in pixels.
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np

from tdmm_jax.render import caption as captions

COLORS = "viridis"
_BAR_WIDTH = 76


@functools.cache
def _table() -> np.ndarray:
  """float32[256, 3], 0 .. 1."""
  import matplotlib  # half a second that a grey face can do without

  return matplotlib.colormaps[COLORS](np.arange(256))[:, :3].astype(np.float32)


def round_up(value_mm: float) -> float:
  """The next of 1, 2, 5 times a power of ten: a bar's end that can be read."""
  power = 10.0 ** np.floor(np.log10(max(value_mm, 1e-3)))
  return float(power * min(step for step in (1, 2, 5, 10) if step * power >= value_mm))


def paint(picture_HW3, values_HW, coverage_HW) -> np.ndarray:
  """Colours a grey picture by values in 0 .. 1, keeping its light and shade.

  Args:
    picture_HW3: uint8[H, W, 3], grey, over white.
    values_HW: float[H, W].
    coverage_HW: float[H, W], 0 where the background is seen.
  """
  color = _table()[(np.clip(values_HW, 0.0, 1.0) * 255).astype(np.uint8)]
  cover = coverage_HW[..., None]
  grey = (picture_HW3[..., :1] / np.float32(255.0) - (1 - cover)) / np.maximum(
    cover, 0.1
  )
  light = np.clip(0.25 + 0.95 * grey, 0.0, 1.15)
  mixed = cover * color * light + (1 - cover)
  return (np.clip(mixed, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)


def with_bar(frames: Iterable[np.ndarray], top_mm: float) -> Iterator[np.ndarray]:
  """Frames uint8[H, W, 3] with a colour bar on their right: 0, half and `top_mm` mm."""
  bar = None
  for frame in frames:
    bar = _bar(frame.shape[0], top_mm) if bar is None else bar
    yield np.concatenate([frame, bar], axis=1)


def _bar(height: int, top_mm: float) -> np.ndarray:
  bar = np.full((height, _BAR_WIDTH, 3), 255, np.uint8)
  top, bottom = height // 5, height - height // 5
  shades = np.linspace(255, 0, bottom - top).astype(np.uint8)
  bar[top:bottom, 8:22] = (_table()[shades][:, None] * 255).astype(np.uint8)
  for share in (0.0, 0.5, 1.0):
    text = f"{share * top_mm:g}" + (" mm" if share == 1.0 else "")
    strip = captions.caption_strip(text, _BAR_WIDTH - 24, 12, align="left")
    middle = round(bottom - share * (bottom - top)) - strip.shape[0] // 2
    bar[middle : middle + strip.shape[0], 24:] = strip
  return bar
