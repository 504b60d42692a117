"""Meshes of any kind: one loss, one gradient, nothing replicated by accident."""

import json

import pytest
import tiny

MESHES = """
import json, os, sys, tempfile
import jax, jax.numpy as jnp, numpy as np
log = tempfile.TemporaryFile()
os.dup2(log.fileno(), 2)  # the compiler's warnings
import configs.lm_demo, configs.tokenizer_demo
from launch import compile_check_programs as programs
from tdmm_jax import sharding
from tdmm_jax.models import layers
rng = np.random.default_rng(0)

def language_model():
  config = configs.lm_demo.get_config()
  config.update({"num_pieces": 60, "num_extra_ids": 4, "encoder_length": 12,
                 "decoder_length": 8, "history_dropout": 0.0})
  config.model.update({"emb_dim": 32, "num_heads": 4, "head_dim": 8, "mlp_dim": 48,
                       "num_encoder_layers": 2, "num_decoder_layers": 2,
                       "scan_layers": True, "remat": "dots"})
  alone = programs._lm_objective(config, 50, 8)[1]  # written-out attention
  config.model.fused_attention = True
  init_fn, loss_fn, shapes = programs._lm_objective(config, 50, 8)
  batch = {k: rng.integers(1, 3 if "segment" in k else 100, s.shape).astype(s.dtype)
           for k, s in shapes.items()}
  for key in ("encoder_segment_ids", "decoder_segment_ids"):
    batch[key] = np.sort(batch[key])
  return init_fn, alone, loss_fn, batch

def tokenizer():
  config = configs.tokenizer_demo.get_config()
  config.window = 16
  config.model.update({"emb_dim": 16, "mlp_dim": 32, "dilations": (1, 2),
                       "num_phases": 2, "levels": (4, 3), "fast_digits": 0,
                       "fast_phases": 1, "num_features": 12, "num_vertices": 48})
  init_fn, loss_fn, shapes = programs._tokenizer_objective(config, 8)
  batch = {"params": rng.normal(size=shapes["params"].shape).astype(np.float32) * 0.3,
           "mask": np.ones(shapes["mask"].shape, np.float32)}
  return init_fn, loss_fn, loss_fn, batch

init_fn, alone, loss_fn, batch = {f.__name__: f for f in (language_model, tokenizer)}[
  sys.argv[1]]()
boxed = jax.eval_shape(init_fn, jax.random.key(0))["params"]
variables = sharding.unbox(jax.jit(init_fn)(jax.random.key(0)))
# What starts at zero gives others no gradient.
variables = jax.tree.map(
  lambda x: np.asarray(x + rng.normal(size=x.shape) * 0.1, x.dtype), variables)
params = variables.pop("params")
run = lambda fn: lambda p, b: jax.value_and_grad(
  lambda p: fn(p, variables, b, None)[0])(p)
loss, grads = jax.jit(run(alone))(params, batch)
is_fixed = lambda path: path[-1].key in layers.FIXED
assert all((np.linalg.norm(x) > 0) != is_fixed(path)
           for path, x in jax.tree_util.tree_leaves_with_path(grads))
worst, replicated = {}, {}
# Data alone, with fsdp, and with fsdp and tensor.
for sizes in ((8, 1, 1), (2, 4, 1), (2, 2, 2)):
  mesh = sharding.make_mesh(*sizes)
  places = sharding.state_shardings(boxed, mesh)
  placed = jax.tree.map(jax.device_put, params, places)
  with jax.set_mesh(mesh):
    step = jax.jit(run(loss_fn), out_shardings=(None, places))
    other_loss, other = step(placed, sharding.to_global(batch, mesh))
  error = jax.tree_util.tree_map_with_path(
    lambda path, a, b: float(
      np.linalg.norm(np.asarray(a) - b) / (1 if is_fixed(path) else np.linalg.norm(b))),
    other, grads)
  worst[str(sizes)] = (abs(float(other_loss) / float(loss) - 1),
                       max(jax.tree.leaves(error)))
  replicated[str(sizes)] = [
    jax.tree_util.keystr(path)
    for path, x in jax.tree_util.tree_leaves_with_path(placed)
    if x.sharding.is_fully_replicated and not is_fixed(path)]
log.seek(0)
print(json.dumps([worst, replicated, log.read().decode(errors="replace")]))
"""


@pytest.fixture(scope="module", params=["language_model", "tokenizer"])
def meshes(request):
  out = tiny.run_python(MESHES, request.param, devices=8, timeout=500)
  return (*json.loads(out.splitlines()[-1]), request.param)


@pytest.mark.slow
def test_meshes_agree_on_loss_and_every_gradient(meshes):
  """Those of one device; of the language model, with attention written out there."""
  worst = meshes[0]
  assert len(worst) == 3
  for sizes, (loss_error, gradient_error) in worst.items():
    assert loss_error <= 1e-5, sizes
    assert gradient_error <= 1e-5, sizes


@pytest.mark.slow
def test_no_parameter_is_replicated_where_it_could_be_split(meshes):
  replicated = meshes[1]
  assert len(replicated["(8, 1, 1)"]) > 20  # pure data parallelism replicates all
  relpos = [
    f"['{side}']['relpos_bias']['rel_embedding']" for side in ("decoder", "encoder")
  ]
  for sizes, names in replicated.items():
    if ", 1, " in sizes:
      continue
    if meshes[3] == "tokenizer":  # tables of tens of features, and their biases
      small = lambda name: name.endswith("['bias']") or "linear_" in name
      assert all(map(small, names)) and len(names) == 8 - 4 * (sizes[-2] != "1"), (
        sizes,
        names,
      )
    else:  # fsdp splits all but the heads of the position tables and one bias
      allowed = ["['acts']['bias']", *(relpos if sizes.endswith(" 1)") else [])]
      assert sorted(names) == allowed, sizes


@pytest.mark.slow
def test_the_compiler_copies_nothing_whole_against_our_will(meshes):
  assert "Involuntary full rematerialization" not in meshes[2]
