"""What compile_check counts, against numbers worked by hand and XLA's own."""

import importlib
import json
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from configs import lm_base
from launch import compile_check_chips as chips
from launch import compile_check_hlo as hlo
from launch import compile_check_model as counts
from tdmm_jax.models.t5 import T5

PROGRAM = """\
HloModule step

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add = f32[] add(%a, %b)
}

%part.1 (p: bf16[4,8]) -> bf16[16,8] {
  %p = bf16[4,8]{1,0} parameter(0)
  ROOT %ag.1 = bf16[16,8]{1,0} all-gather(%p), channel_id=7, \
replica_groups=mesh['x'=2,'y'=4] {'y'}, dimensions={0}
}

%inner_body (s: (s32[], f32[32])) -> (s32[], f32[32]) {
  %s = (s32[], f32[32]) parameter(0)
  %cp = (f32[32], f32[32], u32[], u32[]) collective-permute-start(%s), channel_id=9, \
source_target_pairs={{0,1},{1,0}}
  ROOT %t = (s32[], f32[32]) tuple(%s)
}

%inner_cond (s: (s32[], f32[32])) -> pred[] {
  %three = s32[]{:T(128)} constant(3)
  %s = (s32[], f32[32]) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  ROOT %lt = pred[] compare(%i, %three), direction=LT
}

%body (s: (s32[], f32[32])) -> (s32[], f32[32]) {
  %s = (s32[], f32[32]) parameter(0)
  %one = bf16[16,8] fusion(%s), kind=kCustom, calls=%part.1
  %two = bf16[16,8] fusion(%one), kind=kCustom, calls=%part.1
  %rs = f32[8]{0} reduce-scatter(%s), channel_id=3, replica_groups=[2,4]<=[8], \
dimensions={0}, to_apply=%sum
  ROOT %w = (s32[], f32[32]) while(%s), condition=%inner_cond, body=%inner_body
}

%cond (s: (s32[], f32[32])) -> pred[] {
  %s = (s32[], f32[32]) parameter(0)
  ROOT %true = pred[] constant(true)
}

ENTRY %main (x: f32[32]) -> f32[32] {
  %x = f32[32]{0} parameter(0)
  %ar = f32[32]{0} all-reduce(%x), channel_id=1, \
replica_groups=[4,2]<=[2,4]T(1,0), to_apply=%sum
  ROOT %w = (s32[], f32[32]) while(%ar), condition=%cond, body=%body, \
backend_config={"known_trip_count":{"n":"5"}}
}
"""


def test_collectives_are_counted_with_their_loops_and_once_each():
  found = {c.kind: c for c in hlo.collectives(PROGRAM)}
  assert len(found) == len(hlo.collectives(PROGRAM)) == 4
  # 2 groups' worth of ring traffic: 2 * (1 / 2) * 128 bytes.
  assert found["all-reduce"] == ("all-reduce", 1, 128.0, (0, 4))
  # Spread over two fusions, and one: 3 / 4 of 16 * 8 bfloat16, five times.
  assert found["all-gather"] == ("all-gather", 5, 192.0, (0, 1, 2, 3))
  # 3 / 4 of what goes in, which is four times what comes out.
  assert found["reduce-scatter"] == ("reduce-scatter", 5, 96.0, (0, 1, 2, 3))
  # A loop of 3 in a loop of 5.
  assert found["collective-permute"] == ("collective-permute", 15, 128.0, (0, 1))


def test_a_loop_of_unknown_length_is_an_error():
  broken = PROGRAM.replace("constant(3)", "parameter(1)")
  with pytest.raises(ValueError, match="cannot tell how often"):
    hlo.collectives(broken)


def test_ring_bandwidth_uses_the_links_that_the_group_spans():
  v5e = chips.CHIPS["v5e"]  # 4 links of 50 GB/s
  row = [(x, 0, 0) for x in range(16)]
  square = [(x, y, 0) for x in range(16) for y in range(16)]
  assert chips.ring_bandwidth(v5e, (16, 16), row) == 100e9
  assert chips.ring_bandwidth(v5e, (16, 16), square) == 200e9
  assert chips.ring_bandwidth(v5e, (8, 8), row[:8]) == 50e9  # a line: no way around
  v5p = chips.CHIPS["v5p"]
  cube = [(x, y, z) for x in range(4) for y in range(4) for z in range(4)]
  assert chips.ring_bandwidth(v5p, (4, 4, 4), cube) == 600e9


@pytest.mark.parametrize("remat", ["none", "dots", "full"])
def test_flops_are_those_that_xla_counts(remat):
  config = lm_base.get_config()
  config.encoder_length, config.decoder_length = 48, 32
  sizes = {"emb_dim": 64, "num_heads": 4, "head_dim": 16, "mlp_dim": 160}
  layers = {"num_encoder_layers": 2, "num_decoder_layers": 3}
  config.model.update(sizes | layers | {"remat": remat, "fused_attention": False})
  # Separate layers: XLA counts a loop's body once.
  model = T5(vocab_size=256, **sizes, **layers, remat=remat)
  shape = lambda length: jax.ShapeDtypeStruct((2, length), jnp.int32)
  inputs = (shape(48), shape(32), shape(48), shape(32))
  variables = nn.meta.unbox(jax.eval_shape(model.init, jax.random.key(0), *inputs))

  def loss(variables, *inputs):
    return model.apply(variables, *inputs).sum()

  lowered = jax.jit(jax.grad(loss)).lower(variables, *inputs)
  counted = lowered.cost_analysis()["flops"]
  work = counts.train_work(config, 256)
  expected = work.model_flops if remat == "none" else work.computed_flops
  # The rest is elementwise.
  assert 1.0 <= counted / (2 * expected) < 1.12
  model_flops = counts.train_work(config, 256).model_flops
  assert (work.computed_flops > model_flops) == (remat != "none")


@pytest.mark.parametrize("remat", ["none", "dots", "full"])
def test_fused_attention_moves_no_scores_and_computes_them_again(remat):
  config = lm_base.get_config()
  config.model.remat = remat
  plain = config.copy_and_resolve_references()
  plain.model.fused_attention = False
  fused, written = counts.train_work(config, 256), counts.train_work(plain, 256)
  assert fused.model_flops == written.model_flops
  # 12 + 12 + 12 layers of 12 heads of 512 x 512, once or (all but mix) twice.
  scores = 2 * 36 * 12 * 512 * 512 * 64
  extra = {"none": scores, "dots": -scores, "full": scores}[remat]
  assert fused.computed_flops - written.computed_flops == extra
  # Query, key, value, result: 11 arrays [512, 768] of bfloat16, or 15.
  arrays = 15 if remat == "full" else 11
  assert fused.attention_bytes == 36 * arrays * 512 * 768 * 2
  assert fused.attention_bytes < written.attention_bytes / 9


PUBLISHED = {  # google/t5-v1_1-*, with its vocabulary of 32,128
  "lm_small": 76_961_152,
  "lm_base": 247_577_856,
  "lm_large": 783_150_080,
  "lm_xl": 2_849_757_184,
  "lm_xxl": 11_135_332_352,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_sizes_are_those_of_t5_1_1(name):
  config = importlib.import_module(f"configs.{name}").get_config()
  sizes = config.model.to_dict() | {"dtype": jnp.bfloat16}
  ones = jnp.ones((1, 4), jnp.int32)
  init = lambda: T5(vocab_size=32_128, **sizes).init(jax.random.key(0), *[ones] * 4)
  params = nn.meta.unbox(jax.eval_shape(init))["params"]
  assert sum(x.size for x in jax.tree.leaves(params)) == PUBLISHED[name]
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(params))
  assert (config.encoder_length, config.decoder_length) == (512, 512)
  assert config.batch_per_chip > 0


COMPILER = pathlib.Path(tiny.REPO) / ".libtpu" / "libtpu" / "libtpu.so"
CHECK = """
import json
from launch import compile_check
from configs import lm_small
config = lm_small.get_config()
config.update({"encoder_length": 128, "decoder_length": 128, "batch_per_chip": 2,
               "history_dropout": 0.0})
config.model.update({"num_encoder_layers": 3, "num_decoder_layers": 3, "emb_dim": 128,
                     "num_heads": 2, "mlp_dim": 256})
print(json.dumps(compile_check.check(config, "v5e:2x2")))
"""


@pytest.mark.slow
@pytest.mark.skipif(
  not COMPILER.exists(), reason="no TPU compiler; run `make compiler`"
)
def test_a_small_step_compiles_for_a_tpu():
  report = json.loads(tiny.run_python(CHECK, timeout=500).splitlines()[-1])
  assert report["fits"] and 0 < report["hbm_gib"] < report["hbm_limit_gib"] == 15.75
  assert report["chips"] == 4 and report["mesh"] == {"data": 1, "fsdp": 4, "tensor": 1}
  assert report["involuntary_rematerializations"] == 0
  assert 0 < report["mfu_bound"] < 1
  gathers = report["collectives"]["all-gather"]
  # Each of six layers gathers its kernels at least once in each direction.
  assert gathers["count"] >= 12 and gathers["bytes"] > 0
  parts = [report[f"{kind}_seconds"] for kind in ("compute", "hbm", "ici")]
  assert report["step_seconds_bound"] == max(parts)
  np.testing.assert_allclose(report["step_seconds_no_overlap"], sum(parts))


def test_groups_named_by_axes_of_a_mesh_in_another_order():
  """Ids 0 .. 7 as [4, 2], transposed: axis_0 is the one of neighbours."""
  program = PROGRAM.replace(
    "mesh['x'=2,'y'=4] {'y'}",
    "mesh['axis_0'=2,'axis_1'=4], device_ids=([4,2]T(1,0)) {'axis_0'}",
  )
  groups = {c.kind: c.group for c in hlo.collectives(program)}
  assert groups["all-gather"] == (0, 1)
  with pytest.raises(ValueError, match="which devices take part"):
    hlo.collectives(PROGRAM.replace("mesh['x'=2,'y'=4] {'y'}", "all"))
