"""How faces differ: the default head's identity components.

Each is a smooth displacement field in centimetres, one plausible standard deviation
large: first the proportions an anthropometrist measures, then soft local changes at
points of the face, so that an arbitrary face's landmarks can be reached.

Shape letters: V vertices.
"""

import numpy as np

from tdmm_jax.face.head import surface
from tdmm_jax.face.head.anatomy import Anatomy, bump, smooth_step

# center, radii, x, y, z at one standard deviation; mirrored to the other side
_PROPORTIONS = (
  ((3.2, 0.2, 8.0), (2.0, 1.6, 2.5), (0.18, 0, 0)),  # eyes apart
  ((3.2, 0.2, 8.0), (2.2, 1.4, 2.5), (0, 0.2, 0)),  # eyes high
  ((3.2, 0.2, 8.0), (2.0, 1.4, 2.5), (0, 0, 0.2)),  # eyes deep
  ((3.0, 2.2, 8.6), (2.2, 0.8, 2.0), (0, 0.2, 0)),  # brows high
  ((1.4, 2.1, 9.3), (1.1, 0.9, 1.8), (0, 0.18, 0)),  # brows' inner ends high
  ((4.6, 2.2, 7.4), (1.1, 0.9, 1.8), (0, 0.18, 0)),  # brows' outer ends high
  ((2.5, 1.9, 8.8), (2.2, 0.8, 1.8), (0, 0, 0.25)),  # brow ridge
  ((0, -4.2, 10.3), (1.8, 1.0, 2.4), (0, 0.25, 0)),  # short nose
  ((0, -3.9, 10.8), (1.2, 1.2, 1.6), (0, 0, 0.25)),  # nose stands out
  ((1.4, -4.1, 9.7), (0.7, 0.9, 1.4), (0.16, 0, 0)),  # wide wings
  ((0, -1.2, 9.8), (0.9, 1.6, 1.4), (0, 0, 0.2)),  # high bridge
  ((0.8, -0.5, 9.2), (0.7, 1.6, 1.2), (0.12, 0, 0)),  # wide bridge
  ((0, -3.7, 11.5), (0.8, 0.7, 1.0), (0, 0.2, 0.05)),  # tip turned up
  ((0, -7.0, 9.2), (2.6, 1.4, 2.4), (0, 0.25, 0)),  # high mouth
  ((2.4, -7.0, 8.4), (0.9, 0.9, 1.8), (0.25, 0, -0.06)),  # wide mouth
  ((0, -7.0, 9.5), (2.0, 1.2, 1.8), (0, 0, 0.25)),  # full dental arch
  ((2.4, -7.0, 8.4), (0.9, 0.8, 1.8), (0, 0.14, 0)),  # corners high
  ((4.8, -7.8, 2.5), (1.8, 2.2, 3.5), (0.4, 0, 0)),  # wide jaw
  ((3.2, -9.5, 5.5), (2.0, 1.6, 2.5), (0.35, 0, 0)),  # broad lower face
  ((0, -10.8, 8.0), (2.6, 1.8, 3.5), (0, -0.4, 0)),  # long chin
  ((0, -10.3, 9.0), (1.8, 1.4, 1.8), (0, 0, 0.35)),  # chin stands out
  ((1.2, -10.6, 8.6), (0.9, 0.9, 1.4), (0.25, 0, 0)),  # broad chin
  ((4.6, -4.5, 6.8), (1.6, 1.8, 2.4), (0.3, 0, 0.25)),  # full cheeks
  ((4.8, -2.3, 6.6), (1.6, 1.0, 2.2), (0.2, 0, 0.2)),  # cheekbones
  ((0, 5.5, 8.5), (3.8, 2.2, 3.0), (0, 0, 0.35)),  # steep forehead
  ((5.0, 4.0, 5.5), (2.0, 3.0, 3.5), (0.35, 0, 0)),  # wide forehead
)

_OVERLAP = 0.7  # components overlap: all at one deviation is then one plausible face

# centers of local changes in depth and in the face's plane
_LOCAL = (
  (0.0, 2.2, 9.5),
  (5.0, 0.2, 6.6),
  (1.6, -0.3, 8.6),
  (3.0, -1.9, 8.3),
  (0.0, -5.3, 9.6),
  (2.8, -5.0, 8.5),
  (5.3, -5.2, 4.5),
  (1.8, -8.8, 8.7),
  (0.0, -8.7, 8.9),
)


def _overall(anatomy: Anatomy):
  """Width, length and depth of the head and of the face's thirds."""
  p = anatomy.mesh.vertices
  zero = np.zeros(len(p))
  below = smooth_step((2.0 - p[:, 1]) / 10.0)
  jaw = smooth_step((-3.0 - p[:, 1]) / 7.0) * smooth_step((p[:, 1] + 17.0) / 5.0)
  middle = np.exp(-0.5 * ((p[:, 1] + 3.0) / 2.2) ** 2)
  above = smooth_step((p[:, 1] - 1.0) / 8.0)
  front = smooth_step((p[:, 2] + 2.0) / 9.0)
  height = p[:, 1].clip(-13.0, None)
  return [
    np.column_stack([0.045 * p[:, 0], zero, zero]),
    np.column_stack([zero, 0.045 * height, zero]),
    np.column_stack([zero, zero, 0.045 * p[:, 2]]),
    np.column_stack([zero, 0.9 * above, zero]),
    np.column_stack([zero, -0.7 * below * smooth_step((p[:, 1] + 17) / 5), zero]),
    np.column_stack([0.07 * p[:, 0] * jaw, zero, zero]),
    np.column_stack([0.05 * p[:, 0] * middle, zero, zero]),
    np.column_stack([zero, zero, 0.5 * jaw * front]),
    np.column_stack([zero, zero, 0.4 * middle * front]),
  ]


def _lip_thickness(anatomy: Anatomy):
  """Height of the upper and of the lower red lip."""
  ring = anatomy.lip_ring
  share = np.zeros(len(ring))
  on_lip = ring >= 0
  share[on_lip] = np.array([0.35, 0.75, 1.0, 0.62, 0.26, 0, 0, 0, 0, 0, 0])[
    ring[on_lip]
  ]
  x = np.abs(anatomy.points[:, 0])
  tall = share * np.sqrt(np.maximum(1.0 - (x / 2.5) ** 2, 0.0)) * 0.18
  zero = np.zeros(len(ring))
  upper = np.column_stack(
    [zero, tall * (1.0 - anatomy.lower), 0.3 * tall * (1 - anatomy.lower)]
  )
  lower = np.column_stack([zero, -tall * anatomy.lower, 0.3 * tall * anatomy.lower])
  return [upper, lower]


def _eye_shape(anatomy: Anatomy):
  """Size, opening and slant of the eye's opening, eyeballs unchanged in place."""
  p = anatomy.mesh.vertices
  fields = []
  for scale in ((0.06, 0.06, 0.05), (0.09, 0.0, 0.0), (0.0, 0.14, 0.0)):
    fields.append(_about_eyes(p, lambda local, scale=scale: local * scale))
  fields.append(_about_eyes(p, lambda local: local[:, :1] * [0.0, 0.07, 0.0]))
  return fields


def _about_eyes(p, move):
  field = np.zeros_like(p)
  for side in (1.0, -1.0):
    local = (p - surface.EYE_CENTER * [side, 1, 1]) * [side, 1, 1]
    near = np.exp(-0.5 * (np.linalg.norm(local / [1.9, 1.3, 2.5], axis=-1) / 1.0) ** 4)
    field += near[:, None] * move(local) * [side, 1, 1]
  return field


def identity_fields(anatomy: Anatomy) -> np.ndarray:
  """float64[S, V, 3]: displacements in cm at one standard deviation."""
  p = anatomy.mesh.vertices
  fields = _overall(anatomy)
  for center, radii, move in _PROPORTIONS:
    field = bump(p, center, radii)[:, None] * np.asarray(move, float)
    fields.append(field + anatomy.mirrored(field) if center[0] else field)
  for center in _LOCAL:
    weight = bump(p, center, (1.3, 1.2, 2.2))[:, None]
    side = 1.0 if center[0] else 0.0
    for move in ((0.0, 0.0, 0.22), (0.14 * side, 0.16, 0.0)):
      field = weight * np.asarray(move)
      fields.append(field + anatomy.mirrored(field) if side else field)
  asymmetric = (
    ((0, -3.6, 10.8), (1.3, 1.8, 2.0), (0.14, 0, 0)),  # nose bent
    ((0, -7.0, 9.2), (2.4, 1.4, 2.2), (0.12, 0, 0)),  # mouth off the middle
    ((0, -10.5, 8.5), (2.4, 1.6, 2.5), (0.2, 0, 0)),  # chin off the middle
  )
  for center, radii, move in asymmetric:
    fields.append(bump(p, center, radii)[:, None] * np.asarray(move, float))
  tilt = bump(p, (2.4, -7.0, 8.4), (1.3, 1.0, 2.0))[:, None] * [0, 0.12, 0]
  fields.append(tilt - anatomy.mirrored(tilt))
  brow = bump(p, (3.0, 2.2, 8.5), (2.0, 0.9, 2.0))[:, None] * [0, 0.1, 0]
  fields.append(brow - anatomy.mirrored(brow))
  fields = [_with_rigid_parts(anatomy, field) for field in fields]
  fields += _lip_thickness(anatomy) + [
    _eyes_fixed(anatomy, f) for f in _eye_shape(anatomy)
  ]
  return _OVERLAP * np.stack(fields)


def _eyes_fixed(anatomy, field):
  field = field.copy()
  field[anatomy.mesh.both("eyeball")] = 0.0
  return field


def _with_rigid_parts(anatomy, field_V3):
  """The field with eyeballs moved as wholes and their lids along with them."""
  mesh = anatomy.mesh
  field = field_V3.copy()
  left = mesh.groups["eyeball"]
  for side, ball in ((1.0, left), (-1.0, mesh.mirror[left])):
    center = surface.EYE_CENTER * [side, 1, 1]
    shift = field_V3[ball].mean(0)
    distance = np.linalg.norm((mesh.vertices - center - [0, 0, 0.6]) / 1.0, axis=-1)
    rigid = 1.0 - smooth_step((distance - 1.35) / 1.2)
    rigid = np.where(mesh.vertices[:, 0] * side > 0, rigid, 0.0)
    rigid[ball] = 1.0
    field += rigid[:, None] * (shift - field)
  return field
