"""Videos as phones, browsers and broken downloads leave them."""

import fractions

import av
import numpy as np
import pytest

from tdmm_jax.render import film

LOSSLESS = {"crf": "4"}


def write(path, times_s, codec="libx264", picture=None, options=None, **more):
  """Frames at given times; their brightness tells which they are."""
  with av.open(path, "w", options=options or {}) as made:
    stream = made.add_stream(codec, 25, options=LOSSLESS)
    stream.width, stream.height = 96, 64
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = fractions.Fraction(1, 1000)
    stream.codec_context.max_b_frames = more.get("b_frames", 0)
    for number, at in enumerate(times_s):
      shown = np.full((64, 96, 3), 20 + 3 * (number % 70), np.uint8)
      if callable(picture):
        shown = picture()
      elif picture is not None:
        shown = picture
      frame = av.VideoFrame.from_ndarray(shown, "rgb24")
      frame.pts, frame.time_base = round(1000 * at), fractions.Fraction(1, 1000)
      made.mux(stream.encode(frame))
    made.mux(stream.encode(None))
  return path


def read(path):
  source = film.Film(path)
  pictures = [picture for _, picture in source]
  return source, pictures


@pytest.mark.parametrize("suffix, codec", [("mp4", "libx264"), ("webm", "libvpx-vp9")])
def test_frames_come_at_their_own_times(tmp_path, suffix, codec):
  times = np.cumsum(np.r_[2.0, np.full(10, 0.04), 0.07, 0.02, np.full(10, 0.04)])
  source, pictures = read(write(tmp_path / f"a.{suffix}", times, codec))
  np.testing.assert_allclose(source.times_s, times - times[0], atol=2e-3)
  assert not source.cut_short
  brightness = [picture.mean() for picture in pictures]
  assert (np.diff(brightness) > 0).all()  # none twice, none out of order
  fps, even, gap = film.pace(source.times_s, source.rate)
  assert fps == pytest.approx(25, rel=0.02) and not gap.any()
  made, seen = film.at_times(
    np.array(brightness), [True] * 23, source.times_s, even, gap
  )
  assert seen.all() and len(made) == round(source.times_s[-1] * fps) + 1
  wanted = np.interp(even, source.times_s, brightness)
  np.testing.assert_allclose(made, wanted, rtol=1e-4)


def test_an_even_pace_is_left_as_it_is():
  times = np.round(np.arange(90) / 29.97, 3)  # as webm rounds them
  fps, even, gap = film.pace(times, 29.97)
  assert fps == 29.97 and even is times and not gap.any()
  assert film.pace(times, 600.0)[0] == pytest.approx(30 / 1.001)  # a header that lies
  values = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
  np.testing.assert_array_equal(
    film.at_times(values, np.ones(90, bool), times, even, gap)[0], values
  )
  assert film.pace([0.0], None)[1].tolist() == [0.0]


def test_gaps_are_not_seen():
  times = np.r_[np.arange(50), np.arange(100, 150)] / 25
  fps, even, gap = film.pace(times, 25.0)
  values, lost = np.arange(100.0), np.ones(100, bool)
  lost[60:63] = False
  values[60:63] = np.nan
  made, seen = film.at_times(values, lost, times, even, gap)
  assert fps == 25 and len(even) == 150
  assert np.flatnonzero(~seen).tolist() == [*range(50, 100), 110, 111, 112]
  assert (np.isfinite(made) == seen).all() and made[120] == pytest.approx(70)
  with pytest.raises(ValueError, match="stands still for 3600 s after frame 49"):
    film.pace(np.r_[np.arange(50), 90_049 + np.arange(50)] / 25)
  with pytest.raises(ValueError, match="frames per second"):
    film.pace(np.arange(5) * 1e-6)


@pytest.mark.parametrize("suffix, codec", [("mp4", "libx264"), ("mkv", "libx264")])
def test_a_video_that_was_cut_short_is_known_as_such(tmp_path, suffix, codec):
  rng = np.random.default_rng(0)
  path, options = tmp_path / f"a.{suffix}", {"movflags": "+faststart"}
  noise = lambda: rng.integers(0, 255, (64, 96, 3)).astype(np.uint8)
  write(path, np.arange(60) / 25, codec, noise, options if suffix == "mp4" else None)
  whole, _ = read(path)
  assert not whole.cut_short and len(whole.times_s) == 60
  data = path.read_bytes()
  (tmp_path / f"b.{suffix}").write_bytes(data[: int(len(data) * 0.8)])
  cut, _ = read(tmp_path / f"b.{suffix}")
  assert cut.cut_short and cut.missing_s > 0.2 and 0 < len(cut.times_s) < 56


def test_a_browsers_recording_has_a_length(tmp_path):
  times = np.arange(0, 45, 0.5)
  path = write(tmp_path / "a.webm", times, "libvpx", options={"live": "1"})
  with film.open_video(path) as opened:
    assert not opened.duration
  assert film.duration_s(path) == pytest.approx(44.5, abs=0.6)
  source, _ = read(path)
  assert not source.cut_short  # nothing was promised


# Of a display matrix: a, b, c, d, and what becomes of the picture.
TURNS = {
  "clockwise": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
  "anticlockwise": ((0, -1, 1, 0), lambda p: np.rot90(p)),
  "upside down": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
  "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
  "mirrored, lying": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
}


@pytest.mark.parametrize("case", TURNS)
def test_pictures_are_upright(tmp_path, case):
  (a, b, c, d), turned = TURNS[case]
  picture = np.full((64, 96, 3), 230, np.uint8)
  picture[:20, :30] = 20  # top left
  path = write(tmp_path / "a.mp4", np.arange(3) / 25, picture=picture)
  one = lambda value: (value << 16).to_bytes(4, "big", signed=True)
  matrix = lambda *m: b"".join([*map(one, m[:2]), bytes(4), *map(one, m[2:]), bytes(4)])
  data, upright = path.read_bytes(), matrix(1, 0, 0, 1)
  at = data.rindex(upright)  # the track's; the film's comes before
  path.write_bytes(data[:at] + matrix(a, b, c, d) + data[at + len(upright) :])
  _, pictures = read(path)
  wanted = turned(picture)
  assert pictures[0].shape == wanted.shape
  assert np.abs(pictures[0].astype(int) - wanted).mean() < 12


def test_what_is_no_video_is_said(tmp_path):
  (tmp_path / "a.mp4").write_bytes(b"no video at all" * 99)
  for call in (lambda: read(tmp_path / "a.mp4"), lambda: film.duration_s("none.mp4")):
    with pytest.raises(ValueError, match="cannot be decoded as a video"):
      call()
