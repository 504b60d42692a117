"""What is wrong with a config before any data is read: numbers out of range, names."""

import math

import ml_collections

from tdmm_jax.data import tasks
from tdmm_jax.errors import UserError
from tdmm_jax.models import lora, t5
from tdmm_jax.runs import run_config

_ANY = math.inf
# Key -> the least and the greatest that it may be; a key that a config lacks is not
# looked for.
_RANGES = {
  **dict.fromkeys(
    (
      *("total_steps", "batch_size", "log_every", "eval_every", "eval_batches"),
      *("save_every", "window", "text_length", "num_pieces", "vocab_texts"),
      *("encoder_length", "decoder_length", "max_frames", "max_prompt_pieces"),
      *("max_caption_pieces", "model.emb_dim", "model.num_heads", "model.head_dim"),
      *("model.mlp_dim", "model.num_encoder_layers", "model.num_decoder_layers"),
      *("model.num_text_layers", "model.num_motion_layers", "model.output_dim"),
      *("model.num_phases", "model.codes_per_phase", "model.code_dim"),
      *("model.num_features", "model.num_vertices"),
    ),
    (1, _ANY),
  ),
  **dict.fromkeys(
    (
      *("seed", "batch_per_chip", "eval_media", "profile_step", "warmup_steps"),
      *("learning_rate", "weight_decay", "num_extra_ids", "l2m_weight", "m2l_weight"),
      *("z_loss", "history_dropout", "content_weight", "acts_weight", "motion_noise"),
      *("model.text_context", "model.motion_context", "model.motion_history"),
      *("model.motion_cues", "lora.rank"),
      *("model.lip_weight", "quantizer_loss_weight", "augment.offset"),
      *("augment.movement", "augment.head_degrees", "augment.head_scale"),
    ),
    (0, _ANY),
  ),
  **dict.fromkeys(
    (
      *("final_lr_fraction", "adam_b1", "adam_b2", "ema_decay", "text_encoder_rate"),
      *("prompt_dropout", "reword", "disturb", "acts_dropout", "model.dropout_rate"),
      *("told_ending", "model.decay", "augment.rate"),
    ),
    (0, 1),
  ),
  "stall_seconds": (1, _ANY),
  "grad_clip_norm": (1e-6, _ANY),
  "lora.alpha": (1e-6, _ANY),
  "model.embedding_stddev": (1e-6, _ANY),
}
_NAMES = {
  "model.dtype": ("float32", "bfloat16", "float16"),
  "model.mlp_activation": t5.MLP_ACTIVATIONS,
  "model.quantizer": ("fsq", "ema_vq"),
  "model.space": ("geometry", "params"),
}


def check(config: ml_collections.ConfigDict) -> None:
  """Refuses what can be refused at once.

  Raises:
    UserError: names the first key whose value no training can have.
  """
  values = run_config.flat(config.to_dict())
  for key, (least, most) in _RANGES.items():
    value = values.get(key)
    if value is not None and not least <= value <= most:
      wanted = f"{least:g} or more" if most == _ANY else f"{least:g} to {most:g}"
      raise UserError(f"config.{key}: {value:g} is out of range; give {wanted}")
  for key, names in _NAMES.items():
    if key in values and str(values[key]) not in names:
      known = " or ".join(map(repr, names))
      raise UserError(f"config.{key}: {values[key]!r}; choose {known}")
  if values.get("model.fused_attention") and values["model.dropout_rate"]:
    raise UserError(
      "config.model.fused_attention: has no dropout; set config.model.dropout_rate to "
      "0, or leave it off"
    )
  if "decoder_length" in values:
    _check_rows(config)
    _check_lora(config)


def _check_lora(config) -> None:
  """Whether there is something to adapt, where that is asked for."""
  rank, kernels = config.lora.rank, config.lora.kernels
  known = ", ".join(map(repr, lora.KERNELS))
  for name in kernels:
    if name not in lora.KERNELS:
      raise UserError(f"config.lora.kernels: {name!r}; choose some of {known}")
  if rank and not kernels:
    raise UserError(
      f"config.lora.rank: {rank}, but config.lora.kernels is empty; name some of "
      f"{known}"
    )
  if rank and not config.init_from:
    raise UserError(
      f"config.lora.rank: {rank} adapts a pretrained model; give its folder as "
      "config.init_from, or leave the rank at 0"
    )


def _check_rows(config) -> None:
  """Whether a row has room for the longest motion, where one is written or read."""
  longest = config.max_frames + tasks.NUM_MOTION_SPECIALS
  for key, uses in (("decoder_length", ("l2m",)), ("encoder_length", ("m2l", "qa"))):
    if config[key] < longest and any(config.task_rates.get(task) for task in uses):
      raise UserError(
        f"config.{key}: {config[key]} has no room for config.max_frames, "
        f"{config.max_frames}; give {longest} or more, or lower config.max_frames"
      )
