"""T5.1.1 encoder-decoder over one vocabulary of text pieces and motion tokens.

Shape letters: B batch, L decoder tokens, M encoder tokens, D embedding, H heads,
K head width, V vocabulary. Segment ids mark packed examples; 0 is padding.

Source: Raffel et al. 2020, arXiv:1910.10683; T5.1.1 differences: gated GELU, untied
logits, no dropout in pre-training.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from tdmm_jax import sharding
from tdmm_jax.errors import UserError
from tdmm_jax.language import cues
from tdmm_jax.models import (
  attention_biases,
  bert,
  cue_embedding,
  layer_stacks,
  layers,
  lora,
  t5_stacks,
  t5gemma,
)

TEXT_ENCODER = "text_encoder"  # its parameters' name, or their collection's
# What of `config.model` a T5Gemma has, too.
_OF_T5GEMMA = (
  *("dropout_rate", "logits_via_embedding", "dtype", "scan_layers", "remat"),
  "pooled_token",
)
MLP_ACTIVATIONS = ("gated-gelu", "relu")  # of T5.1.1, of T5.0


class T5(nn.Module):
  """T5.1.1; with `logits_via_embedding` and `mlp_activation` "relu", T5.0."""

  vocab_size: int
  emb_dim: int
  num_heads: int
  head_dim: int
  mlp_dim: int
  num_encoder_layers: int
  num_decoder_layers: int
  dropout_rate: float = 0.0
  logits_via_embedding: bool = False
  embedding_stddev: float = 1.0  # T5's; smaller lets the attention be heard sooner
  dtype: Any = jnp.float32
  scan_layers: bool = False  # one compiled layer; parameters gain a leading axis
  remat: str = "none"  # see layer_stacks.REMAT_POLICIES
  fused_attention: bool = False  # scores are never written out; see fused_attention.py
  mlp_activation: str = "gated-gelu"  # or T5.0's: see MLP_ACTIVATIONS
  pooled_token: int = -1  # what has this token is heard as one vector; -1: nothing
  # Radius of layers.TokenContext, in tokens; 0: T5 as it is. The encoder's for text ...
  text_context: int = 0
  motion_context: int = 0  # ... and for motion; ...
  motion_history: int = 0  # ... the decoder's, which looks back only
  motion_reading: bool = False  # motion's are given one: see motion_reading.py ...
  motion_places: bool = False  # ... and where in its motion a token is
  motion_cues: int = 0  # the most of a row that its decoder is told; see cues.py
  act_reading: bool = False  # whether the encoder is asked which acts a motion has
  motion_offset: int = 0  # the first motion token, where there is one of these
  text_sizes: bert.Sizes | None = None  # of the text encoder, if there is one, ...
  word_offset: int = 0  # ... the first id that it reads ...
  most_words: int | None = None  # ... and the most of a row, where that is known

  @property
  def logits_scale(self) -> float:
    """What a tied table is multiplied by to make logits."""
    return self.emb_dim**-0.5

  def setup(self):
    if self.mlp_activation not in MLP_ACTIVATIONS:
      raise ValueError(
        f"mlp_activation {self.mlp_activation!r}; choose one of {MLP_ACTIVATIONS}"
      )
    layer = {
      "num_heads": self.num_heads,
      "head_dim": self.head_dim,
      "emb_dim": self.emb_dim,
      "mlp_dim": self.mlp_dim,
      "dropout_rate": self.dropout_rate,
      "dtype": self.dtype,
      "gated_mlp": self.mlp_activation == "gated-gelu",
    }
    self.token_embedder = nn.Embed(
      self.vocab_size,
      self.emb_dim,
      dtype=self.dtype,
      embedding_init=sharding.partitioned(
        nn.initializers.normal(self.embedding_stddev), "vocab", "embed"
      ),
    )
    stack = (layer, self.scan_layers, self.remat, self.fused_attention)
    num_codes = self.vocab_size - self.motion_offset if self.motion_reading else 0
    context = functools.partial(
      layers.TokenContext, mlp_dim=self.mlp_dim, dtype=self.dtype
    )
    motion = {"num_codes": num_codes, "places": self.motion_places}
    if self.text_context:
      self.words_context = context(self.text_context)
    if self.motion_context:
      self.encoder_context = context(self.motion_context, **motion)
    if self.motion_history:
      self.decoder_context = context(self.motion_history, **motion, causal=True)
    if self.motion_cues:
      self.cues = cue_embedding.CueEmbedding(self.emb_dim, self.dtype)
    if self.text_sizes is not None:
      self.text_encoder = bert.Bert(self.text_sizes, self.dtype)
      self.text_norm = layers.RMSNorm(self.dtype)
      self.text_projection = layers.dense(
        self.emb_dim, None, "features", "embed", dtype=self.dtype
      )
    if self.motion_cues and self.act_reading:
      self.acts = cue_embedding.ActReading()
    self.encoder = t5_stacks.Encoder(self.num_encoder_layers, *stack)
    self.decoder = t5_stacks.Decoder(self.num_decoder_layers, *stack)
    if not self.logits_via_embedding:
      self.logits_dense = layers.dense(
        self.vocab_size, None, "embed", "vocab", dtype=jnp.float32
      )

  def _embed(self, tokens_BL):
    # The whole table on each device: looked up in shards, the result would be laid out
    # like the table, and moved to the batch's layout at the price of a full copy.
    table_VD = sharding.constrain(self.token_embedder.embedding, None, None)
    # Cast after the lookup, so that the table's gradient is summed in float32. bfloat16
    # loses it where thousands of tokens are the same, and a GPU adds bfloat16 by
    # compare-and-swap: both sums together were 107 of an update's 123 ms on an H200.
    x_BLD = jnp.take(table_VD, tokens_BL, axis=0).astype(self.dtype)
    return sharding.constrain(x_BLD, "act_batch", "act_length", "act_embed")

  def _embed_inputs(self, tokens_BM):
    """(vectors float[B, M, D] of the encoder's tokens, motion codes int32[B, M]).

    Below 0 is no motion code. A WordPiece's vector is what the text encoder makes of
    it, brought to the spread of the others.
    """
    codes_BM = tokens_BM - self.motion_offset
    if self.text_sizes is None:
      return self._embed(tokens_BM), codes_BM
    is_word_BM = tokens_BM >= self.word_offset
    words_BM = jnp.where(is_word_BM, tokens_BM - self.word_offset, -1)
    if self.is_initializing():
      vectors_BMT = self.text_encoder(tokens_BM, tokens_BM, tokens_BM)
    else:
      params = self.text_encoder.variables["params"]
      given = (self.text_sizes, params, words_BM, self.dtype, self.most_words)
      vectors_BMT = bert.word_vectors(*given)
    vectors_BMD = self.text_projection(self.text_norm(vectors_BMT))
    vectors_BMD = sharding.constrain(
      vectors_BMD * self.embedding_stddev, "act_batch", "act_length", "act_embed"
    )
    x_BMD = self._embed(jnp.where(is_word_BM, 0, tokens_BM))
    x_BMD = jnp.where(is_word_BM[..., None], vectors_BMD, x_BMD)
    return x_BMD, jnp.where(is_word_BM, -1, codes_BM)

  def _logits(self, x_BLD):
    # float32 logits: bfloat16 has too few bits for a softmax over the vocabulary.
    x_BLD = x_BLD.astype(jnp.float32)
    if self.logits_via_embedding:
      table_VD = self.token_embedder.embedding.astype(jnp.float32)
      logits_BLV = (x_BLD * self.logits_scale) @ table_VD.T
    else:
      logits_BLV = self.logits_dense(x_BLD)
    return sharding.constrain(logits_BLV, "act_batch", "act_length", "act_vocab")

  def __call__(
    self,
    encoder_input_tokens_BM,
    decoder_input_tokens_BL,
    encoder_segment_ids_BM,
    decoder_segment_ids_BL,
    deterministic: bool = True,
    decoder_cues_BNF=None,
    with_acts: bool = False,
  ):
    """Teacher-forced float32 logits [B, L, V].

    Args:
      decoder_cues_BNF: float32[B, N, CUE_FIELDS], see language/cues.py.
      with_acts: whether the encoder's reading of acts comes with them: (logits,
        float32[B, M, READINGS] of `cue_embedding.ActReading`, None without).
    """
    encoded_BMD = self.encode(
      encoder_input_tokens_BM, encoder_segment_ids_BM, deterministic
    )
    x_BLD = self._embed(decoder_input_tokens_BL)
    if self.motion_history:
      codes_BL = decoder_input_tokens_BL - self.motion_offset
      x_BLD = self.decoder_context(x_BLD, codes_BL, decoder_segment_ids_BL)
    if self.motion_cues:
      if decoder_cues_BNF is None:
        decoder_cues_BNF = jnp.zeros((len(x_BLD), 1, cues.CUE_FIELDS))
      x_BLD += self.cues(decoder_cues_BNF, jnp.arange(x_BLD.shape[1]))
    x_BLD = self.decoder(
      x_BLD,
      decoder_segment_ids_BL,
      encoded_BMD,
      encoder_segment_ids_BM,
      deterministic,
    )
    logits_BLV = self._logits(x_BLD)
    acts_BMC = None
    if self.motion_cues and self.act_reading:
      acts_BMC = self.acts(encoded_BMD)
    return (logits_BLV, acts_BMC) if with_acts else logits_BLV

  def encode(self, tokens_BM, segment_ids_BM, deterministic: bool = True):
    """One vector per input token, float[B, M, D]: the word-level conditioning.

    But of segments with `pooled_token`, which have one vector in all.
    """
    x_BMD, codes_BM = self._embed_inputs(tokens_BM)
    if self.motion_context:
      x_BMD = self.encoder_context(x_BMD, codes_BM, segment_ids_BM)
    if self.text_context:
      is_text_BM = codes_BM < 0
      text_BM = jnp.where(is_text_BM, 0, -1)
      x_BMD = self.words_context(x_BMD, text_BM, segment_ids_BM)
    x_BMD = self.encoder(x_BMD, segment_ids_BM, deterministic)
    if self.pooled_token < 0:
      return x_BMD
    return layers.pool_segments(x_BMD, tokens_BM, segment_ids_BM, self.pooled_token)

  def read_acts(self, encoded_BMD):
    """Logits float32[B, M, READINGS] of `cue_embedding.ActReading`."""
    return self.acts(encoded_BMD)

  def init_cache(self, encoded_BMD, max_decode_length: int, cues_BNF=None):
    """An empty cache for so many tokens; cues as in `__call__`."""
    cache = self.decoder.init_cache(encoded_BMD, max_decode_length)
    if self.motion_history:
      history_BRN = self.decoder_context.init_history(encoded_BMD.shape[0])
      cache["cached_history"] = history_BRN[:, None]  # an axis for heads, as the others
    if self.motion_cues and cues_BNF is not None:
      cache["cues"] = self.cues(cues_BNF, jnp.arange(max_decode_length))
    return cache

  def decode_step(self, tokens_B, cache, encoder_segment_ids_BM):
    """Logits float32[B, V] of the next token and the cache moved on by one."""
    ones_B1 = jnp.ones_like(tokens_B)[:, None]
    cross_bias = attention_biases.segment_bias(
      ones_B1, (encoder_segment_ids_BM > 0).astype(jnp.int32)
    )
    x_B1D = self._embed(tokens_B[:, None])
    kept = {}  # what the decoder's layers do not know of
    if self.motion_history:
      codes_B1 = tokens_B[:, None] - self.motion_offset
      x_B1D, history_BRN = self.decoder_context(
        x_B1D, codes_B1, ones_B1, cache["cached_history"][:, 0], cache["cache_index"]
      )
      kept = {"cached_history": history_BRN[:, None]}
    if "cues" in cache:
      index = cache["cache_index"]
      x_B1D += jax.lax.dynamic_slice_in_dim(cache["cues"], index, 1, axis=1)
      kept["cues"] = cache["cues"]
    x_B1D, cache = self.decoder.step(x_B1D, cache, cross_bias)
    return self._logits(x_B1D)[:, 0], cache | kept


def check_config(config) -> None:
  """What can be said of a language model's config before there is a vocabulary.

  Raises:
    UserError: `config.conditioning` or `config.model.remat` is unknown.
  """
  for key, value, known in (
    ("conditioning", config.conditioning, ("words", "pooled")),
    ("model.remat", config.model.remat, sorted(layer_stacks.REMAT_POLICIES)),
  ):
    if value not in known:
      raise UserError(
        f"config.{key}: {value!r}; choose " + " or ".join(map(repr, known))
      )


def build_t5(config, vocab) -> T5 | t5gemma.T5Gemma:
  """The T5 of a language model's config (configs/lm_demo.py) and Vocab.

  It is a T5Gemma where `config.t5gemma_sizes` are those of one that it started from.

  Raises:
    UserError: see `check_config`.
  """
  check_config(config)
  model = config.model.to_dict()
  model["dtype"] = jnp.dtype(model["dtype"])
  if config.conditioning == "pooled":
    model["pooled_token"] = vocab.task_id("l2m")
  if config.t5gemma_sizes:
    sizes = t5gemma.Sizes.from_dict(config.t5gemma_sizes.to_dict())
    kept = {name: model[name] for name in _OF_T5GEMMA if name in model}
    return t5gemma.T5Gemma(vocab.table_size, sizes, **kept)
  if vocab.word_offset:
    model["text_sizes"] = bert.Sizes(**config.text_encoder_sizes.to_dict())
    model["word_offset"] = vocab.word_offset
  return T5(vocab_size=vocab.table_size, motion_offset=vocab.motion_offset, **model)


def set_apart(variables: dict) -> dict:
  """Variables whose text encoder is a collection: nothing there is trained."""
  params = dict(variables["params"])
  return {**variables, TEXT_ENCODER: params.pop(TEXT_ENCODER), "params": params}


def whole(params: dict, collections: dict) -> dict:
  """The model's parameters, of those that are trained and what is kept apart."""
  params = lora.merged(params, collections)
  if TEXT_ENCODER not in collections:
    return params
  return {**params, TEXT_ENCODER: collections[TEXT_ENCODER]}
