"""What the language model trains on: its data, its initial variables, its loss."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import ml_collections
import optax

from tdmm_jax import sharding
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import pipeline, tasks
from tdmm_jax.data.tokenised_corpus import tokenised_clips
from tdmm_jax.errors import UserError
from tdmm_jax.language import wording
from tdmm_jax.models import (
  cue_embedding,
  lora,
  pretrained,
  pretrained_bert,
  pretrained_t5gemma,
  t5,
  t5_layouts,
  t5gemma,
)
from tdmm_jax.runs import run_config
from tdmm_jax.train import (
  earlier_model,
  embedding_init,
  losses,
  motion_reading,
  speed,
)
from tdmm_jax.train.objectives import objective

_READ_CLIPS = 600  # enough for the least squares of a motion reading


def language_model(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, rows=None
) -> objective.Objective:
  """The T5 on its mixture of tasks; tokenises the corpus with the trained tokenizer.

  Training batches hold this host's `rows` alone; evaluation batches are whole.
  """
  reader = pretrained_bert.chosen(config.text_encoder)
  if reader is not None:
    _check_text_encoder(config)
    with config.unlocked():
      config.text_encoder_sizes = reader.sizes._asdict()
  start = _pretrained(config)
  codec = motion_codec.load(config.tokenizer_dir)
  earlier = earlier_model.find(config, codec.version)
  versions = objective.check_versions(config, codec.face) | {"tokenizer": codec.version}
  if reader is not None:
    versions["text_encoder"] = reader.version
  # Before the corpus is tokenised, which takes minutes: config mistakes end here.
  t5.check_config(config)
  mixtures = {
    split: _mixture(config, split, codec.num_phases) for split in ("train", "valid")
  }
  run_config.refuse_changes(config, workdir, versions)
  vocab = None
  if start is not None:
    vocab = start.vocabulary(config.num_extra_ids, codec.num_codes)
  clips = {
    split: tokenised_clips(config.records_dir, split, codec, config.tokenizer_dir)
    for split in ("train", "valid")
  }

  def make_vocabulary():
    if earlier is not None:
      return earlier.vocab
    made = vocab or _new_vocabulary(config, clips["train"], codec.num_codes)
    made = dataclasses.replace(made, read_acts=config.read_acts)
    return made if reader is None else made.with_wordpieces(reader.words)

  vocab = objective.stored_vocabulary(workdir, make_vocabulary)
  if (vocab.wordpieces is None) != (reader is None):
    raise UserError(
      f"{workdir}: its vocabulary was made for another config.text_encoder than "
      f"{config.text_encoder!r}; use that one, or another folder"
    )
  model = t5.build_t5(config, vocab)

  def packed(split, num_rows, batch_size=1):
    return pipeline.PackedTasks(
      vocab,
      clips[split],
      config.encoder_length,
      config.decoder_length,
      num_rows,
      config.seed,
      mixtures[split],
      num_cues=config.model.motion_cues,
      batch_size=batch_size,
    )

  text_rows, motion_rows = embedding_init.row_features(vocab, codec)
  content_weight_V = embedding_init.content_weights(vocab, config.content_weight)

  groups = [text_rows, motion_rows]
  codes = [clip["codes"] for clip in clips["train"][:_READ_CLIPS]]
  readings = motion_reading.readings(model, codec, codes, config.seed)

  def init_fn(rng):
    tokens = jnp.ones((1, 8), jnp.int32)
    variables = model.init(rng, tokens, tokens, tokens, tokens)
    variables = embedding_init.start_embeddings(variables, groups, config.seed)
    variables = start_apart(config, motion_reading.given(variables, readings))
    return lora.start(config.lora, variables, vocab.first_new_row, rng)

  def start_params():
    if earlier is not None:
      fresh = sharding.unbox(init_fn(jax.random.key(config.seed)))["params"]
      return earlier.into(fresh)
    params = embedding_init.with_new_rows(
      start.params(), vocab.table_size, [motion_rows], config.seed
    )
    return t5_layouts.stack_layers(params) if config.model.scan_layers else params

  def start_parts():
    if reader is not None:
      return {t5.TEXT_ENCODER: reader.params()}
    trained, base = lora.set_apart(config.lora, start_params(), vocab.first_new_row)
    return {**trained, lora.BASE: base}

  def loss_fn(params, collections, batch, rng):
    return lm_loss(
      config, model, vocab, content_weight_V, params, collections, batch, rng
    )

  size = config.batch_size
  train = packed("train", config.total_steps * size, size)
  train_iter = pipeline.lm_iterator(train, size, rows)
  valid = packed("valid", config.eval_batches * config.batch_size)
  eval_batches = objective.eval_batches(config, [valid[i] for i in range(len(valid))])
  sizes = (vocab.table_size, config.encoder_length, config.decoder_length)
  if isinstance(model, t5gemma.T5Gemma):
    flops = speed.t5gemma_flops(model.sizes, *sizes)
  else:
    flops = speed.t5_flops(config.model, *sizes)
  return objective.Objective(
    init_fn,
    loss_fn,
    train_iter,
    eval_batches,
    versions,
    config.encoder_length + config.decoder_length,
    flops,
    start_params if earlier or (start and not config.lora.rank) else None,
    None if reader is None and not config.lora.rank else start_parts,
  )


def _pretrained(config):
  """What `config.init_from` names, if it does; the config takes its sizes over."""
  if not config.init_from:
    return None
  is_gemma = pretrained_t5gemma.is_one(config.init_from)
  start = (pretrained_t5gemma if is_gemma else pretrained).find(config.init_from)
  config.model.update(start.fields)
  if is_gemma:
    with config.unlocked():
      config.t5gemma_sizes = start.sizes.to_dict()
  return start


def _mixture(config, split: str, num_phases: int) -> tasks.Mixture:
  """The tasks of a split; only training hides, rewords or adds to prompts."""
  of_training = lambda share: share if split == "train" else 0.0
  return tasks.Mixture(
    config.task_rates.to_dict(),
    split,
    config.l2m_weight,
    config.m2l_weight,
    of_training(config.prompt_dropout),
    num_phases,
    of_training(config.reword),
    of_training(config.disturb),
    of_training(config.acts_dropout),
    of_training(config.told_ending),
    config.encoder_length,
    tasks.tells_acts(config),
    config.decoder_length,
  )


def _check_text_encoder(config) -> None:
  """Raises UserError where a text encoder and other choices do not go together."""
  if config.init_from:
    raise UserError(
      "config.text_encoder: a pretrained T5 (config.init_from) reads its text itself; "
      "leave one of the two at its default"
    )


def start_apart(config, variables: dict) -> dict:
  """Initial variables; a text encoder that is not trained is no parameter."""
  if t5.TEXT_ENCODER not in variables["params"] or config.text_encoder_rate:
    return variables
  return t5.set_apart(variables)


def lm_loss(config, model, vocab, content_weight_V, params, collections, batch, rng):
  """The language model's train_step.LossFn, but for its first four arguments."""
  inputs = batch["decoder_input_tokens"]
  if rng is not None:
    hide_rng = jax.random.fold_in(rng, 1)
    inputs = _hide_motion(inputs, vocab, config.history_dropout, hide_rng)
  logits, acts = model.apply(
    {"params": t5.whole(params, collections)},
    batch["encoder_input_tokens"],
    inputs,
    batch["encoder_segment_ids"],
    batch["decoder_segment_ids"],
    deterministic=rng is None,
    decoder_cues_BNF=batch.get("decoder_cues"),
    with_acts=True,
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
  if acts is not None:
    metrics["act_reading"] = misread, _ = _misread(acts, batch["encoder_cues"])
    # Divided as the other loss is, so that parts of a batch add up to the whole.
    loss += config.acts_weight * misread / jnp.maximum(metrics["loss"][1], 1.0)
  return loss, (metrics, collections)


def _misread(logits_BMR, cues_BNF):
  """How wrong the encoder is on which acts are on: (nats, places of motion)."""
  places = jnp.arange(logits_BMR.shape[1])
  on_BMR, asked_BMR = cue_embedding.on_at_places(cues_BNF, places)
  nats_BMR = optax.sigmoid_binary_cross_entropy(logits_BMR, on_BMR) * asked_BMR
  return jnp.sum(nats_BMR), jnp.sum(asked_BMR[..., 0])


def _hide_motion(tokens_BL, vocab, most: float, rng):
  """Hides motion tokens from the decoder's input; each row draws its own share.

  The share is uniform in [0, most], cut at 1: with `most` above 1 some rows see nothing
  but the prompt.
  """
  rate_rng, token_rng = jax.random.split(rng)
  rate_B1 = jax.random.uniform(rate_rng, (tokens_BL.shape[0], 1)) * most
  hidden_BL = jax.random.uniform(token_rng, tokens_BL.shape) < rate_B1
  return jnp.where(
    hidden_BL & (tokens_BL >= vocab.motion_offset), vocab.unk_id, tokens_BL
  )


def _new_vocabulary(config, clips, num_codes: int) -> vocab_lib.Vocab:
  rates, most = config.task_rates.to_dict(), config.vocab_texts
  texts = tasks.texts(rates, clips, most, config.read_acts)
  whole = wording.TIMES if config.read_acts else ()
  sizes = (config.num_pieces, config.num_extra_ids)
  return vocab_lib.train(texts, num_codes, *sizes, whole)
