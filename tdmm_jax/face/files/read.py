"""Reads a motion in any known layout; each layout's conventions are converted here.

A layout is recognised by the file's contents: first the container (npz, npy, pickle,
text), then the keys. Suffixes are ignored.

| layout | read as |
|---|---|
| this project's npz | itself |
| SMIRK's pickle, as TDMM-LM saves it | flame2020 |
| the same tracks as npz | flame2020 |
| CAP4D's npz | flame2023 |
| SPECTRE, DECA, EMOCA, EmoAva, MMHead and others, see `layouts` | flame2020 |
| VHAP's and GaussianAvatars' flame_param.npz | flame2023 |
| ARKit's columns as CSV (Live Link Face, Express4D) | default_v1 |
| a GLB that this project exported | what it was |
| others that are in use | refused by name |
"""

import logging
import os

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion
from tdmm_jax.face.files import gltf_motion, layouts, safe_pickle
from tdmm_jax.face.motion import FaceMotion

SMIRK_CROP_PX = layouts.CROP_PX
_SMIRK_WIDTHS = {
  "expression": 50,
  "pose": 3,
  "eyelid": 2,
  "jaw": 3,
  "identity": 300,
  "camera_pose": 3,
}
# Keys that identify an unsupported layout, its name, and what to do instead. The first
# that matches is used.
_FOREIGN = (
  ({"landmarks_px"}, "2-D landmarks", "fit them first (tdmm fit)"),
  (
    {"motion", "output_fps"},
    "LivePortrait's motion, which is not FLAME",
    "re-track the clip with SMIRK",
  ),
  ({"kp", "exp", "R"}, "LivePortrait's motion, which is not FLAME", "use SMIRK"),
)
_LOG = logging.getLogger(__name__)


def load_motion(
  path,
  fps: float | None = None,
  layout: str | None = None,
  head_pose=None,
  blink_scale: float | None = None,
) -> FaceMotion:
  """Reads a motion file of any known layout.

  Args:
    path: the file.
    fps: frame rate of a layout that does not carry it (SMIRK's); 25 if not given.
    layout: of a bare array that does not show its own; one of `layouts.BARE_LAYOUTS`.
    head_pose: 6DRepNet's file, which replaces the head pose of SPECTRE's codes.
    blink_scale: of CAP4D's blink, to 0 open .. 1 closed; without it lids stay open.

  Returns:
    FaceMotion at 25 fps.

  Raises:
    UserError: the file is missing, damaged, unsafe or not a motion, its layout is not
      supported (the message names it), or it has NaNs or mismatched lengths.
  """
  path = os.fspath(path)
  head = _first_bytes(path)
  turns = None if head_pose is None else layouts.read_head_pose(head_pose)
  if head.startswith(b"PK"):
    found = _from_npz(motion.read_arrays(path), path, fps, turns, blink_scale)
  elif head.startswith(b"\x93NUMPY"):
    found = layouts.from_bare(_bare_array(path), path, fps, layout, turns)
  elif head.startswith((b"MATLAB", b"\x89HDF")):
    raise UserError(
      f"{path}: a MATLAB or HDF5 file (BFM coefficients?), which is not FLAME; "
      "re-track the clip with SMIRK"
    )
  elif head.startswith(b"glTF"):
    found = gltf_motion.read_glb(path)
  elif b"blendshapecount" in head.lower() or b"eyeblinkleft" in head.lower():
    from tdmm_jax.face import arkit
    from tdmm_jax.face.files import arkit_csv

    found = arkit.to_motion(arkit_csv.read_csv(path, fps))
  else:
    found = _from_pickle(path, fps, turns)
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


def _from_npz(arrays, where, fps, head_pose, blink_scale) -> FaceMotion:
  keys = set(arrays)
  if "format_version" in keys or {"expression", "face_model"} <= keys:
    return motion.from_arrays(arrays, where)
  if {"expr", "eye_rot", "rot", "tra"} <= keys:
    return _from_cap4d(arrays, where, blink_scale)
  if {"expression", "pose", "eyelid", "jaw"} <= keys:
    return _from_smirk(arrays, where, arrays.get("fps") if fps is None else fps)
  if {"expr", "rotation", "neck_pose", "jaw_pose", "eyes_pose", "shape"} <= keys:
    return _from_flame_param(arrays, where)
  if layouts.is_codes(keys):
    return layouts.from_codes(arrays, where, fps, head_pose)
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


def _bare_array(path) -> np.ndarray:
  try:
    return np.load(path, allow_pickle=False)
  except (ValueError, OSError, EOFError) as error:
    raise UserError(
      f"{path}: is damaged, empty or holds Python objects; export or download it again"
    ) from error


def _from_pickle(path, fps, head_pose=None) -> FaceMotion:
  """SMIRK's tracks as TDMM-LM saves them: a dict of lists of T arrays.

  Rotations are axis-angle, rad, and `pose` is the global one; identity is averaged
  over the clip. `camera_pose` (s, x, y) maps a vertex to s (v + (x, y)) in a crop
  that runs from -1 to 1: it becomes pixels of SMIRK's 224 x 224 crop, because the file
  does not say where the crop was cut.
  """
  content = safe_pickle.load(path)
  if isinstance(content, dict) and layouts.is_codes(content):
    return layouts.from_codes(content, path, fps, head_pose)
  if not isinstance(content, dict):
    raise UserError(
      f"{path}: holds a {type(content).__name__}, not named tracks; "
      "give SMIRK's pickle or this project's npz"
    )
  if not set(_SMIRK_WIDTHS) - {"identity", "camera_pose"} <= set(content):
    raise _unknown_error(set(content), path)
  return _from_smirk(content, path, content.get("fps", 25.0) if fps is None else fps)


def _from_smirk(content, path, fps) -> FaceMotion:
  """SMIRK's tracks by name, of a pickle or an npz; see `_from_pickle`."""
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
    camera = layouts.crop_camera(tracks["camera_pose"])
  identity = tracks.get("identity", np.zeros((1, 0)))
  read = motion.zeros(length, "flame2020").replace(
    expression=tracks["expression"],
    jaw_pose=tracks["jaw"],
    head_pose=tracks["pose"],
    eyelids=np.clip(tracks["eyelid"], 0.0, 1.0),
    shape=identity.mean(axis=0) if len(identity) else np.zeros(0),
    camera=camera,
    fps=25.0 if fps is None else fps,
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


def _from_cap4d(arrays, where, blink_scale=None) -> FaceMotion:
  """CAP4D's npz: FLAME 2023 without a jaw.

  `expr` [T, 65]: the last is a blink in a unit of its own, so lids are imported as
  open where no `blink_scale` turns it into 0 .. 1. `eye_rot` [T, 3] turns both eyes.
  `rot` turns about the origin, not about the root joint; the two differ by a
  translation that depends on the model's file, and nothing but the place of the head
  is affected.
  """
  expr = arrays["expr"]
  if expr.ndim != 2 or expr.shape[1] < 2:
    raise UserError(f"{where}: 'expr' has shape {list(expr.shape)}, CAP4D's is [T, 65]")
  if "fps" not in arrays:
    raise UserError(f"{where}: no 'fps'; export the sequence with its frame rate")
  eyes = np.atleast_1d(arrays["eye_rot"])
  lids = np.clip(expr[:, -1:] * (blink_scale or 0.0), 0.0, 1.0)
  read = motion.zeros(len(expr), "flame2023").replace(
    expression=expr[:, :-1],
    head_pose=arrays["rot"],
    eye_pose=np.concatenate([eyes, eyes], axis=-1),
    translation=arrays["tra"],
    eyelids=np.concatenate([lids, lids], axis=-1),
    fps=arrays["fps"],
  )
  read = motion.validate(read, where)
  if blink_scale is None:
    _LOG.warning("%s: CAP4D's blink has no known unit; lids are left open", where)
  if read.head_pose.any():
    _LOG.warning("%s: 'rot' turns about the origin; the head's place is rough", where)
  return read


def _from_flame_param(arrays, where) -> FaceMotion:
  """VHAP's and GaussianAvatars' `flame_param.npz`: FLAME 2023, all five joints.

  The layout has no eyelids. `static_offset`, vertex offsets that no coefficient
  carries, is left out. Without `fps` in the file it is taken as 25.
  """
  offset = arrays.get("static_offset")
  if offset is not None and offset.dtype.kind == "f" and np.any(offset):
    _LOG.warning("%s: 'static_offset' is left out: no coefficient carries it", where)
  expr = np.atleast_2d(arrays["expr"])
  read = motion.zeros(len(expr), "flame2023").replace(
    expression=expr,
    head_pose=arrays["rotation"],
    neck_pose=arrays["neck_pose"],
    jaw_pose=arrays["jaw_pose"],
    eye_pose=arrays["eyes_pose"],
    translation=arrays.get("translation", np.zeros((len(expr), 3))),
    shape=np.ravel(arrays["shape"]),
    fps=arrays.get("fps", 25.0),
  )
  return motion.validate(read, where)
