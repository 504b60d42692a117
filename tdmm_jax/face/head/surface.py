"""The default head's skin as an implicit surface, sculpted from anthropometry.

Like a clay head it is built up from volumes that melt into each other: a cranium,
jaw, cheekbones, nose and lips of published average adult dimensions (head height 23 cm,
breadth 15 cm, depth 19.5 cm, bizygomatic breadth 13.5 cm, nose length 5 cm ...), with
hollows carved for orbits, nostrils and folds. `signed_distance` is approximately the
distance to the skin, negative inside; `head_mesh` puts vertices where it is zero.

Everything here is in centimetres, the unit of anthropometry: origin midway between
the ears at the height of the pupils, x to the subject's left, y up, z out of the face.
Shape letters: P points.
"""

import numpy as np

EYE_CENTER = np.array([3.15, 0.0, 6.95])  # the left eye's; the right one mirrors x
EYE_RADIUS = 1.28
STAR_CENTER = np.array([0.0, -2.8, 0.0])  # the head's skin is star-shaped about it


def _length(vectors_P3):
  return np.sqrt(np.einsum("pi,pi->p", vectors_P3, vectors_P3))


def _smooth_min(a, b, radius):
  """Union of two volumes whose seam is rounded with `radius` (polynomial blend)."""
  h = np.maximum(radius - np.abs(a - b), 0.0) / radius
  return np.minimum(a, b) - 0.25 * radius * h * h


def _smooth_cut(body, tool, radius):
  """`body` with `tool` carved out of it, the edge rounded with `radius`."""
  return -_smooth_min(-body, tool, radius)


def _ellipsoid(points_P3, center, radii, tilt=0.0):
  """Distance to an ellipsoid, tilted about z by `tilt` rad (x axis towards y)."""
  offset = points_P3 - np.asarray(center)
  if tilt:
    c, s = np.cos(tilt), np.sin(tilt)
    offset = offset @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
  scaled = offset / np.asarray(radii)
  length = _length(scaled)
  slope = _length(scaled / np.asarray(radii))
  return length * (length - 1.0) / np.maximum(slope, 1e-9)


def _rod(points_P3, start, end, start_radius, end_radius):
  """Distance to a rod from `start` to `end` with round ends and linear thickness."""
  start, end = np.asarray(start, float), np.asarray(end, float)
  axis = end - start
  along = np.clip((points_P3 - start) @ axis / (axis @ axis), 0.0, 1.0)
  nearest = start + along[:, None] * axis
  radius = start_radius + along * (end_radius - start_radius)
  return _length(points_P3 - nearest) - radius


def _both_sides(shape, points_P3, radius, *args, **kwargs):
  """A volume of the left side and its mirror image."""
  both = np.concatenate([points_P3, points_P3 * np.array([-1.0, 1.0, 1.0])])
  distance = shape(both, *args, **kwargs)
  return _smooth_min(*np.split(distance, 2), radius)


def _skull(p):
  """Cranium, forehead, midface, cheekbones and brow ridges."""
  d = _ellipsoid(p, (0, 2.9, -0.7), (7.45, 8.7, 9.1))
  d = _smooth_min(d, _ellipsoid(p, (0, 3.7, 2.5), (5.9, 5.6, 6.75)), 1.5)
  d = _smooth_min(d, _ellipsoid(p, (0, -3.6, 2.4), (6.1, 6.6, 6.4)), 2.0)
  cheekbone = _both_sides(_ellipsoid, p, 0.5, (4.3, -2.4, 5.4), (2.2, 1.8, 2.5), -0.2)
  d = _smooth_min(d, cheekbone, 1.6)
  arch = _both_sides(_rod, p, 0.5, (5.3, -2.1, 5.2), (6.1, -1.2, 1.0), 0.7, 0.5)
  d = _smooth_min(d, arch, 1.4)
  brow = _both_sides(_rod, p, 1.0, (1.2, 1.75, 8.1), (4.3, 1.8, 6.6), 0.75, 0.65)
  d = _smooth_min(d, brow, 1.6)
  rim = _both_sides(_rod, p, 0.5, (4.6, 1.5, 6.3), (4.75, -1.6, 6.3), 0.7, 0.7)
  d = _smooth_min(d, rim, 1.8)
  return _smooth_min(d, _ellipsoid(p, (0, 2.2, 7.9), (1.3, 1.3, 1.55)), 1.4)


def _jaw(p):
  """Lower face: dental arches, mandible and chin."""
  d = _ellipsoid(p, (0, -6.2, 2.8), (5.2, 4.7, 5.9))
  d = _smooth_min(d, _ellipsoid(p, (0, -6.6, 5.2), (3.3, 3.0, 4.1)), 1.2)
  body = _both_sides(_rod, p, 1.0, (4.0, -7.4, 1.2), (1.0, -10.0, 7.2), 1.2, 1.5)
  d = _smooth_min(d, body, 1.5)
  ramus = _both_sides(_rod, p, 0.5, (4.25, -7.2, 1.0), (5.4, -1.5, 0.9), 1.1, 1.0)
  d = _smooth_min(d, ramus, 1.5)
  cheek = _both_sides(_ellipsoid, p, 0.5, (3.9, -5.2, 4.6), (2.1, 2.8, 2.9))
  d = _smooth_min(d, cheek, 1.6)
  return _smooth_min(d, _ellipsoid(p, (0, -10.1, 7.5), (1.9, 1.45, 1.8)), 1.0)


def _neck(p):
  """Neck, leaning forward as it rises, with trapezius and sternomastoids."""
  axis_z = -2.2 + 0.115 * (p[:, 1] + 6.0)
  width = 5.4 + 0.05 * np.maximum(-14.0 - p[:, 1], 0.0) ** 1.5
  around = np.hypot(p[:, 0] / width, (p[:, 2] - axis_z) / 5.5)
  d = (around - 1.0) * 5.4
  muscle = _both_sides(_rod, p, 0.5, (5.6, -4.0, -1.5), (1.6, -19.0, 0.6), 1.0, 0.9)
  d = _smooth_min(d, muscle, 1.2)
  return np.maximum(d, p[:, 1] + 2.0)  # ends inside the skull


def _nose(p):
  """Bridge, side walls, tip, wings and columella."""
  d = _rod(p, (0, 0.7, 8.05), (0, -3.3, 10.65), 0.52, 0.62)
  d = _smooth_min(d, _rod(p, (0, -0.8, 8.4), (0, -3.6, 9.2), 0.9, 1.35), 0.8)
  d = _smooth_min(d, _ellipsoid(p, (0, -3.78, 10.75), (0.86, 0.82, 0.95)), 0.45)
  wing = _both_sides(_ellipsoid, p, 0.2, (1.16, -4.08, 9.8), (0.58, 0.66, 0.92))
  d = _smooth_min(d, wing, 0.35)
  return _smooth_min(d, _rod(p, (0, -4.3, 10.9), (0, -4.75, 9.6), 0.36, 0.42), 0.3)


def _lips(p):
  """Both lips as tapering rolls that meet in a crease."""
  upper = _rod(p, (0, -6.5, 9.5), (0.45, -6.4, 9.52), 0.42, 0.48)
  upper = np.minimum(upper, _rod(p, (0, -6.5, 9.5), (-0.45, -6.4, 9.52), 0.42, 0.48))
  for start, end, r0, r1 in (
    ((0.45, -6.4, 9.5), (1.4, -6.6, 9.1), 0.48, 0.36),
    ((1.4, -6.6, 9.1), (2.5, -6.95, 8.15), 0.36, 0.15),
  ):
    upper = _smooth_min(upper, _both_sides(_rod, p, 0.1, start, end, r0, r1), 0.15)
  lower = _both_sides(_rod, p, 0.3, (0.3, -7.4, 9.2), (1.2, -7.3, 8.95), 0.56, 0.46)
  side = _both_sides(_rod, p, 0.1, (1.2, -7.3, 8.95), (2.45, -6.98, 8.15), 0.46, 0.15)
  lower = _smooth_min(lower, side, 0.2)
  return np.minimum(upper, lower)


def signed_distance(points_P3: np.ndarray) -> np.ndarray:
  """float64[P]: about the distance to the skin in cm, negative inside the head."""
  p = points_P3
  d = _smooth_min(_skull(p), _jaw(p), 1.6)
  temple = _both_sides(_ellipsoid, p, 0.5, (8.4, 1.5, 4.7), (1.55, 2.4, 2.4))
  d = _smooth_cut(d, temple, 2.2)
  d = _smooth_min(d, _neck(p), 1.5)
  orbit = _both_sides(_ellipsoid, p, 0.3, (3.2, -0.1, 8.9), (1.95, 1.25, 1.75), -0.12)
  d = _smooth_cut(d, orbit, 1.1)
  lids = _both_sides(_ellipsoid, p, 0.1, EYE_CENTER, (EYE_RADIUS + 0.14,) * 3)
  d = _smooth_min(d, lids, 0.45)
  d = _smooth_min(d, _nose(p), 0.7)
  nostril = _both_sides(
    _ellipsoid, p, 0.1, (0.62, -4.8, 10.1), (0.3, 0.45, 0.55), -0.25
  )
  d = _smooth_cut(d, nostril, 0.25)
  philtrum = _rod(p, (0, -5.0, 10.15), (0, -6.05, 10.25), 0.28, 0.36)
  d = _smooth_cut(d, philtrum, 0.35)
  chin_groove = _rod(p, (-1.0, -8.75, 9.75), (1.0, -8.75, 9.75), 0.6, 0.6)
  d = _smooth_cut(d, chin_groove, 0.9)
  return _smooth_min(d, _lips(p), 0.22)


def trace(origins_P3: np.ndarray, directions_P3: np.ndarray, far: float) -> np.ndarray:
  """Where rays leave the head for the last time.

  Args:
    origins_P3: float[P, 3] or [3], inside the head.
    directions_P3: float[P, 3], unit vectors.
    far: a distance in cm at which every ray is outside.

  Returns:
    float64[P], distance along each ray in cm (the outermost crossing).
  """
  origins_P3 = np.broadcast_to(origins_P3, directions_P3.shape)
  count = len(directions_P3)
  inside, outside = np.zeros(count), np.full(count, far)
  depth_inside, depth_outside = np.full(count, -1.0), np.full(count, 1.0)
  searching = np.arange(count)
  for distance in np.linspace(far, 0.0, 25)[1:-1]:
    points = origins_P3[searching] + distance * directions_P3[searching]
    depth = signed_distance(points)
    hit = depth < 0.0
    inside[searching[hit]], depth_inside[searching[hit]] = distance, depth[hit]
    searching, depth = searching[~hit], depth[~hit]
    outside[searching], depth_outside[searching] = distance, depth
  for step in range(10):  # false position, every third step a bisection
    share = depth_outside / (depth_outside - depth_inside)
    share = np.full(count, 0.5) if step % 3 == 2 else np.clip(share, 0.02, 0.98)
    middle = outside + share * (inside - outside)
    depth = signed_distance(origins_P3 + middle[:, None] * directions_P3)
    hit = depth < 0.0
    inside, outside = np.where(hit, middle, inside), np.where(hit, outside, middle)
    depth_inside = np.where(hit, depth, depth_inside)
    depth_outside = np.where(hit, depth_outside, depth)
  share = depth_outside / (depth_outside - depth_inside)
  return outside + share * (inside - outside)


def front_depth(points_P2: np.ndarray) -> np.ndarray:
  """float64[P]: z in cm of the skin at (x, y), seen straight from the front."""
  origins = np.column_stack([points_P2, np.zeros(len(points_P2))])
  return trace(origins, np.tile([0.0, 0.0, 1.0], (len(points_P2), 1)), 13.0)
