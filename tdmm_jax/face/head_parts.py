"""The default head's separate pieces: eyeballs, ears and teeth, left half only.

Units are centimetres (see `head_surface`). Shape letters: R rings, N points of a ring.
"""

import dataclasses

import numpy as np

from tdmm_jax.face import head_surface

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
  radius = head_surface.EYE_RADIUS
  pupil = np.arcsin(PUPIL_RADIUS / radius)
  iris = np.arcsin(IRIS_RADIUS / radius)
  polar = np.array(
    [pupil, 0.5 * (pupil + iris), iris, iris + 0.12, 0.85, 1.12, 1.36, 0.5 * np.pi, 2.2]
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
  vertices = vertices * radius + head_surface.EYE_CENTER
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
    "iris": np.arange(1 + 3 * NUM_EYE_SIDES),
    "eye_equator": 1 + 7 * NUM_EYE_SIDES + side,
  }
  return Part(vertices, faces, groups)


def ear() -> Part:
  """The left ear: a shell with helix, concha and lobe, set against the skull."""
  num, across = 26, 9
  around = np.linspace(0.0, 2.0 * np.pi, num, endpoint=False)
  # outline in the ear's own plane: u forward, v up, in cm
  v = 3.0 * np.sin(around) - 0.15
  u = -1.65 * np.cos(around) * (0.78 + 0.22 * np.sin(around)) - 0.25 * np.sin(around)
  outline = np.column_stack([u, v])
  # from the middle of the concha over antihelix and helix to the rim and behind it
  scale = np.array([0.12, 0.3, 0.46, 0.6, 0.74, 0.86, 0.96, 0.96, 0.8, 0.5])
  lift = np.array([-0.25, -0.2, 0.1, 0.42, 0.3, 0.62, 0.5, 0.2, -0.15, -0.6])
  back = np.clip(0.5 - 0.5 * np.cos(around - 0.35), 0.0, 1.0)  # 1 at the rear edge
  lobe = np.exp(-((np.sin(around) + 1.0) ** 2) / 0.12)
  rings = []
  for s, h in zip(scale, lift, strict=True):
    height = h * (0.35 + 0.65 * back) * (1.0 - 0.7 * lobe)
    height = height + 0.9 * s * back**1.0 * (1 - 0.5 * lobe)  # the rear stands off
    center = np.array([0.25, -0.25]) * (1.0 - s)
    rings.append(np.column_stack([s * outline + center, height]))
  rings = np.stack(rings)
  del across
  middle = rings[0].mean(0)
  local = np.concatenate([[middle], rings.reshape(-1, 3)])
  tilt = 0.26  # the top leans back
  forward = np.array([0.0, np.sin(-tilt), np.cos(tilt)])
  up = np.array([0.05, np.cos(tilt), np.sin(-tilt)])
  outward = np.array([1.0, 0.0, 0.1])
  origin = np.array([6.75, -1.35, -0.9])
  vertices = origin + local @ np.stack([forward, up, outward])
  side = np.arange(num)
  fan = np.column_stack([0 * side, 1 + side, 1 + (side + 1) % num])
  faces = np.concatenate([fan, grid_faces(len(scale), num, True, start=1)])
  return Part(vertices, faces, {})


def teeth(upper: bool) -> Part:
  """Half an arch of teeth: a relief on a dental arch, open at its back."""
  columns = 15
  s = np.linspace(0.0, 1.0, columns)
  angle = s * 1.35
  x = 2.55 * np.sin(angle)
  z = 8.55 - 3.6 * (1.0 - np.cos(angle))
  if not upper:
    x, z = 0.95 * x, z - 0.18
  edge = -7.1 if upper else -7.0
  sign = 1.0 if upper else -1.0
  groove = np.abs(np.cos(np.pi * s * 7.0))  # teeth of equal width along the arch
  rows = []
  for height, inward, depth in ((1.3, 0.1, 0.0), (0.55, 0.0, 1.0), (0.12, 0.0, 0.8),
                                (0.0, 0.12, 0.3), (0.25, 0.5, 0.0)):
    sink = inward + 0.07 * depth * (1.0 - groove)
    rows.append(
      np.column_stack([x * (1 - 0.3 * sink), 0 * x + edge + sign * height, z - sink])
    )
  vertices = np.stack(rows).reshape(-1, 3)
  vertices[vertices[:, 0] < 1e-9, 0] = 0.0
  faces = grid_faces(len(rows), columns)
  return Part(vertices, faces if upper else faces[:, ::-1], {})
