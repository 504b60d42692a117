"""Small random T5s in Hugging Face's format, with a SentencePiece model each."""

import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
import sentencepiece
from flax import linen as nn

from tdmm_jax.models import pretrained, t5

# kind -> (activation, tied tables)
KINDS = {"t5_0": ("relu", True), "t5_1_1": ("gated-gelu", False)}
PIECES, EXTRA_IDS = 56, 34
ROWS = 96  # six rows are padding
SIZES = {
  "emb_dim": 24,
  "num_heads": 3,
  "head_dim": 8,
  "mlp_dim": 40,
  "num_encoder_layers": 2,
  "num_decoder_layers": 2,
}
TEXTS = (
  "A woman smiles broadly, then nods twice.",
  "He frowns and looks away. Generate a face motion of 0.1 seconds.",
  "Describe the face: what is it doing? 23456789",
)


@functools.cache
def pieces(count: int = PIECES) -> bytes:
  """A SentencePiece model as T5's: no byte pieces, so some text is unknown."""
  model = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(TEXTS * 4),
    model_writer=model,
    vocab_size=count,
    model_type="unigram",
    pad_id=0,
    eos_id=1,
    unk_id=2,
    bos_id=-1,
    character_coverage=1.0,
    num_threads=1,
    minloglevel=2,
  )
  return model.getvalue()


def write(folder, kind: str, seed: int = 0, **sizes) -> dict:
  """Writes a random model; its parameters."""
  activation, tied = KINDS[kind]
  fields = SIZES | sizes
  model = t5.T5(ROWS, **fields, mlp_activation=activation, logits_via_embedding=tied)
  ones = jnp.ones((1, 4), jnp.int32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), *[ones] * 4)
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    """Initial values are no test: norms would be 1, and layers too faint for tied
    tables to be heard."""
    *_, module, name = (key.key for key in path)
    values = rng.normal(size=leaf.shape)
    if name == "scale":
      values = 1 + 0.3 * values
    if name == "kernel":
      values *= leaf.shape[0] ** -0.5
    return np.float32(4 * values if module in ("out", "wo") else values)

  params = jax.tree_util.tree_map_with_path(draw, nn.meta.unbox(shapes)["params"])
  pretrained.write(folder, model, params, pieces(), EXTRA_IDS)
  return params


def change_tensors(folder, changes: dict) -> None:
  """Puts tensors in the place of others; None takes one away."""
  path = folder / "model.safetensors"
  tensors = safetensors.numpy.load_file(path) | changes
  kept = {name: value for name, value in tensors.items() if value is not None}
  safetensors.numpy.save_file(kept, path)
