"""The default head's neutral mesh: skin, mouth, eyeballs, ears and teeth.

The subject's left half is built and mirrored. Rings of vertices follow the lids and
lips, rows follow the eyebrows; between them the skin is filled with vertices whose
spacing follows a size field and which relax to near-equilateral triangles. The half
skin is laid out in a plane for that: directions from the star centre, projected
stereographically, so the midline is the axis a = 0 and the neck's end the rim.

Units are centimetres (see `head_surface`). Shape letters: V vertices, F triangles,
P points.
"""

import dataclasses

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import Delaunay

from tdmm_jax.face import head_curves, head_parts, head_surface, mesh_smoothing
from tdmm_jax.face.head_parts import Part

NECK_END_Y = -17.5
NUM_FILL = 1020  # free skin vertices of one half, before the midline ones
RELAX_STEPS = 40


@dataclasses.dataclass(frozen=True)
class HeadMesh:
  """The neutral head.

  Attributes:
    vertices: float64[V, 3] in cm; the left half and the midline come first.
    faces: int32[F, 3], counter-clockwise seen from outside.
    mirror: int32[V], the vertex on the other side (itself on the midline).
    groups: vertex ids of the left half by name; grids keep their shape, e.g.
      "upper_lid" [R, N]. `both(name)` adds the right side.
  """

  vertices: np.ndarray
  faces: np.ndarray
  mirror: np.ndarray
  groups: dict[str, np.ndarray]

  def both(self, *names: str) -> np.ndarray:
    """int32[...]: sorted ids of these groups' vertices on both sides."""
    ids = np.concatenate([self.groups[name].ravel() for name in names])
    return np.unique(np.concatenate([ids, self.mirror[ids]])).astype(np.int32)


def build_head_mesh() -> HeadMesh:
  """Builds the neutral mesh; deterministic, about a second."""
  skin, groups = _skin_half()
  parts = {
    "skin": skin,
    "eyeball": head_parts.eyeball(),
    "ear": head_parts.ear(),
    "upper_teeth": head_parts.teeth(upper=True),
    "lower_teeth": head_parts.teeth(upper=False),
    "tongue": head_parts.tongue(),
  }
  vertices, faces, start = [], [], 0
  for name, part in parts.items():
    groups[name] = start + np.arange(len(part.vertices))
    for key, ids in part.groups.items():
      groups[key] = start + ids
    vertices.append(part.vertices)
    faces.append(start + part.faces)
    start += len(part.vertices)
  return _mirrored(np.concatenate(vertices), np.concatenate(faces), groups)


def _mirrored(vertices, faces, groups) -> HeadMesh:
  count = len(vertices)
  on_midline = np.abs(vertices[:, 0]) < 1e-6
  vertices = np.where(on_midline[:, None] * [True, False, False], 0.0, vertices)
  other = np.arange(count)
  other[~on_midline] = count + np.arange((~on_midline).sum())
  mirror = np.concatenate([other, np.flatnonzero(~on_midline)])
  right = vertices[~on_midline] * np.array([-1.0, 1.0, 1.0])
  both_faces = np.concatenate([faces, other[faces][:, ::-1]])
  return HeadMesh(
    np.concatenate([vertices, right]),
    both_faces.astype(np.int32),
    mirror.astype(np.int32),
    {name: np.asarray(ids, np.int32) for name, ids in groups.items()},
  )


def _to_chart(points_P3):
  """Directions from the star centre, stereographically from straight below."""
  d = points_P3 - head_surface.STAR_CENTER
  d = d / np.linalg.norm(d, axis=-1, keepdims=True)
  return d[:, [0, 2]] / (1.0 + d[:, 1:2])


def _from_chart(chart_P2):
  """The unit direction of each chart point."""
  square = (chart_P2**2).sum(-1)
  flat = 2.0 * chart_P2 / (1.0 + square)[:, None]
  return np.column_stack([flat[:, 0], (1 - square) / (1 + square), flat[:, 1]])


class _RadiusTable:
  """The skin's distance from the star centre by direction, interpolated."""

  def __init__(self, num_polar=56, num_around=52):
    self.shape = (num_polar, num_around)
    polar, around = np.meshgrid(
      np.linspace(0.0, 0.98 * np.pi, num_polar),
      np.linspace(0.0, np.pi, num_around),
      indexing="ij",
    )
    directions = np.stack(
      [
        np.sin(polar) * np.sin(around),
        np.cos(polar),
        np.sin(polar) * np.cos(around),
      ],
      axis=-1,
    )
    origin = head_surface.STAR_CENTER
    flat = head_surface.trace(origin, directions.reshape(-1, 3), 22.0)
    self.table = flat.reshape(self.shape)

  def points(self, chart_P2):
    """float64[P, 3]: about where the skin is in these chart directions."""
    u = _from_chart(chart_P2)
    polar = np.arccos(np.clip(u[:, 1], -1.0, 1.0)) / (0.98 * np.pi)
    around = np.arctan2(np.abs(u[:, 0]), u[:, 2]) / np.pi
    where = [polar * (self.shape[0] - 1), around * (self.shape[1] - 1)]
    radius = map_coordinates(self.table, where, order=1, mode="nearest")
    return head_surface.STAR_CENTER + radius[:, None] * u


def _edge_length(points_P3):
  """float64[P]: wanted edge length in cm, fine around eyes, nose and mouth."""
  eye = np.linalg.norm(points_P3 - head_surface.EYE_CENTER - [0, 0.3, 1], axis=-1) - 1.9
  mouth = np.linalg.norm((points_P3 - [0, -7.0, 9.3]) / [1.5, 1, 1.6], axis=-1) - 1.6
  nose = np.linalg.norm((points_P3 - [0.5, -3.9, 10.2]) / [1, 0.9, 1.2], axis=-1) - 0.9
  brow = np.linalg.norm((points_P3 - [3.0, 2.2, 8.6]) / [2.2, 0.7, 1.4], axis=-1) - 1.0
  length = np.minimum(0.36 + 0.1 * np.maximum(eye, 0.0), 0.36 + 0.11 * np.maximum(mouth, 0))
  length = np.minimum(length, 0.22 + 0.16 * np.maximum(nose, 0.0))
  length = np.minimum(length, 0.36 + 0.16 * np.maximum(brow, 0.0))
  front = 1.0 / (1.0 + np.exp(-(points_P3[:, 2] - 3.5) / 0.8))
  front = front / (1.0 + np.exp((points_P3[:, 1] - 7.5) / 0.8))
  return np.minimum(length, 0.66 * front + 1.5 * (1.0 - front))


def _skin_half() -> tuple[Part, dict[str, np.ndarray]]:
  """The left half's skin and mouth, with the ids of its rings and rows."""
  fixed, faces, groups, holes = _feature_rings()
  rim = _neck_rim()
  groups["neck_end"] = len(fixed) + np.arange(len(rim))
  fixed = np.concatenate([fixed, rim])
  on_skin = np.concatenate(
    [groups["eye_border"], groups["mouth_border"], groups["brow_border"],
     groups["neck_end"]]
  )
  fill, triangles = _fill_skin(fixed[on_skin], groups, holes, fixed)
  # in `triangles`, the first len(on_skin) points are fixed ones
  ids = np.concatenate([on_skin, len(fixed) + np.arange(len(fill))])
  vertices = np.concatenate([fixed, fill])
  return Part(vertices, np.concatenate([faces, ids[triangles]]), {}), groups


def _feature_rings():
  """Vertices and triangles of lids, lips, mouth and brows, and the holes they fill."""
  vertices, faces, groups, start = [], [], {}, 0
  holes = []
  for name, rings in (
    ("lid", [head_curves.lid_rings(True), head_curves.lid_rings(False)]),
    ("lip", [head_curves.lip_rings(True), head_curves.lip_rings(False)]),
  ):
    upper, lower = rings
    num_rings, num = upper.shape[:2]
    upper_ids = start + np.arange(num_rings * num).reshape(num_rings, num)
    # upper and lower share their ends: both canthi, or the mouth's corner
    inner = slice(1, num - 1) if name == "lid" else slice(0, num - 1)
    count = len(range(num)[inner])
    lower_ids = upper_ids.copy()
    lower_ids[:, inner] = (
      start + num_rings * num + np.arange(num_rings * count).reshape(num_rings, count)
    )
    if name == "lip":  # the wet parts of both lips must not share the corner's middle
      upper[:, -1] = 0.5 * (upper[:, -1] + lower[:, -1])
    vertices += [upper.reshape(-1, 3), lower[:, inner].reshape(-1, 3)]
    start += num_rings * (num + count)
    groups[f"upper_{name}"], groups[f"lower_{name}"] = upper_ids, lower_ids
    faces += [_strip(upper_ids, name == "lip"), _strip(lower_ids, name == "lid")]
    if name == "lid":
      border = np.concatenate([upper_ids[-1], lower_ids[-1, -2:0:-1]])
      groups["eye_border"] = border
    else:
      border = np.concatenate([upper_ids[0], lower_ids[0, -2::-1]])
      groups["mouth_border"] = border
      back = np.stack([upper_ids[-1], lower_ids[-1]])
      faces.append(_strip(back, True))
    holes.append(border)
  brow = head_curves.brow_grid()
  ids = start + np.arange(brow.shape[0] * brow.shape[1]).reshape(brow.shape[:2])
  groups["brow"] = ids[1:-1, 1:-1]
  groups["brow_border"] = np.concatenate(
    [ids[0], ids[1:-1, -1], ids[-1, ::-1], ids[-2:0:-1, 0]]
  )
  holes.append(groups["brow_border"])
  vertices.append(brow.reshape(-1, 3))
  faces.append(_strip(ids, False))
  faces = np.concatenate(faces)
  faces = faces[(np.diff(np.sort(faces, axis=1), axis=1) > 0).all(1)]
  return np.concatenate(vertices), faces, groups, holes


def _strip(ids_RN, flip):
  """Triangles of a grid of vertex ids."""
  a, b = ids_RN[:-1, :-1].ravel(), ids_RN[:-1, 1:].ravel()
  c, d = ids_RN[1:, :-1].ravel(), ids_RN[1:, 1:].ravel()
  faces = np.concatenate([np.column_stack([a, b, c]), np.column_stack([b, d, c])])
  return faces[:, ::-1] if flip else faces


def _neck_rim():
  """float64[P, 3]: the lower end of the neck, from the front to the back."""
  around = np.linspace(0.0, np.pi, 15)
  directions = np.column_stack([np.sin(around), np.zeros(15), np.cos(around)])
  axis = np.array([0.0, NECK_END_Y, -3.4])
  radius = head_surface.trace(axis, directions, 10.0)
  return axis + radius[:, None] * directions


def _inside_polygon(points_P2, polygon_N2):
  """bool[P]: even-odd rule."""
  x, y = points_P2[:, None, 0], points_P2[:, None, 1]
  x0, y0 = polygon_N2[:, 0], polygon_N2[:, 1]
  x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
  crosses = (y0 > y) != (y1 > y)
  slope = np.where(y1 == y0, 1.0, y1 - y0)
  return (crosses & (x < (x1 - x0) * (y - y0) / slope + x0)).sum(1) % 2 == 1


def _fill_skin(anchors_P3, groups, holes, fixed):
  """Free vertices between the fixed ones, and the triangles over all of them."""
  table = _RadiusTable()
  anchors = _to_chart(anchors_P3)
  polygons = [_to_chart(fixed[border]) for border in holes]
  rim = _to_chart(fixed[groups["neck_end"]])
  chart, midline = _start_points(table, anchors, polygons, rim)
  num_anchors = len(anchors)
  for step in range(RELAX_STEPS):
    every = np.concatenate([anchors, chart])
    if step % 3 == 0 or step > RELAX_STEPS - 4:
      triangles = _triangulate(every, polygons)
      edges = np.unique(
        np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0
      )
    points = table.points(every)
    points[:num_anchors] = anchors_P3
    push = _edge_forces(every, points, edges)[num_anchors:]
    push[midline, 0] = 0.0
    chart = chart + 0.22 * push
    room = 0.4 * _edge_length(points[num_anchors:]) / 11.0 * (1 + (chart**2).sum(-1))
    chart[~midline, 0] = np.maximum(chart, room[:, None])[~midline, 0]
    low = points[num_anchors:, 1] < NECK_END_Y + 0.5
    chart[low] *= 0.96
  chart, triangles = _keep_borders(anchors, chart, polygons)
  directions = _from_chart(chart)
  radius = head_surface.trace(head_surface.STAR_CENTER, directions, 22.0)
  points = head_surface.STAR_CENTER + radius[:, None] * directions
  every = np.concatenate([anchors_P3, points])
  free = np.arange(len(every)) >= num_anchors
  on_midline = np.concatenate([anchors[:, 0], chart[:, 0]]) < 1e-9
  every[on_midline, 0] = 0.0
  every, triangles = mesh_smoothing.even_out(every, triangles, free, on_midline)
  return every[num_anchors:], triangles


def _keep_borders(anchors, chart, polygons):
  """Drops free points that come between neighbours on a border; triangulates."""
  first = np.cumsum([0] + [len(polygon) for polygon in polygons])
  for _ in range(8):
    every = np.concatenate([anchors, chart])
    triangles = _triangulate(every, polygons)
    sides = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    present = set(map(tuple, sides))
    drop = []
    for start, polygon in zip(first, polygons, strict=False):
      for i in range(len(polygon)):
        j = (i + 1) % len(polygon)
        ends = polygon[[i, j]]
        if np.all(ends[:, 0] < 1e-9):
          continue  # the midline closes the mouth's half
        if tuple(sorted((start + i, start + j))) not in present:
          drop.append(np.argmin(((chart - ends.mean(0)) ** 2).sum(-1)))
    used = np.isin(np.arange(len(every)), triangles)[len(anchors) :]
    drop += list(np.flatnonzero(~used))  # strayed into a hole
    if not drop:
      break
    chart = np.delete(chart, np.unique(drop), axis=0)
  return chart, triangles


def _edge_forces(chart, points, edges):
  """Repulsion along edges that are shorter than wanted, in the chart's plane."""
  i, j = edges.T
  flat = chart[i] - chart[j]
  length = np.linalg.norm(points[i] - points[j], axis=-1)
  wanted = _edge_length(0.5 * (points[i] + points[j]))
  wanted = 1.18 * wanted * np.sqrt((length**2).sum() / (wanted**2).sum())
  force = np.maximum(wanted - length, 0.0) / np.maximum(length, 1e-9)
  pull = force[:, None] * flat
  count = len(chart)
  return np.stack(
    [np.bincount(i, p, count) - np.bincount(j, p, count) for p in pull.T], axis=-1
  )


def _start_points(table, anchors, polygons, rim):
  """Chart points of about the wanted density: the midline's, then the half's."""
  rows = np.column_stack([np.zeros(4000), np.linspace(rim[-1, 1], rim[0, 1], 4000)])
  points = table.points(rows)
  steps = np.linalg.norm(np.diff(points, axis=0), axis=-1)
  passed = np.concatenate([[0.0], np.cumsum(steps / _edge_length(points[1:]))])
  mouth = polygons[1][np.abs(polygons[1][:, 0]) < 1e-9, 1]
  midline = []
  for part in (rows[:, 1] <= mouth.min(), rows[:, 1] >= mouth.max()):
    count = int(round(np.ptp(passed[part])))
    marks = np.linspace(passed[part][0], passed[part][-1], count + 1)[1:-1]
    midline.append(np.interp(marks, passed[part], rows[part, 1]))
  midline = np.concatenate(midline)
  midline = np.column_stack([np.zeros(len(midline)), midline])
  # a low-discrepancy sequence over directions, thinned to the wanted density
  index = np.arange(60000)
  u = (0.5 + index[:, None] * np.array([0.8191725134, 0.6710436067, 0.5497004779])) % 1.0
  height = 1.0 - u[:, 0] * 1.98
  around = np.pi * u[:, 1]
  flat = np.sqrt(1.0 - height**2)
  directions = np.column_stack([flat * np.sin(around), height, flat * np.cos(around)])
  chart = directions[:, [0, 2]] / (1.0 + directions[:, 1:2])
  points = table.points(chart)
  radius2 = ((points - head_surface.STAR_CENTER) ** 2).sum(-1)
  normal_cos = _facing(table, chart, points)
  density = radius2 / normal_cos / _edge_length(points) ** 2
  keep = points[:, 1] > NECK_END_Y + 0.6
  for polygon in polygons:
    keep &= ~_inside_polygon(chart, polygon)
  keep &= chart[:, 0] > 0.012 * (1.0 + (chart**2).sum(-1))
  density = np.where(keep, density, 0.0)
  keep = u[:, 2] < density / density.max()
  chart = chart[keep][:NUM_FILL]
  every = np.concatenate([midline, chart])
  return every, np.arange(len(every)) < len(midline)


def _facing(table, chart, points):
  """Cosine between the view direction and the skin's normal, at least 0.25."""
  epsilon = 1e-3 * (1.0 + (chart**2).sum(-1))
  du = table.points(chart + np.column_stack([epsilon, 0 * epsilon])) - points
  dv = table.points(chart + np.column_stack([0 * epsilon, epsilon])) - points
  normal = np.cross(du, dv)
  normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
  view = points - head_surface.STAR_CENTER
  view /= np.linalg.norm(view, axis=-1, keepdims=True)
  return np.maximum(np.abs((normal * view).sum(-1)), 0.25)


def _triangulate(chart, polygons):
  """Delaunay triangles in the chart, outside the holes, facing outward."""
  triangles = Delaunay(chart).simplices
  corners = chart[triangles]
  center = corners.mean(1)
  keep = np.ones(len(triangles), bool)
  for polygon in polygons:
    keep &= ~_inside_polygon(center, polygon)
  u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
  area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
  keep &= np.abs(area) > 1e-7
  triangles, area = triangles[keep], area[keep]
  # (a, b) = (x, z) seen from above is left-handed: outward is clockwise
  return np.where((area > 0)[:, None], triangles[:, ::-1], triangles)
