"""A BERT in Hugging Face's format, read.

That is a folder of config.json, model.safetensors (or several, and an index) and
tokenizer.json or vocab.txt. A linear layer's weight is [out, in] there, [in, out] here.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from etils import epath

from tdmm_jax.errors import UserError
from tdmm_jax.language import wordpieces
from tdmm_jax.models import bert, pretrained

MINILM = "runs/minilm"  # where `python -m data_prep.text_encoder` puts it
SENTENCEPIECE = "sentencepiece"  # config.text_encoder: there is none
THEIRS = {
  "vocab_size": "vocab_size",
  "emb_dim": "hidden_size",
  "num_heads": "num_attention_heads",
  "mlp_dim": "intermediate_size",
  "num_layers": "num_hidden_layers",
  "max_length": "max_position_embeddings",
}
_FIXED = {"hidden_act": "gelu", "position_embedding_type": "absolute"}
_NEVER_READ = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


class Pretrained(NamedTuple):
  """A BERT that lies in a folder; `params` reads its weights.

  Attributes:
    directory: where it lies; on gs:// or here.
    sizes: what its weights determine.
    words: its tokenizer.
  """

  directory: epath.Path
  sizes: bert.Sizes
  words: wordpieces.WordPieces

  @property
  def version(self) -> str:
    """12 hex characters that change when the weights do."""
    digest = hashlib.sha256()
    for path in pretrained.tensor_files(self.directory):
      digest.update(path.read_bytes())
    return digest.hexdigest()[:12]

  def params(self) -> dict:
    """Parameters of bert.Bert in numpy float32.

    Raises:
      UserError: tensors are missing or misshapen; all of them are named.
    """
    tensors = pretrained.read_tensors(self.directory)
    tensors = {name.removeprefix("bert."): x for name, x in tensors.items()}
    shapes = {name: x.shape for name, x in tensors.items()}
    pretrained.check(shapes, entries(self.sizes), str(self.directory), _NEVER_READ)
    return pretrained.to_params(tensors, entries(self.sizes))


def chosen(text_encoder: str) -> Pretrained | None:
  """What `config.text_encoder` asks for; None: no encoder of its own.

  Args:
    text_encoder: "sentencepiece", "minilm" or "hf:FOLDER".

  Raises:
    UserError: anything else, or no BERT there.
  """
  if text_encoder == SENTENCEPIECE:
    return None
  if text_encoder == "minilm":
    return find(MINILM)
  kind, _, folder = text_encoder.partition(":")
  if kind != "hf" or not folder:
    raise UserError(
      f"config.text_encoder: {text_encoder!r}; choose 'sentencepiece', 'minilm', or "
      "'hf:FOLDER', a BERT in Hugging Face's layout"
    )
  return find(folder)


def find(directory) -> Pretrained:
  """Looks a checkpoint up; its tensors are not read yet.

  Raises:
    UserError: no BERT of a kind that bert.Bert is.
  """
  directory = epath.Path(directory)
  path = directory / "config.json"
  stored = pretrained.read_config(
    directory,
    "a text encoder is a folder with config.json, model.safetensors and tokenizer.json "
    "or vocab.txt; `python -m data_prep.text_encoder` fetches MiniLM's",
  )
  if stored.get("model_type") != "bert":
    raise UserError(
      f"{path}: model_type is {stored.get('model_type')!r}, not 'bert'; give a BERT, "
      "such as all-MiniLM-L6-v2"
    )
  missing = [name for name in THEIRS.values() if not stored.get(name)]
  if missing:
    raise UserError(f"{path}: without {', '.join(missing)}; fetch the file again")
  if wrong := pretrained.differences(stored, _FIXED):
    raise UserError(f"{path}: {'; '.join(wrong)}; give a plain BERT")
  sizes = {ours: int(stored[theirs]) for ours, theirs in THEIRS.items()}
  if sizes["max_length"] < wordpieces.MOST:
    raise UserError(
      f"{path}: max_position_embeddings is {sizes['max_length']}, not "
      f"{wordpieces.MOST} or more; give a BERT of that length"
    )
  words = wordpieces.find(directory)
  eps = float(stored.get("layer_norm_eps", 1e-12))
  sizes |= {"layer_norm_eps": eps, "cls_id": words.cls_id}
  return Pretrained(directory, bert.Sizes(**sizes), words)


def entries(
  sizes: bert.Sizes,
) -> Iterator[tuple[tuple[str, ...], str, tuple[int, ...]]]:
  """(path of our parameter, their name, their shape)."""
  width, mlp = sizes.emb_dim, sizes.mlp_dim
  for ours, theirs, rows in (
    ("words", "word", sizes.vocab_size),
    ("positions", "position", sizes.max_length),
    ("kinds", "token_type", 2),
  ):
    name = f"embeddings.{theirs}_embeddings.weight"
    yield (ours, "embedding"), name, (rows, width)

  def norm(ours, theirs):
    yield (*ours, "scale"), f"{theirs}.LayerNorm.weight", (width,)
    yield (*ours, "bias"), f"{theirs}.LayerNorm.bias", (width,)

  yield from norm(("norm",), "embeddings")
  for index in range(sizes.num_layers):
    layer, theirs = f"layers_{index}", f"encoder.layer.{index}"
    for ours, name, shape in (
      ("query", "attention.self.query", (width, width)),
      ("key", "attention.self.key", (width, width)),
      ("value", "attention.self.value", (width, width)),
      ("out", "attention.output.dense", (width, width)),
      ("wi", "intermediate.dense", (mlp, width)),
      ("wo", "output.dense", (width, mlp)),
    ):
      yield (layer, ours, "kernel"), f"{theirs}.{name}.weight", shape
      yield (layer, ours, "bias"), f"{theirs}.{name}.bias", shape[:1]
    yield from norm((layer, "attention_norm"), f"{theirs}.attention.output")
    yield from norm((layer, "mlp_norm"), f"{theirs}.output")
