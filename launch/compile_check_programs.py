"""The programs that are compiled: a config's train step, and its decode step.

Nothing is read from disk: shapes, not values, make a program. The vocabulary has the
size that the config asks for. The mesh is set while tracing only: its devices are of a
topology, and nothing can be computed on them.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from tdmm_jax import sharding, vocab
from tdmm_jax.codec import motion_codec
from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model, load_model, motion_vector
from tdmm_jax.language import cues
from tdmm_jax.models import lora, pretrained_bert, t5
from tdmm_jax.train import optim, train_step
from tdmm_jax.train.objectives import language_model, tokenizer

_INT = jnp.int32


def planned_vocab(config: ml_collections.ConfigDict, num_codes: int) -> vocab.Vocab:
  """The id space of a config, without its pieces."""
  offsets = vocab.layout(config.num_pieces, config.num_extra_ids, num_codes)
  planned = vocab.Vocab(pieces=None, model_proto=b"", **offsets)
  if config.text_encoder == pretrained_bert.SENTENCEPIECE:
    return planned
  if not config.text_encoder_sizes:
    found = pretrained_bert.chosen(config.text_encoder)
    config.text_encoder_sizes = found.sizes._asdict()
  return dataclasses.replace(planned, word_offset=planned.table_size)


def global_batch(config: ml_collections.ConfigDict, num_chips: int) -> int:
  """Examples of a step at the config's batch per chip.

  Raises:
    UserError: the config has none, and its batch cannot be spread evenly.
  """
  if config.batch_per_chip:
    return config.batch_per_chip * num_chips
  if config.batch_size % num_chips:
    raise UserError(
      f"config.batch_size: {config.batch_size} examples do not spread over {num_chips} "
      "chips; set --config.batch_per_chip"
    )
  return config.batch_size


def _lm_objective(config, num_codes: int, num_examples: int):
  """(init_fn, loss_fn, batch of shapes) of the language model."""
  ids = planned_vocab(config, num_codes)
  model = t5.build_t5(config, ids)
  one = np.ones((1, 8), np.int32)
  content_weight_V = jnp.ones(ids.table_size)
  loss_fn = functools.partial(
    language_model.lm_loss, config, model, ids, content_weight_V
  )
  shape = lambda length, dtype=_INT: jax.ShapeDtypeStruct((num_examples, length), dtype)
  encoder, decoder = config.encoder_length, config.decoder_length
  batch = {
    "encoder_input_tokens": shape(encoder),
    "encoder_segment_ids": shape(encoder),
    "decoder_input_tokens": shape(decoder),
    "decoder_target_tokens": shape(decoder),
    "decoder_segment_ids": shape(decoder),
    "decoder_loss_weights": shape(decoder, jnp.float32),
  }
  if config.model.motion_cues:
    cues_shape = (num_examples, config.model.motion_cues, cues.CUE_FIELDS)
    batch["decoder_cues"] = jax.ShapeDtypeStruct(cues_shape, jnp.float32)
    if config.model.act_reading:
      batch["encoder_cues"] = batch["decoder_cues"]

  def init_fn(rng):
    variables = model.init(rng, one, one, one, one)
    variables = language_model.start_apart(config, variables)
    return lora.start(config.lora, variables, ids.first_new_row, rng)

  return init_fn, loss_fn, batch


def _tokenizer_objective(config, num_examples: int):
  """(init_fn, loss_fn, batch of shapes) of the tokenizer."""
  face = load_model.load_face_model(config.face_model)
  ids = motion_codec.training_vertices(
    face, config.model.num_vertices, config.model.lip_weight
  )
  config.model.num_vertices = len(ids)
  subset = face_model.vertex_subset(face, ids)
  model = motion_codec.build_model(config, face.num_expression)
  num_params = face.num_expression + motion_vector.NUM_POSE

  def init_fn(rng):
    vectors = jnp.zeros((1, config.window, num_params))
    geometry = jnp.zeros((1, config.window, 3 * len(ids)))
    rngs = {"params": rng, "codebook": rng}
    return dict(model.init(rngs, geometry, vectors, jnp.ones(vectors.shape[:2])))

  loss_fn = functools.partial(tokenizer.tokenizer_loss, config, model, subset)
  shape = lambda *rest: jax.ShapeDtypeStruct(
    (num_examples, config.window, *rest), jnp.float32
  )
  return init_fn, loss_fn, {"params": shape(num_params), "mask": shape()}


def lower_train_step(config, mesh, num_codes: int):
  """The train step of a config, lowered for a mesh.

  Returns:
    (jax.stages.Lowered, abstract parameters).
  """
  num_examples = global_batch(config, mesh.size)
  if config.objective == "tokenizer":
    init_fn, loss_fn, batch = _tokenizer_objective(config, num_examples)
  else:
    init_fn, loss_fn, batch = _lm_objective(config, num_codes, num_examples)
  tx = optim.optimizer(config)
  build = train_step.state_builder(init_fn, tx, config.ema_decay)
  boxed = jax.eval_shape(build, jax.random.key(0))
  shardings = sharding.state_shardings(boxed, mesh)
  step = train_step.make_train_step(
    loss_fn,
    tx,
    np.asarray(jax.random.key_data(jax.random.key(1))),
    ema_decay=config.ema_decay,
    shardings=shardings,
  )
  state = _placed(sharding.unbox(boxed), shardings)
  batch = {
    key: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding.batch_sharding(mesh))
    for key, x in batch.items()
  }
  with jax.set_mesh(mesh):
    return step.lower(state, batch), state.params


def lower_decode_step(config, mesh, num_codes: int):
  """One token for each of the chips' sequences, with full caches, lowered for a mesh.

  Parameters are in the layers' dtype; a cache holds `decoder_length` tokens.
  """
  ids = planned_vocab(config, num_codes)
  scanned = t5.build_t5(config, ids)
  model = scanned.clone(scan_layers=False, remat="none")
  num_examples = global_batch(config, mesh.size)
  one = np.ones((1, 8), np.int32)
  boxed = jax.eval_shape(lambda: model.init(jax.random.key(0), one, one, one, one))
  shardings = sharding.state_shardings(boxed, mesh)
  cast = lambda x: jax.ShapeDtypeStruct(x.shape, model.dtype)
  variables = _placed(jax.tree.map(cast, sharding.unbox(boxed)), shardings)
  encoded = jax.ShapeDtypeStruct(
    (num_examples, config.encoder_length, model.emb_dim), model.dtype
  )
  cache = jax.eval_shape(
    lambda v, e: model.apply(v, e, config.decoder_length, method="init_cache"),
    variables,
    encoded,
  )
  cache = _placed(cache, sharding.cache_shardings(cache, mesh))
  row = lambda *shape: jax.ShapeDtypeStruct(
    (num_examples, *shape), _INT, sharding=sharding.batch_sharding(mesh)
  )
  step = jax.jit(
    lambda v, t, c, s: model.apply(v, t, c, s, method=t5.T5.decode_step),
    donate_argnums=2,
  )
  with jax.set_mesh(mesh):
    lowered = step.lower(variables, row(), cache, row(config.encoder_length))
  return lowered, variables["params"]


def _placed(tree, shardings):
  """Shapes with the place where each array lies."""
  return jax.tree.map(
    lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where),
    tree,
    shardings,
  )
