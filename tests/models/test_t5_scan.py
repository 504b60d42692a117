"""Scanned and rematerialised layers are the same model as separate ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tdmm_jax.models import t5, t5_layouts

SIZES = {
  "vocab_size": 64,
  "emb_dim": 16,
  "num_heads": 2,
  "head_dim": 8,
  "mlp_dim": 24,
  "num_encoder_layers": 2,
  "num_decoder_layers": 2,
}
RNG = np.random.default_rng(0)
ENCODER = RNG.integers(2, 64, (2, 7)).astype(np.int32)
DECODER = RNG.integers(2, 64, (2, 5)).astype(np.int32)
SEGMENTS = (
  np.array([[1, 1, 1, 2, 2, 0, 0], [1] * 7], np.int32),
  np.array([[1, 1, 2, 2, 0], [1] * 5], np.int32),
)


def params_of(model):
  ones = jnp.ones((1, 4), jnp.int32)
  return nn.meta.unbox(jax.jit(model.init)(jax.random.key(0), *[ones] * 4))["params"]


@pytest.fixture(scope="module")
def plain():
  """(parameters, loss, gradients) of separate layers."""
  model = t5.T5(**SIZES)
  params = params_of(model)
  return params, *loss_and_grads(model, params)


def loss_and_grads(model, params):
  def loss(params):
    logits = model.apply({"params": params}, ENCODER, DECODER, *SEGMENTS)
    return jnp.mean(jax.nn.logsumexp(logits, -1) ** 2)

  return jax.jit(jax.value_and_grad(loss))(params)


@pytest.mark.parametrize(
  ("scan_layers", "remat"),
  [(True, "none"), (True, "dots"), (True, "full")],
)
def test_same_loss_and_gradients(plain, scan_layers, remat):
  params, loss, grads = plain
  model = t5.T5(**SIZES, scan_layers=scan_layers, remat=remat)
  if scan_layers:
    params, grads = t5_layouts.stack_layers(params), t5_layouts.stack_layers(grads)
  other_loss, other_grads = loss_and_grads(model, params)
  np.testing.assert_allclose(other_loss, loss, rtol=1e-6)
  assert jax.tree.structure(other_grads) == jax.tree.structure(grads)
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    other = dict(jax.tree_util.tree_leaves_with_path(other_grads))[path]
    norm = np.linalg.norm(grad)
    assert norm > 0 and np.linalg.norm(other - grad) / norm < 1e-5, path


def test_parameters_convert_both_ways(plain):
  params = plain[0]
  stacked = t5_layouts.stack_layers(params)
  wi = stacked["encoder"]["layers"]["mlp"]["wi_0"]["kernel"]
  np.testing.assert_array_equal(
    wi[1], params["encoder"]["layers_1"]["mlp"]["wi_0"]["kernel"]
  )
  back = t5_layouts.unstack_layers(stacked)
  assert jax.tree.structure(back) == jax.tree.structure(params)
  jax.tree.map(np.testing.assert_array_equal, back, params)


def test_a_scanned_model_initialises_layers_of_their_own_and_names_their_axis():
  model = t5.T5(**SIZES, scan_layers=True)
  ones = jnp.ones((1, 4), jnp.int32)
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), *[ones] * 4))
  wi = variables["params"]["encoder"]["layers"]["mlp"]["wi_0"]["kernel"]
  assert wi.names == ("layers", "embed", "mlp")
  values = params_of(model)["encoder"]["layers"]["mlp"]["wi_0"]["kernel"]
  assert values.shape == (2, 16, 24)
  assert np.abs(values[0] - values[1]).max() > 0.01


def test_a_scanned_model_decodes_after_conversion_only(plain):
  params, _, _ = plain
  scanned = t5.T5(**SIZES, scan_layers=True, remat="full")
  encoded = jnp.zeros((1, 3, 16))
  with pytest.raises(ValueError, match="unscanned"):
    scanned.apply(
      {"params": t5_layouts.stack_layers(params)}, encoded, 4, method="init_cache"
    )
  model, separate = t5_layouts.unscanned(scanned, t5_layouts.stack_layers(params))
  assert model == t5.T5(**SIZES)
  jax.tree.map(np.testing.assert_array_equal, separate, params)


def test_an_unknown_policy_is_refused():
  with pytest.raises(ValueError, match="remat 'some'; choose one of"):
    params_of(t5.T5(**SIZES, remat="some"))
