"""Fills the default head's skin with even triangles between its feature curves.

The half skin (x >= 0) is laid out in a plane: directions from the star centre,
projected stereographically from straight below, as (a, b) = (lateral, frontal). The
midline is the axis a = 0, the crown the origin and the neck's end the rim. Vertices
whose spacing follows a size field push each other apart there; the triangles are
Delaunay's, and are evened out on the skin itself at the end.

Units are centimetres (see `head_surface`). Shape letters: P points, F triangles.
"""

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import Delaunay

from tdmm_jax.face.head import mesh_smoothing, surface

NUM_FILL = 1020  # free vertices of the half skin, the midline's not counted
RELAX_STEPS = 40
_FAR = 22.0  # cm from the star centre, outside the head in every direction


def fill_skin(anchors_P3, borders, lowest):
  """Adds free vertices between fixed ones and triangulates the half skin.

  Args:
    anchors_P3: float[P, 3], fixed vertices of the half skin.
    borders: id arrays into the anchors: the closed borders of the holes that are filled
      otherwise. Those of the mouth start and end on the midline.
    lowest: y of the neck's end, cm.

  Returns:
    float64[Q, 3], the free vertices; int[F, 3], triangles over anchors, then free ones.
  """
  table = _RadiusTable()
  anchors = _to_chart(anchors_P3)
  chart, midline = _start_points(table, anchors, borders, lowest)
  num_anchors = len(anchors)
  for step in range(RELAX_STEPS):
    every = np.concatenate([anchors, chart])
    if step % 3 == 0 or step > RELAX_STEPS - 4:
      edges = mesh_smoothing.edges_of(_triangulate(every, borders))
    points = table.points(every)
    points[:num_anchors] = anchors_P3
    push = _edge_forces(every, points, edges)[num_anchors:]
    push[midline, 0] = 0.0
    chart = chart + 0.22 * push
    room = 0.4 * _edge_length(points[num_anchors:]) / 11.0 * (1 + (chart**2).sum(-1))
    chart[~midline, 0] = np.maximum(chart[:, 0], room)[~midline]
    chart[points[num_anchors:, 1] < lowest + 0.5] *= 0.96
  chart, triangles = _keep_borders(anchors, chart, borders)
  directions = _from_chart(chart)
  radius = surface.trace(surface.STAR_CENTER, directions, _FAR)
  points = surface.STAR_CENTER + radius[:, None] * directions
  every = np.concatenate([anchors_P3, points])
  free = np.arange(len(every)) >= num_anchors
  on_midline = np.concatenate([anchors[:, 0], chart[:, 0]]) < 1e-9
  every[on_midline, 0] = 0.0
  every, triangles = mesh_smoothing.even_out(every, triangles, free, on_midline)
  return every[num_anchors:], triangles


def _start_points(table, anchors, borders, lowest):
  """Chart points of about the wanted density: the midline's, then the half's."""
  midline = _midline_points(table, anchors, borders)
  # a low-discrepancy sequence over directions, thinned to the wanted density
  step = np.array([0.8191725134, 0.6710436067, 0.5497004779])
  u = (0.5 + np.arange(60000)[:, None] * step) % 1.0
  height, around = 1.0 - 1.98 * u[:, 0], np.pi * u[:, 1]
  flat = np.sqrt(1.0 - height**2)
  across, forward = flat * np.sin(around), flat * np.cos(around)
  chart = np.column_stack([across, forward]) / (1.0 + height)[:, None]
  points = table.points(chart)
  keep = points[:, 1] > lowest + 0.6
  for border in borders:
    keep &= ~_inside_polygon(chart, anchors[border])
  keep &= chart[:, 0] > 0.012 * (1.0 + (chart**2).sum(-1))
  distance = np.linalg.norm(points - surface.STAR_CENTER, axis=-1)
  density = distance**2 / _facing(table, chart, points) / _edge_length(points) ** 2
  density = np.where(keep, density, 0.0)
  chart = chart[u[:, 2] < density / density.max()][:NUM_FILL]
  every = np.concatenate([midline, chart])
  return every, np.arange(len(every)) < len(midline)


def _midline_points(table, anchors, borders):
  """Chart points on the midline, spaced as wanted, below and above the mouth."""
  ends = anchors[anchors[:, 0] < 1e-9, 1]
  mouth = np.concatenate([anchors[border] for border in borders])
  mouth = mouth[mouth[:, 0] < 1e-9, 1]
  fine = np.linspace(ends.min(), ends.max(), 4000)
  points = table.points(np.column_stack([0.0 * fine, fine]))
  steps = np.linalg.norm(np.diff(points, axis=0), axis=-1)
  passed = np.concatenate([[0.0], np.cumsum(steps / _edge_length(points[1:]))])
  marks = []
  for part in (fine <= mouth.min(), fine >= mouth.max()):
    first, last = passed[part][[0, -1]]
    inner = np.linspace(first, last, round(last - first) + 1)[1:-1]
    marks.append(np.interp(inner, passed[part], fine[part]))
  marks = np.concatenate(marks)
  return np.column_stack([0.0 * marks, marks])


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


def _keep_borders(anchors, chart, borders):
  """Drops free points between neighbours on a border or in a hole; triangulates."""
  sides = np.concatenate([np.column_stack([b, np.roll(b, -1)]) for b in borders])
  sides = sides[
    (anchors[sides, 0] > 1e-9).any(1)
  ]  # the midline closes the mouth's half
  for _ in range(8):
    every = np.concatenate([anchors, chart])
    triangles = _triangulate(every, borders)
    present = set(map(tuple, mesh_smoothing.edges_of(triangles)))
    drop = list(np.flatnonzero(~np.isin(np.arange(len(every)), triangles))[::-1])
    drop = [point - len(anchors) for point in drop if point >= len(anchors)]
    for i, j in np.sort(sides, axis=1):
      if (i, j) not in present:
        middle = anchors[[i, j]].mean(0)
        drop.append(np.argmin(((chart - middle) ** 2).sum(-1)))
    if not drop:
      break
    chart = np.delete(chart, np.unique(drop), axis=0)
  return chart, triangles


def _triangulate(chart, borders):
  """Delaunay triangles in the chart, outside the holes, facing outward."""
  triangles = Delaunay(chart).simplices
  corners = chart[triangles]
  center = corners.mean(1)
  keep = np.ones(len(triangles), bool)
  for border in borders:
    keep &= ~_inside_polygon(center, chart[border])
  u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
  area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
  keep &= np.abs(area) > 1e-7
  triangles, area = triangles[keep], area[keep]
  # (a, b) = (x, z) seen from above is left-handed: outward is clockwise
  return np.where((area > 0)[:, None], triangles[:, ::-1], triangles)


def _inside_polygon(points_P2, polygon_N2):
  """bool[P]: even-odd rule."""
  x, y = points_P2[:, None, 0], points_P2[:, None, 1]
  x0, y0 = polygon_N2[:, 0], polygon_N2[:, 1]
  x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
  crosses = (y0 > y) != (y1 > y)
  slope = np.where(y1 == y0, 1.0, y1 - y0)
  return (crosses & (x < (x1 - x0) * (y - y0) / slope + x0)).sum(1) % 2 == 1


def _to_chart(points_P3):
  """Directions from the star centre, stereographically from straight below."""
  d = points_P3 - surface.STAR_CENTER
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
    origin = surface.STAR_CENTER
    flat = surface.trace(origin, directions.reshape(-1, 3), _FAR)
    self.table = flat.reshape(self.shape)

  def points(self, chart_P2):
    """float64[P, 3]: about where the skin is in these chart directions."""
    u = _from_chart(chart_P2)
    polar = np.arccos(np.clip(u[:, 1], -1.0, 1.0)) / (0.98 * np.pi)
    around = np.arctan2(np.abs(u[:, 0]), u[:, 2]) / np.pi
    where = [polar * (self.shape[0] - 1), around * (self.shape[1] - 1)]
    radius = map_coordinates(self.table, where, order=1, mode="nearest")
    return surface.STAR_CENTER + radius[:, None] * u


def _facing(table, chart, points):
  """Cosine between the view direction and the skin's normal, at least 0.25."""
  epsilon = 1e-3 * (1.0 + (chart**2).sum(-1))
  du = table.points(chart + np.column_stack([epsilon, 0 * epsilon])) - points
  dv = table.points(chart + np.column_stack([0 * epsilon, epsilon])) - points
  normal = np.cross(du, dv)
  normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
  view = points - surface.STAR_CENTER
  view /= np.linalg.norm(view, axis=-1, keepdims=True)
  return np.maximum(np.abs((normal * view).sum(-1)), 0.25)


def _edge_length(points_P3):
  """float64[P]: wanted edge length in cm, fine around eyes, nose and mouth."""
  eye = np.linalg.norm(points_P3 - surface.EYE_CENTER - [0, 0.3, 1], axis=-1) - 1.9
  mouth = np.linalg.norm((points_P3 - [0, -7.0, 9.3]) / [1.5, 1, 1.6], axis=-1) - 1.6
  nose = np.linalg.norm((points_P3 - [0.5, -3.9, 10.2]) / [1, 0.9, 1.2], axis=-1) - 0.9
  brow = np.linalg.norm((points_P3 - [3.0, 2.2, 8.6]) / [2.2, 0.7, 1.4], axis=-1) - 1.0
  length = np.minimum(
    0.36 + 0.1 * np.maximum(eye, 0.0), 0.36 + 0.11 * np.maximum(mouth, 0)
  )
  length = np.minimum(length, 0.22 + 0.16 * np.maximum(nose, 0.0))
  length = np.minimum(length, 0.36 + 0.16 * np.maximum(brow, 0.0))
  front = 1.0 / (1.0 + np.exp(-(points_P3[:, 2] - 3.5) / 0.8))
  front = front / (1.0 + np.exp((points_P3[:, 1] - 7.5) / 0.8))
  return np.minimum(length, 0.66 * front + 1.5 * (1.0 - front))
