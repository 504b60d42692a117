"""Small random T5Gemmas in Hugging Face's format, each with a tokenizer."""

import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
import sentencepiece
import t5_folders
import tokenizers
from flax import linen as nn
from tokenizers import decoders, normalizers, pre_tokenizers, trainers

from tdmm_jax.models import pretrained_t5gemma
from tdmm_jax.models.t5gemma import Sizes, StackSizes, T5Gemma

ROWS = 64
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>")
# Windows, caps and the queries' scalar are small enough to be felt.
_SMALL = StackSizes(24, 4, 2, 8, 40, (True, False), 5, 11, 3.0, 10_000.0, 1e-6)
_LARGE = StackSizes(
  32, 4, 1, 12, 48, (False, True, True), 9, 7, 2.0, 500_000.0, 1e-5
)  # one head of keys for all, layers of another order
# kind -> (sizes, tied, tokenizer's file)
KINDS = {
  "balanced": (Sizes(_SMALL, _SMALL, 4.0, 2), True, "tokenizer.model"),
  "unbalanced": (Sizes(_LARGE, _SMALL, 0.0, 2), False, "tokenizer.json"),
}


@functools.cache
def sentence_pieces() -> bytes:
  """A SentencePiece model with Gemma's special ids and without a leading space."""
  model = io.BytesIO()
  pad, eos, bos, unk = range(4)
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(t5_folders.TEXTS * 4),
    model_writer=model,
    vocab_size=ROWS,
    model_type="bpe",
    pad_id=pad,
    eos_id=eos,
    bos_id=bos,
    unk_id=unk,
    add_dummy_prefix=False,
    remove_extra_whitespaces=False,
    normalization_rule_name="identity",
    character_coverage=1.0,
    num_threads=1,
    minloglevel=2,
  )
  return model.getvalue()


@functools.cache
def json_pieces() -> bytes:
  """The same as transformers' GemmaTokenizer writes it."""
  model = tokenizers.models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
  tokenizer = tokenizers.Tokenizer(model)
  tokenizer.normalizer = normalizers.Replace(" ", "▁")
  tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
  tokenizer.decoder = decoders.Sequence(
    [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
  )
  trainer = trainers.BpeTrainer(
    vocab_size=ROWS, special_tokens=list(SPECIAL), show_progress=False
  )
  tokenizer.train_from_iterator(t5_folders.TEXTS * 4, trainer)
  tokenizer.add_tokens([])
  return tokenizer.to_str().encode()


def write(folder, kind: str, seed: int = 0) -> dict:
  """Writes a random model; its parameters."""
  sizes, tied, tokenizer = KINDS[kind]
  model = T5Gemma(ROWS, sizes, logits_via_embedding=tied)
  ones = jnp.ones((1, 4), jnp.int32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), *[ones] * 4)
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    """Initial values are no test: norms would be the same, and layers faint."""
    values = rng.normal(size=leaf.shape)
    if path[-1].key == "kernel":
      values *= 2 * leaf.shape[0] ** -0.5
    return np.float32(values if path[-1].key == "kernel" else 0.3 * values)

  params = jax.tree_util.tree_map_with_path(draw, nn.meta.unbox(shapes)["params"])
  pieces = sentence_pieces() if tokenizer == "tokenizer.model" else json_pieces()
  pretrained_t5gemma.write(folder, model, params, tokenizer, pieces)
  return params
