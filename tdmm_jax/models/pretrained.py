"""T5 in Hugging Face's format, read and written.

That is a folder of config.json, model.safetensors (or several, and an index) and
spiece.model: of T5.0 (ReLU, tied tables), or T5.1.1 and FLAN-T5 (gated GELU, untied).
A linear layer's weight is [out, in] there, [in, out] here; blocks number sub-layers.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from etils import epath

from tdmm_jax import files, vocab
from tdmm_jax.errors import UserError
from tdmm_jax.models import t5

TENSORS, _INDEX = "model.safetensors", "model.safetensors.index.json"
# A T5 has these at 0.
OURS = ("text_context", "motion_context", "motion_history", "motion_cues")
_DTYPES = {
  "I64": np.int64,  # of positions, which BERT lists
  "F64": np.float64,
  "F32": np.float32,
  "F16": np.float16,
  "BF16": jnp.bfloat16,
}
_SIZES = {  # our name -> Hugging Face's
  "emb_dim": "d_model",
  "num_heads": "num_heads",
  "head_dim": "d_kv",
  "mlp_dim": "d_ff",
  "num_encoder_layers": "num_layers",
  "num_decoder_layers": "num_decoder_layers",
}
# What models/t5.py has built in.
_FIXED = {
  "relative_attention_num_buckets": 32,
  "relative_attention_max_distance": 128,
  "layer_norm_epsilon": 1e-6,
}
_SHARED, _HEAD = "shared.weight", "lm_head.weight"
# Copies of the shared table, and a table of old checkpoints that T5 never reads.
_SHARED_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
_NEVER_READ = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"


class Pretrained(NamedTuple):
  """A T5 that training starts from.

  Attributes:
    directory: where it is, on gs:// or on disk.
    fields: of `config.model`, those that the weights determine.
    num_rows: rows of its tables, padding included.
    pieces: its SentencePiece model, serialised.
    scaled: its logits are divided by sqrt(emb_dim).
  """

  directory: epath.Path
  fields: dict
  num_rows: int
  pieces: bytes
  scaled: bool

  def vocabulary(self, num_extra_ids: int, num_codes: int) -> vocab.Vocab:
    """See `vocab.imported`."""
    return vocab.imported(self.pieces, self.num_rows, num_extra_ids, num_codes)

  def params(self) -> dict:
    """Parameters of models.t5.T5 in numpy float32, layers apart; reads the tensors."""
    tensors = _without_copies(read_tensors(self.directory))
    if not self.fields["logits_via_embedding"]:
      head = tensors.get(_HEAD, tensors[_SHARED])
      tensors[_HEAD] = head * self.fields["emb_dim"] ** -0.5 if self.scaled else head
    return to_params(tensors, _all_entries(self.fields, self.num_rows))


def find(directory) -> Pretrained:
  """Looks a checkpoint up and checks it; the tensors themselves are not read yet.

  Raises:
    UserError: it is no T5 of a kind that models/t5.py knows, or tensors are missing,
      unknown or misshapen; the message names all of them.
  """
  directory = epath.Path(directory)
  stored = read_config(directory)
  fields, num_rows = model_fields(stored, str(directory / "config.json"))
  tied = bool(stored.get("tie_word_embeddings", True))
  scaled = bool(stored.get("scale_decoder_outputs", tied))
  for name in OURS:
    fields[name] = 0
  found = _without_copies(shapes(directory))
  # transformers 5 says "tied" of every T5: whether there is a second table tells.
  fields["logits_via_embedding"] = tied and scaled and _HEAD not in found
  if tied and _HEAD not in found and not scaled and _SHARED in found:
    found[_HEAD] = found[_SHARED]
  check(found, _all_entries(fields, num_rows), str(directory))
  path = directory / "spiece.model"
  if not path.exists():
    raise UserError(f"{path}: missing; copy that of the same checkpoint there")
  return Pretrained(directory, fields, num_rows, path.read_bytes(), scaled)


_WHAT = (
  f"config.init_from is a folder with config.json, {TENSORS} and spiece.model, as "
  "Hugging Face's T5 and FLAN-T5 have them, or with tokenizer.model or tokenizer.json, "
  "as T5Gemma"
)


def read_config(directory, what: str = _WHAT) -> dict:
  """config.json of a folder in Hugging Face's format; `what` says what one holds.

  Raises:
    UserError: there is none, or it is damaged.
  """
  path = epath.Path(directory) / "config.json"
  try:
    return json.loads(path.read_text())
  except FileNotFoundError as error:
    raise UserError(f"{path}: missing; {what}") from error
  except ValueError as error:
    raise UserError(
      f"{path}: not JSON ({error}); fetch the checkpoint again"
    ) from error


def differences(stored: dict, fixed: dict) -> list[str]:
  """What a config.json says otherwise than the network here has built in."""
  return [
    f"{name} is {stored[name]!r}, not {value!r}"
    for name, value in fixed.items()
    if stored.get(name, value) != value
  ]


def model_fields(stored: dict, where: str) -> tuple[dict, int]:
  """(sizes and activation of config.model, rows of the tables) of a config.json.

  Raises:
    UserError: it is no T5, or a kind of T5 that models/t5.py does not know.
  """
  if stored.get("model_type") != "t5":
    raise UserError(
      f"{where}: model_type is {stored.get('model_type')!r}, not 't5' or 't5gemma'; "
      "give a T5, FLAN-T5 or T5Gemma checkpoint"
    )
  stored = {"num_decoder_layers": stored.get("num_layers")} | stored
  missing = [name for name in (*_SIZES.values(), "vocab_size") if not stored.get(name)]
  if missing:
    raise UserError(f"{where}: without {', '.join(missing)}; fetch the file again")
  wrong = differences(stored, _FIXED)
  kind = stored.get("feed_forward_proj", "relu")
  if kind not in t5.MLP_ACTIVATIONS:
    wrong.append(f"feed_forward_proj is {kind!r}, not one of {t5.MLP_ACTIVATIONS}")
  if wrong:
    raise UserError(f"{where}: {'; '.join(wrong)}; give a T5, T5.1.1 or FLAN-T5")
  fields = {ours: stored[theirs] for ours, theirs in _SIZES.items()}
  return fields | {"mlp_activation": kind}, stored["vocab_size"]


def tensor_files(directory) -> list[epath.Path]:
  """The files of a checkpoint's weights.

  Raises:
    UserError: there are none, or their index is damaged.
  """
  index = directory / _INDEX
  if index.exists():
    try:
      names = set(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
      raise UserError(f"{index}: is damaged; fetch the checkpoint again") from error
    paths = [directory / name for name in sorted(names)]
  else:
    paths = [directory / TENSORS]
  for path in paths:
    if not path.exists():
      raise UserError(
        f"{path}: missing; the weights have to be there as safetensors (transformers "
        "writes them: model.save_pretrained(FOLDER))"
      )
  return paths


def shapes(directory) -> dict[str, tuple[int, ...]]:
  """Shape of each tensor, from the files' headers: uint64 length, then JSON.

  Raises:
    UserError: no safetensors there, or they are damaged.
  """
  found = {}
  for path in tensor_files(directory):
    try:
      with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, 2**27)))
      header.pop("__metadata__", None)
      found |= {name: tuple(entry["shape"]) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
      raise UserError(f"{path}: is damaged; fetch it again") from error
  return found


def read_tensors(directory) -> dict[str, np.ndarray]:
  """All tensors of a checkpoint by Hugging Face's names, in float32.

  Raises:
    UserError: files are missing or damaged.
  """
  tensors = {}
  for path in tensor_files(directory):
    try:
      for name, view in safetensors.deserialize(path.read_bytes()):
        if view["dtype"] not in _DTYPES:
          raise UserError(
            f"{path}: {name} is of type {view['dtype']}; save it as F32 or BF16"
          )
        values = np.frombuffer(view["data"], _DTYPES[view["dtype"]])
        tensors[name] = values.reshape(view["shape"]).astype(np.float32)
    except safetensors.SafetensorError as error:
      raise UserError(f"{path}: is damaged ({error}); fetch it again") from error
  return tensors


def _entries(fields: dict) -> Iterator[tuple[tuple[str, ...], str, tuple[int, ...]]]:
  """(path of our parameter, their name, their shape) of all but the tables."""
  width, heads = fields["emb_dim"], fields["num_heads"]
  inner, mlp = heads * fields["head_dim"], fields["mlp_dim"]

  def norm(name, theirs):
    return (*name, "scale"), f"{theirs}.weight", (width,)

  def attention(name, theirs):
    for ours, short in (("query", "q"), ("key", "k"), ("value", "v")):
      yield (*name, ours, "kernel"), f"{theirs}.{short}.weight", (inner, width)
    yield (*name, "out", "kernel"), f"{theirs}.o.weight", (width, inner)

  for stack in ("encoder", "decoder"):
    table = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    yield (stack, "relpos_bias", "rel_embedding"), table, (32, heads)
    yield norm((stack, f"{stack}_norm"), f"{stack}.final_layer_norm")
    for index in range(fields[f"num_{stack}_layers"]):
      layer, block = (stack, f"layers_{index}"), f"{stack}.block.{index}.layer"
      first = "pre_attention" if stack == "encoder" else "pre_self_attention"
      yield norm((*layer, f"{first}_layer_norm"), f"{block}.0.layer_norm")
      yield from attention((*layer, "self_attention"), f"{block}.0.SelfAttention")
      last = f"{block}.1"
      if stack == "decoder":
        yield norm((*layer, "pre_cross_attention_layer_norm"), f"{block}.1.layer_norm")
        cross = (*layer, "encoder_decoder_attention")
        yield from attention(cross, f"{block}.1.EncDecAttention")
        last = f"{block}.2"
      yield norm((*layer, "pre_mlp_layer_norm"), f"{last}.layer_norm")
      gated = fields["mlp_activation"] == "gated-gelu"
      for part in ("wi_0", "wi_1") if gated else ("wi",):
        name = f"{last}.DenseReluDense.{part}.weight"
        yield (*layer, "mlp", part, "kernel"), name, (mlp, width)
      name = f"{last}.DenseReluDense.wo.weight"
      yield (*layer, "mlp", "wo", "kernel"), name, (width, mlp)


def _all_entries(fields: dict, num_rows: int):
  """`_entries` and the tables."""
  table = (num_rows, fields["emb_dim"])
  yield ("token_embedder", "embedding"), _SHARED, table
  if not fields["logits_via_embedding"]:
    yield ("logits_dense", "kernel"), _HEAD, table
  yield from _entries(fields)


def check(shapes: dict, entries, where: str, never_read=()) -> None:
  """Compares tensors' shapes with those of `entries`, as `to_params` has them.

  Raises:
    UserError: names each tensor that is missing, unknown or misshapen.
  """
  wanted = {theirs: shape for _, theirs, shape in entries}
  faults = [f"missing {name}" for name in wanted if name not in shapes]
  faults += [f"unknown {name}" for name in shapes if name not in (*wanted, *never_read)]
  faults += [
    f"{name} is {list(shapes[name])}, not {list(shape)}"
    for name, shape in wanted.items()
    if shapes.get(name, shape) != shape
  ]
  if faults:
    raise UserError(
      f"{where}: its tensors are not those of its config.json: {'; '.join(faults)}; "
      "give config.json and weights of the same checkpoint"
    )


def _without_copies(tensors: dict) -> dict:
  """The tensors (or their shapes) that count; copies of the shared table are let go."""
  kept = {k: v for k, v in tensors.items() if k not in (*_SHARED_COPIES, _NEVER_READ)}
  for name in _SHARED_COPIES:
    if name in tensors:
      kept.setdefault(_SHARED, tensors[name])
  return kept


def to_params(tensors: dict[str, np.ndarray], entries) -> dict:
  """Hugging Face's tensors as our parameters.

  Args:
    entries: (path of our parameter, their name, their shape) of each.
  """
  params: dict = {}
  for path, theirs, _ in entries:
    *parents, last = path
    node = params
    for name in parents:
      node = node.setdefault(name, {})
    node[last] = tensors[theirs].T if last == "kernel" else tensors[theirs]
  return params


def to_tensors(params: dict, entries) -> dict[str, np.ndarray]:
  """The inverse of `to_params`: contiguous float32 arrays by Hugging Face's names."""
  tensors = {}
  for path, theirs, shape in entries:
    value = params
    for name in path:
      value = value[name]
    value = np.asarray(value, np.float32)
    value = np.ascontiguousarray(value.T if path[-1] == "kernel" else value)
    if value.shape != shape:
      raise ValueError(f"{'/'.join(path)} is {value.shape}, not {shape}")
    tensors[theirs] = value
  return tensors


def write(
  directory, model: t5.T5, params: dict, pieces: bytes, num_extra_ids: int
) -> None:
  """Writes a folder that `transformers` and `find` read.

  Args:
    directory: made if it is not there.
    model, params: with layers apart.
    pieces: the SentencePiece model, serialised.
    num_extra_ids: sentinels behind the pieces.
  """
  directory = epath.Path(directory)
  directory.mkdir(parents=True, exist_ok=True)
  names = (*_SIZES, "mlp_activation", "logits_via_embedding", "dropout_rate")
  fields = {name: getattr(model, name) for name in names}
  num_rows = params["token_embedder"]["embedding"].shape[0]
  tensors = to_tensors(params, _all_entries(fields, num_rows))
  tied = fields["logits_via_embedding"]
  stored = {theirs: fields[ours] for ours, theirs in _SIZES.items()} | _FIXED
  stored |= {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "vocab_size": num_rows,
    "feed_forward_proj": fields["mlp_activation"],
    "tie_word_embeddings": tied,
    "is_encoder_decoder": True,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
    "dropout_rate": fields["dropout_rate"],
  }
  tokenizer = {
    "tokenizer_class": "T5Tokenizer",
    "extra_ids": num_extra_ids,
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
  }
  tensor_file = safetensors.numpy.save(tensors, {"format": "pt"})
  files.write_bytes(directory / TENSORS, tensor_file)
  files.write_bytes(directory / "spiece.model", pieces)
  files.write_json(directory / "tokenizer_config.json", tokenizer)
  files.write_json(directory / "config.json", stored)
