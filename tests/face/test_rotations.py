import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tdmm_jax.face import rotations

ANGLES = [0.0, 1e-7, 1e-4, 9.9e-4, 1.1e-3, 0.5, 2.0, 3.0, np.pi - 1e-3, np.pi]


def vectors_at(angle, count=40):
  axes = np.random.default_rng(0).normal(size=(count, 3))
  axes[:3] = np.eye(3)
  return axes / np.linalg.norm(axes, axis=1, keepdims=True) * angle


@pytest.mark.parametrize("angle", ANGLES)
def test_rodrigues_agrees_with_scipy(angle):
  vectors = vectors_at(angle)
  matrices = np.asarray(jax.jit(rotations.rodrigues)(jnp.float32(vectors)))
  np.testing.assert_allclose(
    matrices, Rotation.from_rotvec(vectors).as_matrix(), atol=5e-7
  )


def test_gradients_are_finite():
  weights = jnp.arange(9.0).reshape(3, 3)
  weighted = lambda v: (rotations.rodrigues(v) * weights).sum()
  angles = (0.0, 1e-7, 1e-3, 1.0, np.pi)
  vectors = jnp.float32(np.concatenate([vectors_at(angle) for angle in angles]))
  assert np.isfinite(jax.jit(jax.vmap(jax.grad(weighted)))(vectors)).all()


def test_gradient_of_rodrigues_at_zero_is_the_cross_product():
  jacobian = jax.jacobian(rotations.rodrigues)(jnp.zeros(3))
  expected = np.zeros((3, 3, 3))
  for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    expected[k, j, i], expected[j, k, i] = 1, -1
  np.testing.assert_allclose(jacobian, expected)
