"""Ways around XLA's CPU backend, which programs for a TPU do not take.

The programs are lowered for TPUs in a process that has CPUs alone, as
launch.compile_check does; no compiler of TPUs is needed for that.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tdmm_jax import sharding
from tdmm_jax.decoding import sample
from tdmm_jax.models import attention_biases, layers, t5, t5_layouts

MODEL = t5.T5(
  *(64, 16, 2, 8, 24, 2, 2),
  motion_offset=20,
  motion_context=2,
  motion_history=2,
  text_context=1,
  logits_via_embedding=True,
)
TOKENS = jax.ShapeDtypeStruct((2, 8), jnp.int32)
TPU = jax.sharding.AbstractDevice("TPU v5 lite", num_cores=1, platform="tpu")


@functools.cache
def parameters():
  one = jnp.ones((1, 4), jnp.int32)
  boxed = jax.eval_shape(lambda: MODEL.init(jax.random.key(0), one, one, one, one))
  return nn.meta.unbox(boxed)["params"]


def train():
  """The loss's gradients, traced."""

  def loss(params, *batch):
    return jnp.mean(jax.nn.logsumexp(MODEL.apply({"params": params}, *batch), -1))

  return jax.jit(jax.grad(loss)).trace(parameters(), *[TOKENS] * 4)


def decode():
  """The loop over the positions of two motions, traced."""
  sampling = sample.Sampling()

  def tokens(params, prompts_BM, low_BL, high_BL):
    encoded_BMD = sample.encode(MODEL, params, np.ones((2, 8), np.int32))
    state = sample.start(MODEL, params, encoded_BMD, length=8, sampling=sampling)
    keys_B = jax.random.split(jax.random.key(0), 2)
    more = (keys_B, state, 8)
    return sample.advance(
      MODEL, params, prompts_BM, low_BL, high_BL, *more, sampling=sampling
    ).tokens_BL

  return jax.jit(tokens).trace(parameters(), *[TOKENS] * 3)


def lowered(program, platform: str) -> str:
  """Its StableHLO, for one device."""
  jax.clear_caches()
  device = TPU if platform == "tpu" else None
  mesh = jax.sharding.AbstractMesh(
    (1, 1, 1),
    sharding.MESH_AXES,
    axis_types=(jax.sharding.AxisType.Auto,) * 3,
    abstract_device=device,
  )
  with jax.sharding.use_abstract_mesh(mesh):
    return program().lower(lowering_platforms=(platform,)).as_text()


def cut(cache: dict, end: int) -> dict:
  each = [
    layer | {name: layer[name][:, :, :end] for name in ("cached_key", "cached_value")}
    for layer in cache["layers"]
  ]
  return cache | {"layers": each}


# What programs are without the detour.
PLAIN = {
  "window": (layers, "_SMALL", 0, train),
  "barrier": (
    layers,
    "_gradient_of_memory",
    lambda query, scores: jnp.einsum("...LK,...LM->...MK", query, scores),
    train,
  ),
  "repeated": (
    attention_biases,
    "repeated",
    lambda position, num: jnp.broadcast_to(position, (num, *position.shape[1:])),
    train,
  ),
  "first_positions": (t5_layouts, "first_positions", cut, decode),
  "untied": (t5_layouts, "untied", lambda model, params: (model, params), decode),
}


@pytest.mark.parametrize("name", PLAIN)
def test_cpus_take_it_and_tpus_do_not(name, monkeypatch):
  owner, attribute, plain, program = PLAIN[name]
  texts = {platform: lowered(program, platform) for platform in ("cpu", "tpu")}
  monkeypatch.setattr(owner, attribute, plain)
  assert lowered(program, "cpu") != texts["cpu"]
  assert lowered(program, "tpu") == texts["tpu"]


def test_without_a_mesh_it_is_the_devices_of_the_process_that_count(monkeypatch):
  assert sharding.for_cpus()
  monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
  assert not sharding.for_cpus()
