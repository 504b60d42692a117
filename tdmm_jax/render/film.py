"""The frames of a video as they were filmed: upright, each at its own time.

Needs PyAV and NumPy alone, and imports nothing of the project: `data_prep`'s tracker
uses it in mediapipe's own environment.

Shape letters: R frames of the file, T frames at an even pace.
"""

import contextlib
import fractions
import pathlib
from collections.abc import Iterator

import av
import numpy as np

_RATES = (24, 25, 30, 48, 50, 60, 90, 100, 120)
GAP_S = 0.1  # a longer pause between two frames is not observed
MAX_GAPS_S = 60.0  # of a whole video; more are two recordings, or a broken clock
_MISSING_S, _MISSING_FRAMES = 0.2, 4  # an ending that is short of more was cut off


def open_video(path) -> av.container.InputContainer:
  """Opens a video.

  Raises:
    ValueError: it is none.
  """
  path = pathlib.Path(path)
  # "./" keeps FFmpeg from reading a name as a protocol.
  name = str(path) if path.is_absolute() else f"./{path}"
  try:
    film = av.open(name)
  except (av.error.FFmpegError, OSError) as error:
    raise ValueError("cannot be decoded as a video") from error
  if not film.streams.video:
    film.close()
    raise ValueError("cannot be decoded as a video")
  return film


class Film:
  """Iterates once over (time in s, picture uint8[H, W, 3]) of a video's frames.

  Pictures are turned and mirrored as the file says and are all of the first one's size.
  A frame that cannot be decoded is left out: its time is a gap.

  Attributes, complete after the last frame:
    rate: frames a second as the header says, or None.
    times_s: float[R], rising, from 0.
    missing_s: by how much the video ends before its header says.
  """

  def __init__(self, path):
    self._path = path
    self.rate: float | None = None
    self.times_s = np.zeros(0)
    self.missing_s = 0.0

  def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
    """Raises ValueError if it cannot be opened, or no frame of it can be decoded."""
    times, first, size, end = [], None, None, 0.0
    with open_video(self._path) as film:
      stream = film.streams.video[0]
      stream.thread_type = "AUTO"
      self.rate = float(stream.average_rate) if stream.average_rate else None
      step = 1.0 / (self.rate or 25.0)
      for frame in _decoded(film, stream):
        base = frame.time_base or stream.time_base
        at = times[-1] + step if times else 0.0
        if frame.pts is not None:
          at = float(frame.pts * base)
          first = at if first is None else first
          at -= first
        if times and at <= times[-1]:  # a clock that stands still or runs backwards
          at = times[-1] + step
        times.append(at)
        end = at + (float(frame.duration * base) if frame.duration else step)
        size = size or (frame.width, frame.height)
        yield at, _upright(frame, size)
      promised = _promised_s(film, stream, first or 0.0)
    if not times:
      raise ValueError("no frame of it can be decoded")
    self.times_s = np.array(times)
    self.missing_s = max(promised - end, 0.0)

  @property
  def cut_short(self) -> bool:
    """Whether its end is missing."""
    usual = np.median(np.diff(self.times_s)) if len(self.times_s) > 1 else 0.0
    return self.missing_s > max(_MISSING_S, _MISSING_FRAMES * usual)


def _decoded(film, stream) -> Iterator[av.VideoFrame]:
  """The frames that can be decoded; broken packets between them are passed over."""
  packets = film.demux(stream)
  while True:
    try:
      packet = next(packets)
    except StopIteration:
      return
    except av.error.FFmpegError:  # the file ends within a packet
      packet = None
    with contextlib.suppress(av.error.FFmpegError):
      yield from packet.decode() if packet is not None else stream.decode(None)
    if packet is None:
      return


def _upright(frame, size) -> np.ndarray:
  """The picture, turned and mirrored by its display matrix."""
  if (frame.width, frame.height) != size:  # a browser's camera may change it midway
    frame = frame.reformat(*size)
  picture = frame.to_ndarray(format="rgb24")
  matrix = frame.side_data.get("DISPLAYMATRIX")
  if matrix is None:
    return picture
  # A point (x, y) is shown at (a x + c y, b x + d y).
  a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), "<i4")
  if abs(int(b)) > abs(int(a)):
    picture, a, d = picture.swapaxes(0, 1), c, b
  return np.ascontiguousarray(picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _promised_s(film, stream, first_s: float) -> float:
  """How long the header says that the pictures last; 0 where it does not.

  Args:
    first_s: when the first picture is shown; most headers count from 0.
  """
  if stream.duration:
    return float(stream.duration * stream.time_base)
  text = stream.metadata.get("DURATION", "")  # Matroska's and WebM's
  try:
    hours, minutes, seconds = text.split(":")
    return 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds) - first_s
  except ValueError:
    pass
  if len(film.streams) == 1 and film.duration:  # else it may be the sound's
    return film.duration / av.time_base - first_s
  return 0.0


def duration_s(path) -> float:
  """How long a video is: by its header, or by its frames where those last longer.

  A browser's recording has no length in its header.

  Raises:
    ValueError: it is no video.
  """
  with open_video(path) as film:
    stream = film.streams.video[0]
    first, last = None, fractions.Fraction(0)
    try:
      for packet in film.demux(stream):
        if packet.pts is not None:
          at = packet.pts * packet.time_base
          first = at if first is None else min(first, at)
          last = max(last, at + (packet.duration or 0) * packet.time_base)
    except av.error.FFmpegError:  # cut short
      pass
    seen = float(last - first) if first is not None else 0.0
    return max(seen, (film.duration or 0) / av.time_base)


def pace(times_s, rate: float | None = None) -> tuple[float, np.ndarray, np.ndarray]:
  """The even pace that comes nearest to frames at times of their own.

  Args:
    times_s: float[R], rising.
    rate: what the header says, which is taken where it is true.

  Returns:
    the rate; even times float[T], `times_s` itself where it is even already; and
    bool[R - 1], the steps that are gaps.

  Raises:
    ValueError: no plausible rate, or gaps of more than a minute in all.
  """
  times_s = np.asarray(times_s, float)
  steps = np.diff(times_s)
  if not len(steps):
    return rate or 25.0, times_s, np.zeros(0, bool)
  usual = np.median(steps)
  fps = 1.0 / steps[np.abs(steps - usual) <= 0.25 * usual].mean()
  rates = [*([rate] if rate else []), *_RATES, *(r / 1.001 for r in (24, 30, 60))]
  near = min(rates, key=lambda r: abs(r - fps))
  fps = float(near) if abs(near - fps) < 0.01 * fps else float(fps)
  if not 1 <= fps <= 1000:
    raise ValueError(f"shows {fps:g} frames per second")
  gap = steps > max(GAP_S, 2.5 * usual)
  if steps[gap].sum() > MAX_GAPS_S:
    at = int(np.argmax(steps))
    raise ValueError(f"stands still for {steps[at]:.0f} s after frame {at}; cut it")
  even = times_s[0] + np.arange(len(times_s)) / fps
  if np.abs(even - times_s).max() < 0.25 / fps:
    return fps, times_s, gap
  count = int(np.floor((times_s[-1] - times_s[0]) * fps + 0.5)) + 1
  return fps, np.minimum(times_s[0] + np.arange(count) / fps, times_s[-1]), gap


def at_times(values, seen, times_s, even_s, gap) -> tuple[np.ndarray, np.ndarray]:
  """Values of frames at times of their own, at even times.

  Args:
    values: float[R, ...]; linear in between.
    seen: bool[R]. times_s: float[R]. even_s, gap: of `pace`.

  Returns:
    float[T, ...], NaN where not seen, and bool[T]: seen. A time inside a gap or beside
    a frame that was not seen counts as seen only within half a frame of one that was.
  """
  values, seen = np.asarray(values, np.float32), np.asarray(seen, bool)
  if len(times_s) == len(even_s) and np.array_equal(times_s, even_s):
    return values, seen
  after = np.clip(np.searchsorted(times_s, even_s), 1, len(times_s) - 1)
  before = after - 1
  share = (even_s - times_s[before]) / (times_s[after] - times_s[before])
  nearest = np.where(share < 0.5, before, after)
  half = 0.5 * np.diff(even_s).min(initial=np.inf, where=np.diff(even_s) > 1e-9)
  close = np.abs(even_s - times_s[nearest]) <= half
  between = seen[before] & seen[after] & ~gap[before]
  found = between | (seen[nearest] & close)
  weight = np.where(between, share, nearest == after)
  weight = weight.reshape(-1, *[1] * (values.ndim - 1)).astype(np.float32)
  with np.errstate(invalid="ignore"):
    low = np.where(weight < 1, values[before], 0) * (1 - weight)
    high = np.where(weight > 0, values[after], 0) * weight
    made = low + high
  made[~found] = np.nan
  return made, found
