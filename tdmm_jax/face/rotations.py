"""Rotation matrices in JAX; SciPy has every other form of a rotation."""

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
  digits at small angles; below 1e-3 rad the series replaces both quotients, which
  keeps the gradient finite at angle zero.
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
