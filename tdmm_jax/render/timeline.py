"""A motion's action units over time, as a picture: a row each, darker is stronger."""

import os
import pathlib

import numpy as np
from PIL import Image, ImageDraw

from tdmm_jax import files
from tdmm_jax.face import facs
from tdmm_jax.render import caption as captions

_WIDTH, _LEFT, _ROW, _TOP, _BOTTOM = 900, 190, 22, 10, 28  # pixels
_EMPTY, _FULL = np.array([238, 241, 245]), np.array([32, 82, 149])


def picture(actions: list[facs.Action], levels, fps: float) -> np.ndarray:
  """uint8[H, W, 3].

  Args:
    actions: of `facs.read_actions`; units without one have no row.
    levels: of `facs.tracks`.
    fps: of the levels.
  """
  rows = sorted({(a.code, a.name) for a in actions}, key=lambda row: int(row[0]))
  frames = len(next(iter(levels.values())))
  height = _TOP + _ROW * max(len(rows), 1) + _BOTTOM
  image = Image.new("RGB", (_WIDTH, height), "white")
  draw = ImageDraw.Draw(image)
  span = _WIDTH - _LEFT - 12
  place = lambda second: _LEFT + second * fps / frames * span
  for i, (code, name) in enumerate(rows):
    top = _TOP + i * _ROW
    draw.text((8, top + 3), f"AU{code} {name}", captions.INK, captions.font(12))
    # The subject's left side above, the right below; a unit without sides fills both.
    parts = [levels[key] for key in levels if key[0] == code]
    half = (_ROW - 4) / len(parts)
    for part, level in enumerate(parts):
      share = np.clip(level, 0.0, 1.0)[:, None]
      colors = (_EMPTY + share * (_FULL - _EMPTY)).astype(np.uint8)
      strip = Image.fromarray(colors[None]).resize((span, max(int(half), 1)))
      image.paste(strip, (_LEFT, int(top + part * half)))
    for a in actions:
      if a.code == code:
        x = place(a.apex_s)
        draw.line([(x, top), (x, top + _ROW - 5)], fill="white")
        draw.text((x + 3, top + 2), a.intensity, "white", captions.font(11))
  bottom = height - _BOTTOM + 2
  for second in range(int(frames / fps) + 1):
    x = place(second)
    draw.line([(x, bottom), (x, bottom + 5)], fill=captions.FAINT)
    draw.text((x + 2, bottom + 6), f"{second} s", captions.FAINT, captions.font(11))
  return np.asarray(image)


def write(path: str | os.PathLike, *content) -> None:
  """Writes `picture` as a PNG."""
  path = pathlib.Path(path)
  with files.then_rename(path) as temporary:
    Image.fromarray(picture(*content)).save(temporary, "png", optimize=True)
