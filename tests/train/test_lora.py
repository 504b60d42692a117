"""Low-rank adaptation: what is trained, what stays, and that it is one model."""

import json
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import t5_folders
import tiny
from flax import traverse_util

import configs.lm_base
from launch import compile_check_programs as programs
from tdmm_jax import export_hf, pack_release, sharding
from tdmm_jax.errors import UserError
from tdmm_jax.generate import face
from tdmm_jax.models import lora, pretrained, t5, t5_layouts
from tdmm_jax.runs import checkpoints, run_config
from tdmm_jax.train import optim, settings, train_step

NUM_CODES = 50


def small(**model):
  """lm_base's config at a test's size, with rank 4."""
  config = configs.lm_base.get_config()
  config.update({"num_pieces": 60, "num_extra_ids": 4, "encoder_length": 12})
  config.update({"decoder_length": 8, "history_dropout": 0.0, "total_steps": 8})
  config.update({"warmup_steps": 0, "batch_per_chip": 0})
  config.lora.rank = 4
  sizes = {"emb_dim": 32, "num_heads": 4, "head_dim": 8, "mlp_dim": 48}
  sizes |= {"num_encoder_layers": 2, "num_decoder_layers": 2, "dtype": "float32"}
  sizes |= {"remat": "none", "fused_attention": False}
  config.model.update(sizes | model)
  return config


def batch_of(shapes):
  rng = np.random.default_rng(0)
  batch = {
    key: rng.integers(1, 3 if "segment" in key else 100, x.shape).astype(x.dtype)
    for key, x in shapes.items()
  }
  for key in ("encoder_segment_ids", "decoder_segment_ids"):
    batch[key] = np.sort(batch[key])
  return batch


def drawn(tree, seed=0):
  """Boxed shapes as boxed arrays of random numbers."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda x: np.float32(0.2 * rng.normal(size=x.shape)), tree)


def objective(config):
  """(shapes of the boxed variables, loss, batch) of a config."""
  init_fn, loss_fn, shapes = programs._lm_objective(config, NUM_CODES, 8)
  boxed = dict(jax.eval_shape(init_fn, jax.random.key(0)))
  return boxed, loss_fn, batch_of(shapes)


def start(config):
  """(boxed variables, loss, batch) with a random base and factors as they start."""
  rank, config.lora.rank = config.lora.rank, 0
  boxed, loss_fn, batch = objective(config)
  config.lora.rank = rank
  return lora.start(config.lora, drawn(boxed), 70, jax.random.key(0)), loss_fn, batch


def loss_of(loss_fn, variables, batch):
  rest = {name: x for name, x in variables.items() if name != "params"}
  value = jax.jit(lambda params, rest: loss_fn(params, rest, batch, None)[0])
  return value(variables["params"], rest)


def test_before_the_first_update_it_is_the_base_model():
  config = small(scan_layers=True)
  variables, loss_fn, batch = map(sharding.unbox, start(config))
  config.lora.rank = 0
  base, base_loss_fn, _ = map(sharding.unbox, start(config))
  assert lora.FACTORS not in base["params"] and lora.BASE not in base
  whole = lora.merged(variables["params"], variables)
  assert jax.tree.structure(whole) == jax.tree.structure(base["params"])
  jax.tree.map(np.testing.assert_array_equal, whole, base["params"])
  loss = loss_of(loss_fn, variables, batch)
  assert loss == loss_of(base_loss_fn, base, batch) > 1
  for path, x in traverse_util.flatten_dict(variables["params"][lora.FACTORS]).items():
    expected = {"a": x.shape[-2] ** -0.5, "b": 0.0}[path[-1]]
    np.testing.assert_allclose(np.std(x), expected, rtol=0.25)


def test_only_factors_and_what_is_around_the_stacks_learn():
  config = small(scan_layers=True)
  variables, loss_fn, batch = start(config)
  tx = optim.optimizer(config)
  build = train_step.state_builder(lambda _: variables, tx)
  state = jax.tree.map(jnp.asarray, sharding.unbox(build(None)))
  before = jax.tree.map(np.array, (state.params, state.collections))
  step = train_step.make_train_step(loss_fn, tx, jax.random.key(1))
  for _ in range(2):  # while B is zero, A has no gradient
    state, _ = step(state, batch)
  jax.tree.map(np.testing.assert_array_equal, state.collections, before[1])
  assert set(before[1]) == {lora.BASE}
  assert set(before[1][lora.BASE]["params"]) == {"encoder", "decoder", "token_embedder"}
  assert set(before[0]) == {lora.FACTORS, "token_embedder", "logits_dense"}
  paths = traverse_util.flatten_dict(before[0])
  after = traverse_util.flatten_dict(state.params)
  assert not [path for path in paths if np.array_equal(paths[path], after[path])]
  moments = [x for x in jax.tree.leaves(state.opt_state) if x.ndim]
  assert sum(x.size for x in moments) == 2 * sum(x.size for x in paths.values())
  # Attention and a gated MLP in each stack, and the attention between them; A and B.
  factors = traverse_util.flatten_dict(before[0][lora.FACTORS])
  assert len(factors) == 2 * (2 * (4 + 3) + 4)
  rank = {"a": -1, "b": -2}
  assert all(x.shape[rank[path[-1]]] == 4 for path, x in factors.items())
  # Of 70 rows, 64 can be divided over many chips.
  table = before[1][lora.BASE]["params"]["token_embedder"]["embedding"]
  assert len(table) == 64 and len(before[0]["token_embedder"]["embedding"]) == 128 - 64


def test_merged_is_a_path_beside_each_kernel():
  """x W + alpha / rank · (x A) B, put beside the layers from outside."""
  config = small(scan_layers=True, num_decoder_layers=1)
  config.lora.kernels, config.lora.alpha = ("query", "value", "mlp"), 6.0
  variables, _, batch = map(sharding.unbox, start(config))
  params = variables["params"]
  factors = drawn(params[lora.FACTORS], seed=1)
  apart = lambda params: t5_layouts.unstack_layers(t5.whole(params, variables))
  base, whole = apart(params), apart({**params, lora.FACTORS: factors})
  flat = traverse_util.flatten_dict(t5_layouts.unstack_layers(factors))
  config.model.scan_layers = False
  model = t5.build_t5(config, programs.planned_vocab(config, NUM_CODES))
  used = set()

  def beside(call, args, kwargs, context):
    y, path = call(*args, **kwargs), context.module.path
    if isinstance(context.module, nn.Dense) and (*path, "a") in flat:
      used.add(path)
      y = y + 6.0 / 4 * (args[0] @ flat[*path, "a"]) @ flat[*path, "b"]
    return y

  tokens = [batch[f"{side}_input_tokens"] for side in ("encoder", "decoder")]
  segments = [batch[f"{side}_segment_ids"] for side in ("encoder", "decoder")]
  apply = lambda params: model.apply({"params": params}, *tokens, *segments)
  merged, bare = jax.jit(apply)(whole), jax.jit(apply)(base)
  with nn.intercept_methods(beside):
    unmerged = jax.jit(lambda params: apply(params))(base)
  assert len(used) == 2 * (2 + 3) + (2 + 2 + 3)
  scale = np.abs(merged).max()
  np.testing.assert_allclose(unmerged, merged, atol=1e-4 * scale)
  assert np.abs(bare - merged).max() > 0.05 * scale


MESHES = """
import json, sys
sys.path.insert(0, sys.argv[1])
import jax, numpy as np
from tdmm_jax import sharding
from tdmm_jax.models import lora
import test_lora
boxed, loss_fn, batch = test_lora.objective(test_lora.small(scan_layers=True))
variables = sharding.unbox(test_lora.drawn(boxed))
def run(v, b):
  rest = {k: x for k, x in v.items() if k != "params"}
  return jax.value_and_grad(lambda p: loss_fn(p, rest, b, None)[0])(v["params"])
loss, grads = jax.jit(run)(variables, batch)
mesh = sharding.make_mesh(2, 2, 2)
places = sharding.state_shardings(boxed, mesh)
placed = jax.tree.map(jax.device_put, variables, places)
with jax.set_mesh(mesh):
  step = jax.jit(run, out_shardings=(None, places["params"]))
  other_loss, other = step(placed, sharding.to_global(batch, mesh))
errors = jax.tree.map(
  lambda a, b: float(np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)),
  other, grads)
factors = placed["params"][lora.FACTORS]["decoder"]["layers"]["mlp"]["wo"]
table = placed[lora.BASE]["params"]["token_embedder"]["embedding"]
shard = lambda x: x.addressable_shards[0].data.shape
print(json.dumps({
  "loss": float(other_loss / loss) - 1, "gradient": max(jax.tree.leaves(errors)),
  "whole": [factors[k].shape for k in "ab"], "table": table.shape,
  "shards": [shard(factors[k]) for k in "ab"], "table shard": shard(table)}))
"""


def test_eight_devices_agree_with_one():
  """data 2, fsdp 2, tensor 2; a factor is split as its kernel is."""
  folder = str(tiny.REPO / "tests" / "train")
  out = json.loads(tiny.run_python(MESHES, folder, devices=8).splitlines()[-1])
  assert abs(out["loss"]) <= 1e-5 and out["gradient"] <= 1e-5, out
  assert out["whole"] == [[2, 48, 4], [2, 4, 32]]
  assert out["shards"] == [[2, 24, 4], [2, 4, 16]]
  assert out["table"] == [64, 32] and out["table shard"] == [32, 16]


@pytest.mark.slow
def test_a_run_is_used_exported_and_packed_merged(tiny_run, tmp_path):
  old = t5_folders.write(tmp_path / "t5", "t5_1_1")
  config = tiny.config_of(
    "lm_base",
    tiny_run,
    init_from=str(tmp_path / "t5"),
    num_extra_ids=t5_folders.EXTRA_IDS,
    total_steps=2,
    warmup_steps=0,
    batch_per_chip=0,
    encoder_length=384,  # its text pieces are few and short
    decoder_length=256,
    ema_decay=0.5,
  )
  config.lora.rank = 2
  tiny.train_on(config, tmp_path / "lm")
  (tmp_path / "tokenizer").symlink_to(tiny_run / "tokenizer")
  model = checkpoints.restore_model(tmp_path / "lm")
  base = t5_layouts.unstack_layers(model["collections"][lora.BASE]["params"])
  assert base["token_embedder"]["embedding"].shape == (t5_folders.ROWS, 24)
  jax.tree.map(np.testing.assert_array_equal, base, {name: old[name] for name in base})
  _, optimizer = checkpoints.restore_item(tmp_path / "lm", "optimizer")
  paths = [
    jax.tree_util.keystr(path)
    for path, leaf in jax.tree_util.tree_leaves_with_path(optimizer)
    if leaf.ndim
  ]
  assert len(paths) == 2 * len(jax.tree.leaves(model["params"]))
  assert not [path for path in paths if "kernel" in path and "logits" not in path]

  run = face.Face(tmp_path)
  assert jax.tree.map(jnp.shape, run.params["encoder"]) == jax.tree.map(
    np.shape, old["encoder"]
  )
  query = lambda params: params["encoder"]["layers_1"]["self_attention"]["query"]
  assert 0 < np.abs(query(run.params)["kernel"] - query(old)["kernel"]).max() < 0.1
  out = tmp_path / "exported"
  export_hf.export(run, out)
  again = pretrained.find(out)
  jax.tree.map(np.testing.assert_array_equal, again.params(), run.params)

  pack_release.pack(tmp_path, tmp_path / "packed")
  packed = checkpoints.restore_model(tmp_path / "packed" / "lm")
  assert not packed["collections"] and lora.FACTORS not in packed["params"]
  close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-3)
  jax.tree.map(close, face.Face(tmp_path / "packed").params, run.params)

  config.total_steps = 3  # resumed: base and factors come from the checkpoint
  tiny.train_on(config, tmp_path / "lm")
  resumed = checkpoints.restore_model(tmp_path / "lm")
  assert resumed["step"] == 3
  jax.tree.map(
    np.testing.assert_array_equal, resumed["collections"], model["collections"]
  )
  config.lora.alpha = 1.0
  with pytest.raises(UserError, match=r"lora\.alpha is 1\.0, was 16\.0"):
    tiny.train_on(config, tmp_path / "lm")


@pytest.mark.parametrize(
  ("values", "said"),
  [
    ({"rank": -1}, r"config\.lora\.rank: -1 is out of range; give 0 or more"),
    ({"rank": 4, "alpha": 0.0}, r"config\.lora\.alpha: 0 is out of range"),
    ({"kernels": ("query", "k")}, r"config\.lora\.kernels: 'k'; choose some of 'quer"),
    ({"rank": 4, "kernels": ()}, r"config\.lora\.rank: 4, but .* is empty; name some"),
    ({"rank": 4}, r"config\.lora\.rank: 4 adapts a pretrained model; .*init_from"),
  ],
)
def test_what_adapts_nothing_is_refused(values, said):
  config = configs.lm_base.get_config()
  config.lora.update(values)
  with pytest.raises(UserError, match=said) as error:
    settings.check(config)
  assert "\n" not in str(error.value)


def test_a_run_of_before_is_not_adapted(tmp_path):
  (tmp_path / checkpoints.FOLDER / "12").mkdir(parents=True)
  stored = {"config": {"seed": 0}, "versions": {}}
  (tmp_path / checkpoints.CONFIG_FILE).write_text(json.dumps(stored))
  config = configs.lm_base.get_config()
  run_config.refuse_changes(config, tmp_path, {})
  config.lora.rank = 8
  with pytest.raises(UserError, match=r"lora\.rank is 8, was 0"):
    run_config.refuse_changes(config, tmp_path, {})


def test_the_documents_say_what_it_saves():
  """Bytes of AdamW's state for FLAN-T5 base: all of it, and at rank 8."""
  config = configs.lm_base.get_config()
  vocab = types.SimpleNamespace(word_offset=0, motion_offset=0, table_size=34_304)
  model, tx = t5.build_t5(config, vocab), optim.optimizer(config)
  one = jnp.ones((1, 8), jnp.int32)

  def state_bytes(rank):
    config.lora.rank = rank

    def build(rng):
      variables = model.init(rng, one, one, one, one)
      return tx.init(lora.start(config.lora, variables, 32_128, rng)["params"])

    state = jax.eval_shape(build, jax.random.key(0))
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))

  megabytes = [f"{state_bytes(rank) / 1e6:,.0f} MB" for rank in (0, 8)]
  text = (tiny.REPO / "docs" / "training.md").read_text()
  assert f"{megabytes[0]} to {megabytes[1]}" in text, megabytes
