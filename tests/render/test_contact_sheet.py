"""Contact sheets: which frames are shown, and where."""

import numpy as np
import pytest
from PIL import Image

from tdmm_jax.render import contact_sheet as sheets


def shades(num_frames, height=60, width=60):
  """A clip whose frame t is a flat grey of value 2 t."""
  values = 2 * np.arange(num_frames, dtype=np.uint8)
  return np.broadcast_to(
    values[:, None, None, None], (num_frames, height, width, 3)
  ).copy()


def read(path):
  return np.asarray(Image.open(path).convert("RGB"))


def test_indices_are_even_and_reach_both_ends():
  assert sheets.sheet_indices(100, 8).tolist() == [0, 14, 28, 42, 57, 71, 85, 99]
  assert sheets.sheet_indices(3, 8).tolist() == [0, 1, 2]
  assert sheets.sheet_indices(1, 8).tolist() == [0]


def test_sheet_shows_the_frames_under_the_caption(tmp_path):
  path = sheets.contact_sheet(
    shades(100), tmp_path / "s.png", "A pout.", num=5, height=60
  )
  picture = read(path)
  width = 5 * 60 + 4 * sheets.GAP
  assert picture.shape[1] == width
  top = np.nonzero((picture[:, 30] == 0).all(-1))[0][0]  # frame 0 is black
  assert (picture[:top] < 128).any(), "no caption above the frames"
  row = picture[top + 30]
  centres = [row[i * (60 + sheets.GAP) + 30, 0] for i in range(5)]
  assert centres == [0, 50, 100, 148, 198]
  assert (picture[top + 60 :, :60] < 200).any(), "no time under the frame"


def test_frames_that_were_picked_before_have_their_own_times(tmp_path):
  picked = sheets.sheet_indices(100, 5)
  early = {"frames": shades(100)[picked], "num": 5, "times_s": picked / 25}
  late = {"frames": shades(100), "num": 5, "fps": 25}
  np.testing.assert_array_equal(sheets.picture(**early), sheets.picture(**late))


def test_second_row_is_labelled_and_aligned(tmp_path):
  plain = read(sheets.contact_sheet(shades(20), tmp_path / "a.png", "x", height=60))
  wide = np.full((35, 30, 90, 3), 120, np.uint8)
  path = sheets.contact_sheet(
    shades(20),
    tmp_path / "b.png",
    "x",
    label="fitted",
    extra_rows={"real": wide},
    height=60,
  )
  picture = read(path)
  assert picture.shape[1] == plain.shape[1] + sheets.LABEL_WIDTH
  assert picture.shape[0] == plain.shape[0] + 60 + sheets.GAP
  columns = (picture == 120).all(-1)
  assert columns.any(0).sum() == 8 * 60  # eight cells, no wider than the faces below
  assert (picture[30:, : sheets.LABEL_WIDTH] < 128).any(), "no labels"


def test_long_caption_makes_the_sheet_higher_not_wider(tmp_path):
  short = read(sheets.contact_sheet(shades(9), tmp_path / "a.png", "x"))
  long = read(sheets.contact_sheet(shades(9), tmp_path / "b.png", "many words " * 60))
  assert long.shape[1] == short.shape[1] and long.shape[0] > short.shape[0] + 40


def test_empty_clip_is_refused_and_nothing_is_left(tmp_path):
  with pytest.raises(ValueError, match="at least one frame"):
    sheets.contact_sheet(shades(0), tmp_path / "s.png", "x")
  assert not list(tmp_path.iterdir())
