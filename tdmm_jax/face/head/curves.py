"""Feature curves of the default head: lid margins, lips and eyebrows.

Curves are given in the front view, in centimetres, for the subject's left half
(x >= 0); their depth comes from the sculpted surface or the eyeball's sphere.
Shape letters: N points along a curve, R rings around an opening.
"""

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from tdmm_jax.face.head import surface

NUM_LID = 14  # lid points from canthus to canthus, both included
NUM_LIP = 11  # lip points from the midline to the corner, both included
NUM_BROW = 13

INNER_CANTHUS = np.array([-1.42, -0.12])  # from the eyeball's centre
OUTER_CANTHUS = np.array([1.34, 0.10])
UPPER_LID_HEIGHT = 0.46
LOWER_LID_HEIGHT = 0.46
LID_THICKNESS = 0.13
UPPER_LID_OFFSETS = (0.09, 0.24, 0.42, 0.62, 0.86)  # of the rings above the margin
LOWER_LID_OFFSETS = (0.08, 0.26, 0.48, 0.78, 1.15)
CANTHUS_OFFSETS = (0.04, 0.12, 0.22, 0.34, 0.5)

MOUTH_CORNER = np.array([2.5, -6.98])


def lid_margin(upper: bool) -> np.ndarray:
  """float64[N, 2]: a lid's edge from inner to outer canthus, about the eye's centre."""
  t = 0.5 - 0.5 * np.cos(np.pi * np.linspace(0.0, 1.0, NUM_LID))
  chord = INNER_CANTHUS + t[:, None] * (OUTER_CANTHUS - INNER_CANTHUS)
  rise, fall = (0.62, 0.8) if upper else (0.95, 0.7)
  arch = t**rise * (1.0 - t) ** fall
  peak = rise / (rise + fall)
  arch /= peak**rise * (1.0 - peak) ** fall
  height = UPPER_LID_HEIGHT if upper else -LOWER_LID_HEIGHT
  return chord + np.column_stack([np.zeros(NUM_LID), height * arch])


def over_eyeball(points_N2: np.ndarray, radius: float) -> np.ndarray:
  """float64[N]: z over the eye's centre of a shell around the eyeball.

  A sphere in front that goes on as a cone at its sides, where the canthi are.
  """
  d = np.linalg.norm(points_N2, axis=-1)
  edge = 0.8 * radius
  sphere = np.sqrt(np.maximum(radius**2 - d**2, 0.0))
  return np.where(d < edge, sphere, 0.6 * radius - 0.9 * (d - edge))


def _outward(curve_N2, upper, offset, canthus_offset):
  """The lid curve moved away from the opening by `offset` (less at the canthi)."""
  s = np.linspace(-1.0, 1.0, len(curve_N2))
  middle = np.sqrt(np.maximum(1.0 - s**2, 0.0))
  shift = np.column_stack(
    [
      canthus_offset * np.sign(s) * np.abs(s) ** 2.5,
      (1 if upper else -1) * offset * middle,
    ]
  )
  return curve_N2 + shift


def lid_rings(upper: bool) -> np.ndarray:
  """float64[R, N, 3]: rings of one lid in head coordinates, from the inside out.

  Ring 0 lies inside the eyeball, 1 and 2 are the margin's inner and outer edge, 3 the
  tarsal skin, 4 the lid's crease, 5 the fold beyond it and 6 the orbit.
  """
  margin = lid_margin(upper)
  radius = surface.EYE_RADIUS
  rings = []
  inside = 0.88 * margin
  ball = np.sqrt(np.maximum(radius**2 - (inside**2).sum(-1), 0.0))
  rings.append(np.column_stack([inside, ball - 0.06]))
  rings.append(np.column_stack([margin, over_eyeball(margin, radius + 0.02)]))
  offsets = UPPER_LID_OFFSETS if upper else LOWER_LID_OFFSETS
  flats = [
    _outward(margin, upper, *pair)
    for pair in zip(offsets, CANTHUS_OFFSETS, strict=True)
  ]
  skin = surface.front_depth(np.concatenate(flats) + surface.EYE_CENTER[:2])
  skin = skin.reshape(len(flats), -1) - surface.EYE_CENTER[2]
  shell = [over_eyeball(flat, radius + LID_THICKNESS) for flat in flats]
  crease = np.minimum(skin[2], shell[2] + 0.05) - (0.1 if upper else 0.02)
  depths = [shell[0], shell[1], crease, skin[3], skin[4]]
  at_canthus = np.abs(np.linspace(-1.0, 1.0, NUM_LID)) ** 4  # no crease there
  for ring in (1, 2):
    bridge = shell[0] + ring / 3.0 * (skin[3] - shell[0])
    depths[ring] = depths[ring] + at_canthus * (bridge - depths[ring])
  for flat, depth in zip(flats, depths, strict=True):
    rings.append(np.column_stack([flat, depth]))
  return np.stack(rings) + surface.EYE_CENTER


_LIP_X = np.array([0.0, 0.45, 1.2, 1.9, 2.5])
_BORDER_UPPER_Y = np.array([-6.10, -5.99, -6.27, -6.63, -6.98])
_BORDER_LOWER_Y = np.array([-7.92, -7.88, -7.70, -7.38, -6.98])
_CONTACT_Y = np.array([-6.95, -6.91, -6.93, -6.99, -6.98])


def _lip_columns():
  x = np.sin(0.45 * np.pi * np.linspace(0.0, 1.0, NUM_LIP))
  return MOUTH_CORNER[0] / x[-1] * x


def lip_contact(x: np.ndarray) -> np.ndarray:
  """float64[...]: y of the line where the closed lips meet."""
  return PchipInterpolator(_LIP_X, _CONTACT_Y)(np.minimum(np.abs(x), 2.5))


def lip_rings(upper: bool) -> np.ndarray:
  """float64[R, N, 3]: rings of one lip, from the skin to the back of the mouth.

  Rings 0 and 1 lie on the skin around the lips, 2 is the vermilion border, 3 and 4 are
  red lip, 5 the visible edge of contact, 6 the wet lip, 7 to 10 the mouth's inside.
  """
  sign = 1.0 if upper else -1.0
  x = _lip_columns()
  side = np.linspace(0.0, 1.0, NUM_LIP)
  border_y = PchipInterpolator(_LIP_X, _BORDER_UPPER_Y if upper else _BORDER_LOWER_Y)(x)
  contact_y = lip_contact(x)
  corner = side**3
  rings = []
  for offset in (0.85, 0.36, 0.0):
    reach = sign * offset * np.sqrt(1.0 - side**2)
    rings.append(np.column_stack([x + 0.7 * offset * corner, border_y + reach]))
  for blend in (0.38, 0.74):
    rings.append(
      np.column_stack(
        [x - 0.08 * blend * corner, border_y + blend * (contact_y - border_y)]
      )
    )
  depth = surface.front_depth(np.concatenate(rings)).reshape(len(rings), -1)
  rings = [np.column_stack(pair) for pair in zip(rings, depth, strict=True)]
  edge_z = rings[2][:, 2] + (0.02 if upper else 0.2 * (1.0 - corner)) - 0.06 * corner
  arch = np.sqrt(np.maximum(1.0 - (x / 3.3) ** 2, 0.0))  # the dental arch from above
  # the upper lip hangs a little in front of the lower one, so that no light gets in
  lap = (1.0 - corner) * np.array([-0.03, 0.05] if upper else [0.012, -0.05])[:, None]
  rings.append(
    np.column_stack([x - 0.1 * corner, contact_y + lap[0], edge_z - 0.1 + lap[1]])
  )
  rings.append(np.column_stack([x * 0.98, contact_y + lap[0], edge_z - 0.42]))
  for spread, width, front in ((0.5, 0.97, 8.9), (1.4, 0.96, 8.3), (1.3, 1.15, 6.4)):
    height = contact_y + sign * spread * (1.0 - 0.55 * corner)
    z = front - (front - 5.4) * (1.0 - arch) if front > 7 else np.full(NUM_LIP, front)
    z = np.minimum(z, edge_z - 0.55 - 0.8 * (8.9 - front))
    rings.append(np.column_stack([x * width, height, z]))
  rings.append(
    np.column_stack([x * 1.05, contact_y + sign * 0.8, np.full(NUM_LIP, 4.0)])
  )
  return np.stack(rings)


def brow_grid() -> np.ndarray:
  """float64[5, N, 3]: the left eyebrow from below to above, inner end first.

  A raised pad: its inner three rows, less their ends, are the hair.
  """
  t = np.linspace(0.0, 1.0, NUM_BROW)
  knots = (0.0, 0.25, 0.5, 0.75, 1.0)
  x = CubicSpline(knots, (1.05, 2.02, 3.08, 4.15, 5.1))(t)
  y = CubicSpline(knots, (1.78, 2.1, 2.36, 2.33, 1.88))(t)
  half_width = 0.1 + 0.28 * np.sqrt(1.0 - t) * smooth_rise(t / 0.15)
  slope = np.gradient(y) / np.gradient(x)
  normal = np.column_stack([-slope, np.ones(NUM_BROW)])
  normal /= np.linalg.norm(normal, axis=1, keepdims=True)
  middle = np.column_stack([x, y])
  flat = [
    middle + normal * (side * half_width + np.sign(side) * margin)[:, None]
    for side, margin in ((-1, 0.13), (-1, 0.0), (0.05, 0.0), (1, 0.0), (1, 0.13))
  ]
  flat = np.stack(flat)
  depth = surface.front_depth(flat.reshape(-1, 2)).reshape(flat.shape[:2])
  relief = np.array([0.0, 0.09, 0.13, 0.09, 0.0])[:, None] * (1.0 - 0.5 * t)
  relief[:, [0, -1]] = 0.0
  return np.concatenate([flat, (depth + relief)[..., None]], axis=-1)


def smooth_rise(x):
  """0.55 at 0 to 1 at 1, smooth."""
  x = np.clip(x, 0.0, 1.0)
  return 0.55 + 0.45 * x * x * (3.0 - 2.0 * x)
