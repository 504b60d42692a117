"""Reads a motion back from a GLB that `export.gltf` wrote.

The weights of the expression and eyelid targets are the coefficients, split by sign or
not, and the joints' rotations are the pose, so nothing is fitted. A GLB of another
program has neither, and is refused.

Shape letters: T frames, J joints.
"""

import json
import os
import struct

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.face.turns import transform

_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_POSES = ("head_pose", "neck_pose", "jaw_pose")  # of the joints root, neck, jaw


def read_glb(path: str | os.PathLike) -> FaceMotion:
  """The motion in a GLB of this project, at the rate it was exported with.

  Raises:
    UserError: damaged, or written by another program.
  """
  path = os.fspath(path)
  document, data = _chunks(path)
  try:
    about = document["asset"]["extras"]["tdmm"]
    names = document["meshes"][0]["extras"]["targetNames"]
  except (KeyError, TypeError, IndexError) as error:
    raise UserError(
      f"{path}: a GLB that this project did not write, of another head; export its "
      "blend shapes' weights as ARKit's CSV (Timecode, EyeBlinkLeft, ...)"
    ) from error
  try:
    return motion.validate(_motion(document, data, about, names), path)
  except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
    raise UserError(f"{path}: is damaged ({error}); export it again") from error


def _chunks(path):
  if os.path.getsize(path) > motion.MAX_BYTES:
    raise UserError(f"{path}: larger than 1 GiB; export fewer frames at a time")
  with open(path, "rb") as stream:
    content = stream.read()
  try:
    document, chunks = split_glb(content)
    return document, dict(chunks).get(b"BIN\0", b"")
  except ValueError as error:
    raise UserError(f"{path}: is damaged ({error}); export it again") from error


def split_glb(content: bytes) -> tuple[dict, list[tuple[bytes, bytes]]]:
  """A GLB file's JSON, and (kind of four bytes, content) of the chunks after it.

  Raises:
    ValueError: it is cut short, of another version, or no GLB.
  """
  try:
    magic, version, length = struct.unpack_from("<4sII", content)
    if magic != b"glTF" or version != 2 or length != len(content):
      raise ValueError("wrong header")
    chunks, start = [], 12
    while start < length:
      size, kind = struct.unpack_from("<I4s", content, start)
      start += 8
      if start + size > length:
        raise ValueError("cut short")
      chunks.append((kind, content[start : start + size]))
      start += size
    if not chunks or chunks[0][0] != b"JSON":
      raise ValueError("no JSON")
    return json.loads(chunks[0][1]), chunks[1:]
  except (struct.error, RecursionError) as error:
    raise ValueError(error) from error


def _motion(document, data, about, names) -> FaceMotion:
  tracks = _tracks(document, data)
  frames = max(len(values) for values in tracks.values())
  whole = {
    key: np.broadcast_to(values, (frames, *values.shape[1:]))
    for key, values in tracks.items()
  }
  joints = document["skins"][0]["joints"]
  turn = lambda joint: transform.Rotation.from_quat(
    whole[joints[joint], "rotation"].astype(np.float64)
  ).as_rotvec()
  place = document["nodes"][joints[0]]["translation"]
  weights = whole[0, "weights"]
  unit = about["expression_scale"]  # None: one target a coefficient, of either sign
  at = {name: weights[:, k] for k, name in enumerate(names)}
  coefficient = lambda name: (
    at[name] if name in at else at[name + "_plus"] - at[name + "_minus"]
  )
  plain = [name.removesuffix("_plus") for name in names if not name.endswith("_minus")]
  expression = [name for name in plain if name.startswith("expression_")]
  stacked = lambda which: np.stack([coefficient(name) for name in which], axis=1)
  valid = np.ones(frames, bool)
  valid[about["not_valid"]] = False
  return motion.zeros(frames, str(about["face_model"])).replace(
    expression=stacked(expression) * np.float32(unit or 1.0),
    eyelids=stacked(["eyelid_left", "eyelid_right"]),
    **{name: turn(joint) for joint, name in enumerate(_POSES)},
    eye_pose=np.concatenate([turn(3), turn(4)], axis=1),
    translation=whole[joints[0], "translation"] - np.float32(place),
    shape=np.array(about["shape"], np.float32),
    valid=valid,
    fps=float(about["fps"]),
  )


def _tracks(document, data) -> dict:
  """(node, path) -> float32 rows, one a key."""
  animation = document["animations"][0]
  num_targets = len(document["meshes"][0]["weights"])
  tracks = {}
  for channel in animation["channels"]:
    accessor = document["accessors"][
      animation["samplers"][channel["sampler"]]["output"]
    ]
    view = document["bufferViews"][accessor["bufferView"]]
    width, count = _WIDTHS[accessor["type"]], accessor["count"]
    values = np.frombuffer(data, "<f4", count * width, view["byteOffset"])
    target = channel["target"]
    width = num_targets if target["path"] == "weights" else width
    tracks[target["node"], target["path"]] = values.reshape(-1, width)
  return tracks
