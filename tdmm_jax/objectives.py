"""What each model trains on: its data, its initial variables, its loss.

`tokenizer` and `language_model` return an Objective, and so does `evaluator` (in
evaluator_objective.py); `train.py` runs each of them in the same loop.
"""

import itertools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from tdmm_jax import (
  cluster,
  embedding_init,
  losses,
  motion_codec,
  motion_reading,
  pretrained,
  sharding,
  speed,
)
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import pipeline, records, tasks
from tdmm_jax.data.augmentation import MotionAugmentation
from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.models import t5, t5_layouts
from tdmm_jax.models.layers import window
from tdmm_jax.tokenised_corpus import tokenised_clips
from tdmm_jax.vocab import UNK_ID

_SEEN_CLIPS = 8_000  # changed ones, enough for means and spreads
_CODEC_CLIPS = 600  # enough for least squares: a linear codec, a motion reading


class Objective(NamedTuple):
  """One training job, as the loop sees it."""

  init_fn: Callable[[jax.Array], dict]  # rng -> boxed variables
  loss_fn: Callable[..., Any]  # see train_step.LossFn
  train_iter: Iterator[dict]
  eval_batches: list[dict]
  versions: dict[str, str]
  tokens_per_example: int = 0  # padding included; frames, of the tokenizer
  flops_per_example: float = 0.0  # model FLOPs of an update; 0: not known
  # Parameters of a pretrained model, in numpy, that a run starts from.
  start_params: Callable[[], dict] | None = None


# ------------------------------------------------------------------ tokenizer


def tokenizer(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, rows=None
) -> Objective:
  """The geometry tokenizer on windows of motion; this host's `rows` of each batch."""
  del workdir
  face = face_lib.load_face_model(config.face_model)
  versions = check_versions(config, face)
  ids = motion_codec.training_vertices(
    face, config.model.num_vertices, config.model.lip_weight
  )
  config.model.num_vertices = len(ids)
  subset = face_lib.vertex_subset(face, ids)
  model = motion_codec.build_model(config, face.num_expression)
  train = _motions(records.load_clips(config.records_dir, "train"))
  valid = _motions(records.load_clips(config.records_dir, "valid"))
  augment, seen = None, train
  if config.augment.rate > 0:
    augment = MotionAugmentation(train, **config.augment)
    rng = np.random.default_rng(config.seed)
    seen = [augment(motion, rng) for motion in train[:_SEEN_CLIPS]]
  stats = _normalisation(seen, subset, config.model.num_features)

  def init(rng):
    params_rng, codebook_rng = jax.random.split(rng)
    vectors = jnp.zeros((1, config.window, stats["params_mean"].shape[0]))
    geometry = losses.geometry_of(subset, vectors)
    rngs = {"params": params_rng, "codebook": codebook_rng}
    variables = model.init(rngs, geometry, vectors, jnp.ones(vectors.shape[:2]))
    return {**variables, "stats": stats}

  start = sharding.unbox(jax.jit(init)(jax.random.key(config.seed)))
  linear = {}
  if config.model.network == "temporal":
    linear = _linear_codec(model, subset, start, seen)
  init_fn = lambda rng: _replace_params(init(rng), linear)

  def loss_fn(params, collections, batch, rng):
    return tokenizer_loss(config, model, subset, params, collections, batch, rng)

  train_iter = pipeline.tokenizer_iterator(
    train, config.window, config.batch_size, config.seed, rows, augment
  )
  num_params = sum(x.size for x in jax.tree.leaves(start["params"]))
  return Objective(
    init_fn,
    loss_fn,
    train_iter,
    _eval_windows(config, valid),
    versions,
    config.window,
    6.0 * num_params * config.window,
  )


def _linear_codec(model, subset, variables: dict, motions: list[dict]) -> dict:
  """The tokenizer's linear paths as a codec fitted to training motions.

  Encoder: each phase's latents are a few features, smoothed over a window. The head's
  rotation, which is fast, has the first and the middle phase; gaze and the geometry's
  principal directions, in order, share the others. A single phase's latents are of the
  two in turn, and not smoothed. Refinements go on in the order of the principal
  directions, and have the head's rotation in the phases half way between. Decoder:
  least squares from a window of the resulting code vectors to the motion, with every
  number of refinements.

  Args:
    variables: the model's, unboxed, its networks' outputs still zero.

  Returns:
    {"linear_encoder", "linear_decoder"}: the parameters' values.
  """
  apply = lambda method, *args: jax.jit(
    lambda v, *args: model.apply(v, *args, method=method)
  )(variables, *args)
  windows = [pipeline.motion_window(m, 128, 0) for m in motions[:_CODEC_CLIPS]]
  vectors_BTP = jnp.asarray(np.stack([w["params"] for w in windows]))
  mask_BT = jnp.asarray(np.stack([w["mask"] for w in windows]))
  geometry_BTG = jax.jit(losses.geometry_of)(subset, vectors_BTP)
  features_BTN = apply("features", geometry_BTG, vectors_BTP)
  num_features = features_BTN.shape[-1]
  num_slots = variables["params"]["linear_encoder"].shape[-1]
  picks, taps = _slots(
    num_features, num_slots, model.num_phases, 1 + model.num_refinements
  )
  encoder = np.zeros((len(taps), num_features, num_slots), np.float32)
  encoder[:, picks, np.arange(num_slots)] = taps
  spread_N = np.asarray(features_BTN[mask_BT > 0].std(0)) + 1e-3
  linear = {"linear_encoder": encoder.reshape(-1, num_slots) / spread_N[picks]}

  variables = {**variables, "params": variables["params"] | linear}
  codes_BTL = apply("encode_refined", geometry_BTG, vectors_BTP, mask_BT)
  inputs = []
  for level in range(codes_BTL.shape[-1]):
    vectors_BTN = apply("decoder_inputs", codes_BTL[..., : level + 1])
    masked_BTN = vectors_BTN * mask_BT[..., None]
    inputs.append(window(masked_BTN, model.num_phases)[mask_BT > 0])
  targets = jnp.concatenate(
    [apply("normalise", vectors_BTP)[mask_BT > 0]] * len(inputs)
  )
  inputs = jnp.concatenate(inputs)
  gram = inputs.T @ inputs + 1e-3 * len(inputs) * jnp.eye(inputs.shape[-1])
  return linear | {"linear_decoder": jnp.linalg.solve(gram, inputs.T @ targets)}


def _slots(num_features: int, num_slots: int, num_phases: int, num_levels: int = 1):
  """Which feature each slot carries, int[S], and its smoothing, float[2 P' + 1, S].

  Slots are ordered by phase, then by level (the base code's, its refinements').
  """
  head = [num_features - 3, num_features - 2, num_features - 1]
  gaze = [num_features - 9, num_features - 8]
  others = gaze + list(range(num_features - 9))
  width = num_slots // num_phases
  radius = num_phases
  if num_phases == 1:
    order = [x for pair in zip(others[2:], head * width) for x in pair][:width]
    return np.array(order), np.tile([[0.0], [1.0], [0.0]], width)
  picks, taps = [], []
  for level, phase in itertools.product(range(num_levels), range(num_phases)):
    first = level * num_phases // 4
    fast = (phase - first) % num_phases in (0, num_phases // 2)
    for slot in range(width // num_levels):
      picks.append(head[slot % 3] if fast else others[0])
      others = others if fast else others[1:] + others[:1]
      hann = np.hanning((radius // 2 * 2 if fast else 2 * radius) + 3)[1:-1]
      pad = (2 * radius + 1 - len(hann)) // 2
      taps.append(np.pad(hann / hann.sum(), pad))
  by_phase = np.arange(num_slots).reshape(num_levels, num_phases, -1)
  by_phase = by_phase.swapaxes(0, 1).ravel()
  return np.array(picks)[by_phase], np.stack(taps, axis=-1)[:, by_phase]


def _replace_params(variables: dict, new: dict) -> dict:
  """Top-level parameters replaced, their logical axes kept."""
  params = dict(variables["params"])
  for name, value in new.items():
    params[name] = params[name].replace_boxed(jnp.asarray(value, jnp.float32))
  return {**variables, "params": params}


def tokenizer_loss(config, model, subset, params, collections, batch, rng):
  """The tokenizer's train_step.LossFn, but for its first three arguments."""
  train = rng is not None
  geometry = losses.geometry_of(subset, batch["params"])
  (predicted, codes, quantizer_loss), updated = model.apply(
    {"params": params, **collections},
    geometry,
    batch["params"],
    batch["mask"],
    train=train,
    mutable=["codebook"] if train else [],
    rngs={"codebook": rng, "dropout": rng} if train else None,
  )
  predicted_geometry = losses.geometry_of(subset, predicted)
  errors = losses.motion_errors(
    predicted_geometry,
    geometry,
    predicted,
    batch["params"],
    batch["mask"],
  )
  std = collections["stats"]["params_std"]
  projection = collections["stats"]["geometry_projection"]
  errors |= losses.feature_errors(
    projection, predicted_geometry - geometry, batch["mask"]
  )
  errors |= losses.parameter_errors(std, predicted, batch["params"], batch["mask"])
  loss = losses.weighted_sum(errors, config.loss_weights)
  loss = loss + config.quantizer_loss_weight * quantizer_loss
  errors |= losses.code_use(codes, batch["mask"], model.num_codes)
  return loss, (errors, {**collections, **updated})


def _motions(clips: list[dict]) -> list[dict]:
  return [{"vectors": clip["vectors"], "valid": clip["valid"]} for clip in clips]


def _eval_windows(config, motions: list[dict]) -> list[dict]:
  windows = [pipeline.motion_window(m, config.window, 0) for m in motions]
  size = config.batch_size
  if not windows:
    raise UserError(f"{config.records_dir}: no valid clips; build more of them")
  windows *= -(-size // len(windows))  # a split smaller than a batch is repeated
  batches = [windows[i : i + size] for i in range(0, len(windows) - size + 1, size)]
  return [
    {key: np.stack([w[key] for w in batch]) for key in batch[0]}
    for batch in batches[: config.eval_batches]
  ]


def _normalisation(motions: list[dict], subset, num_features: int) -> dict:
  """Mean frame, spreads, and the principal components of the geometry.

  The projection keeps the geometry's directions of largest variance, each scaled to
  unit spread (with a floor, so that noise is not blown up).
  """
  vectors_NP = np.concatenate([m["vectors"][m["valid"]] for m in motions])
  # With a floor: an eye never rolls in simulation, and on real faces a little.
  mean_P, std_P = vectors_NP.mean(0), np.maximum(vectors_NP.std(0), 0.02)
  stride = max(len(vectors_NP) // 20_000, 1)
  sample_NP = vectors_NP[::stride][:20_000]
  geometry = jax.jit(lambda v: losses.geometry_of(subset, v))
  chunks = np.array_split(sample_NP, max(len(sample_NP) // 2_000, 1))
  geometry_NG = np.concatenate([np.asarray(geometry(chunk)) for chunk in chunks])
  mean_G = geometry_NG.mean(0)
  centred_NG = geometry_NG - mean_G
  covariance_GG = centred_NG.T @ centred_NG / len(centred_NG)
  values, vectors = np.linalg.eigh(covariance_GG)
  values, vectors = values[::-1][:num_features], vectors[:, ::-1][:, :num_features]
  scale = 1.0 / np.sqrt(np.maximum(values, values[0] * 1e-3))
  return {
    "geometry_mean": jnp.asarray(mean_G, jnp.float32),
    "geometry_projection": jnp.asarray(vectors * scale, jnp.float32),
    "params_mean": jnp.asarray(mean_P, jnp.float32),
    "params_std": jnp.asarray(std_P, jnp.float32),
  }


def check_versions(config, face) -> dict[str, str]:
  """Versions of records and head; an error that names both where they disagree."""
  stored = records.versions(config.records_dir)
  if stored["face_model"] != face.name:
    raise UserError(
      f"{config.records_dir}: records are in '{stored['face_model']}', but "
      f"config.face_model is '{face.name}'; build records for it, or change the config"
    )
  if stored["head"] != face.version:
    raise UserError(
      f"{config.records_dir}: records were made with face model version "
      f"{stored['head']}, this is {face.version}; build the records again"
    )
  return stored


# ------------------------------------------------------------- language model


def language_model(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, rows=None
) -> Objective:
  """The T5 on its mixture of tasks; tokenises the corpus with the trained tokenizer.

  Training batches hold this host's `rows` alone; evaluation batches are whole.
  """
  start = pretrained.find(config.init_from) if config.init_from else None
  if start is not None:
    config.model.update(start.fields)
  codec = motion_codec.load(config.tokenizer_dir)
  versions = check_versions(config, codec.face) | {"tokenizer": codec.version}
  vocab = None
  if start is not None:
    vocab = vocab_lib.imported(
      start.pieces, start.num_rows, config.num_extra_ids, codec.num_codes
    )
  clips = {
    split: tokenised_clips(config.records_dir, split, codec, config.tokenizer_dir)
    for split in ("train", "valid")
  }
  vocab = stored_vocabulary(
    workdir, lambda: vocab or _new_vocabulary(config, clips["train"], codec.num_codes)
  )
  model = t5.build_t5(config, vocab)

  def packed(split, num_rows):
    mixture = tasks.Mixture(
      config.task_rates.to_dict(),
      split,
      config.l2m_weight,
      config.m2l_weight,
      config.prompt_dropout if split == "train" else 0.0,
      codec.num_phases,
      config.reword if split == "train" else 0.0,
      config.disturb if split == "train" else 0.0,
    )
    return pipeline.PackedTasks(
      vocab,
      clips[split],
      config.encoder_length,
      config.decoder_length,
      num_rows,
      config.seed,
      mixture,
    )

  text_rows, motion_rows = embedding_init.row_features(vocab, codec)
  content_weight_V = embedding_init.content_weights(vocab, config.content_weight)

  groups = [text_rows, motion_rows]
  codes = [clip["codes"] for clip in clips["train"][:_CODEC_CLIPS]]
  readings = motion_reading.readings(model, codec, codes, config.seed)

  def init_fn(rng):
    tokens = jnp.ones((1, 8), jnp.int32)
    variables = model.init(rng, tokens, tokens, tokens, tokens)
    variables = embedding_init.start_embeddings(variables, groups, config.seed)
    return motion_reading.given(variables, readings)

  def start_params():
    params = embedding_init.with_new_rows(
      start.params(), vocab.table_size, [motion_rows], config.seed
    )
    return t5_layouts.stack_layers(params) if config.model.scan_layers else params

  def loss_fn(params, collections, batch, rng):
    return lm_loss(
      config, model, vocab, content_weight_V, params, collections, batch, rng
    )

  num_rows = config.total_steps * config.batch_size
  train_iter = pipeline.lm_iterator(packed("train", num_rows), config.batch_size, rows)
  valid = packed("valid", config.eval_batches * config.batch_size)
  eval_batches = [
    {
      key: np.stack([valid[i * config.batch_size + j][key] for j in range(size)])
      for key in valid[0]
    }
    for i in range(config.eval_batches)
    if (size := config.batch_size)
  ]
  lengths = (config.encoder_length, config.decoder_length)
  return Objective(
    init_fn,
    loss_fn,
    train_iter,
    eval_batches,
    versions,
    sum(lengths),
    speed.t5_flops(config.model, vocab.table_size, *lengths),
    None if start is None else start_params,
  )


def lm_loss(config, model, vocab, content_weight_V, params, collections, batch, rng):
  """The language model's train_step.LossFn, but for its first four arguments."""
  inputs = batch["decoder_input_tokens"]
  if rng is not None:
    hide_rng = jax.random.fold_in(rng, 1)
    inputs = _hide_motion(inputs, vocab, config.history_dropout, hide_rng)
  logits = model.apply(
    {"params": params},
    batch["encoder_input_tokens"],
    inputs,
    batch["encoder_segment_ids"],
    batch["decoder_segment_ids"],
    deterministic=rng is None,
    rngs=None if rng is None else {"dropout": rng},
  )
  targets, weights = batch["decoder_target_tokens"], batch["decoder_loss_weights"]
  weights = weights * content_weight_V[targets]
  loss, metrics = losses.cross_entropy(logits, targets, weights, config.z_loss)
  # Beside the total: how each direction does, told apart by the target's kind, motion
  # or text, of whatever task.
  is_motion = targets >= vocab.som_id
  correct = losses.likeliest(logits, targets) & (weights > 0)
  for name, mask in (("l2m", is_motion), ("m2l", ~is_motion & (weights > 0))):
    metrics[f"{name}_token_accuracy"] = (jnp.sum(correct & mask), jnp.sum(mask))
  return loss, (metrics, collections)


def _hide_motion(tokens_BL, vocab, most: float, rng):
  """Hides motion tokens from the decoder's input; each row draws its own share.

  The share is uniform in [0, most], cut at 1: with `most` above 1 some rows see nothing
  but the prompt.
  """
  rate_rng, token_rng = jax.random.split(rng)
  rate_B1 = jax.random.uniform(rate_rng, (tokens_BL.shape[0], 1)) * most
  hidden_BL = jax.random.uniform(token_rng, tokens_BL.shape) < rate_B1
  return jnp.where(hidden_BL & (tokens_BL >= vocab.motion_offset), UNK_ID, tokens_BL)


def _new_vocabulary(config, clips, num_codes: int) -> vocab_lib.Vocab:
  texts = tasks.texts(config.task_rates.to_dict(), clips, config.vocab_texts)
  return vocab_lib.train(texts, num_codes, config.num_pieces, config.num_extra_ids)


def stored_vocabulary(workdir, make: Callable[[], vocab_lib.Vocab]) -> vocab_lib.Vocab:
  """The workdir's vocabulary; `make` makes it, once."""
  if cluster.is_primary() and not (workdir / "vocab.json").exists():
    make().save(workdir)
  cluster.barrier("vocabulary written")
  return vocab_lib.load(workdir)
