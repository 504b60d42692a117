"""Video files in and out, through the ffmpeg that imageio-ffmpeg carries.

Shapes: T frames, H and W the picture's height and width in pixels.
"""

import contextlib
import io
import itertools
import os
import pathlib
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence

import imageio_ffmpeg
import numpy as np
from PIL import Image

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.render import caption as captions

SUFFIXES = (".mp4", ".gif")


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


def _command(arguments: Sequence[str]) -> list[str]:
  """Not through imageio's own reader and writer: they fork with Python code to run in
  the child, which may hang beside JAX's threads.
  """
  return [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", *arguments]


def _ffmpeg(arguments: Sequence[str]) -> subprocess.CompletedProcess:
  """Runs ffmpeg; out come its output and its log. Ctrl-C is left to this process."""
  return subprocess.run(
    _command(arguments), capture_output=True, start_new_session=True, check=False
  )


def _write_mp4(path: pathlib.Path, frames: Iterator[np.ndarray], fps: float) -> int:
  """Encodes the frames while they are being made; their number."""
  first, count = next(frames), 0
  raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-r", repr(fps)]
  inputs = [*raw, "-s", f"{first.shape[1]}x{first.shape[0]}", "-i", "-"]
  codec = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "19"]
  fast = ["-preset", "veryfast", "-movflags", "+faststart"]
  arguments = ["-y", "-loglevel", "error", *inputs, *codec, *fast, str(path)]
  with tempfile.TemporaryFile() as log:
    encoder = subprocess.Popen(
      _command(arguments), stdin=subprocess.PIPE, stderr=log, start_new_session=True
    )
    try:
      with contextlib.suppress(BrokenPipeError):  # it ended early, and its log says why
        for frame in itertools.chain([first], frames):
          encoder.stdin.write(np.ascontiguousarray(frame))
          count += 1
        encoder.stdin.close()
      code = encoder.wait()
    finally:
      encoder.kill()
      encoder.wait()
    log.seek(0)
    if code:
      said = log.read().decode(errors="replace")
      raise RuntimeError(f"ffmpeg: {said[-400:]}")
  return count


def _lay_under(film: pathlib.Path, audio, seconds: float) -> None:
  """Adds sound to a finished video: cut to its length, or ending earlier.

  Raises:
    UserError: there is no sound in `audio`.
  """
  inputs = ["-y", "-i", str(film), "-i", _plain_name(audio)]
  streams = ["-map", "0:v", "-map", "1:a", "-t", repr(seconds), "-c:v", "copy"]
  codec = ["-c:a", "aac", "-b:a", "160k", "-movflags", "+faststart"]
  with files.then_rename(film) as sounding:
    if _ffmpeg([*inputs, *streams, *codec, str(sounding)]).returncode:
      raise UserError(f"{audio}: no sound can be read from it; give a wav or mp4")


def _plain_name(path) -> str:
  """A name that ffmpeg reads as a file: "./" keeps it from being a protocol."""
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
      count = _write_mp4(temporary, frames, float(fps))
      if audio is not None:
        _lay_under(temporary, audio, count / fps)
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


def read_video(path: str | os.PathLike) -> tuple[np.ndarray, float]:
  """Reads every frame of a video.

  Args:
    path: any format that ffmpeg reads.

  Returns:
    uint8[T, H, W, 3] and the frames a second.

  Raises:
    UserError: if the file is missing, is no video, or has no complete frame.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise UserError(f"{path}: no such video; check the path")
  # PPM pictures say their own size.
  done = _ffmpeg(
    ["-i", _plain_name(path), "-an", "-f", "image2pipe", "-c:v", "ppm", "-"]
  )
  fps = re.search(
    r"Video: .*?([\d.]+) (?:fps|tbr)", done.stderr.decode(errors="replace")
  )
  frames = list(_split_ppm(done.stdout))
  if not frames or fps is None or not float(fps[1]) > 0:
    raise UserError(
      f"{path}: cannot be read as a video; export it again, as mp4 for instance"
    )
  return np.stack(frames), float(fps[1])


def duration_s(path: str | os.PathLike) -> float:
  """How long a video is, as its header says (a browser's recording does not: 0).

  Raises:
    UserError: it is no video.
  """
  said = _ffmpeg(["-i", _plain_name(path)]).stderr.decode(errors="replace")
  found = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said)
  if "Video:" not in said:
    raise UserError(
      f"{path}: cannot be read as a video; export it again, as mp4 for instance"
    )
  hours, minutes, seconds = map(float, found.groups() if found else (0, 0, 0))
  return 3600 * hours + 60 * minutes + seconds


def _split_ppm(data: bytes) -> Iterator[np.ndarray]:
  """Yields the pictures uint8[H, W, 3] of binary PPM files laid end to end."""
  position = 0
  while header := re.match(rb"P6\s(\d+)\s(\d+)\s255\s", data[position : position + 32]):
    width, height = int(header[1]), int(header[2])
    position += header.end()
    if len(data) < position + width * height * 3:
      return
    picture = np.frombuffer(data, np.uint8, width * height * 3, position)
    yield picture.reshape(height, width, 3)
    position += picture.size


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
