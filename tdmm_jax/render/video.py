"""Video files in and out, through PyAV, which carries FFmpeg's libraries.

Shapes: T frames, H and W the picture's height and width in pixels.
"""

import fractions
import io
import itertools
import logging
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import av
import numpy as np
from PIL import Image

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.render import caption as captions
from tdmm_jax.render import film

SUFFIXES = (".mp4", ".gif")
MAX_BYTES = 1 << 30  # of a video's pictures, held at once
_LOG = logging.getLogger(__name__)
_X264 = {"crf": "19", "preset": "veryfast"}
_SOUND_HZ, _SOUND_SAMPLES = 48_000, 1024  # a piece of sound is a packet of AAC, 21 ms


def _checked(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
  """The frames as they come, each uint8[H, W, 3] and of the first one's size.

  Raises:
    ValueError: they are not, or there is none.
  """
  first = None
  for frame in frames:
    frame = np.asarray(frame)
    first = frame if first is None else first
    if frame.ndim != 3 or frame.shape[-1] != 3 or frame.dtype != np.uint8:
      raise ValueError(
        f"a frame is {frame.dtype}{list(frame.shape)}, no uint8[H, W, 3]"
      )
    if frame.shape != first.shape:
      raise ValueError(f"a frame is {list(frame.shape)}, the first {list(first.shape)}")
    yield frame
  if first is None:
    raise ValueError("a video needs at least one frame")


def _write_mp4(
  path: pathlib.Path, frames: Iterator[np.ndarray], fps: float, audio=None
) -> None:
  """Encodes the frames while they are being made, and as much sound as they last.

  Raises:
    UserError: there is no sound in `audio`.
    OSError: the file cannot be written; names it.
  """
  sound = iter(()) if audio is None else _sound(audio)
  piece, first, track = next(sound, None), next(frames), None
  rate = fractions.Fraction(fps).limit_denominator(100_000)
  with av.open(str(path), "w", "mp4", options={"movflags": "+faststart"}) as made:
    stream = made.add_stream("libx264", rate, options=_X264)
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = "yuv420p"
    if piece is not None:
      track = made.add_stream("aac", _SOUND_HZ, layout="stereo", bit_rate=160_000)
    for number, frame in enumerate(itertools.chain([first], frames), 1):
      picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
      made.mux(stream.encode(picture))
      while piece is not None and piece.time < number / rate:
        made.mux(track.encode(piece))
        piece = next(sound, None)
    made.mux(stream.encode(None))
    if track is not None:
      made.mux(track.encode(None))


def _sound(path) -> Iterator[av.AudioFrame]:
  """The sound of a file, from its start, piece by piece.

  Raises:
    UserError: there is none in it.
  """
  resampler = av.AudioResampler("fltp", "stereo", _SOUND_HZ, _SOUND_SAMPLES)
  count, fault = 0, None
  try:
    with av.open(_plain_name(path)) as source:
      for frame in itertools.chain(source.decode(audio=0), [None]):
        for piece in resampler.resample(frame):
          piece.pts, piece.time_base = count, fractions.Fraction(1, _SOUND_HZ)
          count += piece.samples
          yield piece
  except (av.error.FFmpegError, IndexError) as error:
    fault = error
  if not count:
    raise UserError(
      f"{path}: no sound can be read from it; give a wav or mp4"
    ) from fault


def _plain_name(path) -> str:
  """A name that FFmpeg reads as a file: "./" keeps it from being a protocol."""
  path = pathlib.Path(path)
  return str(path) if path.is_absolute() else f"./{path}"


def _write_gif(path, frames: Iterable[np.ndarray], fps: float):
  first, *rest = (Image.fromarray(frame).quantize(64) for frame in frames)
  first.save(
    path,
    "gif",
    save_all=True,
    append_images=rest,
    duration=1000 / fps,
    loop=0,
    disposal=1,
  )


def gif_bytes(frames: np.ndarray, fps: float = 25.0) -> bytes:
  """An endless GIF of frames uint8[T, H, W, 3]."""
  stream = io.BytesIO()
  _write_gif(stream, _checked(frames), fps)
  return stream.getvalue()


def write_video(
  path: str | os.PathLike,
  frames: Iterable[np.ndarray],
  fps: float = 25.0,
  caption: str | None = None,
  audio: str | os.PathLike | None = None,
) -> pathlib.Path:
  """Writes frames as a video that browsers play (H.264, yuv420p), or as a GIF.

  The caption is wrapped and drawn on white under the picture. A side of odd length gets
  one white row or column, for the format stores colour at half the resolution.

  Args:
    path: ends in .mp4 or .gif. The file appears under this name only when complete.
    frames: uint8[T, H, W, 3], T at least 1; or such frames one by one, which are
      encoded while they are being made and never held together in memory.
    fps: frames a second, above 0.
    caption: the text, or None.
    audio: a file whose sound is laid under an .mp4, from its start; or None.

  Returns:
    The path.

  Raises:
    UserError: if the suffix is neither .mp4 nor .gif, the folder cannot be written, or
      there is no sound in `audio`.
    ValueError: if `frames` or `fps` are not as above.
  """
  path = pathlib.Path(path)
  if path.suffix.lower() not in SUFFIXES:
    raise UserError(
      f"{path}: cannot write a {path.suffix or 'suffixless'} video; "
      f"end the name in {' or '.join(SUFFIXES)}"
    )
  if not fps > 0:
    raise ValueError(f"fps is {fps}, not above 0")
  frames = _framed(_checked(frames), caption)
  with files.then_rename(path) as temporary:
    if path.suffix.lower() == ".gif":
      _write_gif(temporary, frames, float(fps))
    else:
      _write_mp4(temporary, frames, float(fps), audio)
  return path


def _framed(frames, caption: str | None) -> Iterator[np.ndarray]:
  """The frames over their caption, with sides of even length."""
  canvas = None
  for frame in frames:
    height, width, _ = frame.shape
    if canvas is None:
      strip = np.zeros((0, width, 3), np.uint8)
      if caption:
        size_px = min(max(11, round(width / 24)), 24)
        strip = captions.caption_strip(caption, width, size_px)
      total = height + strip.shape[0]
      canvas = np.full((total + total % 2, width + width % 2, 3), 255, np.uint8)
      canvas[height:total, :width] = strip
    if canvas.shape == frame.shape:
      yield frame
      continue
    canvas[:height, :width] = frame
    yield canvas.copy()


def read_video(
  path: str | os.PathLike, height: int | None = None
) -> tuple[np.ndarray, float]:
  """Reads every frame of a video, turned as its file says.

  Args:
    path: any format that FFmpeg reads.
    height: larger pictures are made as small as this, pixels; by default none is.

  Returns:
    uint8[T, H, W, 3] and the frames a second. If these come at varying intervals, each
    stays until the next, at their mean rate. A file that was cut short has frames up to
    there, and a warning says so.

  Raises:
    UserError: if the file is missing, is no video, has no complete frame, or is too
      large to be held.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise UserError(f"{path}: no such video; check the path")
  source, pictures, size = film.Film(path), [], 0
  try:
    for _, picture in source:
      if height is not None and len(picture) > height:
        width = max(round(picture.shape[1] * height / len(picture)), 1)
        picture = resize(picture, (width, height))
      pictures.append(picture)
      size += picture.nbytes
      if size > MAX_BYTES:
        raise UserError(
          f"{path}: its first {len(pictures)} frames take more than 1 GB; cut it, or "
          "make it smaller"
        )
  except ValueError as error:
    raise _unreadable(path) from error
  if source.cut_short:
    _LOG.warning("%s: ends %.1f s early; it was cut short", path, source.missing_s)
  seconds, rate = source.times_s, source.rate
  if len(seconds) > 1:
    measured = (len(seconds) - 1) / seconds[-1]
    # The header's rate where it is true: timestamps may be rounded to milliseconds.
    rate = rate if rate and abs(rate / measured - 1) < 0.01 else measured
  if not rate:
    raise _unreadable(path)
  count = round(seconds[-1] * rate) + 1
  middles = (np.arange(count) + 0.5) / rate
  picks = np.searchsorted(seconds, middles, "right") - 1
  return np.stack([pictures[i] for i in picks]), rate


def _unreadable(path) -> UserError:
  return UserError(
    f"{path}: cannot be read as a video; export it again, as mp4 for instance"
  )


def duration_s(path: str | os.PathLike) -> float:
  """How long a video is: by its header, or by its frames where those last longer.

  Raises:
    UserError: it is no video.
  """
  try:
    return film.duration_s(path)
  except ValueError as error:
    raise _unreadable(path) from error


def beside(
  clips: Sequence[Iterable[np.ndarray]], height: int, gap: int = 8
) -> Iterator[np.ndarray]:
  """Puts clips side by side, scaled to one height; the longest gives the length.

  Args:
    clips: frames uint8[H, W, 3] of each; a shorter one stays on its last frame.
    height: of the result, in pixels.
    gap: white pixels between two clips.

  Yields:
    uint8[height, W, 3].
  """
  between = np.full((height, gap, 3), 255, np.uint8)
  shown: list = [None] * len(clips)
  for row in itertools.zip_longest(*map(_checked, clips)):
    for i, frame in enumerate(row):
      if frame is not None:
        width = max(round(frame.shape[1] * height / frame.shape[0]), 1)
        shown[i] = resize(frame, (width, height))
    yield np.concatenate([shown[0], *(p for s in shown[1:] for p in (between, s))], 1)


def resize(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Scales a picture uint8[H, W, 3] to `size` = (W, H), smoothly."""
  if (frame.shape[1], frame.shape[0]) == tuple(size):
    return frame
  return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))


def crop_to_points(
  frames: np.ndarray, points: np.ndarray, margin: float = 0.45
) -> np.ndarray:
  """Cuts one square out of a whole clip, round the points that a tracker found.

  The square is fixed over the clip, so that the head's motion is kept; it is shifted
  and shrunk where it would leave the picture.

  Args:
    frames: uint8[T, H, W, 3].
    points: float[T, N, 2 or more], pixels; frames whose points hold a NaN are left out.
    margin: added on each side, as a share of the points' extent.

  Returns:
    uint8[T, S, S, 3].

  Raises:
    ValueError: if no frame has points.
  """
  points = np.asarray(points, float)[..., :2]
  points = points[np.isfinite(points).all((1, 2))].reshape(-1, 2)
  if not len(points):
    raise ValueError("no frame has points to crop to")
  low, high = np.percentile(points, [1, 99], axis=0)
  side = int(min((high - low).max() * (1 + 2 * margin), *frames.shape[1:3]))
  limits = np.array([frames.shape[2], frames.shape[1]]) - side
  left, top = np.clip(np.round((low + high - side) / 2), 0, limits).astype(int)
  return frames[:, top : top + side, left : left + side]
