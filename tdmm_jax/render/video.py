"""Video files in and out, through the ffmpeg that imageio-ffmpeg carries.

Shapes: T frames, H and W the picture's height and width in pixels.
"""

import io
import os
import pathlib
import re
import subprocess
from collections.abc import Iterator, Sequence

import imageio_ffmpeg
import numpy as np
from PIL import Image

from tdmm_jax.errors import UserError
from tdmm_jax.render import caption as captions
from tdmm_jax.render import files

SUFFIXES = (".mp4", ".gif")


def _check_frames(frames) -> np.ndarray:
  frames = np.asarray(frames)
  if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
    raise ValueError(
      f"frames are {frames.dtype}{list(frames.shape)}, not uint8[T, H, W, 3]"
    )
  if not frames.shape[0]:
    raise ValueError("a video needs at least one frame")
  return frames


def _ffmpeg(arguments: Sequence[str], data: bytes = b"") -> subprocess.CompletedProcess:
  """Runs ffmpeg on `data`; out come its output and its log.

  Not through imageio's own reader and writer: they fork with Python code to run in the
  child, which may hang beside JAX's threads. Ctrl-C is left to this process.
  """
  return subprocess.run(
    [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", *arguments],
    input=data,
    capture_output=True,
    start_new_session=True,
    check=False,
  )


def _write_mp4(path: pathlib.Path, frames: np.ndarray, fps: float, audio=None):
  raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-r", repr(fps)]
  size = f"{frames.shape[2]}x{frames.shape[1]}"
  codec = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "19"]
  fast = ["-preset", "veryfast", "-movflags", "+faststart"]
  inputs = [*raw, "-s", size, "-i", "-"]
  if audio is not None:  # the film's length stands: sound is cut, or ends before
    seconds = repr(len(frames) / fps)
    inputs += ["-i", _plain_name(audio), "-map", "0:v", "-map", "1:a", "-t", seconds]
    codec += ["-c:a", "aac", "-b:a", "160k"]
  done = _ffmpeg(["-y", *inputs, *codec, *fast, str(path)], frames.tobytes())
  if done.returncode and audio is not None:
    raise UserError(f"{audio}: no sound can be read from it; give a wav or mp4")
  if done.returncode:
    raise RuntimeError(f"ffmpeg: {done.stderr.decode(errors='replace')[-400:]}")


def _plain_name(path) -> str:
  """A name that ffmpeg reads as a file: "./" keeps it from being a protocol."""
  path = pathlib.Path(path)
  return str(path) if path.is_absolute() else f"./{path}"


def _write_gif(path, frames: np.ndarray, fps: float):
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
  _write_gif(stream, _check_frames(frames), fps)
  return stream.getvalue()


def write_video(
  path: str | os.PathLike,
  frames,
  fps: float = 25.0,
  caption: str | None = None,
  audio: str | os.PathLike | None = None,
) -> pathlib.Path:
  """Writes frames as a video that browsers play (H.264, yuv420p), or as a GIF.

  The caption is wrapped and drawn on white under the picture. A side of odd length gets
  one white row or column, for the format stores colour at half the resolution.

  Args:
    path: ends in .mp4 or .gif. The file appears under this name only when complete.
    frames: uint8[T, H, W, 3], T at least 1.
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
  frames = _check_frames(frames)
  if not fps > 0:
    raise ValueError(f"fps is {fps}, not above 0")
  num_frames, height, width, _ = frames.shape
  strip = np.zeros((0, width, 3), np.uint8)
  if caption:
    strip = captions.caption_strip(
      caption, width, size_px=min(max(11, round(width / 24)), 24)
    )
  total = height + strip.shape[0]
  canvas = np.full((num_frames, total + total % 2, width + width % 2, 3), 255, np.uint8)
  canvas[:, :height, :width] = frames
  canvas[:, height:total, :width] = strip
  try:
    with files.then_rename(path) as temporary:
      if path.suffix.lower() == ".gif":
        _write_gif(temporary, canvas, float(fps))
      else:
        _write_mp4(temporary, canvas, float(fps), *([audio] if audio else []))
  except OSError as error:
    raise UserError(
      f"{path}: cannot be written ({error.strerror}); choose another folder"
    ) from error
  return path


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


def beside(clips: Sequence[np.ndarray], height: int, gap: int = 8) -> np.ndarray:
  """Puts clips side by side, scaled to one height; the longest gives the length.

  Args:
    clips: each uint8[T, H, W, 3]; a shorter one stays on its last frame.
    height: of the result, in pixels.
    gap: white pixels between two clips.

  Returns:
    uint8[T, height, W, 3].
  """
  clips = [_check_frames(clip) for clip in clips]
  length = max(clip.shape[0] for clip in clips)
  columns = []
  for clip in clips:
    if columns:
      columns.append(np.full((length, height, gap, 3), 255, np.uint8))
    width = max(round(clip.shape[2] * height / clip.shape[1]), 1)
    scaled = np.stack([resize(frame, (width, height)) for frame in clip])
    last = np.repeat(scaled[-1:], length - len(scaled), 0)
    columns.append(np.concatenate([scaled, last]))
  return np.concatenate(columns, 2)


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
