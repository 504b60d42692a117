"""Writes one mesh file a frame, OBJ (text) or PLY (binary), for tools without glTF.

Shape letters: T frames, V vertices, F triangles.
"""

import os
import pathlib
from collections.abc import Iterable

import numpy as np

from tdmm_jax import files


def write_sequence(
  path: str | os.PathLike, vertices_TV3: Iterable[np.ndarray], faces_F3
) -> list[pathlib.Path]:
  """Writes each frame's mesh, metres, y up; vertex order is the face model's.

  Args:
    path: ends in .obj or .ply; `folder/face.obj` becomes `folder/face_0000.obj`,
      `folder/face_0001.obj`, ...
    vertices_TV3: float[V, 3] of T frames.
    faces_F3: int[F, 3].

  Returns:
    The paths.
  """
  path, paths = pathlib.Path(path), []
  encode = _obj if path.suffix.lower() == ".obj" else _ply
  for t, data in enumerate(encode(vertices_TV3, faces_F3)):
    paths.append(path.with_name(f"{path.stem}_{t:04}{path.suffix}"))
    files.write_bytes(paths[-1], data)
  return paths


def _obj(vertices_TV3, faces_F3):
  corners = "".join(f"f {a} {b} {c}\n" for a, b, c in np.asarray(faces_F3) + 1)
  line = "v %.7f %.7f %.7f\n"
  for vertices_V3 in vertices_TV3:
    points = (line * len(vertices_V3)) % tuple(vertices_V3.reshape(-1).tolist())
    yield (points + corners).encode()


def _ply(vertices_TV3, faces_F3):
  rows = np.empty(len(faces_F3), [("count", "u1"), ("corners", "<i4", (3,))])
  rows["count"], rows["corners"] = 3, faces_F3
  for vertices_V3 in vertices_TV3:
    header = (
      "ply\nformat binary_little_endian 1.0\n"
      f"element vertex {len(vertices_V3)}\n"
      "property float x\nproperty float y\nproperty float z\n"
      f"element face {len(faces_F3)}\n"
      "property list uchar int vertex_indices\nend_header\n"
    ).encode()
    yield header + np.ascontiguousarray(vertices_V3, "<f4").tobytes() + rows.tobytes()
