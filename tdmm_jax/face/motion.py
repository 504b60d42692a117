"""`FaceMotion`: T frames of facial parameters, its file and its time axis.

Pure NumPy (and SciPy rotations): files are read where no accelerator is. Shape
letters: T frames, E expression coefficients, S identity coefficients.
"""

import dataclasses
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file
from tdmm_jax.face.turns import transform

FORMAT_VERSION = 1
MAX_BYTES = 1 << 30  # unpacked, of one file: two hours of motion take a twentieth
# Field -> width of its last axis; None: comes from the source.
TRACKS = {
  "expression": None,
  "jaw_pose": 3,
  "neck_pose": 3,
  "head_pose": 3,
  "eyelids": 2,
  "eye_pose": 6,
  "translation": 3,
}
_ROTATIONS = ("jaw_pose", "neck_pose", "head_pose", "eye_pose")


@dataclasses.dataclass(frozen=True)
class FaceMotion:
  """A clip of facial motion; the fields are those of the project's npz.

  Attributes:
    face_model: the basis the coefficients mean something in: "default_v2",
      "flame2020", "flame2023".
    expression: float32[T, E], unitless.
    jaw_pose: float32[T, 3], axis-angle, rad; x > 0 opens.
    neck_pose: float32[T, 3], axis-angle, rad.
    head_pose: float32[T, 3], axis-angle, rad; the global rotation.
    eyelids: float32[T, 2], 0 open .. 1 closed; left, right of the subject.
    eye_pose: float32[T, 6], axis-angle, rad; left, right.
    shape: float32[S], identity, constant over the clip.
    translation: float32[T, 3], m; zero unless the source is metric.
    camera: float32[T, 3] or None; weak perspective: scale, tx, ty in pixels.
    valid: bool[T]; false = not observed: interpolated, left out of every metric.
    fps: frames per second.
  """

  face_model: str
  expression: np.ndarray
  jaw_pose: np.ndarray
  neck_pose: np.ndarray
  head_pose: np.ndarray
  eyelids: np.ndarray
  eye_pose: np.ndarray
  shape: np.ndarray
  translation: np.ndarray
  valid: np.ndarray
  camera: np.ndarray | None = None
  fps: float = 25.0

  @property
  def num_frames(self) -> int:
    return len(self.expression)

  @property
  def num_expression(self) -> int:
    return self.expression.shape[-1]

  def replace(self, **changes: Any) -> "FaceMotion":
    """A copy with some fields changed."""
    return dataclasses.replace(self, **changes)


def zeros(
  num_frames: int,
  face_model: str = head_file.DEFAULT,
  num_expression: int = 50,
  num_shape: int = 0,
) -> FaceMotion:
  """The neutral, still face looking ahead for `num_frames` frames at 25 fps."""
  track = lambda width: np.zeros((num_frames, width), np.float32)
  return FaceMotion(
    face_model=face_model,
    **{name: track(width or num_expression) for name, width in TRACKS.items()},
    shape=np.zeros(num_shape, np.float32),
    valid=np.ones(num_frames, bool),
  )


def validate(motion: FaceMotion, where: str) -> FaceMotion:
  """Checks lengths, widths, types and finiteness.

  Args:
    motion: any arrays.
    where: what errors call it, such as the file's name.

  Returns:
    The motion with float32 arrays.

  Raises:
    UserError: names the field and what is wrong with it.
  """
  fixed: dict[str, Any] = {}
  expected = np.shape(motion.expression)[:1]
  optional = {} if motion.camera is None else {"camera": 3}
  for name, width in {**TRACKS, **optional}.items():
    fixed[name] = array = _as_float(getattr(motion, name), name, where)
    if array.ndim != 2 or (width and array.shape[1] != width) or not array.shape[1]:
      wanted = f"[frames, {width or 'coefficients'}]"
      raise UserError(
        f"{where}: '{name}' has shape {list(array.shape)}, not {wanted}; "
        "re-export the motion"
      )
    if array.shape[:1] != expected:
      raise UserError(
        f"{where}: '{name}' has {len(array)} frames but 'expression' has "
        f"{expected[0]}; re-run the tracker on this clip"
      )
  if not expected[0]:
    raise UserError(f"{where}: the motion has 0 frames; give at least one")
  fixed["shape"] = _as_float(motion.shape, "shape", where)
  if fixed["shape"].ndim != 1:
    raise UserError(
      f"{where}: 'shape' has shape {list(fixed['shape'].shape)}, not [coefficients]: "
      "identity is constant over the clip; average it over the frames"
    )
  valid = np.asarray(motion.valid)
  if valid.shape != expected or valid.dtype.kind not in "bui":
    raise UserError(
      f"{where}: 'valid' must be {expected[0]} true/false values, one a frame, "
      f"not {valid.dtype} of shape {list(valid.shape)}"
    )
  fps = np.asarray(motion.fps)
  if fps.size != 1 or fps.dtype.kind not in "fiu" or not 1 <= float(fps.item()) <= 1000:
    raise UserError(f"{where}: 'fps' must be one number from 1 to 1000, not {fps!r}")
  name = str(motion.face_model)
  return FaceMotion(name, **fixed, valid=valid.astype(bool), fps=float(fps.item()))


def _as_float(value, name: str, where: str) -> np.ndarray:
  array = np.asarray(value)
  if array.dtype.kind not in "fiu":
    raise UserError(f"{where}: '{name}' holds {array.dtype}, not numbers")
  with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf: caught below
    array = array.astype(np.float32)
  if not np.isfinite(array).all():
    frame = int(np.argwhere(~np.isfinite(array))[0][0])
    raise UserError(
      f"{where}: '{name}' is NaN or infinite at index {frame}; "
      "re-run the tracker on this clip"
    )
  return array


def save_motion(path, motion: FaceMotion) -> None:
  """Writes the project's npz, which appears when it is complete.

  Raises:
    UserError: the motion is broken, or the folder cannot be written.
  """
  path = os.fspath(path)
  motion = validate(motion, path)
  arrays = {name: getattr(motion, name) for name in TRACKS}
  arrays |= {"shape": motion.shape, "valid": motion.valid, "fps": motion.fps}
  arrays |= {"face_model": motion.face_model, "format_version": FORMAT_VERSION}
  if motion.camera is not None:
    arrays["camera"] = motion.camera
  with files.then_rename(path) as temporary, temporary.open("wb") as stream:
    np.savez(stream, **arrays)


def read_array(stream, size: int) -> np.ndarray:
  """One npy, no larger than the `size` bytes that the file has for it.

  A header may promise terabytes; nothing is allocated before it has been checked.

  Raises:
    ValueError: damaged, Python objects, or a header that promises more than is there.
  """
  version = np.lib.format.read_magic(stream)
  read_header = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }.get(version)
  if read_header is None:
    raise ValueError(f"npy of version {version}")
  shape, fortran, dtype = read_header(stream)
  if dtype.hasobject:
    raise ValueError("Object arrays are not read")
  needed = math.prod(shape) * dtype.itemsize
  if min(shape, default=0) < 0 or needed > size:
    raise ValueError(f"its header asks for {needed} bytes, of {size}")
  content = bytearray(needed)
  view, filled = memoryview(content), 0
  while filled < needed:
    count = stream.readinto(view[filled:])
    if not count:
      raise ValueError("cut short")
    filled += count
  array = np.frombuffer(content, dtype)
  return array.reshape(shape, order="F" if fortran else "C")


def read_npy(path, fix: str = "export or download it again") -> np.ndarray:
  """The array of an npy, without pickles; `fix` is what errors advise.

  Raises:
    UserError: no such file, or damaged.
  """
  try:
    with open(path, "rb") as stream:
      return read_array(stream, os.path.getsize(path))
  except FileNotFoundError as error:
    raise UserError(f"{path}: no such file; check the name") from error
  except (OSError, ValueError, EOFError, SyntaxError) as error:
    raise UserError(
      f"{path}: is damaged, empty or holds Python objects ({error}); {fix}"
    ) from error


def read_arrays(path) -> dict[str, np.ndarray]:
  """All arrays of an npz, without pickles.

  Raises:
    UserError: no such file, not an npz, cut short, or arrays of Python objects.
  """
  path = os.fspath(path)
  try:
    with open(path, "rb") as stream:  # given a name, np.load leaves a broken file open
      if stream.read(6) == b"\x93NUMPY":
        raise UserError(f"{path}: one bare array, not a motion; give an npz of fields")
      with zipfile.ZipFile(stream) as archive:
        members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
        if sum(member.file_size for member in members) > MAX_BYTES:
          raise ValueError("unpacks to more than 1 GiB")
        arrays = {}
        for member in members:
          with archive.open(member) as content:
            name = member.filename.removesuffix(".npy")
            arrays[name] = read_array(content, member.file_size)
        return arrays
  except FileNotFoundError as error:
    raise UserError(f"{path}: no such file; check the name") from error
  except IsADirectoryError as error:
    raise UserError(f"{path}: is a folder; give one motion file") from error
  except (
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
    *(EOFError, OSError, ValueError, SyntaxError, TypeError),
  ) as error:
    reason = "holds Python objects" if "Object arrays" in str(error) else "is damaged"
    raise UserError(
      f"{path}: {reason} or is not an npz ({error}); export or download it again"
    ) from error


def from_arrays(arrays: dict[str, np.ndarray], where: str) -> FaceMotion:
  """The project's npz, already read, as a motion; errors as `load_npz`."""
  version = arrays.get("format_version")
  if version is None or version.size != 1 or version.dtype.kind not in "iu":
    raise UserError(f"{where}: no 'format_version'; not a motion of this project")
  if int(version.item()) > FORMAT_VERSION:
    raise UserError(
      f"{where}: format_version {int(version.item())} is newer than this program "
      f"({FORMAT_VERSION}); update tdmm-jax"
    )
  needed = [*TRACKS, "face_model", "shape", "valid", "fps"]
  missing = [name for name in needed if name not in arrays]
  if missing:
    raise UserError(f"{where}: lacks {', '.join(missing)}; export the motion again")
  fields = {name: arrays[name] for name in needed}
  fields["face_model"] = str(fields["face_model"])
  return validate(FaceMotion(**fields, camera=arrays.get("camera")), where)


def load_npz(path) -> FaceMotion:
  """Reads the project's npz.

  Raises:
    UserError: the file is missing or truncated, has another layout, NaNs or mismatched
      lengths.
  """
  return from_arrays(read_arrays(path), os.fspath(path))


def resample(motion: FaceMotion, fps: float = 25.0) -> FaceMotion:
  """The same motion at another frame rate: same start, same duration.

  Rotations move along SO(3), everything else linearly. A new frame is valid where
  every old frame it is made of is.
  """
  if abs(motion.fps - fps) < 1e-3:
    return motion.replace(fps=float(fps))
  last = motion.num_frames - 1
  count = int(np.floor(last / motion.fps * fps + 1e-6)) + 1
  position = np.minimum(np.arange(count) * motion.fps / fps, last)
  before = np.floor(position + 1e-6).astype(int)
  after = np.ceil(position - 1e-6).astype(int)
  tracks = _read_tracks(motion, np.arange(motion.num_frames), position)
  valid = motion.valid[before] & motion.valid[after]
  return motion.replace(**tracks, valid=valid, fps=float(fps))


def fill_invalid(motion: FaceMotion) -> FaceMotion:
  """Interpolates frames that are not valid from their valid neighbours.

  Rotations move along SO(3); before the first and after the last valid frame the
  nearest is held. `valid` stays as it is.
  """
  known = np.flatnonzero(motion.valid)
  if len(known) in (0, motion.num_frames):
    return motion
  return motion.replace(**_read_tracks(motion, known, np.arange(motion.num_frames)))


def _read_tracks(motion, known, position) -> dict[str, np.ndarray]:
  """All tracks at real-valued frame positions, from the known frames only."""
  position = np.clip(position, known[0], known[-1])

  def linear(track):
    columns = [np.interp(position, known, column[known]) for column in track.T]
    return np.stack(columns, axis=1).astype(np.float32)

  def spherical(track):
    parts = np.split(track[known].astype(np.float64), track.shape[1] // 3, axis=1)
    turns = [transform.Rotation.from_rotvec(part) for part in parts]
    if len(known) > 1:
      turns = [transform.Slerp(known, turn)(position) for turn in turns]
    else:
      turns = [turn[np.zeros(len(position), int)] for turn in turns]
    return np.concatenate([t.as_rotvec() for t in turns], axis=1).astype(np.float32)

  tracks = {
    name: (spherical if name in _ROTATIONS else linear)(getattr(motion, name))
    for name in TRACKS
  }
  if motion.camera is not None:
    tracks["camera"] = linear(motion.camera)
  return tracks


def trim(motion: FaceMotion, start: int, stop: int) -> FaceMotion:
  """Frames start .. stop - 1.

  Raises:
    UserError: the range is empty or not inside the clip.
  """
  if not 0 <= start < stop <= motion.num_frames:
    raise UserError(
      f"frames {start}:{stop} of a motion of {motion.num_frames}; "
      f"choose 0 <= start < stop <= {motion.num_frames}"
    )
  return take(motion, slice(start, stop))


def take(motion: FaceMotion, frames) -> FaceMotion:
  """The frames that a slice or an array of numbers picks."""
  cut = {name: getattr(motion, name)[frames] for name in (*TRACKS, "valid")}
  camera = None if motion.camera is None else motion.camera[frames]
  return motion.replace(**cut, camera=camera)


def pieces(motion: FaceMotion, length: int = 512) -> Iterator[FaceMotion]:
  """The motion in pieces of `length` frames, for work whose memory grows with them."""
  for start in range(0, motion.num_frames, length):
    yield take(motion, slice(start, start + length))


def world_head_rotation(motion: FaceMotion) -> np.ndarray:
  """The head's rotation in the world, global · neck; float32[T, 3], rad."""
  if not motion.neck_pose.any():  # most records; composing costs more than reading one
    angles = np.linalg.norm(motion.head_pose, axis=1)
    if not len(angles) or angles.max() < np.pi:  # else composing would wrap it
      return motion.head_pose.astype(np.float32)
  to_rotation = transform.Rotation.from_rotvec
  world = to_rotation(motion.head_pose) * to_rotation(motion.neck_pose)
  return world.as_rotvec().astype(np.float32)
