"""AdamW with warm-up, cosine decay and gradient clipping."""

import jax
import ml_collections
import optax


def learning_rate(config: ml_collections.ConfigDict) -> optax.Schedule:
  """Linear warm-up to `config.learning_rate`, cosine decay to its `final_fraction`."""
  return optax.warmup_cosine_decay_schedule(
    init_value=0.0,
    peak_value=config.learning_rate,
    warmup_steps=config.warmup_steps,
    decay_steps=config.total_steps,
    end_value=config.learning_rate * config.final_lr_fraction,
  )


def _decays(params):
  """Weight decay for matrices only, not for scales, biases and tables of one axis."""
  return jax.tree.map(lambda p: p.ndim > 1, params)


def optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
  """AdamW after clipping by global norm."""
  return optax.chain(
    optax.clip_by_global_norm(config.grad_clip_norm),
    optax.adamw(
      learning_rate(config),
      b1=config.adam_b1,
      b2=config.adam_b2,
      weight_decay=config.weight_decay,
      mask=_decays,
    ),
  )
