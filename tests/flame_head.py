"""A model of FLAME's format on FLAME's public template, which needs no licence.

Its expressions are bumps around landmarks, written down without any knowledge of
another head, so that the same bumps on another template are the truth that retargeting
is measured by.

Shape letters: V vertices, L landmarks, F fields (50).
"""

import os
import pathlib
import pickle

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph

from tdmm_jax.face import face_model as face_model_lib

SIDE_FILES = (
  *("FLAME_masks.pkl", "mediapipe_landmark_embedding.npz"),
  *("l_eyelid.npy", "r_eyelid.npy"),
)
_UPPER_LIP = (13, 82, 312, 80, 310, 37, 267)
_LOWER_LIP = (14, 87, 317, 88, 318, 84, 314)
# Bumps: two landmarks whose distance is the unit there; middles; widths in units.
_BUMPS = (
  ((61, 291), (61, 291), 0.3),  # corners of the mouth
  ((61, 291), (13, 14, 0, 17), 0.25),
  ((61, 291), (81, 311, 178, 402), 0.2),
  ((70, 107), (70, 105, 107), 0.4),  # brows
  ((300, 336), (300, 334, 336), 0.4),
  ((98, 327), (98, 327, 4), 0.4),  # the nose
)


def points(vertices_V3, triangles, weights):
  return np.einsum("lca,lc->la", vertices_V3[triangles], weights)


def _upperness(vertices, faces, marks, rows) -> np.ndarray:
  """1 at the upper lip, 0 at the lower, by the way along the skin; [V]."""
  edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
  length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
  graph = sparse.coo_matrix((length + 1e-9, edges.T), shape=(len(vertices),) * 2)
  graph = graph.tocsr().maximum(graph.tocsr().T)

  def away(numbers):
    from_V = np.full(len(vertices), np.inf)
    for number in numbers:
      if number in rows:
        place = marks[rows[number]]
        start = np.argmin(np.linalg.norm(vertices - place, axis=1))
        from_V = np.minimum(from_V, csgraph.dijkstra(graph, indices=start))
    return np.where(np.isfinite(from_V), from_V, 1.0)

  return 1 / (1 + np.exp((away(_UPPER_LIP) - away(_LOWER_LIP)) / 0.002))


def fields(vertices, faces, landmark_ids, triangles, weights) -> np.ndarray:
  """Displacements [V, 3, F], m at 1, of the bumps, on any head."""
  vertices = np.asarray(vertices, np.float64)
  marks = points(vertices, triangles, weights)
  rows = {int(number): row for row, number in enumerate(landmark_ids)}
  apart = lambda i, j: np.linalg.norm(marks[rows[i]] - marks[rows[j]])
  upper_V = _upperness(vertices, faces, marks, rows)
  made = []
  for ends, middles, width in _BUMPS:
    for number in middles:
      distance_V = np.linalg.norm(vertices - marks[rows[number]], axis=1)
      bump_V = np.exp(-0.5 * (distance_V / (width * apart(*ends))) ** 2)
      if number in (13, 81, 311, 0):
        bump_V = bump_V * upper_V
      if number in (14, 178, 402, 17):
        bump_V = bump_V * (1 - upper_V)
      for axis in np.eye(3):
        made.append(bump_V[:, None] * axis * 0.04 * apart(33, 263))
  return np.stack(made, axis=-1)[:, :, :50]


def _template(folder):
  vertices, faces = [], []
  for line in (folder / "head_template.obj").read_text().splitlines():
    kind, *parts = line.split() or [""]
    if kind == "v":
      vertices.append([float(part) for part in parts])
    if kind == "f":
      faces.append([int(part.split("/")[0]) - 1 for part in parts])
  return np.array(vertices), np.array(faces)


def assets() -> pathlib.Path:
  folder = os.environ.get("TDMM_REAL_DATA")
  if not folder or not (pathlib.Path(folder) / "flame_assets").is_dir():
    pytest.skip("TDMM_REAL_DATA names no folder with flame_assets")
  return pathlib.Path(folder) / "flame_assets"


def write(folder: pathlib.Path, name="flame2023.pkl", seed=0):
  """Writes the model and what lies beside it.

  Returns:
    its path, and the rotation [F, F] that mixes the fields into coefficients.
  """
  files = assets()
  vertices, faces = _template(files)
  with np.load(files / "mediapipe_landmark_embedding.npz") as marks:
    ids, triangles = marks["landmark_indices"], faces[marks["lmk_face_idx"]]
    weights = marks["lmk_b_coords"]
  with open(files / "FLAME_masks.pkl", "rb") as stream:
    masks = pickle.load(stream, encoding="latin1")
  rng = np.random.default_rng(seed)
  mixing, _ = np.linalg.qr(rng.normal(size=(50, 50)))
  V = len(vertices)
  dirs = np.zeros((V, 3, 400))
  dirs[:, :, 300:350] = fields(vertices, faces, ids, triangles, weights) @ mixing
  places = points(vertices, triangles, weights)
  rows = {int(number): row for row, number in enumerate(ids)}
  unit = np.linalg.norm(places[rows[33]] - places[rows[263]])
  hinge = places[rows[168]] + unit * np.array([0.0, -0.2, -0.9])
  eyes = [vertices[masks[f"{side}_eyeball"]].mean(axis=0) for side in ("left", "right")]
  joints = np.array([vertices.mean(axis=0) - [0, 0.1, 0], hinge - [0, 0.05, 0.01]])
  joints = np.concatenate([joints, [hinge], eyes])
  height = (places[rows[0]][1] - vertices[:, 1]) / unit
  skin = np.zeros((V, 5))
  down = np.clip((height + 0.1) / 0.3, 0, 1)
  front = np.clip((vertices[:, 2] - hinge[2]) / (0.2 * unit), 0, 1)
  low = 1 - _upperness(vertices, faces, places, rows)
  skin[:, 2] = down * front * low
  skin[:, 1] = 1 - skin[:, 2]
  for joint, side in ((3, "left"), (4, "right")):
    skin[masks[f"{side}_eyeball"]] = np.eye(5)[joint]
  # The joints are where weights of all vertices, some negative, put them.
  homogeneous = np.concatenate([vertices, np.ones((V, 1))], axis=1)
  regressor = np.concatenate([joints, np.ones((5, 1))], axis=1) @ np.linalg.pinv(
    homogeneous
  )
  content = {
    "v_template": vertices,
    "shapedirs": dirs,
    "posedirs": np.zeros((V, 3, face_model_lib.NUM_POSE_FEATURES)),
    "J_regressor": sparse.csc_matrix(regressor),
    "weights": skin,
    "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
    "f": faces.astype(np.uint32),
    "bs_style": "lbs",
  }
  path = folder / name
  path.write_bytes(pickle.dumps(content, protocol=2))
  for file in SIDE_FILES:
    (folder / file).symlink_to(files / file)
  return path, mixing
