"""Writes one mesh file a frame, OBJ (text) or PLY (binary), for tools without glTF.

Shape letters: T frames, V vertices, F triangles.
"""

import os
import pathlib

import numpy as np

from tdmm_jax import files


def frame_paths(path: str | os.PathLike, num_frames: int) -> list[pathlib.Path]:
  """`folder/face.obj` -> `folder/face_0000.obj`, `folder/face_0001.obj`, ..."""
  path = pathlib.Path(path)
  return [path.with_name(f"{path.stem}_{t:04}{path.suffix}") for t in range(num_frames)]


def write_sequence(path: str | os.PathLike, vertices_TV3, faces_F3) -> list:
  """Writes each frame's mesh, metres, y up; vertex order is the face model's.

  Args:
    path: ends in .obj or .ply; see `frame_paths`.
    vertices_TV3: float[T, V, 3].
    faces_F3: int[F, 3].

  Returns:
    The paths.
  """
  paths = frame_paths(path, len(vertices_TV3))
  encode = _obj if pathlib.Path(path).suffix.lower() == ".obj" else _ply
  for name, vertices_V3 in zip(paths, encode(vertices_TV3, faces_F3), strict=True):
    files.write_bytes(name, vertices_V3)
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
  header = (
    "ply\nformat binary_little_endian 1.0\n"
    f"element vertex {vertices_TV3.shape[1]}\n"
    "property float x\nproperty float y\nproperty float z\n"
    f"element face {len(faces_F3)}\n"
    "property list uchar int vertex_indices\nend_header\n"
  ).encode()
  for vertices_V3 in vertices_TV3:
    yield header + np.ascontiguousarray(vertices_V3, "<f4").tobytes() + rows.tobytes()
