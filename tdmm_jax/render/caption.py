"""Words on pictures: wrapped text on white, with the font that Pillow carries."""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK = (32, 33, 36)
FAINT = (120, 124, 130)


@functools.lru_cache(maxsize=16)
def font(size_px: int) -> ImageFont.FreeTypeFont:
  """Pillow's own scalable font, so that nothing is asked of the system."""
  return ImageFont.load_default(size=size_px)


def wrap(text: str, width_px: float, size_px: int) -> list[str]:
  """Breaks text into lines at most `width_px` wide.

  Lines break at spaces; a word too wide for a line is broken inside. Line
  breaks in the text are kept. Empty text has no lines.
  """
  face = font(size_px)
  lines = []
  for paragraph in text.strip().splitlines():
    line = ""
    for word in paragraph.split():
      longer = f"{line} {word}" if line else word
      if face.getlength(longer) <= width_px:
        line = longer
        continue
      if line:
        lines.append(line)
      while face.getlength(word) > width_px and len(word) > 1:
        cut = len(word) - 1
        while cut > 1 and face.getlength(word[:cut]) > width_px:
          cut -= 1
        lines.append(word[:cut])
        word = word[cut:]
      line = word
    lines.append(line)
  return lines


def caption_strip(
  text: str, width: int, size_px: int = 14, ink=INK, align: str = "center"
) -> np.ndarray:
  """Draws wrapped text on a white strip as high as the text needs.

  Args:
    text: what to write.
    width: the strip's width in pixels.
    size_px: the font's size.
    ink: RGB of the letters.
    align: "center" or "left".

  Returns:
    uint8[h, width, 3]; h is 0 for empty text.
  """
  margin = max(size_px // 2, 4)
  lines = wrap(text, width - 2 * margin, size_px)
  line_height = round(1.35 * size_px)
  height = len(lines) * line_height + 2 * margin if lines else 0
  strip = Image.new("RGB", (width, max(height, 1)), "white")
  pen = ImageDraw.Draw(strip)
  for i, line in enumerate(lines):
    x = margin
    if align == "center":
      x = (width - font(size_px).getlength(line)) / 2
    pen.text((x, margin + i * line_height), line, fill=ink, font=font(size_px))
  return np.asarray(strip)[:height]
