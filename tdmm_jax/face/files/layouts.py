"""Converts what other trackers and datasets write to FLAME, axis-angle.

| layout | told by | holds |
|---|---|---|
| SPECTRE, as TDMM-LM saves it | exp, pose, shape | pose 6 = global 3 + jaw 3 |
| DECA, EMOCA | exp, pose, cam; or expcode, posecode | the same, and a crop's camera |
| EmoAva | bare, 53 wide | exp 50, jaw 3 |
| MMHead | bare, 56 wide, named | exp 50, neck 3, jaw 3 |
| lm-listener, Learning2Listen | bare, 56, named; 184 | exp 50, global, jaw, detail |
| Language of Motion | bare, 112 wide | head 6-D, jaw 6-D, exp 100 |
| BEAT2, EMAGE | poses, expressions, betas | SMPL-X's 55 joints, exp 100 |
| metrical-tracker | exp, eyes 12, jaw 6 wide | exp 100, eyes and jaw 6-D, lids |
| NeRSemble | expression, jaw, neck, rotation | FLAME 2023, all joints |

Where a layout has no eyelids or gaze, the lids stay open and the eyes look ahead, and
a warning says so. 6DRepNet's head pose comes in a file of its own, see
`read_head_pose`.
"""

import logging

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion
from tdmm_jax.face.files import timing
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.face.turns import transform

CROP_PX = 224  # the side of the square picture that SMIRK, DECA and EMOCA see
BARE_LAYOUTS = ("emoava", "mmhead", "lm-listener", "language-of-motion")
_BY_WIDTH = {53: "emoava", 112: "language-of-motion", 184: "lm-listener"}
_CODES = {"expcode": "exp", "posecode": "pose", "shapecode": "shape"}
_SMPLX_TO_HEAD = (0, 3, 6, 9, 12, 15)  # pelvis, three of the spine, neck, head
_MAX_LEFT_OUT_S = 60.0
_LOG = logging.getLogger(__name__)


def crop_camera(camera_T3) -> np.ndarray:
  """(s, x, y) of SMIRK and DECA as scale, tx, ty in pixels of their crop.

  A vertex goes to s (v + (x, y)) in a crop that runs from -1 to 1, y up. The file does
  not say where the crop was cut, so these are the crop's own 224 pixels.
  """
  scale, x, y = np.asarray(camera_T3, np.float64).T
  half = CROP_PX / 2
  return np.stack([scale, 1 + scale * x, 1 - scale * y], axis=1) * half


def is_codes(keys) -> bool:
  """Whether these are SPECTRE's, DECA's or EMOCA's names."""
  return {"exp", "pose"} <= {_CODES.get(key, key) for key in keys}


def from_codes(content, where, fps=None, head_pose=None) -> FaceMotion:
  """SPECTRE's, DECA's and EMOCA's codes: `pose` is the global rotation, then the jaw.

  Args:
    content: exp [T, 50 or 100], pose [T, 6], and where there is one shape [T, S] or
      [S], and cam [T, 3]. Texture, light and detail are left out.
    where: the file, for errors.
    fps: frames per second; by default `timing.decide_fps`'s of the codes' own `fps`.
    head_pose: of `read_head_pose`, instead of the codes' own.

  Raises:
    UserError: other shapes, or lengths that disagree.
  """
  content = {_CODES.get(key, key): value for key, value in content.items()}
  exp, pose = (_rows(content[name], name, where) for name in ("exp", "pose"))
  if pose.shape[1] != 6:
    raise UserError(
      f"{where}: 'pose' is {pose.shape[1]} wide, SPECTRE's, DECA's and EMOCA's is 6 "
      "(global, jaw); export the codes again"
    )
  shape = _rows(content["shape"], "shape", where) if "shape" in content else None
  cam = _rows(content["cam"], "cam", where) if "cam" in content else None
  for name, rows in (("pose", pose), ("shape", shape), ("cam", cam)):
    if rows is not None and len(rows) not in (len(exp), 1 if name == "shape" else -1):
      raise UserError(
        f"{where}: '{name}' has {len(rows)} frames but 'exp' has {len(exp)}; "
        "re-run the tracker on this clip"
      )
  if cam is not None and cam.shape[1] != 3:
    raise UserError(f"{where}: 'cam' is {cam.shape[1]} wide, not 3; export it again")
  fields = {"expression": exp, "jaw_pose": pose[:, 3:], "head_pose": pose[:, :3]}
  if head_pose is not None:
    fields["head_pose"] = _same_length(head_pose, exp, where)
  if shape is not None and len(shape):
    fields["shape"] = shape.mean(axis=0)
  if cam is not None and head_pose is None:
    fields["camera"] = crop_camera(cam)
  return _motion(fields, where, timing.decide_fps(where, fps, content.get("fps")))


def from_bare(array, where, fps=None, layout=None, head_pose=None) -> FaceMotion:
  """Reads a bare array [T, width]; its width or `layout` identifies the columns.

  Args:
    array: [T, width], or [1, T, width].
    where: the file, for errors.
    fps: frames per second; 25 if not given.
    layout: one of `BARE_LAYOUTS`; needed where two projects share a width.
    head_pose: of `read_head_pose`.

  Raises:
    UserError: unknown or ambiguous width, or several clips in one file.
  """
  array = np.asarray(array)
  if array.ndim == 3 and len(array) == 1:
    array = array[0]
  if array.ndim == 1 and len(array) in (50, 100):
    raise UserError(
      f"{where}: {len(array)} numbers, as one frame's expression of EMOCA, without its "
      "jaw and head; give the folder that holds the frames' folders (exp.npy, pose.npy)"
    )
  if array.ndim != 2 or array.dtype.kind not in "fiu":
    raise UserError(
      f"{where}: a bare array of shape {list(array.shape)} is not one clip [frames, "
      "columns]; save each clip by itself"
    )
  width = array.shape[1]
  fields = _columns(array, layout or _BY_WIDTH.get(width), where)
  if head_pose is not None:
    fields["head_pose"] = _same_length(head_pose, array, where)
    fields.pop("neck_pose", None)
  return _motion(fields, where, timing.decide_fps(where, fps))


def from_smplx(arrays, where, fps=None) -> FaceMotion:
  """BEAT2's and EMAGE's npz: SMPL-X's pose [T, 165] and FLAME's expression [T, 100].

  The head's rotation is that of the chain from pelvis to head. `betas` shape a body,
  not FLAME's identity, and are left out.
  """
  poses, expression = (_rows(arrays[n], n, where) for n in ("poses", "expressions"))
  if poses.shape[1] != 165 or len(poses) != len(expression):
    raise UserError(
      f"{where}: 'poses' has shape {list(poses.shape)}, SMPL-X's is "
      f"[{len(expression)}, 165]; export it again"
    )
  joints = poses.reshape(len(poses), 55, 3)
  head = transform.Rotation.identity()
  for joint in _SMPLX_TO_HEAD:
    head = head * transform.Rotation.from_rotvec(joints[:, joint])
  _LOG.warning("%s: 'betas' are a body's; the identity is left out", where)
  fields = {
    "expression": expression,
    "head_pose": head.as_rotvec(),
    "jaw_pose": joints[:, 22],
    "eye_pose": joints[:, 23:25].reshape(-1, 6),
  }
  of_file = arrays.get("mocap_frame_rate", arrays.get("mocap_framerate"))
  return _motion(fields, where, timing.decide_fps(where, fps, of_file))


def from_metrical_tracker(arrays, where, fps=None) -> FaceMotion:
  """metrical-tracker's FLAME parameters, rotations as two rows of their matrix.

  Its head stands still and its camera moves; the file does not hold the camera, so the
  head looks ahead.
  """
  rows = {n: _rows(arrays[n], n, where) for n in ("exp", "eyes", "jaw", "eyelids")}
  if (rows["eyes"].shape[1], rows["jaw"].shape[1]) != (12, 6):
    raise UserError(f"{where}: 'eyes' and 'jaw' are not 12 and 6 wide; export it again")
  _LOG.warning("%s: the camera is not in it; the head stands still", where)
  eyes = [from_6d(half) for half in np.split(rows["eyes"], 2, axis=1)]
  fields = {
    "expression": rows["exp"],
    "jaw_pose": from_6d(rows["jaw"]),
    "eye_pose": np.concatenate(eyes, axis=1),
    "eyelids": np.clip(rows["eyelids"], 0.0, 1.0),
  }
  if "shape" in arrays:
    fields["shape"] = _rows(arrays["shape"], "shape", where).mean(axis=0)
  return _motion(fields, where, timing.decide_fps(where, fps, arrays.get("fps")))


def from_nersemble(arrays, where, fps=None) -> FaceMotion:
  """NeRSemble's tracked FLAME 2023 parameters; `rotation` turns about the origin."""
  names = ("expression", "rotation", "translation", "jaw", "neck", "eyes")
  rows = {name: _rows(arrays[name], name, where) for name in names}
  scale = np.asarray(arrays.get("scale", 1.0), np.float64)
  if np.abs(scale - 1.0).max() > 1e-3:
    _LOG.warning("%s: 'scale' is left out", where)
  fields = {
    "face_model": "flame2023",
    "expression": rows["expression"],
    "head_pose": rows["rotation"],
    "translation": rows["translation"],
    "jaw_pose": rows["jaw"],
    "neck_pose": rows["neck"],
    "eye_pose": rows["eyes"],
    "shape": _rows(arrays["shape"], "shape", where).mean(axis=0),
  }
  fps = timing.decide_fps(where, fps, arrays.get("fps"))
  return by_number(_motion(fields, where, fps), arrays.get("frames"), where)


def by_number(read: FaceMotion, numbers, where) -> FaceMotion:
  """Frames put at their numbers; those that are left out become not valid.

  Raises:
    UserError: numbers that do not rise, or more than a minute of them left out.
  """
  if numbers is None:
    return read
  numbers = np.ravel(numbers).astype(np.int64)
  steps = np.diff(numbers)
  if len(numbers) != read.num_frames or (steps < 1).any():
    raise UserError(f"{where}: the frames' numbers do not rise; export it again")
  if not len(steps) or (steps == steps.min()).all():
    return read
  at = (numbers - numbers[0]) // steps.min()
  if at[-1] + 1 - len(at) > _MAX_LEFT_OUT_S * read.fps:
    raise UserError(
      f"{where}: {at[-1] + 1 - len(at)} frames' numbers are left out; split the clip "
      "where the numbers jump"
    )
  seen = np.zeros(at[-1] + 1, bool)
  seen[at] = True
  row = np.maximum(np.cumsum(seen) - 1, 0)
  tracks = {
    name: getattr(read, name)[row]
    for name in (*motion.TRACKS, *(["camera"] if read.camera is not None else []))
  }
  spread = read.replace(**tracks, valid=read.valid[row] & seen)
  return motion.fill_invalid(spread)


def _columns(array, layout, where) -> dict[str, np.ndarray]:
  width = array.shape[1]
  if layout == "emoava" and width == 53:
    return {"expression": array[:, :50], "jaw_pose": array[:, 50:]}
  if layout == "mmhead" and width == 56:
    expression, neck, jaw = np.split(array, (50, 53), axis=1)
    return {"expression": expression, "neck_pose": neck, "jaw_pose": jaw}
  if layout == "lm-listener" and width in (56, 184):
    expression, head, jaw, _ = np.split(array, (50, 53, 56), axis=1)
    return {"expression": expression, "head_pose": head, "jaw_pose": jaw}
  if layout == "language-of-motion" and width == 112:
    head, jaw, expression = np.split(array, (6, 12), axis=1)
    return {
      "expression": expression,
      "head_pose": from_6d(head),
      "jaw_pose": from_6d(jaw),
    }
  if layout is not None:
    raise UserError(
      f"{where}: {width} columns are not {layout}'s; layouts of bare arrays: "
      f"{', '.join(BARE_LAYOUTS)}"
    )
  if width == 56:
    raise UserError(
      f"{where}: a bare array 56 wide is MMHead's (exp, neck, jaw) or lm-listener's "
      "(exp, head, jaw); say which with layout: mmhead or lm-listener"
    )
  what = " (Express4D's ARKit columns? give its CSV)" if width == 61 else ""
  raise UserError(
    f"{where}: a bare array {width} wide{what} does not say what its columns are; "
    "save it as this project's npz"
  )


def from_6d(rows_T6) -> np.ndarray:
  """A rotation's first two rows (Zhou et al. 2019, PyTorch3D's order) as axis-angle.

  The rows need not be orthonormal: they are made so, the first keeping its direction.
  """
  first, second = np.split(np.asarray(rows_T6, np.float64), 2, axis=-1)
  unit = lambda x: x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9)
  first = unit(first)
  second = unit(second - (first * second).sum(-1, keepdims=True) * first)
  matrix = np.stack([first, second, np.cross(first, second)], axis=-2)
  return transform.Rotation.from_matrix(matrix).as_rotvec()


def read_head_pose(path) -> np.ndarray:
  """6DRepNet's head pose, as TDMM-LM saves it beside SPECTRE's codes.

  Either pitch, yaw, roll in degrees [T, 3], or matrices [T, (1,) 3, 3]. Its pitch is
  positive looking up, yaw to the image's left and roll clockwise, each the opposite of
  ours; its matrix Rz Ry Rx is the transpose of the head's own rotation.

  Returns:
    float64[T, 3], axis-angle, rad, in this project's axes.

  Raises:
    UserError: missing, damaged, of another shape, or not finite.
  """
  array = motion.read_npy(path, "run 6DRepNet again")
  shape = array.shape
  matrices = len(shape) in (3, 4) and shape[1:] in ((3, 3), (1, 3, 3))
  if not matrices and (len(shape) != 2 or shape[1] != 3):
    raise UserError(
      f"{path}: has shape {list(shape)}; 6DRepNet's is [frames, 3] in degrees or "
      "[frames, 3, 3]"
    )
  if array.dtype.kind != "f" or not np.isfinite(array).all():
    raise UserError(f"{path}: not finite numbers; run 6DRepNet again")
  if matrices:
    heads = array.reshape(-1, 3, 3).astype(np.float64).swapaxes(1, 2)
    return transform.Rotation.from_matrix(heads).as_rotvec()
  turns = transform.Rotation.from_euler("XYZ", -array.astype(np.float64), degrees=True)
  return turns.as_rotvec()


def _same_length(head_pose, rows, where) -> np.ndarray:
  if len(head_pose) != len(rows):
    raise UserError(
      f"{where}: {len(rows)} frames, but its head pose file has {len(head_pose)}; "
      "re-run 6DRepNet on this clip"
    )
  return head_pose


def _rows(values, name, where) -> np.ndarray:
  """[T, width] of an array [T, width], [T, 1, width] or [width], or a list of rows."""
  try:
    array = np.asarray(values, np.float64)
  except (TypeError, ValueError) as error:
    raise UserError(
      f"{where}: '{name}' is not rows of numbers; re-run the tracker"
    ) from error
  if array.ndim == 3 and array.shape[1] == 1:
    array = array[:, 0]
  if array.ndim == 1:
    array = array[None]
  if array.ndim != 2 or not array.size:
    raise UserError(
      f"{where}: '{name}' has shape {list(array.shape)}, not [frames, columns]; "
      "re-run the tracker on this clip"
    )
  return array


def _motion(fields, where, fps) -> FaceMotion:
  expression = fields["expression"]
  if "eyelids" not in fields:
    _LOG.warning("%s: this layout has no eyelids; lids are left open", where)
  read = motion.zeros(len(expression), "flame2020").replace(**fields, fps=fps)
  return motion.validate(read, where)
