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
| BEAT2's and EMAGE's npz, metrical-tracker's parameters | flame2020 |
| NeRSemble's tracked parameters | flame2023 |
| ARKit's columns as CSV (Live Link Face, Express4D, mediapipe) | default_v2 |
| ARKit's weights as JSON (BEAT, Audio2Face) | default_v2 |
| a folder or zip of such npz, one a frame | as one of them |
| a folder of EMOCA's folders, one a frame | flame2020 |
| a GLB that this project exported | what it was |
| others that are in use | refused by name |
"""

import logging
import os
import pathlib
import re
import zipfile

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion
from tdmm_jax.face.files import gltf_motion, layouts, safe_pickle, timing
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
# SMIRK's own names, as its demo and its forks save them.
_SMIRK_NATIVE = {
  "expression_params": "expression",
  "pose_params": "pose",
  "eyelid_params": "eyelid",
  "jaw_params": "jaw",
  "shape_params": "identity",
  "cam": "camera_pose",
}
_CONSTANT = ("shape", "betas", "static_offset", "scale", "fps", "mocap_frame_rate")
_MAX_TURN_RAD = 2 * np.pi
_MAX_FRAMES = 1_000_000  # ten hours at 25 a second
MAX_SECONDS = 7200.0  # of a file; a rate that is wrong makes hours of minutes
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
  longest_s: float = MAX_SECONDS,
) -> FaceMotion:
  """Reads a motion file of any known layout.

  Args:
    path: the file, or a folder of files of one frame each.
    fps: frame rate, instead of what the file says; a file that says none is read at 25
      with a warning, ARKit's is refused.
    layout: of a bare array that does not show its own; one of `layouts.BARE_LAYOUTS`.
    head_pose: 6DRepNet's file, which replaces the head pose of SPECTRE's codes.
    blink_scale: of CAP4D's blink, to 0 open .. 1 closed; without it lids stay open.
    longest_s: longer ones are refused, before they are brought to 25 fps.

  Returns:
    FaceMotion at 25 fps.

  Raises:
    UserError: the file is missing, damaged, unsafe or not a motion, its layout is not
      supported (the message names it), or it has NaNs or mismatched lengths.
  """
  path = os.fspath(path)
  turns = None if head_pose is None else layouts.read_head_pose(head_pose)
  found = _as_stored(path, fps, layout, turns, blink_scale)
  length_s = found.num_frames / found.fps
  if length_s > longest_s:
    wrong = ", or give its frame rate, fps" if longest_s >= MAX_SECONDS else ""
    raise UserError(
      f"{path}: {length_s:.0f} s long, at {found.fps:g} frames a second; up to "
      f"{longest_s:g} s are read: cut it{wrong}"
    )
  return motion.resample(found, 25.0)


def load_frame(path, frame: int) -> FaceMotion:
  """One frame of a motion file of any known layout, a pose.

  Args:
    path: as in `load_motion`.
    frame: its number, as the file counts, whatever its rate: a table's rows from 0.

  Returns:
    FaceMotion of one frame.

  Raises:
    UserError: as `load_motion`, or the file has no such frame.
  """
  path = os.fspath(path)
  found = _as_stored(path, None, by_row=True)
  if not 0 <= frame < found.num_frames:
    raise UserError(
      f"{path}: no frame {frame}; it has {found.num_frames}, choose 0 to "
      f"{found.num_frames - 1}"
    )
  return motion.trim(found, frame, frame + 1).replace(fps=25.0)


def _as_stored(
  path, fps, layout=None, turns=None, blink_scale=None, by_row=False
) -> FaceMotion:
  """What a file or folder holds, at its own rate; a table's rows `by_row`, whatever
  their clock says."""
  if os.path.isdir(path):
    found = _from_folder(path, fps, turns, blink_scale)
  else:
    found = _from_file(path, fps, layout, turns, blink_scale, by_row)
  for name in ("jaw_pose", "neck_pose", "head_pose", "eye_pose"):
    largest = np.abs(getattr(found, name)).max()
    if largest > _MAX_TURN_RAD:
      raise UserError(
        f"{path}: '{name}' turns by {largest:.4g} rad, which are likely degrees; "
        "convert it to radians"
      )
  return found


def _from_file(path, fps, layout, turns, blink_scale, by_row) -> FaceMotion:
  head = _first_bytes(path)
  if head.startswith(b"PK"):
    return _from_zip(path, fps, turns, blink_scale)
  if head.startswith(b"\x93NUMPY"):
    return layouts.from_bare(motion.read_npy(path), path, fps, layout, turns)
  if head.startswith((b"MATLAB", b"\x89HDF")):
    raise UserError(
      f"{path}: a MATLAB or HDF5 file (BFM coefficients?), which is not FLAME; "
      "re-track the clip with SMIRK"
    )
  if head.startswith(b"glTF"):
    return _at_rate(gltf_motion.read_glb(path), fps, path)
  from tdmm_jax.face import arkit
  from tdmm_jax.face.files import arkit_csv

  row_fps = timing.DEFAULT_FPS if by_row else fps
  text = (arkit_csv.decode(head[: len(head) // 2 * 2]) or "").lower()
  if "blendshapecount" in text or "eyeblinkleft" in text:
    return arkit.to_motion(arkit_csv.read_csv(path, row_fps))
  if text.lstrip()[:1] in ("{", "["):
    return arkit.to_motion(arkit_csv.read_json(path, row_fps))
  return _from_pickle(path, fps, turns)


def _at_rate(read: FaceMotion, fps, where) -> FaceMotion:
  return read.replace(fps=timing.decide_fps(where, fps, read.fps))


def _from_zip(path, fps, turns, blink_scale) -> FaceMotion:
  try:
    with zipfile.ZipFile(path) as archive:
      names = archive.namelist()
  except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
    raise UserError(
      f"{path}: is damaged or is not an npz; export or download it again"
    ) from error
  if any(name.endswith("data.pkl") for name in names):
    raise UserError(
      f"{path}: PyTorch's own file (torch.save), as metrical-tracker's .frame; load it "
      "with torch and save the parameters of all frames as arrays with numpy.savez"
    )
  if any(name.endswith(".npz") for name in names):
    raise UserError(
      f"{path}: a zip of npz files; unpack it and give the folder, which is read as "
      "one clip if each file is a frame"
    )
  return _from_npz(motion.read_arrays(path), path, fps, turns, blink_scale)


def _from_folder(path, fps, turns, blink_scale) -> FaceMotion:
  """One clip of a folder of npz, or of EMOCA's folders of npy, one a frame."""
  inside = sorted(pathlib.Path(path).iterdir(), key=_number)
  files = [item for item in inside if item.suffix == ".npz"]
  folders = [item for item in inside if (item / "exp.npy").is_file()]
  if not files and not folders:
    raise UserError(
      f"{path}: is a folder, not a motion, and has no npz or exp.npy of single frames; "
      "give one motion file"
    )
  if files:
    frames = [motion.read_arrays(item) for item in files]
  else:
    names = ("exp", "pose", "shape", "cam")
    frames = [
      {
        n: motion.read_npy(f"{item}/{n}.npy")
        for n in names
        if (item / f"{n}.npy").is_file()
      }
      for item in folders
    ]
  keys = set(frames[0])
  if any(set(frame) != keys for frame in frames):
    raise UserError(f"{path}: its files differ in their arrays; give one clip's frames")
  arrays = {}
  for key in keys:
    rows = [np.atleast_2d(frame[key]) for frame in frames]
    if key in _CONSTANT or frames[0][key].dtype.kind not in "fiu":
      arrays[key] = frames[0][key]
    elif any(row.shape != rows[0].shape or len(row) != 1 for row in rows):
      raise UserError(f"{path}: '{key}' is not one row a file; give one clip's frames")
    else:
      arrays[key] = np.concatenate(rows)
  read = _from_npz(arrays, path, fps, turns, blink_scale)
  numbers = [_number(item) for item in files or folders]
  if numbers[0][0] < 0 or len({number for number, _ in numbers}) < len(numbers):
    return read
  return layouts.by_number(read, [number for number, _ in numbers], path)


def _number(item) -> tuple[int, str]:
  """The first number of a file's name, by which frames are ordered."""
  found = re.search(r"\d{1,12}", item.stem)
  return (int(found[0]) if found else -1, item.name)


def _first_bytes(path) -> bytes:
  try:
    with open(path, "rb") as stream:
      head = stream.read(4096)
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
    return _at_rate(motion.from_arrays(arrays, where), fps, where)
  if {"expr", "eye_rot", "rot", "tra"} <= keys:
    return _from_cap4d(arrays, where, fps, blink_scale)
  arrays, keys = _smirks_names(arrays)
  if {"expression", "pose", "eyelid", "jaw"} <= keys:
    return _from_smirk(arrays, where, fps)
  if {"expr", "rotation", "neck_pose", "jaw_pose", "eyes_pose", "shape"} <= keys:
    return _from_flame_param(arrays, where, fps)
  if {"poses", "expressions", "betas"} <= keys:
    return layouts.from_smplx(arrays, where, fps)
  if {"exp", "eyes", "eyelids", "jaw"} <= keys:
    return layouts.from_metrical_tracker(arrays, where, fps)
  if {"expression", "rotation", "translation", "jaw", "neck", "eyes", "shape"} <= keys:
    return layouts.from_nersemble(arrays, where, fps)
  if layouts.is_codes(keys):
    return layouts.from_codes(arrays, where, fps, head_pose)
  raise _unknown_error(keys, where)


def _smirks_names(content):
  """SMIRK's own names as those of TDMM-LM; and the keys."""
  if "expression_params" in content:
    content = {_SMIRK_NATIVE.get(key, key): value for key, value in content.items()}
  return content, set(content)


def _unknown_error(keys, where) -> UserError:
  for needed, name, mend in _FOREIGN:
    if needed <= keys:
      return UserError(f"{where}: {name}; {mend}")
  listed = ", ".join(sorted(str(key) for key in keys)[:8]) or "none"
  return UserError(
    f"{where}: not a motion of a known layout (keys: {listed}); give this project's "
    "npz, SMIRK's pickle or CAP4D's npz"
  )


def _from_pickle(path, fps, head_pose=None) -> FaceMotion:
  """SMIRK's tracks as TDMM-LM saves them: a dict of lists of T arrays.

  Rotations are axis-angle, rad, and `pose` is the global one; identity is averaged
  over the clip. `camera_pose` (s, x, y) maps a vertex to s (v + (x, y)) in a crop
  that runs from -1 to 1: it becomes pixels of SMIRK's 224 x 224 crop, because the file
  does not say where the crop was cut.
  """
  content = safe_pickle.load(path)
  if (
    isinstance(content, list) and content and all(isinstance(f, dict) for f in content)
  ):
    content = _transposed(content, path)
  if isinstance(content, dict):
    content, _ = _smirks_names(content)
  if isinstance(content, dict) and layouts.is_codes(content):
    return layouts.from_codes(content, path, fps, head_pose)
  if not isinstance(content, dict):
    raise UserError(
      f"{path}: holds a {type(content).__name__}, not named tracks; "
      "give SMIRK's pickle or this project's npz"
    )
  if not set(_SMIRK_WIDTHS) - {"identity", "camera_pose"} <= set(content):
    raise _unknown_error(set(content), path)
  return _from_smirk(content, path, fps)


def _transposed(frames, where) -> dict:
  """A list of one dict a frame as a dict of one list a track."""
  keys = set(frames[0])
  wrong = [t for t, frame in enumerate(frames) if set(frame) != keys]
  if wrong:
    raise UserError(
      f"{where}: frame {wrong[0]} holds other tracks than frame 0 (no face?); "
      "re-run the tracker on this clip, or cut it there"
    )
  return {key: [frame[key] for frame in frames] for key in frames[0]}


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
    fps=timing.decide_fps(path, fps, content.get("fps")),
  )
  return motion.validate(read, path)


def _stack(values, name, width, where) -> np.ndarray:
  """T arrays of `width` numbers, each possibly [1, width] -> float64[T, width]."""
  # A pickle may name one array a million times in as many bytes.
  if hasattr(values, "__len__") and len(values) > _MAX_FRAMES:
    raise UserError(f"{where}: '{name}' has {len(values)} frames; cut the clip")
  try:
    lost = [t for t, value in enumerate(values) if value is None]
    if lost:
      raise UserError(
        f"{where}: '{name}' is None in {len(lost)} frames, the first of them "
        f"{lost[0]}: no face was found there; cut the clip around them and "
        "re-run the tracker"
      )
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


def _from_cap4d(arrays, where, fps=None, blink_scale=None) -> FaceMotion:
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
  eyes = np.atleast_1d(arrays["eye_rot"])
  lids = np.clip(expr[:, -1:] * (blink_scale or 0.0), 0.0, 1.0)
  read = motion.zeros(len(expr), "flame2023").replace(
    expression=expr[:, :-1],
    head_pose=arrays["rot"],
    eye_pose=np.concatenate([eyes, eyes], axis=-1),
    translation=arrays["tra"],
    eyelids=np.concatenate([lids, lids], axis=-1),
    fps=timing.decide_fps(where, fps, arrays.get("fps")),
  )
  read = motion.validate(read, where)
  if blink_scale is None:
    _LOG.warning("%s: CAP4D's blink has no known unit; lids are left open", where)
  if read.head_pose.any():
    _LOG.warning("%s: 'rot' turns about the origin; the head's place is rough", where)
  return read


def _from_flame_param(arrays, where, fps=None) -> FaceMotion:
  """VHAP's and GaussianAvatars' `flame_param.npz`: FLAME 2023, all five joints.

  The layout has no eyelids. `static_offset`, vertex offsets that no coefficient
  carries, is left out. `shape` is [S], or rows that are averaged.
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
    shape=np.atleast_2d(arrays["shape"]).mean(axis=0),
    fps=timing.decide_fps(where, fps, arrays.get("fps")),
  )
  return motion.validate(read, where)
