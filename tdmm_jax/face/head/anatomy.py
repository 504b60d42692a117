"""What the default head's vertices are: the masks that its deformations share.

Units are centimetres (see `head_surface`). Shape letters: V vertices.
"""

import dataclasses

import numpy as np

from tdmm_jax.face.head import curves, surface
from tdmm_jax.face.head.head_mesh import HeadMesh

MIRROR_X = np.array([-1.0, 1.0, 1.0])


def smooth_step(x):
  """0 below 0, 1 above 1, smooth between."""
  x = np.clip(x, 0.0, 1.0)
  return x * x * (3.0 - 2.0 * x)


@dataclasses.dataclass(frozen=True)
class Anatomy:
  """Per-vertex knowledge of the neutral head.

  Attributes:
    mesh: the neutral head.
    points: float64[V, 3]; where a smooth field is read for this vertex: its own place,
      except that the mouth's inside follows the lips' edge.
    gain: float64[V]; how much of a smooth field of the skin the vertex takes: 1 on
      skin, fading out inside the mouth, 0 on eyeballs, teeth and tongue.
    lid: float64[V]; 1 on the lids' edges, fading over the orbit to 0.
    lower: float64[V]; 0 above the mouth, 1 below, smooth beyond its corners.
    lip_ring: int32[V]; ring of `head_curves.lip_rings`, -1 elsewhere.
    lid_ring: int32[V]; ring of `head_curves.lid_rings`, -1 elsewhere.
  """

  mesh: HeadMesh
  points: np.ndarray
  gain: np.ndarray
  lid: np.ndarray
  lower: np.ndarray
  lip_ring: np.ndarray
  lid_ring: np.ndarray

  def mirrored(self, field_V3):
    """The same field acting on the other side of the face."""
    return field_V3[self.mesh.mirror] * MIRROR_X


def _below_mouth(points_V3, side_V=None):
  """float64[V]: 0 above the mouth, 1 below; on the lips an opening's ellipse.

  Args:
    points_V3: cm.
    side_V: -1 upper lip, 1 lower lip, 0 neither; by default from the points.
  """
  x = np.abs(points_V3[:, 0])
  across = np.minimum(x / curves.MOUTH_CORNER[0], 1.0)
  behind = np.maximum(8.2 - points_V3[:, 2], 0.0) * smooth_step((x - 1.5) / 1.6)
  line = curves.lip_contact(x) + 0.62 * behind  # rises towards the condyle
  below = line - points_V3[:, 1]
  side = np.sign(below) if side_V is None else side_V
  apart = (1.0 - across**2) ** 0.6
  soft = smooth_step(np.abs(below) / (1.25 + 0.17 * behind))
  return 0.5 + 0.5 * side * (apart + (1.0 - apart) * soft)


def _ring_numbers(mesh, upper, lower):
  number = np.full(len(mesh.vertices), -1, np.int32)
  for name in (upper, lower):
    grid = mesh.groups[name]
    rows = np.repeat(np.arange(grid.shape[0]), grid.shape[1])
    number[grid.ravel()] = rows
    number[mesh.mirror[grid.ravel()]] = rows
  return number


def study(mesh: HeadMesh) -> Anatomy:
  """Reads the masks off the neutral mesh."""
  points = mesh.vertices.copy()
  gain = np.ones(len(points))
  gain[mesh.both("eyeball", "upper_teeth", "lower_teeth", "tongue")] = 0.0
  lip_ring = _ring_numbers(mesh, "upper_lip", "lower_lip")
  lid_ring = _ring_numbers(mesh, "upper_lid", "lower_lid")
  gain *= np.array([1, 1, 1, 1, 1, 1, 1, 0.85, 0.35, 0.1, 0.0, 1.0])[lip_ring]
  by_ring = np.array([1, 1, 1, 0.95, 0.75, 0.4, 0.15, 0])  # the last for no ring
  lid = by_ring[lid_ring]
  lower = _below_mouth(points)
  for name, sign in (("upper_lip", -1.0), ("lower_lip", 1.0)):
    grid = mesh.groups[name]
    sides = np.full(grid.shape[1], sign)
    for ring in range(3):
      value = _below_mouth(points[grid[ring]], sides)
      lower[grid[ring]], lower[mesh.mirror[grid[ring]]] = value, value
    value = _below_mouth(
      points[grid[2]] * [1, 0, 1] + points[grid[5]] * [0, 1, 0], sides
    )
    value[-1] = 0.5
    for ring in range(3, grid.shape[0]):
      if ring > 6:  # the mouth's floor goes with the jaw, its roof with the skull
        value = value + (0.5, 0.8, 1.0, 1.0)[ring - 7] * (0.5 + 0.5 * sign - value)
        value[-1] = 0.5
      lower[grid[ring]] = value
      lower[mesh.mirror[grid[ring]]] = value
      if ring > 5:
        points[grid[ring]] = points[grid[5]]
        points[mesh.mirror[grid[ring]]] = points[grid[5]] * MIRROR_X
  return Anatomy(mesh, points, gain, lid, lower, lip_ring, lid_ring)


def bump(points_V3, center, radii):
  """float64[V]: a Gaussian hill of height 1 with standard deviations `radii`."""
  scaled = (points_V3 - np.asarray(center, float)) / np.asarray(radii, float)
  return np.exp(-0.5 * (scaled**2).sum(-1))


def left_side(points_V3, width=0.9):
  """float64[V]: 1 on the subject's left, 0 on the right, smooth across the midline."""
  return smooth_step(0.5 + 0.5 * points_V3[:, 0] / width)


def slide_on_eyeballs(anatomy: Anatomy, field_V3):
  """The field with lid vertices kept from sinking towards the eyeball's centre."""
  field = field_V3.copy()
  for side in (1.0, -1.0):
    center = surface.EYE_CENTER * [side, 1.0, 1.0]
    ids = np.flatnonzero(
      (anatomy.lid_ring >= 1)
      & (anatomy.lid_ring <= 4)
      & (anatomy.mesh.vertices[:, 0] * side > 0)
    )
    start = anatomy.mesh.vertices[ids] - center
    moved = start + field[ids]
    radius = np.linalg.norm(start, axis=-1)
    moved_radius = np.linalg.norm(moved, axis=-1)
    stretch = np.maximum(1.0, radius / moved_radius)
    field[ids] = moved * stretch[:, None] - start
  return field
