"""Where mediapipe's face landmarks lie on the default head.

Lips, lids and irises are points of the mesh's own rings; the others are points of the
skin given in the front view, in centimetres, for the left half and mirrored.
"""

import numpy as np

from tdmm_jax.face.head.head_mesh import HeadMesh

# left-half numbers and their right-half partners, from the midline to the corner
_LIP_OUTER_UPPER = ((0, 0), (267, 37), (269, 39), (270, 40), (409, 185), (291, 61))
_LIP_OUTER_LOWER = ((17, 17), (314, 84), (405, 181), (321, 91), (375, 146))
_LIP_INNER_UPPER = ((13, 13), (312, 82), (311, 81), (310, 80), (415, 191), (308, 78))
_LIP_INNER_LOWER = ((14, 14), (317, 87), (402, 178), (318, 88), (324, 95))
# shares of the way from the first to the last point of their row
_LIP_OUTER_UPPER_SHARES = [0.0, 0.23, 0.49, 0.71, 0.9, 1.0]
_LIP_OUTER_LOWER_SHARES = [0.0, 0.22, 0.42, 0.7, 0.89]
_LIP_INNER_UPPER_SHARES = [0.0, 0.19, 0.37, 0.53, 0.72, 1.0]
_LIP_INNER_LOWER_SHARES = [0.0, 0.21, 0.39, 0.57, 0.76]
_LID_UPPER_SHARES = [0.0, 0.09, 0.24, 0.42, 0.57, 0.72, 0.83, 0.9, 0.97]
_LID_LOWER_SHARES = [0.06, 0.17, 0.34, 0.49, 0.63, 0.75, 0.86]
_BROW_UPPER_SHARES = [0.05, 0.32, 0.58, 0.79, 0.95]
_BROW_LOWER_SHARES = [0.0, 0.32, 0.59, 0.8, 0.94]

# from the inner to the outer canthus
_LID_UPPER = (
  (362, 133), (398, 173), (384, 157), (385, 158), (386, 159), (387, 160), (388, 161),
  (466, 246), (263, 33),
)  # fmt: skip
_LID_LOWER = (
  (382, 155), (381, 154), (380, 153), (374, 145), (373, 144), (390, 163), (249, 7),
)  # fmt: skip

_BROW_UPPER = ((336, 107), (296, 66), (334, 105), (293, 63), (300, 70))
_BROW_LOWER = ((285, 55), (295, 65), (282, 52), (283, 53), (276, 46))

# number, x, y in the front view
_MIDLINE = (
  (10, 7.41), (151, 4.84), (9, 2.76), (8, 1.73), (168, 0.72), (6, -0.32), (197, -1.32),
  (195, -2.15), (5, -2.86), (4, -3.67), (1, -4.31), (19, -4.65), (94, -4.77),
  (2, -4.85), (164, -5.31), (18, -8.4), (200, -9.12), (199, -10.0), (175, -10.87),
  (152, -11.44),
)  # fmt: skip
# number, its partner on the right, x, y
_PAIRED = (
  (327, 98, 1.46, -4.84), (278, 48, 1.55, -4.27), (294, 64, 1.63, -4.5),
  (344, 115, 1.24, -4.05), (279, 49, 1.59, -3.93), (429, 209, 1.49, -3.41),
  (420, 198, 1.18, -3.11), (456, 236, 0.86, -2.67), (399, 174, 0.99, -1.99),
  (419, 196, 0.66, -1.53), (351, 122, 0.87, -0.53), (417, 193, 1.01, 0.58),
  (280, 50, 4.42, -3.39), (330, 101, 3.1, -2.77), (425, 205, 3.75, -4.44),
  (266, 36, 2.72, -3.65), (426, 206, 2.93, -5.41), (427, 207, 4.23, -5.52),
  (411, 187, 5.01, -4.82), (371, 142, 2.03, -3.21), (346, 117, 4.65, -1.69),
  (347, 118, 4.07, -1.94), (352, 123, 5.45, -3.09), (337, 108, 1.31, 4.84),
  (299, 69, 2.47, 4.71), (273, 43, 2.66, -7.82), (335, 106, 1.95, -8.24),
  (262, 32, 1.78, -9.92), (421, 201, 0.73, -9.23), (428, 208, 0.9, -10.09),
  (377, 148, 1.02, -11.35), (400, 176, 1.86, -11.05), (378, 149, 2.69, -10.7),
)  # fmt: skip

# left and right number, share of a turn from the left eye's outer side
_IRIS = (
  (473, 468, None), (474, 471, 0.0), (475, 470, 0.25), (476, 469, 0.5), (477, 472, 0.75)
)  # fmt: skip


def build_landmarks(mesh: HeadMesh):
  """Attaches the landmarks to the neutral mesh.

  Returns:
    ids int32[L], mediapipe's numbers; triangles int32[L, 3], vertex ids;
    barycentric float32[L, 3], rows sum to 1.
  """
  rows = _ring_landmarks(mesh) + _skin_landmarks(mesh) + _iris_landmarks(mesh)
  rows.sort(key=lambda row: row[0])
  ids, triangles, weights = zip(*rows, strict=True)
  return (
    np.array(ids, np.int32),
    np.array(triangles, np.int32),
    np.array(weights, np.float32),
  )


def _along(mesh, row, share, numbers):
  """The points a share of the length along a row of vertices, on both sides."""
  points = mesh.vertices[row]
  length = np.concatenate(
    [[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
  )
  where = np.interp(share, length / length[-1], np.arange(len(row)))
  first = min(int(where), len(row) - 2)
  weights = (1.0 - (where - first), where - first, 0.0)
  left = (row[first], row[first + 1], row[first])
  right = tuple(mesh.mirror[list(left)])
  found = [(numbers[0], left, weights)]
  if numbers[1] != numbers[0]:
    found.append((numbers[1], right, weights))
  return found


def _ring_landmarks(mesh):
  groups, found = mesh.groups, []
  for row, numbers, shares in (
    (groups["upper_lip"][2], _LIP_OUTER_UPPER, _LIP_OUTER_UPPER_SHARES),
    (groups["lower_lip"][2], _LIP_OUTER_LOWER, _LIP_OUTER_LOWER_SHARES),
    (groups["upper_lip"][5], _LIP_INNER_UPPER, _LIP_INNER_UPPER_SHARES),
    (groups["lower_lip"][5], _LIP_INNER_LOWER, _LIP_INNER_LOWER_SHARES),
    (groups["upper_lid"][2], _LID_UPPER, _LID_UPPER_SHARES),
    (groups["lower_lid"][2], _LID_LOWER, _LID_LOWER_SHARES),
    (groups["brow"][-1], _BROW_UPPER, _BROW_UPPER_SHARES),
    (groups["brow"][0], _BROW_LOWER, _BROW_LOWER_SHARES),
  ):
    for pair, share in zip(numbers, shares, strict=True):
      found += _along(mesh, row, share, pair)
  return found


def _skin_landmarks(mesh):
  found = []
  for number, y in _MIDLINE:
    triangle, weights = _front_triangle(mesh, np.array([0.0, y]))
    found.append((number, triangle, weights))
  for number, partner, x, y in _PAIRED:
    triangle, weights = _front_triangle(mesh, np.array([x, y]))
    found.append((number, triangle, weights))
    found.append((partner, mesh.mirror[triangle], weights))
  return found


def _front_triangle(mesh, point_2):
  """The skin triangle that covers (x, y) seen from the front, and where in it."""
  skin = np.zeros(len(mesh.vertices), bool)
  skin[mesh.both("skin")] = True
  faces = mesh.faces[skin[mesh.faces].all(1)]
  a, b, c = np.moveaxis(mesh.vertices[faces], 1, 0)
  u, v, w = (b - a)[:, :2], (c - a)[:, :2], point_2 - a[:, :2]
  area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
  area = np.where(np.abs(area) < 1e-9, 1e-9, area)
  s = (w[:, 0] * v[:, 1] - w[:, 1] * v[:, 0]) / area
  t = (u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]) / area
  inside = (s >= -1e-9) & (t >= -1e-9) & (s + t <= 1 + 1e-9)
  depth = a[:, 2] + s * (b - a)[:, 2] + t * (c - a)[:, 2]
  best = np.argmax(np.where(inside, depth, -np.inf))
  return faces[best], np.array([1 - s[best] - t[best], s[best], t[best]])


def _iris_landmarks(mesh):
  """The iris' center, and its edge's outer, upper, inner and lower point."""
  ball, found = mesh.groups["eyeball"], []
  sides = len(mesh.groups["eye_equator"])
  edge = mesh.groups["iris"][-sides:]
  for left_number, right_number, turn in _IRIS:
    if turn is None:
      row, weights = (ball[0], ball[1], ball[2]), (1.0, 0.0, 0.0)
    else:
      where = turn * sides
      first = int(where)
      row = (edge[first], edge[(first + 1) % sides], edge[first])
      weights = (1.0 - (where - first), where - first, 0.0)
    found.append((left_number, row, weights))
    found.append((right_number, tuple(mesh.mirror[list(row)]), weights))
  return found
