"""FLOPs and memory traffic of one training example, counted by hand.

A compiled program's own count takes a scanned layer once, so it is counted here, from
a list of the T5's matrix products. Definitions:

- model FLOPs: forward and backward, twice the forward in the backward pass; nothing
  that is computed a second time. For a T5 this is 6 FLOPs for each parameter and token
  that meet, and the attention products (causal masks save nothing).
- computed FLOPs: with what the remat policy computes again.
- HBM bytes: each product reads its operands and writes its result once, whatever is
  elementwise is fused into its neighbours; attention scores are written in float32,
  read by the softmax, and its weights written and read in the layers' dtype, unless
  attention is fused, which reads and writes queries, keys, values and their gradients
  alone; the optimiser reads and writes its float32 state.

Letters: L query tokens, M key tokens, D embedding, W heads times head width, F mlp,
V vocabulary, H heads.
"""

import dataclasses

import ml_collections

from tdmm_jax.train import speed

_LAYER_BYTES = 2  # bfloat16
_STATE_BYTES = 4  # float32


@dataclasses.dataclass(frozen=True)
class Work:
  """Of one example, but for the weights' bytes, which are of one pass over a batch."""

  model_flops: float
  computed_flops: float
  activation_bytes: float
  weight_bytes: float
  attention_bytes: float  # part of activation_bytes


def again(product: speed.Product, model: ml_collections.ConfigDict) -> int:
  """How often the backward pass computes this product again."""
  kinds = {"none": (), "dots": ("scores", "mix"), "full": ("scores", "mix", "weight")}
  if not model.fused_attention:
    return int(product.kind in kinds[model.remat])
  # The backward kernel computes the scores again; the result is kept, but by "full".
  again = int(product.kind == "scores")
  return again + int(model.remat == "full" and product.kind in kinds["full"])


def train_work(config: ml_collections.ConfigDict, table_size: int) -> Work:
  """What one example costs in a train step."""
  model_flops = computed = activations = weights = 0.0
  lengths = (config.encoder_length, config.decoder_length)
  for p in speed.t5_products(config.model, table_size, *lengths):
    passes = 3 + again(p, config.model)
    model_flops += 3 * p.flops
    computed += passes * p.flops
    if p.kind in ("scores", "mix"):
      continue
    result_bytes = _STATE_BYTES if p.kind == "logits" else _LAYER_BYTES
    moved = p.count * p.m * (p.k * _LAYER_BYTES + p.n * result_bytes)
    activations += moved * passes
    weights += p.count * p.k * p.n * _LAYER_BYTES * passes
  count = _fused_bytes if config.model.fused_attention else _scores_bytes
  attention = sum(count(config.model, *sizes) for sizes in _attentions(config))
  if config.model.fused_attention:
    weights += _position_bytes(config)
  return Work(model_flops, computed, activations + attention, weights, attention)


def _scores_bytes(model, queries: int, keys: int, layers: int) -> float:
  """What attention moves where scores are written out."""
  # Forward: scores written and read (4 + 4), weights written and read (2 + 2).
  # Backward: the weights' gradient (2), both read and the scores' written (6), three
  # reads by the products (6).
  forward = 12 * (1 + (model.remat != "none"))
  return model.num_heads * queries * keys * layers * (forward + 14)


def _fused_bytes(model, queries: int, keys: int, layers: int) -> float:
  """What fused attention moves for one example, besides the position bias."""
  width = model.num_heads * model.head_dim * _LAYER_BYTES
  # Forward: query, key and value are read, the result written. Backward: these and
  # the result's gradient are read, and three gradients written.
  forward = 2 * queries + 2 * keys
  backward = 3 * queries + 4 * keys
  return layers * width * (forward * (1 + (model.remat == "full")) + backward)


def _position_bytes(config) -> float:
  """What fused attention moves of the position bias, once for a whole batch."""
  # Read in each pass, its gradient written, and added up over the layers (3).
  times = 6 + (config.model.remat == "full")
  scores = sum(
    layers * queries * keys for queries, keys, layers in _attentions(config)[:2]
  )
  return float(config.model.num_heads * scores * times * _STATE_BYTES)


def _attentions(config) -> list[tuple[int, int, int]]:
  """(queries, keys, layers) of encoder, decoder and cross-attention."""
  encoder, decoder = config.encoder_length, config.decoder_length
  layers = config.model.num_encoder_layers, config.model.num_decoder_layers
  return [
    (encoder, encoder, layers[0]),
    (decoder, decoder, layers[1]),
    (decoder, encoder, layers[1]),
  ]


def update_bytes(config: ml_collections.ConfigDict, num_params: float) -> float:
  """What the optimiser reads and writes for so many parameters."""
  # Gradient, state, parameter.
  numbers = {"adamw": 8, "adafactor": 5, "muon": 6}[config.optimizer]
  numbers += 2 * (config.ema_decay > 0)
  return num_params * numbers * _STATE_BYTES


def decode_work(config: ml_collections.ConfigDict, table_size: int):
  """(FLOPs of one token, bytes of one sequence's cache, bytes of the weights)."""
  model = config.model
  width = model.num_heads * model.head_dim
  layers = model.num_decoder_layers
  # Self-attention has four products with weights, cross-attention two: its keys and
  # values are in the cache.
  weights = layers * (6 * model.emb_dim * width + 3 * model.emb_dim * model.mlp_dim)
  weights += model.emb_dim * table_size
  keys = config.decoder_length + config.encoder_length
  flops = 2 * weights + 4 * layers * width * keys
  cache = 2 * layers * width * keys * _LAYER_BYTES
  return float(flops), float(cache), float(weights * _LAYER_BYTES)
