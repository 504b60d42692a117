"""How fast training is, and how much of the hardware that uses.

Model FLOPs utilisation: model FLOPs a second over the peak of all devices. Model FLOPs
of one example = 6 · parameters · tokens + attention; recomputation does not count.
Source: Chowdhery et al. 2022, "PaLM", appendix B.
"""

import contextlib
import resource
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

# Published bfloat16 peaks, FLOP/s a device, by the start of jax's device_kind; the
# first that fits. Sources: cloud.google.com/tpu/docs/v4 (v5e, v5p, v6e); tpu7x: jax
# 0.10.2, jax/_src/pallas/mosaic/tpu_info.py; NVIDIA's data sheets of A100, H100 SXM and
# H200 SXM, without sparsity.
_PEAKS = (
  ("TPU7x", 2_310e12 / 2),  # JAX shows each of a chip's two cores as a device
  ("TPU v6", 918e12),
  ("TPU v5 lite", 197e12),
  ("TPU v5e", 197e12),
  ("TPU v5", 459e12),
  ("TPU v4", 275e12),
  ("NVIDIA H200", 989e12),
  ("NVIDIA H100", 989e12),
  ("NVIDIA A100", 312e12),
)
_PRODUCT = 1_024  # side of the matrices with which other devices are measured


class Product(NamedTuple):
  """[m, k] by [k, n], `count` times for each example, in the forward pass."""

  m: int
  k: int
  n: int
  count: int
  # "weight", "scores" (query · key), "mix" (weights · value), "logits"; "last": nothing
  # needs it a second time.
  kind: str

  @property
  def flops(self) -> float:
    return 2.0 * self.m * self.k * self.n * self.count


def _attention(model, queries: int, keys: int, layers: int) -> list[Product]:
  width, heads = model.num_heads * model.head_dim, model.num_heads * layers
  return [
    Product(queries, model.emb_dim, width, layers, "weight"),  # query
    Product(keys, model.emb_dim, width, 2 * layers, "weight"),  # key, value
    Product(queries, model.head_dim, keys, heads, "scores"),
    Product(queries, keys, model.head_dim, heads, "mix"),
    Product(queries, width, model.emb_dim, layers, "weight"),  # out
  ]


def t5_products(
  model, table_size: int, encoder_length: int, decoder_length: int
) -> list[Product]:
  """The matrix products of one example's forward pass; arguments as `t5_flops`."""
  found = []
  inputs = 2 if model.mlp_activation == "gated-gelu" else 1
  for length, layers in (
    (encoder_length, model.num_encoder_layers),
    (decoder_length, model.num_decoder_layers),
  ):
    found += _attention(model, length, length, layers)
    found += [
      Product(length, model.emb_dim, model.mlp_dim, inputs * layers, "weight"),
      Product(length, model.mlp_dim, model.emb_dim, layers, "last"),
    ]
  found += _attention(model, decoder_length, encoder_length, model.num_decoder_layers)
  return [*found, Product(decoder_length, model.emb_dim, table_size, 1, "logits")]


def t5_flops(model, table_size: int, encoder_length: int, decoder_length: int) -> float:
  """Model FLOPs of one training example of an encoder-decoder.

  Args:
    model: the config of models.t5.T5.
    table_size: rows of the output table.
    encoder_length, decoder_length: tokens, padding included.
  """
  sizes = (table_size, encoder_length, decoder_length)
  return sum(3 * product.flops for product in t5_products(model, *sizes))


def t5gemma_flops(sizes, table_size: int, encoder_length: int, decoder_length: int):
  """`t5_flops` of a T5Gemma; what a sliding layer masks is computed, and counts.

  Args:
    sizes: its models.t5gemma.Sizes.
  """
  encoder, decoder = sizes.encoder, sizes.decoder
  memory = (encoder_length, encoder.emb_dim)
  stacks = (
    (encoder, encoder_length, [memory]),
    (decoder, decoder_length, [(decoder_length, decoder.emb_dim), memory]),
  )
  found = [Product(decoder_length, decoder.emb_dim, table_size, 1, "logits")]
  for stack, length, attended in stacks:
    layers, width = len(stack.sliding), stack.num_heads * stack.head_dim
    kv_width = stack.num_kv_heads * stack.head_dim
    found.append(Product(length, stack.emb_dim, stack.mlp_dim, 3 * layers, "weight"))
    for keys, keys_dim in attended:
      heads = stack.num_heads * layers
      found += [
        Product(length, stack.emb_dim, width, 2 * layers, "weight"),  # query, out
        Product(keys, keys_dim, kv_width, 2 * layers, "weight"),  # key, value
        Product(length, stack.head_dim, keys, heads, "scores"),
        Product(length, keys, stack.head_dim, heads, "mix"),
      ]
  return sum(3 * product.flops for product in found)


def peak_flops() -> tuple[float, str]:
  """Peak FLOP/s of all devices together, and whether "published" or "measured".

  Where no figure is published (CPU), a matrix product is timed; the devices of one
  process then share that.
  """
  kind = jax.devices()[0].device_kind
  for name, peak in _PEAKS:
    if kind.startswith(name):
      return peak * jax.device_count(), "published"
  with jax.default_device(jax.local_devices()[0]):
    square = jnp.ones((_PRODUCT, _PRODUCT))
    product = jax.jit(jnp.matmul)
    product(square, square).block_until_ready()
    seconds = []
    for _ in range(3):
      start = time.perf_counter()
      product(square, square).block_until_ready()
      seconds.append(time.perf_counter() - start)
  return 2.0 * _PRODUCT**3 / min(seconds) * jax.process_count(), "measured"


class Speedometer:
  """Rates between two looks; evaluation and saving do not count as training."""

  def __init__(self, batch_size: int, tokens: int, flops: float):
    """`tokens` and `flops` are those of one example."""
    self._batch_size, self._tokens, self._flops = batch_size, tokens, flops
    self.peak, self.peak_source = peak_flops() if flops else (0.0, "")
    self._start, self._step, self._excluded = None, 0, 0.0

  @contextlib.contextmanager
  def excluded(self) -> Iterator[None]:
    start = time.monotonic()
    yield
    self._excluded += time.monotonic() - start

  def look(self, step: int) -> dict[str, float]:
    """Scalars since the last look, which must follow a wait for the step's result.

    Of the first look, which follows compilation, memory alone.
    """
    now, scalars = time.monotonic(), memory()
    if self._start is not None and step > self._step:
      seconds = max(now - self._start - self._excluded, 1e-9)
      steps_per_s = (step - self._step) / seconds
      scalars["steps_per_s"] = steps_per_s
      scalars["examples_per_s"] = steps_per_s * self._batch_size
      scalars["tokens_per_s"] = steps_per_s * self._batch_size * self._tokens
      if self.peak:
        flops = steps_per_s * self._batch_size * self._flops
        scalars["mfu"] = flops / self.peak
    self._start, self._step, self._excluded = now, step, 0.0
    return scalars


def memory() -> dict[str, float]:
  """GiB in use on the first device (where it says) and at most in this process."""
  stats = jax.local_devices()[0].memory_stats() or {}
  scalars = {
    f"device_{key}_gib": stats[name] / 2**30
    for key, name in (("memory", "bytes_in_use"), ("peak", "peak_bytes_in_use"))
    if name in stats
  }
  peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return scalars | {"host_peak_gib": peak_kib / 2**20}
