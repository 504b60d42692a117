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
def test_rodrigues_and_log_map_agree_with_scipy(angle):
  vectors = vectors_at(angle)
  matrices = np.asarray(jax.jit(rotations.rodrigues)(jnp.float32(vectors)))
  np.testing.assert_allclose(
    matrices, Rotation.from_rotvec(vectors).as_matrix(), atol=5e-7
  )
  back = np.asarray(jax.jit(rotations.log_map)(jnp.float32(matrices)))
  # At pi the axis has two signs: compare what the vectors do.
  np.testing.assert_allclose(
    Rotation.from_rotvec(back).as_matrix(), matrices, atol=3e-6
  )
  if angle < 3.1:
    np.testing.assert_allclose(back, vectors, atol=3e-6, rtol=1e-5)


def test_gradients_are_finite():
  weights = jnp.arange(9.0).reshape(3, 3)

  def through_everything(v):
    matrix = rotations.rodrigues(v)
    other = rotations.from_6d(rotations.to_6d(matrix))
    turn = rotations.geodesic_angle(matrix, rotations.rodrigues(v * 0))
    return (
      (matrix * weights + other).sum() + turn.sum() + rotations.log_map(other).sum()
    )

  angles = (0.0, 1e-7, 1e-3, 1.0, np.pi)
  vectors = jnp.float32(np.concatenate([vectors_at(angle) for angle in angles]))
  assert np.isfinite(jax.jit(jax.grad(through_everything))(vectors)).all()


def test_gradient_of_rodrigues_at_zero_is_the_cross_product():
  jacobian = jax.jacobian(rotations.rodrigues)(jnp.zeros(3))
  expected = np.zeros((3, 3, 3))
  for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    expected[k, j, i], expected[j, k, i] = 1, -1
  np.testing.assert_allclose(jacobian, expected)


def test_compose_lets_the_child_turn_first():
  parent, child = vectors_at(0.8), vectors_at(0.5)[::-1]
  expected = Rotation.from_rotvec(parent) * Rotation.from_rotvec(child)
  ours = rotations.compose(jnp.float32(parent), jnp.float32(child))
  np.testing.assert_allclose(ours, expected.as_rotvec(), atol=2e-6)


def test_6d_form_round_trips_and_repairs_skewed_columns():
  matrices = jnp.float32(Rotation.random(20, rng=0).as_matrix())
  six = rotations.to_6d(matrices)
  np.testing.assert_allclose(rotations.from_6d(six), matrices, atol=1e-6)
  skewed = jnp.concatenate([3 * six[:, :3], 2 * six[:, 3:] + six[:, :3]], axis=1)
  np.testing.assert_allclose(rotations.from_6d(skewed), matrices, atol=1e-6)


@pytest.mark.parametrize("angle", ANGLES)
def test_geodesic_angle_is_the_angle_between(angle):
  base = Rotation.random(40, rng=1)
  turned = base * Rotation.from_rotvec(vectors_at(angle))
  as_float32 = lambda r: jnp.float32(r.as_matrix())
  ours = rotations.geodesic_angle(as_float32(base), as_float32(turned))
  np.testing.assert_allclose(ours, angle, atol=1e-6)
