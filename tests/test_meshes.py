"""Eight devices in any mesh: one loss, one gradient, nothing replicated by accident."""

import json

import pytest
import tiny

MESHES = """
import json, os, tempfile
import jax, jax.numpy as jnp, numpy as np
log = tempfile.TemporaryFile()
os.dup2(log.fileno(), 2)  # the compiler's warnings
from configs import lm_demo
from launch import compile_check_programs as programs
from tdmm_jax import objectives, sharding
jax.config.update("jax_disable_most_optimizations", True)
config = lm_demo.get_config()
config.update({"num_pieces": 60, "num_extra_ids": 4, "encoder_length": 12,
               "decoder_length": 8, "history_dropout": 0.0})
config.model.update({"emb_dim": 32, "num_heads": 4, "head_dim": 8, "mlp_dim": 48,
                     "num_encoder_layers": 2, "num_decoder_layers": 2,
                     "scan_layers": True, "remat": "dots"})
alone = programs._lm_objective(config, 50, 8)[1]  # written-out attention, one device
config.model.fused_attention = True
init_fn, loss_fn, shapes = programs._lm_objective(config, 50, 8)
rng = np.random.default_rng(0)
batch = {k: rng.integers(1, 3 if "segment" in k else 100, s.shape).astype(s.dtype)
         for k, s in shapes.items()}
for key in ("encoder_segment_ids", "decoder_segment_ids"):
  batch[key] = np.sort(batch[key])
boxed = jax.eval_shape(init_fn, jax.random.key(0))["params"]
params = jax.tree.map(np.asarray, sharding.unbox(jax.jit(init_fn)(jax.random.key(0))))
params = params["params"]
run = lambda fn: lambda p, b: jax.value_and_grad(lambda p: fn(p, {}, b, None)[0])(p)
loss, grads = jax.jit(run(alone))(params, batch)
worst, replicated = {}, {}
for sizes in ((8, 1, 1), (1, 8, 1), (2, 4, 1), (4, 1, 2), (2, 2, 2), (1, 4, 2),
              (1, 2, 4)):
  mesh = sharding.make_mesh(*sizes)
  places = sharding.state_shardings(boxed, mesh)
  placed = jax.tree.map(jax.device_put, params, places)
  with jax.set_mesh(mesh):
    step = jax.jit(run(loss_fn), out_shardings=(None, places))
    other_loss, other = step(placed, sharding.to_global(batch, mesh))
  error = jax.tree.map(
    lambda a, b: float(np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)),
    other, grads)
  worst[str(sizes)] = (abs(float(other_loss) / float(loss) - 1),
                       max(jax.tree.leaves(error)))
  replicated[str(sizes)] = [
    jax.tree_util.keystr(path)
    for path, x in jax.tree_util.tree_leaves_with_path(placed)
    if x.sharding.is_fully_replicated]
log.seek(0)
print(json.dumps([worst, replicated, log.read().decode(errors="replace")]))
"""


@pytest.fixture(scope="module")
def meshes():
  out = tiny.run_python(MESHES, devices=8, timeout=500)
  return json.loads(out.splitlines()[-1])


@pytest.mark.slow
def test_seven_meshes_agree_on_loss_and_every_gradient(meshes):
  worst = meshes[0]
  assert len(worst) == 7
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
    if ", 1, " not in sizes:  # fsdp splits all but the heads of the position tables
      assert sorted(names) == (relpos if sizes.endswith(" 1)") else []), sizes


@pytest.mark.slow
def test_the_compiler_copies_nothing_whole_against_our_will(meshes):
  assert "Involuntary full rematerialization" not in meshes[2]
