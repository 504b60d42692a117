"""T5Gemma in Hugging Face's format, read and written: see pretrained.py."""

from collections.abc import Iterator
from typing import NamedTuple

import safetensors.numpy
from etils import epath

from tdmm_jax import files, vocab
from tdmm_jax.errors import UserError
from tdmm_jax.language import json_pieces
from tdmm_jax.models import pretrained, t5gemma

MODEL_TYPE = "t5gemma"
# What its text is read with, the first of them that is there.
TOKENIZERS = ("tokenizer.model", json_pieces.FILE)
_STACKS = ("encoder", "decoder")
_SIZES = {  # our name -> Hugging Face's
  "emb_dim": "hidden_size",
  "num_heads": "num_attention_heads",
  "num_kv_heads": "num_key_value_heads",
  "head_dim": "head_dim",
  "mlp_dim": "intermediate_size",
  "window": "sliding_window",
  "query_scalar": "query_pre_attn_scalar",
  "norm_eps": "rms_norm_eps",
}
# What models/t5gemma.py has built in; the ids, what vocab.py has.
_FIXED = {
  "hidden_activation": "gelu_pytorch_tanh",
  "attention_bias": False,
  "pad_token_id": 0,
}
_EOS_ID = 1
_SLIDING, _FULL = "sliding_attention", "full_attention"
_HEAD = "lm_head.out_proj.weight"


class Pretrained(NamedTuple):
  """A T5Gemma that training starts from.

  Attributes:
    directory: where it is, on gs:// or on disk.
    fields: of `config.model`, those that the weights determine.
    sizes: the rest of them, `config.t5gemma_sizes`.
    num_rows: rows of its tables.
    tokenizer: file with its pieces, one of TOKENIZERS.
  """

  directory: epath.Path
  fields: dict
  sizes: t5gemma.Sizes
  num_rows: int
  tokenizer: epath.Path

  def vocabulary(self, num_extra_ids: int, num_codes: int) -> vocab.Vocab:
    """See `vocab.imported_gemma`."""
    content = self.tokenizer.read_bytes()
    sizes = (self.num_rows, num_extra_ids, num_codes)
    return vocab.imported_gemma(self.tokenizer.name, content, *sizes)

  def params(self) -> dict:
    """Parameters of models.t5gemma.T5Gemma in numpy float32; reads the tensors."""
    tensors = pretrained.read_tensors(self.directory)
    tied = self.fields["logits_via_embedding"]
    return pretrained.to_params(tensors, entries(self.sizes, self.num_rows, tied))


def is_one(directory) -> bool:
  """Whether a folder's config.json says that it is a T5Gemma; see `pretrained.find`."""
  return pretrained.read_config(directory).get("model_type") == MODEL_TYPE


def find(directory) -> Pretrained:
  """Looks a checkpoint up and checks it; the tensors themselves are not read yet.

  Raises:
    UserError: it is no T5Gemma that models/t5gemma.py knows, or tensors are missing,
      unknown or misshapen; the message names all of them.
  """
  directory = epath.Path(directory)
  stored = pretrained.read_config(directory)
  where = str(directory / "config.json")
  try:
    sizes, num_rows = _sizes(stored, where)
  except (KeyError, TypeError) as error:
    raise UserError(f"{where}: without {error}; fetch the file again") from error
  tied = bool(stored.get("tie_word_embeddings", True))
  shapes = pretrained.shapes(directory)
  copies = (_HEAD,) if tied else ()
  pretrained.check(shapes, entries(sizes, num_rows, tied), str(directory), copies)
  for name in TOKENIZERS:
    if (directory / name).exists():
      break
  else:
    raise UserError(
      f"{directory / name}: missing, and no {TOKENIZERS[0]}; copy one of the same "
      "checkpoint there"
    )
  decoder = sizes.decoder
  fields = {
    "emb_dim": decoder.emb_dim,
    "num_heads": decoder.num_heads,
    "head_dim": decoder.head_dim,
    "mlp_dim": decoder.mlp_dim,
    "num_encoder_layers": len(sizes.encoder.sliding),
    "num_decoder_layers": len(decoder.sliding),
    "mlp_activation": "gated-gelu",
    "logits_via_embedding": tied,
    "fused_attention": False,  # it knows no soft cap
  }
  fields |= dict.fromkeys(pretrained.OURS, 0)
  return Pretrained(directory, fields, sizes, num_rows, directory / name)


def _sizes(stored: dict, where: str) -> tuple[t5gemma.Sizes, int]:
  """(sizes, rows of the tables) of a config.json.

  Raises:
    UserError: a kind of T5Gemma that models/t5gemma.py does not know.
    KeyError, TypeError: something is missing.
  """
  wrong, stacks = [], {}
  for stack in _STACKS:
    given = stored[stack]
    wrong += [f"{stack}.{one}" for one in pretrained.differences(given, _FIXED)]
    eos = given.get("eos_token_id", _EOS_ID)
    if _EOS_ID not in (eos if isinstance(eos, list) else [eos]):
      wrong.append(f"{stack}.eos_token_id is {eos}, not {_EOS_ID}")
    rope = given.get("rope_parameters") or given
    if rope.get("rope_type", "default") != "default" or given.get("rope_scaling"):
      wrong.append(f"{stack} has scaled rotary positions")
    layers = given.get("layer_types") or [
      _FULL if i % 2 else _SLIDING for i in range(given["num_hidden_layers"])
    ]
    if set(layers) - {_SLIDING, _FULL}:
      wrong.append(f"{stack}.layer_types are {sorted(set(layers))}")
    sliding = tuple(kind == _SLIDING for kind in layers)
    stacks[stack] = t5gemma.StackSizes(
      **{ours: given[theirs] for ours, theirs in _SIZES.items()},
      sliding=sliding,
      scores_cap=given.get("attn_logit_softcapping") or 0.0,
      rope_theta=rope["rope_theta"],
    )
  rows = [stored[stack]["vocab_size"] for stack in _STACKS]
  if rows[0] != rows[1]:
    wrong.append(f"encoder and decoder have {rows[0]} and {rows[1]} rows, not as many")
  if wrong:
    raise UserError(f"{where}: {'; '.join(wrong)}; give a T5Gemma as Google made them")
  decoder = stored["decoder"]
  cap = decoder.get("final_logit_softcapping") or 0.0
  return t5gemma.Sizes(**stacks, logits_cap=cap, bos_id=decoder["bos_token_id"]), rows[
    0
  ]


def entries(
  sizes: t5gemma.Sizes, num_rows: int, tied: bool
) -> Iterator[tuple[tuple[str, ...], str, tuple[int, ...]]]:
  """(path of our parameter, their name, their shape) of all."""

  def attention(path, name, stack, memory_dim):
    inner = stack.num_heads * stack.head_dim
    inner_kv = stack.num_kv_heads * stack.head_dim
    for ours, theirs, shape in (
      ("query", "q", (inner, stack.emb_dim)),
      ("key", "k", (inner_kv, memory_dim)),
      ("value", "v", (inner_kv, memory_dim)),
      ("out", "o", (stack.emb_dim, inner)),
    ):
      yield (*path, ours, "kernel"), f"{name}.{theirs}_proj.weight", shape

  tables = {"encoder": "encoder_embedder", "decoder": "token_embedder"}
  for name in _STACKS:
    stack = getattr(sizes, name)
    width, base = stack.emb_dim, f"model.{name}"
    table = f"{base}.embed_tokens.weight"
    yield (tables[name], "embedding"), table, (num_rows, width)
    yield (name, "norm", "scale"), f"{base}.norm.weight", (width,)
    parts = {"self_attention": "self_attn", "mlp": "feedforward"}
    if name == "decoder":
      parts["cross_attention"] = "cross_attn"
    for index in range(len(stack.sliding)):
      path, theirs = (name, f"layers_{index}"), f"{base}.layers.{index}"
      for ours, part in parts.items():
        for when in ("pre", "post"):
          norm = (*path, f"{when}_{ours}_layer_norm", "scale")
          yield norm, f"{theirs}.{when}_{part}_layernorm.weight", (width,)
      own = (*path, "self_attention")
      yield from attention(own, f"{theirs}.self_attn", stack, width)
      if name == "decoder":
        cross = (*path, "encoder_decoder_attention")
        memory_dim = sizes.encoder.emb_dim
        yield from attention(cross, f"{theirs}.cross_attn", stack, memory_dim)
      for ours, part, shape in (
        ("wi_0", "gate", (stack.mlp_dim, width)),
        ("wi_1", "up", (stack.mlp_dim, width)),
        ("wo", "down", (width, stack.mlp_dim)),
      ):
        name_of_it = f"{theirs}.mlp.{part}_proj.weight"
        yield (*path, "mlp", ours, "kernel"), name_of_it, shape
  if not tied:
    yield ("logits_dense", "kernel"), _HEAD, (num_rows, sizes.decoder.emb_dim)


def write(
  directory, model: t5gemma.T5Gemma, params: dict, pieces_file: str, pieces: bytes
) -> None:
  """Writes a folder that `transformers` and `find` read.

  Args:
    directory: made if it is not there.
    model, params: with layers apart.
    pieces_file, pieces: a vocabulary's, see vocab.Vocab.
  """
  directory = epath.Path(directory)
  directory.mkdir(parents=True, exist_ok=True)
  num_rows = params["token_embedder"]["embedding"].shape[0]
  tied = model.logits_via_embedding
  tensors = pretrained.to_tensors(params, entries(model.sizes, num_rows, tied))
  ids = {"pad_token_id": 0, "eos_token_id": _EOS_ID, "bos_token_id": model.sizes.bos_id}
  stored = ids | {
    "architectures": ["T5GemmaForConditionalGeneration"],
    "model_type": MODEL_TYPE,
    "vocab_size": num_rows,
    "tie_word_embeddings": tied,
    "is_encoder_decoder": True,
    "dropout_rate": model.dropout_rate,
  }
  for name in _STACKS:
    stack = getattr(model.sizes, name)
    sizes = {theirs: getattr(stack, ours) for ours, theirs in _SIZES.items()}
    stored[name] = _FIXED | ids | sizes
    stored[name] |= {
      "model_type": "t5_gemma_module",
      "is_decoder": name == "decoder",
      "vocab_size": num_rows,
      "num_hidden_layers": len(stack.sliding),
      "layer_types": [_SLIDING if sliding else _FULL for sliding in stack.sliding],
      "attn_logit_softcapping": stack.scores_cap or None,
      "final_logit_softcapping": model.sizes.logits_cap or None,
      "rope_parameters": {"rope_type": "default", "rope_theta": stack.rope_theta},
      "rope_theta": stack.rope_theta,  # where transformers before 5 looks for it
    }
  tensor_file = safetensors.numpy.save(tensors, {"format": "pt"})
  files.write_bytes(directory / pretrained.TENSORS, tensor_file)
  tokenizer = TOKENIZERS[pieces_file == json_pieces.FILE]
  files.write_bytes(directory / tokenizer, pieces)
  files.write_json(directory / "config.json", stored)
