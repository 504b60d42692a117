"""Losses against optax, by hand, and where their gradients could break."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tdmm_jax.face import face_model, load_model
from tdmm_jax.train import losses

P = 50 + 14


@pytest.fixture(scope="module")
def face():
  head = load_model.default_head()
  return face_model.vertex_subset(head, np.asarray(head.regions["face"])[::40])


def test_cross_entropy_equals_optax():
  rng = np.random.default_rng(0)
  logits = jnp.asarray(rng.normal(size=(3, 5, 11)) * 3, jnp.float32)
  targets = jnp.asarray(rng.integers(0, 11, (3, 5)))
  weights = jnp.asarray(rng.random((3, 5)) * (rng.random((3, 5)) < 0.7), jnp.float32)
  loss, metrics = losses.cross_entropy(logits, targets, weights)
  each = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
  np.testing.assert_allclose(loss, (each * weights).sum() / weights.sum(), rtol=1e-6)
  total, weight = metrics["loss"]
  np.testing.assert_allclose(total / weight, loss, rtol=1e-6)
  hits = (logits.argmax(-1) == targets) * weights
  np.testing.assert_allclose(metrics["token_accuracy"][0], hits.sum(), rtol=1e-6)
  with_z, unchanged = losses.cross_entropy(logits, targets, weights, z_loss=0.1)
  z = (jax.nn.logsumexp(logits, -1) ** 2 * weights).sum() / weights.sum()
  np.testing.assert_allclose(with_z, loss + 0.1 * z, rtol=1e-5)
  np.testing.assert_allclose(unchanged["loss"][0], total)


def test_cross_entropy_of_no_weight_is_zero():
  loss, _ = losses.cross_entropy(
    jnp.ones((1, 2, 3)), jnp.zeros((1, 2), int), jnp.zeros((1, 2))
  )
  assert loss == 0


motion_errors = jax.jit(losses.motion_errors)


def vectors(seed=0, frames=7):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.normal(size=(2, frames, P)) * 0.3, jnp.float32)


def test_a_constant_offset_has_no_velocity_error():
  """True velocity: the error of differences, not the difference of errors' sizes."""
  truth, mask = vectors(), jnp.ones((2, 7))
  geometry = jnp.asarray(np.random.default_rng(1).normal(size=(2, 7, 30)) * 0.01)
  errors = motion_errors(geometry + 0.002, geometry, truth, truth, mask)
  mean = lambda name: float(errors[name][0] / errors[name][1])
  np.testing.assert_allclose(mean("face_mm"), 3 * 2.0, rtol=1e-4)  # three coordinates
  assert mean("face_velocity_mm") < 1e-3
  shaken = geometry + 0.002 * (-1.0) ** jnp.arange(7)[None, :, None]
  errors = motion_errors(shaken, geometry, truth, truth, mask)
  np.testing.assert_allclose(mean("face_mm"), 6.0, rtol=1e-4)
  np.testing.assert_allclose(mean("face_velocity_mm"), 12.0, rtol=1e-4)
  parameters = losses.parameter_errors(jnp.full(P, 0.5), truth + 1.0, truth, mask)
  np.testing.assert_allclose(parameters["params_l1"][0] / 14, 2.0, rtol=1e-5)
  assert parameters["params_velocity_l1"][0] < 1e-4


def test_head_and_gaze_errors_are_degrees():
  truth = jnp.zeros((1, 3, P))
  turned = truth.at[..., -2].set(np.radians(8.0)).at[..., -9:-3].set(np.radians(3.0))
  geometry = jnp.zeros((1, 3, 3))
  errors = motion_errors(geometry, geometry, turned, truth, jnp.ones((1, 3)))
  np.testing.assert_allclose(errors["head_deg"][0] / 3, 8.0, rtol=2e-3)
  np.testing.assert_allclose(errors["gaze_deg"][0] / 3, 3.0, rtol=1e-5)


def test_masked_frames_do_not_count(face):
  truth, mask = vectors(), jnp.ones((2, 7)).at[:, 4:].set(0)
  predicted = vectors(1)
  spoilt = predicted.at[:, 4:].add(9.0)
  geometry = jax.jit(lambda v: face_model.vector_geometry(face, v))
  of = lambda p: motion_errors(geometry(p), geometry(truth), p, truth, mask)
  for name, (value, weight) in of(predicted).items():
    np.testing.assert_allclose(of(spoilt)[name][0], value, rtol=1e-4, err_msg=name)
    assert weight == (6 if "velocity" in name else 8)


def test_gradients_are_finite_at_zero_rotation_and_zero_error(face):
  def loss(predicted, truth):
    mask = jnp.ones((1, 4))
    errors = motion_errors(
      face_model.vector_geometry(face, predicted),
      face_model.vector_geometry(face, truth),
      predicted,
      truth,
      mask,
    )
    errors |= losses.parameter_errors(jnp.ones(P), predicted, truth, mask)
    return losses.weighted_sum(errors, dict.fromkeys(errors, 1.0))

  zero = jnp.zeros((1, 4, P))
  for truth in (zero, zero + 1e-3):
    gradient = jax.jit(jax.grad(loss))(zero, truth)
    assert np.isfinite(gradient).all()
  moved = np.abs(np.asarray(gradient)).sum((0, 1))
  assert (moved > 0).all()  # every parameter is taught something


def test_a_weight_without_an_error_is_named():
  with pytest.raises(KeyError, match="typo"):
    losses.weighted_sum({"face_mm": (1.0, 1.0)}, {"typo": 1.0})


def test_contrastive_loss_on_numbers_worked_by_hand():
  logits = jnp.log(jnp.array([[2.0, 1.0], [1.0, 3.0]]))
  loss, metrics = losses.contrastive(logits)
  rows = -np.log(2 / 3) - np.log(3 / 4)  # each text among the motions
  columns = -np.log(2 / 3) - np.log(3 / 4)
  np.testing.assert_allclose(loss, (rows + columns) / 4, rtol=1e-6)
  assert [float(x) for x in metrics["text_top1"]] == [2.0, 2.0]
  swapped = losses.contrastive(logits[::-1])[1]
  assert [float(x) for x in swapped["motion_top1"]] == [0.0, 2.0]


def test_motions_that_are_as_right_are_no_negatives():
  logits = jnp.array([[1.0, 5.0, 0.0], [5.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
  masked = losses.without_false_negatives(logits, jnp.array([7, 7, 8]))
  assert losses.contrastive(masked)[1]["text_top1"][0] == 3.0
  assert losses.contrastive(logits)[1]["text_top1"][0] == 1.0
  kept = np.asarray(masked)[[0, 1, 2, 0, 2], [0, 1, 2, 2, 0]]
  np.testing.assert_array_equal(kept, [1.0, 1.0, 1.0, 0.0, 0.0])
