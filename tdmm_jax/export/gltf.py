"""Binary glTF 2.0: morph targets, skin and one animation, in core glTF alone.

Shape letters: T frames, V vertices, K morph targets, J joints.

Source: the Khronos glTF 2.0 specification, sections 3.6 to 3.11 and 4.4.
"""

import json
import os
import pathlib
import struct
from collections.abc import Sequence

import numpy as np

from tdmm_jax import files
from tdmm_jax.export.rig import Rig
from tdmm_jax.face.face_model import JOINTS, PARENTS
from tdmm_jax.render import rasterizer

FLOAT, UINT32, UINT16, UINT8 = 5126, 5125, 5123, 5121
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_COMPONENTS = {
  FLOAT: np.dtype("<f4"),
  UINT32: np.dtype("<u4"),
  UINT16: np.dtype("<u2"),
  UINT8: np.dtype("u1"),
}
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_LEAST_MOVE_M = 1e-8  # a target's shorter vectors are written as zero
_LEAST_TURN = 1e-4  # a normal's shorter changes are written as zero


class Writer:
  """Collects accessors and the bytes that they describe.

  Attributes:
    data: the buffer, which may begin with what is there already,
    views, accessors: likewise.
    buffer: its number in the file.
  """

  def __init__(self, data: bytes = b"", views=(), accessors=(), buffer: int = 0):
    self.data = bytearray(data)
    self.views, self.accessors = list(views), list(accessors)
    self.buffer = buffer

  def view(self, array, target=None) -> int:
    self.data += b"\0" * (-len(self.data) % 4)
    view = {
      "buffer": self.buffer,
      "byteOffset": len(self.data),
      "byteLength": array.nbytes,
    }
    if target:
      view["target"] = target
    self.data += array.tobytes()
    self.views.append(view)
    return len(self.views) - 1

  def dense(self, values, component, target=None, bounds=False) -> int:
    """An accessor of rows; `bounds` adds the min and max that some must carry."""
    values = np.ascontiguousarray(values, _COMPONENTS[component])
    accessor = _describe(values, component, bounds)
    accessor["bufferView"] = self.view(values, target)
    self.accessors.append(accessor)
    return len(self.accessors) - 1

  def sparse(self, values, least, bounds=False) -> int:
    """An accessor of float rows that are mostly zero: only the others are stored."""
    values = np.ascontiguousarray(values, _COMPONENTS[FLOAT])
    rows = np.flatnonzero(np.linalg.norm(values, axis=1) > least)
    rows = rows if len(rows) else np.zeros(1, int)  # a sparse accessor has at least one
    if len(rows) > 0.75 * len(values):
      return self.dense(values, FLOAT, _ARRAY_BUFFER, bounds)
    kept = np.zeros_like(values)
    kept[rows] = values[rows]
    accessor = _describe(kept, FLOAT, bounds)
    component = UINT16 if len(values) < 65536 else UINT32
    accessor["sparse"] = {
      "count": len(rows),
      "indices": {
        "bufferView": self.view(rows.astype(_COMPONENTS[component])),
        "componentType": component,
      },
      "values": {"bufferView": self.view(kept[rows])},
    }
    self.accessors.append(accessor)
    return len(self.accessors) - 1


def _describe(values, component, bounds):
  width = int(np.prod(values.shape[1:], dtype=int))
  accessor = {
    "componentType": component,
    "count": len(values),
    "type": _TYPES[width],
  }
  if bounds:
    flat = values.reshape(len(values), -1)
    accessor["min"] = [x.item() for x in flat.min(axis=0)]
    accessor["max"] = [x.item() for x in flat.max(axis=0)]
  return accessor


def write_glb(path: str | os.PathLike, rig: Rig, extras: dict | None = None) -> None:
  """Writes an animated GLB: +y up, metres, the face looks along +z.

  Args:
    path: the file; appears under this name only when complete.
    rig: see `rig.build_rig`.
    extras: JSON kept at `asset.extras.tdmm`; `gltf_motion` reads the motion back by it.
  """
  out = Writer()
  mesh = _mesh(out, rig)
  inverse_J44 = np.tile(np.eye(4, dtype=np.float32), (len(JOINTS), 1, 1))
  inverse_J44[:, 3, :3] = -rig.joints_J3  # column-major
  skin = {
    "name": "face",
    "joints": list(range(1, 1 + len(JOINTS))),
    "skeleton": 1,
    "inverseBindMatrices": out.dense(inverse_J44, FLOAT),
  }
  animation = _animation(out, rig)
  asset = {"version": "2.0", "generator": "tdmm-jax"}
  if extras is not None:
    asset["extras"] = {"tdmm": extras}
  document = {
    "asset": asset,
    "scene": 0,
    "scenes": [{"name": "face", "nodes": [0, 1]}],
    "nodes": [{"name": "face", "mesh": 0, "skin": 0}, *_joint_nodes(rig)],
    "meshes": [mesh],
    "materials": [
      {
        "name": "face",
        "doubleSided": True,
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.55},
      }
    ],
    "skins": [skin],
    "animations": [animation],
    "accessors": out.accessors,
    "bufferViews": out.views,
    "buffers": [{"byteLength": len(out.data)}],
  }
  write_container(path, document, bytes(out.data))


def write_container(
  path: str | os.PathLike,
  document: dict,
  data: bytes | None,
  others: Sequence[tuple[bytes, bytes]] = (),
) -> None:
  """Writes a GLB file, section 4.4 of the specification.

  Args:
    path: the file; appears under this name only when complete.
    document: the JSON.
    data: the binary chunk, `buffers[0]`; None if there is none.
    others: (kind of four bytes, content) of chunks that extensions define.
  """
  text = json.dumps(document, separators=(",", ":")).encode()
  chunks = [(b"JSON", text + b" " * (-len(text) % 4))]
  if data is not None:
    chunks.append((b"BIN\0", data + b"\0" * (-len(data) % 4)))
  chunks += others
  total = 12 + sum(8 + len(content) for _, content in chunks)
  with files.then_rename(pathlib.Path(path)) as temporary:
    with temporary.open("wb") as stream:
      stream.write(struct.pack("<4sII", b"glTF", 2, total))
      for kind, content in chunks:
        stream.write(struct.pack("<I4s", len(content), kind) + content)


def _mesh(out: Writer, rig: Rig) -> dict:
  vertices_V3 = np.asarray(rig.vertices_V3, np.float32)
  normals_V3 = unit_normals(vertices_V3, rig.faces_F3)
  component = UINT16 if len(vertices_V3) < 65536 else UINT32
  rgba_V4 = np.concatenate(
    [rig.colors_V3, np.ones((len(vertices_V3), 1), np.float32)], axis=1
  )
  attributes = {
    "POSITION": out.dense(vertices_V3, FLOAT, _ARRAY_BUFFER, bounds=True),
    "NORMAL": out.dense(normals_V3, FLOAT, _ARRAY_BUFFER),
    "COLOR_0": out.dense(rgba_V4, FLOAT, _ARRAY_BUFFER),
    **_influences(out, rig.skin_VJ),
  }
  still = None  # the correctives' normals: shared, for some readers want one each
  targets = []
  for name, target_V3 in zip(rig.target_names, rig.targets_KV3, strict=True):
    target = {"POSITION": out.sparse(target_V3, _LEAST_MOVE_M, bounds=True)}
    if name.startswith("corrective_"):
      if still is None:
        still = out.dense(np.zeros_like(vertices_V3), FLOAT, _ARRAY_BUFFER)
      target["NORMAL"] = still
    else:
      # Of a small step, for the two signs of one coefficient must agree.
      nudged_V3 = vertices_V3 + np.float32(0.25) * target_V3
      turned = 4.0 * (unit_normals(nudged_V3, rig.faces_F3) - normals_V3)
      target["NORMAL"] = out.sparse(turned, _LEAST_TURN)
    targets.append(target)
  primitive = {
    "attributes": attributes,
    "indices": out.dense(rig.faces_F3.reshape(-1), component, _ELEMENT_BUFFER),
    "material": 0,
    "targets": targets,
  }
  return {
    "name": "face",
    "primitives": [primitive],
    "weights": [0.0] * len(targets),
    "extras": {"targetNames": list(rig.target_names)},
  }


def unit_normals(vertices_V3, faces_F3) -> np.ndarray:
  """float32[V, 3]; a vertex without a face gets +z, for a normal must have length 1."""
  vertices_V3 = np.ascontiguousarray(vertices_V3, np.float32)
  normals_V3 = rasterizer.vertex_normals(vertices_V3, faces_F3).astype(np.float64)
  length = np.linalg.norm(normals_V3, axis=1, keepdims=True)
  unit = np.where(length > 0.5, normals_V3 / np.maximum(length, 1e-12), [0, 0, 1])
  return unit.astype(np.float32)


def _influences(out: Writer, skin_VJ) -> dict:
  """JOINTS_n and WEIGHTS_n: four influences a set, the strongest first."""
  order = np.argsort(-skin_VJ, axis=1, kind="stable")
  weights = np.take_along_axis(skin_VJ, order, axis=1)
  weights = weights * (weights > 1e-7)
  weights = weights / weights.sum(axis=1, keepdims=True)
  order = np.where(weights > 0, order, 0)
  used = int((weights > 0).sum(axis=1).max())
  attributes = {}
  for part in range(-(-used // 4)):
    columns = slice(4 * part, 4 * part + 4)
    pad = ((0, 0), (0, 4 - order[:, columns].shape[1]))
    joints = np.pad(order[:, columns], pad)
    attributes[f"JOINTS_{part}"] = out.dense(joints, UINT8, _ARRAY_BUFFER)
    attributes[f"WEIGHTS_{part}"] = out.dense(
      np.pad(weights[:, columns], pad), FLOAT, _ARRAY_BUFFER
    )
  return attributes


def _joint_nodes(rig: Rig) -> list[dict]:
  """Nodes 1 ..: the joints, in JOINTS' order."""
  nodes = []
  for j, (name, place) in enumerate(zip(JOINTS, rig.local_joints_J3, strict=True)):
    node = {"name": name, "translation": [float(x) for x in place]}
    children = [1 + k for k, parent in enumerate(PARENTS) if parent == j]
    if children:
      node["children"] = children
    nodes.append(node)
  return nodes


def _animation(out: Writer, rig: Rig) -> dict:
  """One clip: a key a frame for the weights and the joints; still joints have one."""
  times = np.arange(rig.num_frames, dtype=np.float64) / rig.fps
  clock = out.dense(times, FLOAT, bounds=True)
  first = out.dense(times[:1], FLOAT, bounds=True)
  channels, samplers = [], []

  def add(node, path, values):
    same = np.ptp(values, axis=0).max() == 0
    values = values[:1] if same else values
    width = values.shape[-1] if path != "weights" else 1
    output = out.dense(values.reshape(-1, width), FLOAT)
    samplers.append({"input": first if same else clock, "output": output})
    channels.append(
      {"sampler": len(samplers) - 1, "target": {"node": node, "path": path}}
    )

  add(0, "weights", rig.weights_TK)
  for j in range(len(JOINTS)):
    add(1 + j, "rotation", rig.rotations_TJ4[:, j])
    add(1 + j, "translation", rig.translations_TJ3[:, j])
  return {"name": "motion", "channels": channels, "samplers": samplers}
