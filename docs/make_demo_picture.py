"""Stacks contact sheets of a demo run into docs/demo.png, the README's picture.

python docs/make_demo_picture.py runs/train
"""

import pathlib
import sys

from PIL import Image

SHEETS = ("test_*", "demo_demo_01", "demo_demo_02", "demo_demo_07", "demo_demo_09")


def main() -> None:
  media = pathlib.Path(sys.argv[1]) / "media"
  paths = [sorted(media.glob(f"{name}.png"))[0] for name in SHEETS]
  sheets = [Image.open(path).convert("RGB") for path in paths]
  width = max(sheet.width for sheet in sheets)
  picture = Image.new("RGB", (width, sum(sheet.height for sheet in sheets)), "white")
  top = 0
  for sheet in sheets:
    picture.paste(sheet, ((width - sheet.width) // 2, top))
    top += sheet.height
  picture.quantize(128).save(pathlib.Path(__file__).with_name("demo.png"))


if __name__ == "__main__":
  main()
