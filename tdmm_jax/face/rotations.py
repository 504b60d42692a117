"""Rotations in JAX: axis-angle, matrices, the 6-D form, angles between.

Every function takes any leading dimensions. Axis-angle vectors are in radians. All
gradients are finite at angle zero, where the textbook formulas divide 0 by 0.
"""

import jax
import jax.numpy as jnp

# Below this squared angle (rad^2) float32 series are exact to the last bit.
_SMALL_SQUARED = 1e-6


def rodrigues(axis_angle):
  """Rotation matrices of axis-angle vectors.

  Args:
    axis_angle: float[..., 3], rad.

  Returns:
    float[..., 3, 3]; acts on column vectors.

  Source: Rodrigues' formula. 1 - cos is written 2 sin^2(angle / 2), which keeps its
  digits at small angles; below 1e-3 rad the series replaces both quotients.
  """
  squared = jnp.sum(axis_angle**2, axis=-1)[..., None, None]
  small = squared < _SMALL_SQUARED
  safe = jnp.where(small, 1.0, squared)  # the branch not taken must not divide by 0
  angle = jnp.sqrt(safe)
  sine = jnp.where(small, 1.0 - squared / 6.0, jnp.sin(angle) / angle)
  versine = jnp.where(small, 0.5 - squared / 24.0, 2 * jnp.sin(angle / 2) ** 2 / safe)
  x, y, z = axis_angle[..., 0], axis_angle[..., 1], axis_angle[..., 2]
  zero = jnp.zeros_like(x)
  cross = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)
  cross = cross.reshape(*cross.shape[:-1], 3, 3)
  outer = axis_angle[..., :, None] * axis_angle[..., None, :]
  eye = jnp.eye(3, dtype=axis_angle.dtype)
  return eye + sine * cross + versine * (outer - squared * eye)


def matrix_to_quaternion(matrix):
  """Unit quaternions (w, x, y, z), w >= 0, of rotation matrices.

  Args:
    matrix: float[..., 3, 3].

  Returns:
    float[..., 4]. Of the four algebraic forms the one with the largest pivot is
    used, so that nothing is lost near angle pi.
  """
  m = lambda i, j: matrix[..., i, j]
  xx, yy, zz = m(0, 0), m(1, 1), m(2, 2)
  yz, zx, xy = m(2, 1) - m(1, 2), m(0, 2) - m(2, 0), m(1, 0) - m(0, 1)
  candidates = jnp.stack(
    [
      jnp.stack([1 + xx + yy + zz, yz, zx, xy], -1),
      jnp.stack([yz, 1 + xx - yy - zz, m(0, 1) + m(1, 0), m(0, 2) + m(2, 0)], -1),
      jnp.stack([zx, m(0, 1) + m(1, 0), 1 - xx + yy - zz, m(1, 2) + m(2, 1)], -1),
      jnp.stack([xy, m(0, 2) + m(2, 0), m(1, 2) + m(2, 1), 1 - xx - yy + zz], -1),
    ],
    axis=-2,
  )
  pivots = jnp.diagonal(candidates, axis1=-2, axis2=-1)
  best = jnp.argmax(pivots, axis=-1)[..., None, None]
  quaternion = jnp.take_along_axis(candidates, best, axis=-2)[..., 0, :]
  quaternion = quaternion / jnp.linalg.norm(quaternion, axis=-1, keepdims=True)
  return jnp.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def log_map(matrix):
  """Axis-angle vectors, angle in [0, pi], of rotation matrices.

  Args:
    matrix: float[..., 3, 3].

  Returns:
    float[..., 3], rad.
  """
  quaternion = matrix_to_quaternion(matrix)
  w, vector = quaternion[..., :1], quaternion[..., 1:]
  squared = jnp.sum(vector**2, axis=-1, keepdims=True)
  small = squared < _SMALL_SQUARED
  norm = jnp.sqrt(jnp.where(small, 1.0, squared))
  # angle / sin(angle / 2); near zero 2 (1 + s^2 / 6), s = sin(angle / 2).
  factor = jnp.where(small, 2.0 + squared / 3.0, 2.0 * jnp.arctan2(norm, w) / norm)
  return factor * vector


def compose(first, second):
  """Axis-angle of R(first) R(second): `second` acts first, as a child does.

  Args:
    first: float[..., 3], rad (the parent, e.g. the global rotation).
    second: float[..., 3], rad (the child, e.g. the neck).
  """
  return log_map(rodrigues(first) @ rodrigues(second))


def to_6d(matrix):
  """First two columns of a rotation matrix, concatenated.

  Args:
    matrix: float[..., 3, 3].

  Returns:
    float[..., 6].

  Source: Zhou et al. 2019, "On the continuity of rotation representations".
  """
  return jnp.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)


def from_6d(six):
  """Rotation matrix of two column vectors by Gram-Schmidt; inverse of `to_6d`.

  Args:
    six: float[..., 6]; the two vectors need neither unit length nor a right angle.

  Returns:
    float[..., 3, 3].
  """
  unit = lambda v: v * jax.lax.rsqrt(jnp.sum(v**2, -1, keepdims=True) + 1e-12)
  first = unit(six[..., :3])
  second = six[..., 3:] - first * jnp.sum(first * six[..., 3:], -1, keepdims=True)
  second = unit(second)
  return jnp.stack([first, second, jnp.cross(first, second)], axis=-1)


def geodesic_angle(first, second):
  """Angle of the rotation between two rotations.

  Args:
    first: float[..., 3, 3].
    second: float[..., 3, 3].

  Returns:
    float[...], rad in [0, pi]. Where the two are equal its gradient is taken as 0.
  """
  delta = jnp.swapaxes(first, -1, -2) @ second
  vee = jnp.stack(
    [
      delta[..., 2, 1] - delta[..., 1, 2],
      delta[..., 0, 2] - delta[..., 2, 0],
      delta[..., 1, 0] - delta[..., 0, 1],
    ],
    axis=-1,
  )
  squared = jnp.sum(vee**2, axis=-1)
  none = squared == 0
  sine = jnp.where(none, 0.0, jnp.sqrt(jnp.where(none, 1.0, squared)))
  return jnp.arctan2(sine, jnp.trace(delta, axis1=-2, axis2=-1) - 1.0)
