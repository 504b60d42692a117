"""AdamW, Adafactor or Muon, with warm-up, cosine decay and gradient clipping."""

import jax
import ml_collections
import optax
import optax.contrib

from tdmm_jax.errors import UserError
from tdmm_jax.models import layers, t5


def learning_rate(config: ml_collections.ConfigDict) -> optax.Schedule:
  """Linear warm-up to `config.learning_rate`, cosine decay to its `final_fraction`.

  Raises:
    UserError: the warm-up is as long as the training.
  """
  if config.total_steps <= config.warmup_steps:
    raise UserError(
      f"config.total_steps: {config.total_steps} is not above config.warmup_steps, "
      f"{config.warmup_steps}; raise the one or lower the other"
    )
  return optax.warmup_cosine_decay_schedule(
    init_value=0.0,
    peak_value=config.learning_rate,
    warmup_steps=config.warmup_steps,
    decay_steps=config.total_steps,
    end_value=config.learning_rate * config.final_lr_fraction,
  )


def _decays(params):
  """Weight decay for matrices only, not for scales, biases and tables of one axis.

  Nor for what training does not change (layers.FIXED). The leading axis of scanned
  layers (under the key `layers`) makes no matrix.
  """

  def decays(path, param):
    names = {getattr(key, "key", None) for key in path}
    return param.ndim - ("layers" in names) > 1 and names.isdisjoint(layers.FIXED)

  return jax.tree_util.tree_map_with_path(decays, params)


def _muon_matrices(params):
  """Muon's parameters: the layers' kernels, all but the one that makes the logits ...

  ... and a pretrained text encoder's, which is to stay near what it was.

  A kernel's last two axes are a matrix; an axis before them counts scanned layers.
  Everything else (embeddings, scales, biases, convolutions' taps) is AdamW's.
  """

  def matrix(path, param):
    names = [getattr(key, "key", None) for key in path]
    others = {"logits_dense", t5.TEXT_ENCODER}
    if "kernel" in names and others.isdisjoint(names) and param.ndim > 1:
      return optax.contrib.MuonDimensionNumbers(-2, -1)
    return None

  return jax.tree_util.tree_map_with_path(matrix, params)


def optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
  """The config's optimiser, after clipping by global norm.

  AdamW keeps two float32 numbers a parameter; Adafactor (arXiv:1804.04235) keeps row
  and column sums of a matrix, and no momentum. `config.learning_rate` is absolute for
  AdamW and relative to each parameter's scale for Adafactor; each update takes
  `config.weight_decay` times the learning rate off a matrix. Muon
  (arXiv:2502.16982) orthogonalises the momentum of the layers' kernels and gives their
  updates the RMS of AdamW's, so that one learning rate does for both; what is no kernel
  it leaves to AdamW.

  Raises:
    UserError: `config.optimizer` is unknown.
  """
  rate = learning_rate(config)
  if config.optimizer == "adamw":
    update = optax.adamw(
      rate,
      b1=config.adam_b1,
      b2=config.adam_b2,
      weight_decay=config.weight_decay,
      mask=_decays,
    )
  elif config.optimizer == "adafactor":
    # optax's own decay is not multiplied by the learning rate, as AdamW's is.
    decay = lambda step: -config.weight_decay * rate(step)
    update = optax.chain(
      optax.adafactor(rate), optax.add_decayed_weights(decay, mask=_decays)
    )
  elif config.optimizer == "muon":
    update = optax.contrib.muon(
      rate,
      ns_steps=4,  # enough where the Schatten-4 norm comes first (arXiv:2506.10935)
      preconditioning="schatten",
      weight_decay=config.weight_decay,
      adam_b1=config.adam_b1,
      adam_b2=config.adam_b2,
      muon_weight_dimension_numbers=_muon_matrices,
      consistent_rms=0.2,  # of an update, as AdamW's (arXiv:2502.16982)
    )
  else:
    raise UserError(
      f"config.optimizer: {config.optimizer!r}; choose 'adamw', 'adafactor' or 'muon'"
    )
  update = optax.chain(optax.clip_by_global_norm(config.grad_clip_norm), update)
  if config.objective == "language_model" and config.text_encoder_rate:
    slower = optax.masked(optax.scale(config.text_encoder_rate), _of_text_encoder)
    update = optax.chain(update, slower)
  return update


def _of_text_encoder(params):
  """Which parameters are a pretrained text encoder's."""
  return {
    name: jax.tree.map(lambda _, mine=name == t5.TEXT_ENCODER: mine, branch)
    for name, branch in params.items()
  }
