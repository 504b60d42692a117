"""Video files: what is written can be read again, and nothing is left behind."""

import fractions
import resource
import wave

import av
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
  with av.open(path) as film:
    (stream,) = film.streams
    assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
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

  def dies(temporary, *_):
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


def test_frames_at_varying_intervals_stay_until_the_next(tmp_path):
  """As a browser records: at 0, 40, 80, 200 and 240 ms."""
  with av.open(tmp_path / "a.mkv", "w") as film:
    stream = film.add_stream("libx264", 25, options={"crf": "10"})
    stream.width = stream.height = 32
    stream.codec_context.time_base = fractions.Fraction(1, 1000)
    for i, ms in enumerate((0, 40, 80, 200, 240)):
      grey = np.full((32, 32, 3), 50 * i, np.uint8)
      frame = av.VideoFrame.from_ndarray(grey, "rgb24")
      frame.pts, frame.time_base = ms, fractions.Fraction(1, 1000)
      film.mux(stream.encode(frame))
    film.mux(stream.encode(None))
  frames, fps = video.read_video(tmp_path / "a.mkv")
  assert fps == pytest.approx(4 / 0.24)  # one frame each 60 ms
  shown = np.round(frames.mean((1, 2, 3)) / 50).astype(int)
  np.testing.assert_array_equal(shown, [0, 2, 2, 3, 4])  # half a frame later


def test_a_telephones_turned_picture_is_upright(tmp_path):
  frames = np.full((2, 64, 96, 3), 255, np.uint8)
  frames[:, :16, :16] = 0  # top left
  path = video.write_video(tmp_path / "a.mp4", frames)
  one, still = (1 << 16).to_bytes(4, "big"), bytes(12)
  upright = one + still + one + still + (1 << 30).to_bytes(4, "big")
  clockwise = bytes(4) + one + bytes(4) + (-1 << 16).to_bytes(4, "big", signed=True)
  clockwise += bytes(16) + (1 << 30).to_bytes(4, "big")
  data = path.read_bytes()
  track = data.index(b"tkhd")
  path.write_bytes(data[:track] + data[track:].replace(upright, clockwise, 1))
  turned, _ = video.read_video(path)
  assert turned.shape == (2, 96, 64, 3)
  assert turned[:, 2:14, -14:-2].max() < 20 and turned[:, :, :40].min() > 235


def tone(path, seconds: float):
  with wave.open(str(path), "wb") as sound:
    sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(16_000)
    samples = 8_000 * np.sin(np.arange(round(16_000 * seconds)) / 6)
    sound.writeframes(samples.astype("<i2").tobytes())
  return path


@pytest.mark.parametrize(("seconds", "heard"), [(3.0, 1.6), (0.5, 0.5)])
def test_sound_is_cut_to_the_film_or_ends_before_it(tmp_path, seconds, heard):
  sound = tone(tmp_path / "tone.wav", seconds)
  path = video.write_video(tmp_path / "a.mp4", clip(40), audio=sound)
  frames, fps = video.read_video(path)
  assert (len(frames), fps) == (40, 25)
  with av.open(path) as film:
    pieces = [piece.to_ndarray() for piece in film.decode(audio=0)]
  samples = np.concatenate(pieces, axis=1)[0]
  assert len(samples) / 48_000 == pytest.approx(heard, abs=0.05)
  spectrum = np.abs(np.fft.rfft(samples))
  hz = np.argmax(spectrum) * 48_000 / len(samples)
  assert hz == pytest.approx(16_000 / 6 / (2 * np.pi), abs=5)


def test_what_has_no_sound_is_the_users_error(tmp_path):
  video.write_video(tmp_path / "mute.mp4", clip(2))
  (tmp_path / "text.wav").write_text("no sound")
  tone(tmp_path / "empty.wav", 0)
  for name in ("mute.mp4", "text.wav", "empty.wav", "none.wav"):
    with pytest.raises(UserError, match=f"{name}: no sound can be read"):
      video.write_video(tmp_path / "a.mp4", clip(2), audio=tmp_path / name)
  assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("limit", [100, 20_000])
def test_a_full_disk_is_the_users_error(tmp_path, limit):
  noise = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3)).astype(np.uint8)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
  try:
    with pytest.raises(UserError, match=r"a\.mp4: cannot be written .*; make room"):
      video.write_video(tmp_path / "a.mp4", noise)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert not list(tmp_path.iterdir())


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
