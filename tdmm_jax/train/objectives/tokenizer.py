"""What the geometry tokenizer trains on: its data, its initial variables, its loss."""

import pathlib

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from tdmm_jax import sharding
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import pipeline, records
from tdmm_jax.data.augmentation import MotionAugmentation
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import load_model, motion_vector
from tdmm_jax.models.layers import window
from tdmm_jax.train import losses
from tdmm_jax.train.objectives import objective

_SEEN_CLIPS = 8_000  # changed ones, enough for means and spreads
_CODEC_CLIPS = 600  # enough for the least squares of a linear codec
_RARE = 99.7  # percentile of a feature: what is shown seldom counts, noise does not


def tokenizer(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, rows=None
) -> objective.Objective:
  """The geometry tokenizer on windows of motion; this host's `rows` of each batch."""
  del workdir
  face = load_model.load_face_model(config.face_model)
  versions = objective.check_versions(config, face)
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
    geometry = face_lib.vector_geometry(subset, vectors)
    rngs = {"params": params_rng, "codebook": codebook_rng}
    variables = model.init(rngs, geometry, vectors, jnp.ones(vectors.shape[:2]))
    return {**variables, "stats": stats}

  start = sharding.unbox(jax.jit(init)(jax.random.key(config.seed)))
  linear = {}
  if config.model.network == "temporal":
    with jax.default_matmul_precision(motion_codec.PRECISION):  # sums of squares
      linear = _linear_codec(model, subset, start, seen)
  init_fn = lambda rng: _replace_params(init(rng), linear)

  def loss_fn(params, collections, batch, rng):
    return tokenizer_loss(config, model, subset, params, collections, batch, rng)

  train_iter = pipeline.tokenizer_iterator(
    train, config.window, config.batch_size, config.seed, rows, augment
  )
  num_params = sum(x.size for x in jax.tree.leaves(start["params"]))
  return objective.Objective(
    init_fn,
    loss_fn,
    train_iter,
    objective.eval_batches(
      config, [pipeline.motion_window(m, config.window, 0) for m in valid]
    ),
    versions,
    config.window,
    6.0 * num_params * config.window,
  )


def _linear_codec(model, subset, variables: dict, motions: list[dict]) -> dict:
  """The tokenizer's linear paths as a codec fitted to training motions.

  Encoder: each phase's latents are a few features, smoothed over a window. The head's
  rotation, which is fast, has the first and the middle phase, together with the
  direction of the lids where a code has room for four; gaze and the geometry's
  principal directions, in order, share the others. With a single phase the latents
  alternate between the two and are not smoothed.
  Decoder: least squares from a window of the resulting code vectors to the motion.

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
  geometry_BTG = jax.jit(face_lib.vector_geometry)(subset, vectors_BTP)
  features_BTN = apply("features", geometry_BTG, vectors_BTP)
  num_features = features_BTN.shape[-1]
  num_slots = variables["params"]["linear_encoder"].shape[-1]
  lids = _direction_of_lids(features_BTN[mask_BT > 0], vectors_BTP[mask_BT > 0])
  if model.fast_digits:
    picks, taps = _fast_and_slow(
      model, num_slots, lids, *_reach_and_speed(features_BTN, mask_BT, variables)
    )
  else:
    picks, taps = _slots(num_features, num_slots, model.num_phases, lids)
  encoder = np.zeros((len(taps), num_features, num_slots), np.float32)
  encoder[:, picks, np.arange(num_slots)] = taps
  spread_N = np.asarray(features_BTN[mask_BT > 0].std(0)) + 1e-3
  linear = {"linear_encoder": encoder.reshape(-1, num_slots) / spread_N[picks]}

  variables = {**variables, "params": variables["params"] | linear}
  codes_BT = apply("encode", geometry_BTG, vectors_BTP, mask_BT)
  code_vectors = apply("code_vectors", codes_BT) * mask_BT[..., None]
  inputs = window(code_vectors, model.num_phases)[mask_BT > 0]
  targets = apply("normalise", vectors_BTP)[mask_BT > 0]
  gram = inputs.T @ inputs + 1e-3 * len(inputs) * jnp.eye(inputs.shape[-1])
  return linear | {"linear_decoder": jnp.linalg.solve(gram, inputs.T @ targets)}


def _direction_of_lids(features_MN, vectors_MP) -> int:
  """The feature, gaze and head left out, that says most about the lids."""
  lids_M = np.asarray(motion_vector.split(vectors_MP)["eyelids"]).mean(-1)
  skin_MN = np.asarray(features_MN)[:, :-9]
  covariance_N = (lids_M - lids_M.mean()) @ (skin_MN - skin_MN.mean(0))
  return int(np.argmax(np.abs(covariance_N) / (skin_MN.std(0) + 1e-6)))


def _slots(num_features: int, num_slots: int, num_phases: int, lids: int):
  """Which feature each slot carries, int[S], and its smoothing, float[2 P' + 1, S]."""
  head = [num_features - 3, num_features - 2, num_features - 1]
  gaze = [num_features - 9, num_features - 8]
  others = gaze + list(range(num_features - 9))
  fastest = [*head, lids]  # blinks are as fast as nods
  width = num_slots // num_phases
  radius = num_phases
  if num_phases == 1:
    order = [x for pair in zip(others[2:], head * width) for x in pair][:width]
    return np.array(order), np.tile([[0.0], [1.0], [0.0]], width)
  picks, taps = [], []
  for phase in range(num_phases):
    fast = phase in (0, num_phases // 2)
    for slot in range(width):
      picks.append(fastest[slot % 4] if fast else others[0])
      others = others if fast else others[1:] + others[:1]
      hann = np.hanning((radius // 2 * 2 if fast else 2 * radius) + 3)[1:-1]
      pad = (2 * radius + 1 - len(hann)) // 2
      taps.append(np.pad(hann / hann.sum(), pad))
  return np.array(picks), np.stack(taps, axis=-1)


def _reach_and_speed(features_BTN, mask_BT, variables: dict):
  """How far, and how fast, each of the geometry's directions ever moves, in metres.

  Not its deviation: what is rare, a puffed cheek, moves as far as what is always there.
  """
  scale_N = np.linalg.norm(variables["stats"]["geometry_projection"], axis=0)
  skin_BTN = np.asarray(features_BTN)[..., : len(scale_N)] / scale_N
  mask_BT = np.asarray(mask_BT) > 0
  step_BTN = np.diff(skin_BTN, axis=1)[mask_BT[:, 1:] & mask_BT[:, :-1]]
  far = lambda rows_MN: np.percentile(abs(rows_MN), _RARE, axis=0)
  return far(skin_BTN[mask_BT]), far(step_BTN)


def _fast_and_slow(model, num_slots: int, lids: int, reach_N, speed_N):
  """As `_slots`, where some digits come round more often than others (`slots_PC`).

  Those carry the head's rotation, the lids, gaze, and the directions of the geometry
  that are fastest, smoothed over their own, shorter cycle; the others those of the rest
  that reach farthest.
  """
  num_skin = len(reach_N)
  gaze, head = [num_skin, num_skin + 1], [num_skin + 6, num_skin + 7, num_skin + 8]
  num_fast = model.fast_digits * model.fast_phases
  first = [*head, lids, *gaze]
  for order in (
    np.argsort(-speed_N)[: num_fast - len(first) + 1],
    np.argsort(-reach_N),
  ):
    first += [int(index) for index in order if index not in first]
  picks = np.array(first[:num_slots])
  taps = np.zeros((2 * model.num_phases + 1, num_slots))
  for slot in range(num_slots):
    radius = model.fast_phases if slot < num_fast else model.num_phases
    hann = np.hanning(2 * radius + 3)[1:-1]
    taps[:, slot] = np.pad(hann / hann.sum(), model.num_phases - radius)
  return picks, taps


def _replace_params(variables: dict, new: dict) -> dict:
  """Top-level parameters replaced, their logical axes kept."""
  params = dict(variables["params"])
  for name, value in new.items():
    params[name] = params[name].replace_boxed(jnp.asarray(value, jnp.float32))
  return {**variables, "params": params}


def tokenizer_loss(config, model, subset, params, collections, batch, rng):
  """The tokenizer's train_step.LossFn, but for its first three arguments."""
  train = rng is not None
  geometry = face_lib.vector_geometry(subset, batch["params"])
  (predicted, codes, quantizer_loss), updated = model.apply(
    {"params": params, **collections},
    geometry,
    batch["params"],
    batch["mask"],
    train=train,
    mutable=["codebook"] if train else [],
    rngs={"codebook": rng} if train else None,
  )
  predicted_geometry = face_lib.vector_geometry(subset, predicted)
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
  geometry = jax.jit(lambda v: face_lib.vector_geometry(subset, v))
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
