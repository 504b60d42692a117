"""Reads a motion in any known layout; each layout's conventions are converted here.

A layout is told by the file's contents: first the container (npz, npy, pickle, text),
then the keys. Suffixes are never looked at.

| layout | read as |
|---|---|
| this project's npz | itself |
| SMIRK's pickle, as TDMM-LM saves it | flame2020 |
| CAP4D's npz | flame2023 |
| others that are in use | refused by name |
"""

import logging
import os

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion, safe_pickle
from tdmm_jax.face.motion import FaceMotion

SMIRK_CROP_PX = 224  # the side of the square picture that SMIRK sees
_SMIRK_WIDTHS = {
  "expression": 50,
  "pose": 3,
  "eyelid": 2,
  "jaw": 3,
  "identity": 300,
  "camera_pose": 3,
}
# Keys that give a layout away, what it is, and the mend. The first that fits is named.
_FOREIGN = (
  ({"landmarks_px"}, "2-D landmarks", "fit them first (tdmm fit)"),
  (
    {"exp", "pose", "cam"},
    "DECA's or EMOCA's codes",
    "not read yet: re-track the clip with SMIRK",
  ),
  (
    {"exp", "pose", "shape"},
    "SPECTRE's codes",
    "not read yet: re-track the clip with SMIRK",
  ),
  (
    {"motion", "output_fps"},
    "LivePortrait's motion, which is not FLAME",
    "re-track the clip with SMIRK",
  ),
  ({"kp", "exp", "R"}, "LivePortrait's motion, which is not FLAME", "use SMIRK"),
)
# Bare arrays [T, width] in use; several projects share a width.
_BARE_WIDTHS = {
  53: "EmoAva",
  56: "MMHead or lm-listener",
  61: "Express4D",
  112: "Language of Motion",
}
_LOG = logging.getLogger(__name__)


def load_motion(path, fps: float | None = None) -> FaceMotion:
  """Reads a motion file of any known layout.

  Args:
    path: the file.
    fps: frame rate of a layout that does not carry it (SMIRK's); 25 if not given.

  Returns:
    FaceMotion at 25 fps.

  Raises:
    UserError: missing, damaged, unsafe, not a motion, a layout that is not read (which
      is named), NaN, or mismatched lengths.
  """
  path = os.fspath(path)
  head = _first_bytes(path)
  if head.startswith(b"PK"):
    found = _from_npz(motion.read_arrays(path), path)
  elif head.startswith(b"\x93NUMPY"):
    raise _bare_array_error(path)
  elif head.startswith((b"MATLAB", b"\x89HDF")):
    raise UserError(
      f"{path}: a MATLAB or HDF5 file (BFM coefficients?), which is not FLAME; "
      "re-track the clip with SMIRK"
    )
  elif b"blendshapecount" in head.lower():
    raise UserError(
      f"{path}: ARKit columns (Live Link Face, Express4D) are not read yet; "
      "give a FLAME motion"
    )
  else:
    found = _from_pickle(path, fps)
  return motion.resample(found, 25.0)


def _first_bytes(path) -> bytes:
  try:
    with open(path, "rb") as stream:
      head = stream.read(256)
  except FileNotFoundError as error:
    raise UserError(f"{path}: no such file; check the name") from error
  except OSError as error:
    raise UserError(f"{path}: cannot be read ({error.strerror})") from error
  if not head:
    raise UserError(f"{path}: is empty; export or download it again")
  return head


def _from_npz(arrays, where) -> FaceMotion:
  keys = set(arrays)
  if "format_version" in keys or {"expression", "face_model"} <= keys:
    return motion.from_arrays(arrays, where)
  if {"expr", "eye_rot", "rot", "tra"} <= keys:
    return _from_cap4d(arrays, where)
  raise _unknown_error(keys, where)


def _unknown_error(keys, where) -> UserError:
  for needed, name, mend in _FOREIGN:
    if needed <= keys:
      return UserError(f"{where}: {name}; {mend}")
  listed = ", ".join(sorted(str(key) for key in keys)[:8]) or "none"
  return UserError(
    f"{where}: not a motion of a known layout (keys: {listed}); give this project's "
    "npz, SMIRK's pickle or CAP4D's npz"
  )


def _bare_array_error(path) -> UserError:
  try:
    width = np.load(path, mmap_mode="r", allow_pickle=False).shape[-1]
  except (ValueError, OSError, IndexError):
    return UserError(f"{path}: is damaged or empty; export or download it again")
  name = _BARE_WIDTHS.get(width)
  what = f"a bare array {width} wide" + (f" ({name}?)" if name else "")
  return UserError(
    f"{path}: {what} does not say what its columns are; save it as this project's npz"
  )


def _from_pickle(path, fps) -> FaceMotion:
  """SMIRK's tracks as TDMM-LM saves them: a dict of lists of T arrays.

  Rotations are axis-angle, rad, and `pose` is the global one; identity is averaged
  over the clip. `camera_pose` (s, x, y) maps a vertex to s (v + (x, y)) in a crop
  that runs from -1 to 1: it becomes pixels of SMIRK's 224 x 224 crop, because the file
  does not say where the crop was cut.
  """
  content = safe_pickle.load(path)
  if not isinstance(content, dict):
    raise UserError(
      f"{path}: holds a {type(content).__name__}, not named tracks; "
      "give SMIRK's pickle or this project's npz"
    )
  if not set(_SMIRK_WIDTHS) - {"identity", "camera_pose"} <= set(content):
    raise _unknown_error(set(content), path)
  tracks = {
    name: _stack(content[name], name, width, path)
    for name, width in _SMIRK_WIDTHS.items()
    if name in content
  }
  length = len(tracks["expression"])
  # Checked before the identity is averaged, which would hide its length.
  for name, track in tracks.items():
    if len(track) != length:
      raise UserError(
        f"{path}: '{name}' has {len(track)} frames but 'expression' has {length}; "
        "re-run the tracker on this clip"
      )
  camera = None
  if "camera_pose" in tracks:
    scale, x, y = tracks["camera_pose"].T
    half = SMIRK_CROP_PX / 2
    camera = np.stack([scale, 1 + scale * x, 1 - scale * y], axis=1) * half
  identity = tracks.get("identity", np.zeros((1, 0)))
  rate = content.get("fps", 25.0) if fps is None else fps
  read = motion.zeros(length, "flame2020").replace(
    expression=tracks["expression"],
    jaw_pose=tracks["jaw"],
    head_pose=tracks["pose"],
    eyelids=np.clip(tracks["eyelid"], 0.0, 1.0),
    shape=identity.mean(axis=0) if len(identity) else np.zeros(0),
    camera=camera,
    fps=rate,
  )
  return motion.validate(read, path)


def _stack(values, name, width, where) -> np.ndarray:
  """T arrays of `width` numbers, each possibly [1, width] -> float64[T, width]."""
  try:
    rows = [np.asarray(value, np.float64).reshape(-1) for value in values]
  except (TypeError, ValueError) as error:
    raise UserError(
      f"{where}: '{name}' is not a list of number arrays; re-run the tracker"
    ) from error
  wrong = [t for t, row in enumerate(rows) if len(row) != width]
  if wrong:
    raise UserError(
      f"{where}: '{name}' has {len(rows[wrong[0]])} numbers in frame {wrong[0]}, "
      f"SMIRK's has {width}; re-run the tracker on this clip"
    )
  return np.stack(rows) if rows else np.zeros((0, width))


def _from_cap4d(arrays, where) -> FaceMotion:
  """CAP4D's npz: FLAME 2023 without a jaw.

  `expr` [T, 65]: the last is a blink in a unit of its own, so lids are imported as
  open. `eye_rot` [T, 3] turns both eyes. `rot` turns about the origin, not about the
  root joint; the two differ by a translation that depends on the model's file, and
  nothing but the place of the head is affected.
  """
  expr = arrays["expr"]
  if expr.ndim != 2 or expr.shape[1] < 2:
    raise UserError(f"{where}: 'expr' has shape {list(expr.shape)}, CAP4D's is [T, 65]")
  if "fps" not in arrays:
    raise UserError(f"{where}: no 'fps'; export the sequence with its frame rate")
  eyes = np.atleast_1d(arrays["eye_rot"])
  read = motion.zeros(len(expr), "flame2023").replace(
    expression=expr[:, :-1],
    head_pose=arrays["rot"],
    eye_pose=np.concatenate([eyes, eyes], axis=-1),
    translation=arrays["tra"],
    fps=arrays["fps"],
  )
  read = motion.validate(read, where)
  _LOG.warning("%s: CAP4D's blink has no known unit; lids are left open", where)
  if read.head_pose.any():
    _LOG.warning("%s: 'rot' turns about the origin; the head's place is rough", where)
  return read
