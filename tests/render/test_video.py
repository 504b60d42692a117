"""Video files: what is written can be read again, and nothing is left behind."""

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from tdmm_jax.errors import UserError
from tdmm_jax.render import caption, video


def clip(num_frames=12, height=64, width=96):
  """A grey bar that moves to the right, frame by frame."""
  frames = np.full((num_frames, height, width, 3), 255, np.uint8)
  for t in range(num_frames):
    frames[t, :, 4 * t : 4 * t + 24] = 90
  return frames


def test_mp4_round_trip_plays_in_browsers(tmp_path):
  frames = clip()
  path = video.write_video(tmp_path / "new" / "a.mp4", frames, fps=25)
  back, fps = video.read_video(path)
  assert back.shape == frames.shape and fps == 25
  assert np.abs(back.astype(int) - frames).mean() < 3
  assert [file.name for file in path.parent.iterdir()] == ["a.mp4"]
  log = subprocess.run(
    [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)], capture_output=True, text=True
  ).stderr
  assert "h264" in log and "yuv420p" in log
  data = path.read_bytes()
  assert data.index(b"moov") < data.index(b"mdat")  # starts before it is all loaded


def test_gif_round_trip(tmp_path):
  frames = clip()
  back, fps = video.read_video(video.write_video(tmp_path / "a.gif", frames, fps=25))
  assert back.shape == frames.shape and fps == pytest.approx(25)
  assert np.abs(back.astype(int) - frames).mean() < 12


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_caption_is_under_an_untouched_picture(tmp_path, suffix):
  frames = np.full((3, 64, 96, 3), 200, np.uint8)
  text = "A woman smiles broadly, then nods twice and looks away."
  path = video.write_video(tmp_path / f"a.{suffix}", frames, caption=text)
  back, _ = video.read_video(path)
  assert back.shape[1] > 64 + 30 and back.shape[2] == 96
  assert np.abs(back[:, :62].astype(int) - 200).max() < 12
  assert (back[:, 66:] < 110).any()


def test_odd_sides_are_padded_not_refused(tmp_path):
  frames = np.full((2, 65, 97, 3), 100, np.uint8)
  back, _ = video.read_video(video.write_video(tmp_path / "a.mp4", frames))
  assert back.shape == (2, 66, 98, 3)


def test_unknown_suffix_is_the_users_error(tmp_path):
  with pytest.raises(UserError, match=r"a\.avi.*\.mp4 or \.gif"):
    video.write_video(tmp_path / "a.avi", clip())


def test_folder_that_cannot_be_is_the_users_error(tmp_path):
  (tmp_path / "file").write_text("not a folder")
  with pytest.raises(UserError, match=r"a\.mp4: cannot be written"):
    video.write_video(tmp_path / "file" / "a.mp4", clip())


def test_unreadable_videos_are_the_users_error(tmp_path):
  whole = video.write_video(tmp_path / "whole.mp4", clip()).read_bytes()
  broken = {
    "missing.mp4": None,
    "empty.mp4": b"",
    "text.mp4": b"this is no video at all\n" * 50,
    "cut.mp4": whole[:300],
  }
  for name, data in broken.items():
    if data is not None:
      (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=name):
      video.read_video(tmp_path / name)


def test_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
  path = tmp_path / "a.mp4"
  path.write_bytes(b"the old one")

  def dies(temporary, frames, fps):
    temporary.write_bytes(b"half")
    raise KeyboardInterrupt

  monkeypatch.setattr(video, "_write_mp4", dies)
  with pytest.raises(KeyboardInterrupt):
    video.write_video(path, clip())
  assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
  assert path.read_bytes() == b"the old one"


def test_frames_are_encoded_while_they_are_made(tmp_path):
  """One that cannot be made ends the film, and nothing is left of it."""

  def half():
    yield from clip(40)
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    video.write_video(tmp_path / "a.mp4", half())
  assert not list(tmp_path.iterdir())
  back, _ = video.read_video(video.write_video(tmp_path / "a.mp4", iter(clip(40))))
  assert len(back) == 40
  with pytest.raises(ValueError, match="the first"):
    video.write_video(tmp_path / "b.mp4", [*clip(2), *clip(1, 32, 32)])


def test_the_length_is_read_off_the_header(tmp_path):
  path = video.write_video(tmp_path / "a.mp4", clip(40), fps=25)
  assert video.duration_s(path) == pytest.approx(1.6, abs=0.02)
  (tmp_path / "b.mp4").write_text("no video")
  with pytest.raises(UserError, match=r"b\.mp4: cannot be read as a video"):
    video.duration_s(tmp_path / "b.mp4")


@pytest.mark.parametrize(
  "frames",
  [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8))],
)
def test_frames_of_another_kind_are_refused(tmp_path, frames):
  with pytest.raises(ValueError, match="frame"):
    video.write_video(tmp_path / "a.mp4", frames)


def test_beside_scales_and_holds_the_last_frame():
  joined = np.stack([*video.beside([clip(6, 64, 96), clip(9, 32, 32)], 64, gap=8)])
  assert joined.shape == (9, 64, 96 + 8 + 64, 3)
  np.testing.assert_array_equal(joined[8, :, :96], joined[5, :, :96])


def test_crop_is_one_square_round_the_points():
  frames = np.zeros((4, 100, 200, 3), np.uint8)
  frames[:, 40:60, 150:170] = 255
  points = np.zeros((4, 2, 3))
  points[:, 0], points[:, 1] = (150, 40, 0), (170, 60, 0)
  points[2] = np.nan
  cropped = video.crop_to_points(frames, points, margin=0.5)
  assert abs(cropped.shape[1] - 40) <= 1 and cropped.shape[1] == cropped.shape[2]
  assert cropped[:, 12:28, 12:28].min() == 255 and cropped[:, :6].max() == 0
  with pytest.raises(ValueError, match="no frame"):
    video.crop_to_points(frames, np.full((4, 2, 3), np.nan))


def test_long_captions_wrap_and_keep_every_word():
  text = "The man continues speaking, lips pushed forward in a lingering pout."
  lines = caption.wrap(text, 160, 14)
  assert len(lines) > 2 and " ".join(lines) == text
  assert max(caption.font(14).getlength(line) for line in lines) <= 160
  unbroken = caption.wrap("x" * 200, 160, 14)
  assert "".join(unbroken) == "x" * 200
  assert max(caption.font(14).getlength(line) for line in unbroken) <= 160
  assert caption.wrap("", 160, 14) == []
  one, four = (caption.caption_strip(t, 160) for t in ("word", text))
  assert four.shape[0] > 2 * one.shape[0] and one.shape[1] == 160
