"""config.json of a run directory, written when training is certain to start."""

import ml_collections
from etils import epath

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.runs import checkpoints

# What a checkpoint's arrays, its data position or its randomness depend on. Anything
# else (steps, learning rate, mesh, logging, folders) may change between two starts.
_FIXED = (
  "objective",
  "seed",
  "batch_size",
  "model",
  "lora",
  "t5gemma_sizes",
  "conditioning",
  "text_encoder",
  "face_model",
  "window",
  "text_length",
  "encoder_length",
  "decoder_length",
  "num_pieces",
  "num_extra_ids",
  "optimizer",
  "ema_decay",
)


def flat(config: dict, prefix: str = "") -> dict:
  """{"model.emb_dim": 16, ...}; lists and tuples are the same thing in JSON."""
  found = {}
  for key, value in config.items():
    if isinstance(value, dict):
      found |= flat(value, f"{prefix}{key}.")
    else:
      found[prefix + key] = list(value) if isinstance(value, tuple) else value
  return found


def refuse_changes(
  config: ml_collections.ConfigDict, workdir, versions: dict[str, str]
) -> None:
  """Compares a config with the one that the run directory's checkpoints were made with.

  Raises:
    UserError: names the keys that differ and may not; nothing was written.
  """
  path = epath.Path(workdir) / checkpoints.CONFIG_FILE
  if not checkpoints.has_checkpoint(workdir) or not path.exists():
    return
  stored = checkpoints.read_json(path)
  fixed = lambda values: flat({key: values[key] for key in _FIXED if key in values})
  before, now = fixed(stored["config"]), fixed(config.to_dict())
  before = {"lora.rank": 0} | before  # of runs from before there was a choice
  before |= flat(stored["versions"], "version of ")
  now |= flat(versions, "version of ")
  changes = [
    f"{key} is {now[key]!r}, was {before[key]!r}"
    for key in sorted(before.keys() & now.keys())
    if before[key] != now[key]
  ]
  if changes:
    raise UserError(
      f"{workdir}: its checkpoints were made with another config ("
      + "; ".join(changes)
      + "); use those values, or another workdir"
    )


def write(config: ml_collections.ConfigDict, workdir, versions: dict) -> None:
  """Writes config and versions beside the checkpoints: inference starts from them."""
  content = {"config": config.to_dict(), "versions": versions}
  files.write_json(epath.Path(workdir) / checkpoints.CONFIG_FILE, content)
