"""What the evaluator network trains on: texts and motions that belong together.

Shape letters: B batch, Z the common space, N a pool of candidates.
"""

import math
import pathlib

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import pairs, records, tasks
from tdmm_jax.errors import UserError
from tdmm_jax.face import load_model
from tdmm_jax.models import evaluator as network
from tdmm_jax.train import losses
from tdmm_jax.train.objectives import objective

POOL = 32  # candidates of R-precision


def evaluator(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, rows=None
) -> objective.Objective:
  """The evaluator network on pairs; training batches hold this host's `rows` alone.

  Raises:
    UserError: `config.batch_per_chip` would leave each text fewer motions to compare.
  """
  if config.batch_per_chip:
    raise UserError(
      "config.batch_per_chip: the evaluator compares all of a batch; leave it at 0"
    )
  face = load_model.load_face_model(config.face_model)
  versions = objective.check_versions(config, face)
  train = records.load_clips(config.records_dir, "train")
  valid = records.load_clips(config.records_dir, "valid")
  texts = [text for clip in train for text in tasks.clip_texts(clip)]
  texts = texts[: config.vocab_texts]
  vocab = objective.stored_vocabulary(
    workdir,
    lambda: vocab_lib.train(texts, 0, config.num_pieces, 0),
  )
  stats = _normalisation(train)
  model = network.build_evaluator(config, vocab.table_size, len(stats["params_mean"]))

  def init_fn(rng):
    tokens, mask = jnp.ones((1, 8), jnp.int32), jnp.ones((1, 8))
    vectors = jnp.zeros((1, 8, model.num_params))
    return {**model.init(rng, tokens, vectors, mask), "stats": stats}

  def loss_fn(params, collections, batch, rng):
    return evaluator_loss(config, model, params, collections, batch, rng)

  sizes = (config.text_length, config.window)
  iterator = pairs.iterator(train, vocab, *sizes, config.batch_size, config.seed, rows)
  eval_rows = [pairs.pair(clip, clip["prompt"], vocab, *sizes) for clip in valid]
  return objective.Objective(
    init_fn,
    loss_fn,
    iterator,
    objective.eval_batches(config, eval_rows),
    versions,
    sum(sizes),
  )


def evaluator_loss(config, model, params, collections, batch, rng):
  """The evaluator's train_step.LossFn, but for its first two arguments."""
  noise, rngs = 0.0, None
  if rng is not None:
    dropout_rng, noise_rng = jax.random.split(rng)
    noise = config.motion_noise * jax.random.normal(noise_rng, batch["params"].shape)
    rngs = {"dropout": dropout_rng}
  texts_BZ, motions_BZ, scale = model.apply(
    {"params": params, **collections},
    batch["tokens"],
    batch["params"],
    batch["mask"],
    deterministic=rng is None,
    noise=noise,
    rngs=rngs,
  )
  logits_BB = scale * texts_BZ @ motions_BZ.T
  logits_BB = losses.without_false_negatives(logits_BB, batch["key"])
  loss, metrics = losses.contrastive(logits_BB)
  return loss, (metrics | _pool_precision(logits_BB), collections)


def _pool_precision(logits_BB) -> dict:
  """R-precision top 3, texts against motions, in pools of POOL pairs of the batch."""
  batch = logits_BB.shape[0]
  size = math.gcd(batch, POOL)
  pools_NNNN = logits_BB.reshape(batch // size, size, batch // size, size)
  pools_NNN = jnp.moveaxis(jnp.diagonal(pools_NNNN, axis1=0, axis2=2), -1, 0)
  own_NN = jnp.diagonal(pools_NNN, axis1=1, axis2=2)
  rank_NN = jnp.sum(pools_NNN > own_NN[..., None], axis=-1)
  return {f"top3_of_{size}": (jnp.sum(rank_NN < 3) * 1.0, jnp.float32(batch))}


def _normalisation(clips: list[dict]) -> dict:
  """Mean frame and spreads of the frames that were observed."""
  total = square = count = 0.0
  for clip in clips:
    vectors = clip["vectors"][clip["valid"]].astype(np.float64)
    total = total + vectors.sum(0)
    square = square + (vectors**2).sum(0)
    count += len(vectors)
  mean = total / count
  std = np.sqrt(np.maximum(square / count - mean**2, 0.0)) + 1e-4
  return {
    "params_mean": jnp.asarray(mean, jnp.float32),
    "params_std": jnp.asarray(std, jnp.float32),
  }
