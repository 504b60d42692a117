"""Axes have names, names have rules, constraints bite, and meshes do not matter."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from configs import evaluator as evaluator_config
from configs import lm_demo, tokenizer_demo
from tdmm_jax import sharding
from tdmm_jax.codec import motion_codec
from tdmm_jax.models.evaluator import Evaluator
from tdmm_jax.models.t5 import T5


def t5_variables():
  model = lm_demo.get_config().model.to_dict() | {"dtype": jnp.float32}
  ones = jnp.ones((1, 4), jnp.int32)
  init = lambda: T5(vocab_size=256, **model).init(jax.random.key(0), *[ones] * 4)
  return jax.eval_shape(init)


def tokenizer_variables(quantizer="fsq"):
  config = tokenizer_demo.get_config()
  config.model.quantizer = quantizer
  model = motion_codec.build_model(config, 50)
  geometry = jnp.zeros((1, 8, 3 * config.model.num_vertices))
  rngs = {"params": jax.random.key(0), "codebook": jax.random.key(1)}
  return jax.eval_shape(
    lambda: model.init(rngs, geometry, jnp.zeros((1, 8, 64)), jnp.ones((1, 8)))
  )


def evaluator_variables():
  model = Evaluator(
    vocab_size=256, num_params=64, **evaluator_config.get_config().model.to_dict()
  )
  tokens, mask = jnp.ones((1, 8), jnp.int32), jnp.ones((1, 8))
  init = lambda: model.init(jax.random.key(0), tokens, jnp.zeros((1, 8, 64)), mask)
  return jax.eval_shape(init)


@pytest.mark.parametrize(
  "variables", [t5_variables, tokenizer_variables, evaluator_variables]
)
def test_every_parameter_names_its_axes_and_every_name_has_a_rule(variables):
  params = variables()["params"]
  boxed = lambda x: isinstance(x, nn.LogicallyPartitioned)
  rules = dict(sharding.LOGICAL_AXIS_RULES)
  leaves = jax.tree_util.tree_leaves_with_path(params, is_leaf=boxed)
  assert len(leaves) > 10
  for path, leaf in leaves:
    where = jax.tree_util.keystr(path)
    assert boxed(leaf), f"{where} names no axes"
    assert len(leaf.names) == leaf.value.ndim, where
    assert all(name in rules for name in leaf.names), where
    assert not any(name.startswith("act_") for name in leaf.names), where


def test_rules_name_mesh_axes_only_and_each_name_once():
  names = [name for name, _ in sharding.LOGICAL_AXIS_RULES]
  assert len(names) == len(set(names))
  for _, axes in sharding.LOGICAL_AXIS_RULES:
    flat = (axes,) if isinstance(axes, str) else axes or ()
    assert set(flat) <= set(sharding.MESH_AXES)


def test_a_misspelt_axis_is_an_error_not_a_replica():
  with pytest.raises(KeyError, match="act_bach"):
    with jax.set_mesh(sharding.make_mesh()):
      jax.jit(lambda x: sharding.constrain(x, "act_bach"))(jnp.ones(2))
  with pytest.raises(KeyError, match="embedd"):
    sharding.partitioned(nn.initializers.ones, "embedd")


def test_a_mesh_that_does_not_cover_the_devices_is_refused():
  with pytest.raises(ValueError, match="does not cover 1 devices"):
    sharding.make_mesh(data=2, fsdp=2)


class Tpu:
  """What laying out a mesh asks of a device: four chips a slice, 2 by 2."""

  platform, device_kind, core_on_chip, process_index = "tpu", "TPU v5 lite", 0, 0

  def __init__(self, slice_index: int, chip: int):
    self.slice_index, self.id = slice_index, chip
    self.coords = (chip % 2, chip // 2, 0)


@pytest.mark.parametrize("sizes", [(2, 4, 1), (4, 2, 1), (4, 1, 2), (8, 1, 1)])
def test_between_slices_runs_the_data_axis_alone(sizes):
  devices = [Tpu(slice_index, chip) for chip in range(4) for slice_index in range(2)]
  grid = sharding._across_slices(list(sizes), devices)
  assert grid.shape == sizes
  slices = np.vectorize(lambda device: device.slice_index)(grid)
  assert (slices == np.repeat([0, 1], sizes[0] // 2)[:, None, None]).all()
  assert len({(device.slice_index, device.id) for device in grid.flat}) == 8


def test_a_mesh_that_would_cut_fsdp_or_tensor_between_slices_is_refused():
  devices = [Tpu(chip // 4, chip % 4) for chip in range(8)]
  with pytest.raises(ValueError, match="data must be a multiple of 2, the number of"):
    sharding.make_mesh(data=1, fsdp=-1, devices=devices)


CONSTRAINTS = """
import jax, jax.numpy as jnp, numpy as np
from tdmm_jax import sharding
from tdmm_jax.models.t5 import T5
mesh = sharding.make_mesh(data=2, fsdp=2, tensor=2)
names = ("act_batch", "act_length", "act_mlp")
jitted = lambda: jax.jit(lambda x: sharding.constrain(x * 2, *names))
assert jitted()(jnp.ones((8, 6, 4))).sharding.is_fully_replicated  # without a mesh
with jax.set_mesh(mesh):
  out = jitted()(jnp.ones((8, 6, 4)))
  print(out.sharding.shard_shape(out.shape))
  model = T5(128, 16, 2, 8, 32, 1, 1)
  ones = jnp.ones((8, 4), jnp.int32)
  boxed = lambda rng: model.init(rng, ones, ones, ones, ones)
  abstract = jax.eval_shape(boxed, jax.random.key(0))
  placed = sharding.state_shardings(abstract, mesh)
  init = jax.jit(lambda rng: sharding.unbox(boxed(rng)), out_shardings=placed)
  variables = init(jax.random.key(0))
  wi = variables["params"]["encoder"]["layers_0"]["mlp"]["wi_0"]["kernel"]
  print(wi.sharding.shard_shape(wi.shape))
  batch = sharding.to_global({"t": np.ones((8, 4), np.int32)}, mesh)["t"]
  print(batch.sharding.shard_shape(batch.shape))
  forward = jax.jit(lambda v, t: model.apply(v, t, t, t, t))
  logits = forward(variables, batch)
  print(logits.sharding.shard_shape(logits.shape))
"""


def test_constraints_and_rules_take_effect():
  """On a (2, 2, 2) mesh: batch over data and fsdp, mlp over tensor, embed over fsdp."""
  shapes = tiny.run_python(CONSTRAINTS, devices=8).splitlines()
  assert shapes == ["(2, 6, 2)", "(8, 16)", "(2, 4)", "(2, 4, 64)"]


MESHES = """
import json, pathlib, sys
import jax, numpy as np
import tiny
from tdmm_jax import sharding
from tdmm_jax.train import optim, run, train_step
run_dir, workdir = map(pathlib.Path, sys.argv[1:3])
meshes = {"1": jax.make_mesh((1, 1, 1), sharding.MESH_AXES, devices=jax.devices()[:1],
                             axis_types=(jax.sharding.AxisType.Auto,) * 3)}
meshes["(2, 2, 2)"] = sharding.make_mesh(2, 2, 2)
losses, statistics = {}, {}
config = tiny.config_of("tokenizer_demo", run_dir, batch_size=8)
config.model.quantizer = "ema_vq"  # statistics are sums over all devices
config.eval_batches = 0
objective = run._build(config, workdir)  # outside of any mesh: fits them all
tx = optim.optimizer(config)
for name, mesh in meshes.items():
  objective.train_iter.seek(0)
  with jax.set_mesh(mesh):
    state = train_step.init_state(objective.init_fn, tx, mesh, jax.random.key(0))
    step = train_step.make_train_step(objective.loss_fn, tx, jax.random.key(1))
    losses[name] = []
    for _ in range(4):
      batch = sharding.to_global(next(objective.train_iter), mesh)
      state, metrics = step(state, batch)
      losses[name].append(float(metrics["total_loss"][0]))
    split = [p for p in jax.tree.leaves(state.params)
             if not p.sharding.is_fully_replicated]
    assert bool(split) == (name != "1"), name
  (codebook,) = state.collections["codebook"].values()
  statistics[name] = {k: np.asarray(v).tolist() for k, v in codebook.items()}
print(json.dumps([losses, statistics]))
"""


@pytest.mark.slow
def test_the_mesh_changes_neither_the_loss_nor_a_codebook(tiny_run, tmp_path):
  """Other meshes and the language model: tests/train/test_meshes.py, without steps."""
  out = tiny.run_python(MESHES, tiny_run, tmp_path, devices=8, timeout=500)
  losses, statistics = json.loads(out.splitlines()[-1])
  assert len(set(losses["1"])) == 4  # training changes it
  np.testing.assert_allclose(losses["(2, 2, 2)"], losses["1"], rtol=1e-5)
  one, eight = statistics["1"], statistics["(2, 2, 2)"]
  assert np.ptp(one["counts"]) > 0.1  # some codes are used, some are not
  for name in one:
    np.testing.assert_allclose(eight[name], one[name], rtol=1e-4, atol=1e-5)
