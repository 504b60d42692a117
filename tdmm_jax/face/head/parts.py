"""The default head's separate pieces: eyeballs, ears and teeth, left half only.

Units are centimetres (see `head_surface`). Shape letters: R rings, N points of a ring.
"""

import dataclasses

import numpy as np
from scipy.interpolate import CubicSpline

from tdmm_jax.face.head import surface

PUPIL_RADIUS = 0.24
IRIS_RADIUS = 0.60
NUM_EYE_SIDES = 18


@dataclasses.dataclass(frozen=True)
class Part:
  """Vertices float64[V, 3] in cm, faces int[F, 3], and named vertex ids."""

  vertices: np.ndarray
  faces: np.ndarray
  groups: dict[str, np.ndarray]


def grid_faces(num_rows, num_columns, closed=False, start=0):
  """Triangles of a row-major grid; columns go counter-clockwise seen from outside."""
  columns = np.arange(num_columns if closed else num_columns - 1)
  a = start + (np.arange(num_rows - 1)[:, None] * num_columns + columns).ravel()
  step = np.tile((columns + 1) % num_columns - columns, num_rows - 1)
  b, c = a + step, a + num_columns
  return np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, c + step])])


def eyeball() -> Part:
  """A sphere with rings at the pupil's and the iris' edge, looking along z."""
  radius = surface.EYE_RADIUS
  pupil = np.arcsin(PUPIL_RADIUS / radius)
  iris = np.arcsin(IRIS_RADIUS / radius)
  polar = np.array(
    [pupil, pupil + 0.03, iris - 0.03, iris, iris + 0.05, 0.8, 1.1, 0.5 * np.pi, 2.2]
  )
  around = 2.0 * np.pi * np.arange(NUM_EYE_SIDES) / NUM_EYE_SIDES
  rings = np.stack(
    [
      np.sin(polar)[:, None] * np.cos(around),
      np.sin(polar)[:, None] * np.sin(around),
      np.repeat(np.cos(polar)[:, None], NUM_EYE_SIDES, 1),
    ],
    axis=-1,
  )
  vertices = np.concatenate([[[0, 0, 1.0]], rings.reshape(-1, 3), [[0, 0, -1.0]]])
  vertices = vertices * radius + surface.EYE_CENTER
  num_rings = len(polar)
  last = len(vertices) - 1
  side = np.arange(NUM_EYE_SIDES)
  after = (side + 1) % NUM_EYE_SIDES
  front = np.column_stack([0 * side, 1 + side, 1 + after])
  base = 1 + (num_rings - 1) * NUM_EYE_SIDES
  back = np.column_stack([0 * side + last, base + after, base + side])
  faces = np.concatenate(
    [front, grid_faces(num_rings, NUM_EYE_SIDES, True, start=1), back]
  )
  groups = {
    "pupil": np.arange(1 + NUM_EYE_SIDES),
    "iris": np.arange(1 + 4 * NUM_EYE_SIDES),
    "eye_equator": 1 + 7 * NUM_EYE_SIDES + side,
  }
  return Part(vertices, faces, groups)


_EAR_OUTLINE = (  # forward, up; from the helix' root over the top, back to the tragus
  (0.85, 0.5), (0.9, 1.6), (0.35, 2.6), (-0.75, 3.0), (-1.75, 2.4), (-2.05, 1.1),
  (-1.7, -0.4), (-1.05, -1.6), (-0.7, -2.5), (-0.1, -3.0), (0.5, -2.75), (0.65, -1.9),
  (0.75, -0.7),
)  # fmt: skip
# towards the concha's middle, and lift off the ear's plane
_EAR_RINGS = (
  (0.14, -0.55), (0.34, -0.5), (0.46, -0.1), (0.57, 0.2), (0.68, 0.12), (0.79, -0.02),
  (0.88, 0.2), (0.96, 0.24), (1.0, 0.08), (0.93, -0.22), (0.72, -0.6), (0.55, -1.2),
)  # fmt: skip


def ear() -> Part:
  """The left ear: a shell with helix, antihelix, concha and lobe, set on the skull."""
  num = 22
  outline = np.array([*_EAR_OUTLINE, _EAR_OUTLINE[0]])
  knots = np.linspace(0.0, 1.0, len(outline))
  turn = np.arange(num) / num
  outline = CubicSpline(knots, outline, bc_type="periodic")(turn)
  middle = np.array([0.05, -0.15])
  lobe = 1.0 / (1.0 + np.exp((outline[:, 1] + 1.7) / 0.25))  # 1 on the lobe
  front = 1.0 / (1.0 + np.exp((0.35 - outline[:, 0]) / 0.15)) * (1.0 - lobe)
  rings = []
  for number, (scale, lift) in enumerate(_EAR_RINGS):
    flat = middle + scale * (outline - middle)
    height = np.full(num, lift)
    if number <= 7:  # the lobe is a smooth pad, the front edge slopes to the cheek
      height = height + lobe * (0.12 - lift) * np.clip(scale * 2 - 0.6, 0, 1)
      height = height - front * np.clip(scale - 0.5, 0, 1) * 0.5
      height = height + 0.35 * front * (number in (4, 5)) * (outline[:, 1] < 0.3)
    standing = 0.42 * np.maximum(0.75 - flat[:, 0], 0.0)  # the rear edge stands off
    rings.append(np.column_stack([flat, height + standing]))
  local = np.concatenate([[np.append(middle, -0.25)], np.concatenate(rings)])
  tilt = 0.16  # the top leans back
  forward = np.array([0.1, np.sin(tilt), np.cos(tilt)])
  up = np.array([0.12, np.cos(tilt), -np.sin(tilt)])
  outward = np.array([1.0, 0.0, 0.0])
  origin = np.array([6.95, -1.3, -0.9])
  vertices = origin + local @ np.stack([forward, up, outward])
  side = np.arange(num)
  fan = np.column_stack([0 * side, 1 + (side + 1) % num, 1 + side])
  faces = grid_faces(len(_EAR_RINGS), num, True, start=1)[:, ::-1]
  return Part(vertices, np.concatenate([fan, faces]), {})


_TEETH_ROWS = (  # height above the biting edge, inward, depth of the gaps
  (1.7, 0.12, 0.0), (1.15, 0.04, 0.3), (0.95, 0.0, 1.0), (0.45, -0.04, 1.0),
  (0.06, 0.04, 0.9), (0.0, 0.16, 0.3), (0.25, 0.6, 0.0),
)  # fmt: skip


def teeth(upper: bool) -> Part:
  """Half an arch of teeth with its gum: a relief, open at its back."""
  columns = 15
  s = np.linspace(0.0, 1.0, columns)
  angle = (1.42 if upper else 1.05) * s
  x = 2.75 * np.sin(angle)
  z = 8.6 - 4.0 * (1.0 - np.cos(angle))
  if not upper:
    x, z = 0.95 * x, z - 0.2
  edge = -7.12 if upper else -6.88
  sign = 1.0 if upper else -1.0
  gap = 1.0 - np.abs(np.sin(0.5 * np.pi * np.arange(columns)))  # a tooth: two columns
  rows = []
  for height, inward, depth in _TEETH_ROWS:
    sink = inward + 0.09 * depth * gap
    lift = height + 0.05 * gap * (height < 0.1) + (0.18 if upper else 0.0) * s
    rows.append(np.column_stack([x * (1 - 0.3 * sink), edge + sign * lift, z - sink]))
  vertices = np.stack(rows).reshape(-1, 3)
  vertices[::columns, 0] = 0.0
  faces = grid_faces(len(rows), columns)
  name = "upper" if upper else "lower"
  groups = {f"{name}_crowns": np.arange(2 * columns, len(vertices))}
  return Part(vertices, faces if upper else faces[:, ::-1], groups)


def tongue() -> Part:
  """Half a tongue at rest behind the lower teeth: a dome over the mouth's floor."""
  rows, columns = 7, 6
  back = np.linspace(0.06, 1.0, rows)[:, None]
  turn = 0.5 * np.pi * np.linspace(0.0, 1.0, columns)
  side = np.sin(turn)
  tip = np.sqrt(1.0 - (1.0 - back) ** 2)
  x = 2.0 * side * tip
  y = -8.35 + np.cos(turn) * tip * (0.6 + 0.2 * back) - 0.1 * (1.0 - side) ** 2
  z = 7.8 - 3.2 * back + 0.0 * side
  vertices = np.stack([x, y, z - 0.35 * side**2], axis=-1).reshape(-1, 3)
  vertices[::columns, 0] = 0.0
  return Part(vertices, grid_faces(rows, columns)[:, ::-1], {})
