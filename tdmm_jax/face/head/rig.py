"""How the default head's joints and lids move it: weights, joints, lids, correctives.

Units are centimetres (see `head_surface`). Shape letters: V vertices.
"""

import numpy as np

from tdmm_jax.face.head import curves, surface
from tdmm_jax.face.head.anatomy import Anatomy, bump, smooth_step

JAW_JOINT = np.array([0.0, -1.7, 0.9])  # between the condyles
NECK_JOINT = np.array([0.0, -6.5, -1.8])
ROOT_JOINT = np.array([0.0, -15.5, -3.3])


def skinning_weights(anatomy: Anatomy) -> np.ndarray:
  """float64[V, 5]: root, neck, jaw, left eye, right eye; rows sum to 1."""
  mesh = anatomy.mesh
  p = mesh.vertices
  front = p[:, 2] - 2.4 + 0.25 * (p[:, 1] + 9.0)
  jaw = anatomy.lower * smooth_step(front / 3.2 + 0.25)
  under = smooth_step((p[:, 1] + 14.6) / 2.8)  # below the chin it fades into the neck
  jaw = jaw * under
  jaw[mesh.both("lower_teeth", "tongue")] = 1.0
  jaw[mesh.both("upper_teeth", "ear", "eyeball")] = 0.0
  neck = smooth_step((p[:, 1] + 0.35 * p[:, 2] + 16.5) / 7.0)
  neck[mesh.both("ear", "eyeball", "upper_teeth", "lower_teeth", "tongue")] = 1.0
  weights = np.zeros((len(p), 5))
  weights[:, 0] = 1.0 - neck
  weights[:, 1] = neck * (1.0 - jaw)
  weights[:, 2] = neck * jaw
  left = mesh.groups["eyeball"]
  weights[left] = [0, 0, 0, 1, 0]
  weights[mesh.mirror[left]] = [0, 0, 0, 0, 1]
  return weights


def joint_regressor(anatomy: Anatomy) -> np.ndarray:
  """float64[5, V]: joints as weighted means of vertices; rows sum to 1."""
  mesh = anatomy.mesh
  p = mesh.vertices
  distance = lambda center: np.linalg.norm(
    (np.abs(p) * [1, 0, 0] + p * [0, 1, 1]) - center, axis=-1
  )
  skin = np.zeros(len(p), bool)
  skin[mesh.both("skin")] = True
  skin &= anatomy.lip_ring < 0
  regressor = np.zeros((5, len(p)))
  around_neck = skin & (np.abs(p[:, 1] + 8.0) < 3.0) & (p[:, 2] < 3.5)
  regions = (
    (0, mesh.both("neck_end"), ROOT_JOINT),
    (1, np.flatnonzero(around_neck), NECK_JOINT),
    (2, np.flatnonzero(skin & (distance([6.3, -1.7, 0.9]) < 2.2)), JAW_JOINT),
  )
  for row, ids, target in regions:
    regressor[row, ids] = _weights_for(p[ids], target)
  equator = mesh.groups["eye_equator"]
  regressor[3, equator] = 1.0 / len(equator)
  regressor[4, mesh.mirror[equator]] = 1.0 / len(equator)
  return regressor


def _weights_for(points_P3, target):
  """The most even weights whose mean of the points is `target` (sum 1)."""
  count = len(points_P3)
  rows = np.concatenate([points_P3.T, np.ones((1, count))])
  even = np.full(count, 1.0 / count)
  wanted = np.append(target, 1.0)
  return even + np.linalg.pinv(rows) @ (wanted - rows @ even)


def _elevation(points):
  """Angle in rad about the eye's lateral axis, 0 ahead, and distance from that axis."""
  y, z = points[..., 1], points[..., 2]
  return np.arctan2(y, z), np.hypot(y, z)


def _lid_turn(vertices, grid, angle_RN, lift_RN):
  """Displacements that turn a lid's rings about the eye's lateral axis."""
  local = vertices[grid] - surface.EYE_CENTER
  angle, radius = _elevation(local)
  angle, radius = angle + angle_RN, radius + lift_RN
  moved = np.stack([local[..., 0], radius * np.sin(angle), radius * np.cos(angle)], -1)
  return moved - local


# how far each lid ring (see head_curves.lid_rings) follows the lid's edge
UPPER_FOLLOW = np.array([1.0, 1.0, 1.0, 0.8, 0.42, 0.12, 0.0])
LOWER_FOLLOW = np.array([1.0, 1.0, 1.0, 0.75, 0.4, 0.12, 0.0])


def left_lid_closing(anatomy: Anatomy) -> np.ndarray:
  """float64[V, 3]: the left eye closes fully at 1, over the eyeball all the way."""
  vertices, groups = anatomy.mesh.vertices, anatomy.mesh.groups
  upper, lower = groups["upper_lid"], groups["lower_lid"]
  span = np.sin(np.pi * np.linspace(0.0, 1.0, curves.NUM_LID))
  lower_edge, _ = _elevation(vertices[lower[2]] - surface.EYE_CENTER)
  upper_edge, _ = _elevation(vertices[upper[2]] - surface.EYE_CENTER)
  gap = upper_edge - lower_edge  # rad, 0 at the canthi
  lift = np.array([0.0, 0.07, 0.06, 0.06, 0.03, 0.0, 0.0])[:, None] * span
  field = np.zeros_like(vertices)
  rise = 0.16 * gap
  field[lower] = _lid_turn(vertices, lower, LOWER_FOLLOW[:, None] * rise, 0.3 * lift)
  drop = UPPER_FOLLOW[:, None] * (0.84 * gap + 0.035 * span)
  field[upper] = _lid_turn(vertices, upper, -drop, lift)
  return field


def eyelid_directions(anatomy: Anatomy) -> np.ndarray:
  """float64[V, 3, 2]: left and right lid, cm at 1 = closed."""
  left = left_lid_closing(anatomy)
  return np.stack([left, anatomy.mirrored(left)], axis=-1)


def lid_shift(anatomy: Anatomy, upper_rad: float, lower_rad: float) -> np.ndarray:
  """float64[V, 3]: the left eye's lids turned by these angles, up is positive."""
  vertices, groups = anatomy.mesh.vertices, anatomy.mesh.groups
  span = np.sin(np.pi * np.linspace(0.0, 1.0, curves.NUM_LID)) ** 0.8
  field = np.zeros_like(vertices)
  for name, follow, angle in (
    ("lower_lid", LOWER_FOLLOW, lower_rad),
    ("upper_lid", UPPER_FOLLOW, upper_rad),
  ):
    grid = groups[name]
    turn = follow[:, None] * angle * span
    field[grid] = _lid_turn(vertices, grid, turn, 0.0 * turn)
  return field


def pose_correctives(anatomy: Anatomy) -> np.ndarray:
  """float64[36, V, 3]: cm per element of R - I; here the jaw's opening alone.

  For a turn of the jaw by a rad about x, element (2, 1) of R - I is sin(a) and (1, 2)
  is -sin(a); each carries half of the correction.
  """
  p, lower = anatomy.points, anatomy.lower
  field = np.zeros_like(p)
  for side in (1.0, -1.0):
    corner = np.append(curves.MOUTH_CORNER * [side, 1.0], 8.3)
    near = bump(p, corner, (1.3, 1.1, 2.2))[:, None]
    # skinning alone drags the corners down and forward; stretched lips draw them in
    field += near * np.array([-1.3 * side, 0.5, -0.3])
    cheek = bump(p, (4.4 * side, -5.6, 6.4), (1.3, 1.8, 2.0))[:, None]
    field += cheek * np.array([-0.9 * side, 0.0, -0.5])
  middle = bump(p, (0, -6.3, 9.6), (1.6, 0.9, 2.0)) * (1.0 - lower)
  field[:, 1] -= 0.35 * middle
  field *= anatomy.gain[:, None]
  directions = np.zeros((36, *p.shape))
  directions[9 + 7] = 0.5 * field
  directions[9 + 5] = -0.5 * field
  return directions
