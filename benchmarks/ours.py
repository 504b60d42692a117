"""This project's side of `benchmarks.run`: what is timed, and the limit it is up to.

Each entry of WORK is (Bench) -> Job. A job's `call` does the work once, to the end;
`items` is what one call handles (frames, tokens, clips, records).

Shape letters: B batch, T frames, V vertices.
"""

import functools
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from benchmarks import limits
from configs import lm_demo, tokenizer_base, tokenizer_demo
from data_prep import build
from tdmm_jax import sharding
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import packing, records
from tdmm_jax.decoding import sample
from tdmm_jax.face import face_model, load_model
from tdmm_jax.generate import face as inference
from tdmm_jax.language import instructions
from tdmm_jax.models import t5
from tdmm_jax.models.t5 import T5
from tdmm_jax.train import losses, optim, speed, train_step
from tdmm_jax.train.objectives import tokenizer

WINDOW = 64  # frames, of both tokenizers


class Job(NamedTuple):
  """One thing to time; `limit` in items a second, None where there is none."""

  call: Callable[[], None]
  items: float
  limit: float | None = None


class Bench:
  """Sizes, inputs and what several jobs share; made when first asked for."""

  def __init__(self, sizes: dict, given: dict, machine: limits.Machine):
    self.sizes, self.given, self.machine = sizes, given, machine
    self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tdmm_bench_"))
    self.mesh = sharding.make_mesh(devices=jax.devices()[:1])  # as `make train` trains

  def close(self) -> None:
    shutil.rmtree(self.folder, ignore_errors=True)

  @functools.cached_property
  def head(self):
    """A face model of FLAME's sizes; the peer's arrays are in `given`, too."""
    arrays = {k.removeprefix("our_"): v for k, v in self.given.items() if "our_" in k}
    return face_model.from_arrays(
      **arrays,
      eyelid_dirs=np.zeros((len(arrays["v_template"]), 3, 2)),
      faces=np.zeros((0, 3)),
      regions={},
      landmark_ids=np.zeros(0),
      landmark_triangles=np.zeros((0, 3)),
      landmark_barycentric=np.zeros((0, 3)),
      name="benchmark",
    )

  @functools.cached_property
  def records_dir(self):
    directory = self.folder / "records"
    build.build_corpus(directory, self.sizes["clips"], num_workers=1, progress=False)
    return directory

  def tokenizer_config(self, base: bool = False) -> ml_collections.ConfigDict:
    config = (tokenizer_base if base else tokenizer_demo).get_config()
    config.records_dir = str(self.records_dir)
    config.window, config.batch_size = WINDOW, self.sizes["vq_batch"]
    config.tensorboard = False
    if self.sizes["small"]:
      config.model.emb_dim, config.model.mlp_dim = 16, 32
    return config

  @functools.cache  # noqa: B019  a bench lives as long as the program
  def objective(self, base: bool = False):
    config = self.tokenizer_config(base)
    return config, tokenizer.tokenizer(config, self.folder)

  @functools.cached_property
  def codec(self):
    """The demo's tokenizer as training starts from it: as fast as a trained one."""
    config, objective = self.objective()
    variables = sharding.unbox(jax.jit(objective.init_fn)(jax.random.key(0)))
    face = load_model.load_face_model(config.face_model)
    return motion_codec.MotionCodec(config, variables, face, "benchmark")

  def t5(self) -> T5:
    s = self.sizes
    return T5(
      vocab_size=s["lm_vocab"],
      emb_dim=s["lm_dim"],
      num_heads=s["lm_heads"],
      head_dim=s["lm_dim"] // s["lm_heads"],
      mlp_dim=s["lm_mlp"],
      num_encoder_layers=s["lm_layers"],
      num_decoder_layers=s["lm_layers"],
      dropout_rate=0.0,
      logits_via_embedding=True,
      embedding_stddev=1.0,
      dtype=jnp.float32,
      scan_layers=False,
      remat="none",
    )

  def trainer(self, config, init_fn, loss_fn, batches):
    """One update a call, as `tdmm_jax.train` does it."""
    with jax.set_mesh(self.mesh):
      tx = optim.optimizer(config)
      state = train_step.init_state(init_fn, tx, self.mesh, jax.random.key(0))
      step = train_step.make_train_step(
        loss_fn,
        tx,
        jax.random.key(1),
        shardings=jax.tree.map(lambda x: x.sharding, state),
      )
    held = [state]

    def call():
      with jax.set_mesh(self.mesh):
        batch = sharding.to_global(next(batches), self.mesh)
        held[0], metrics = step(held[0], batch)
        jax.block_until_ready(metrics)

    return call


# ---------------------------------------------------------------------- face


def _pose(bench: Bench, fixed_identity: bool) -> dict:
  """Arguments of `posed_vertices`; the peer is given the same numbers."""
  pose, betas = bench.given["pose"], bench.given["betas"]
  num_shape = bench.head.num_shape
  fields = {"head_pose": 0, "neck_pose": 3, "jaw_pose": 6}
  arrays = {name: pose[:, at : at + 3] for name, at in fields.items()}
  arrays["eye_pose"], arrays["expression"] = pose[:, 9:15], betas[:, num_shape:]
  if not fixed_identity:
    arrays["shape"] = betas[:, :num_shape]
  arrays["eyelids"] = np.zeros((len(pose), 2), np.float32)
  return {name: jnp.asarray(array) for name, array in arrays.items()}


def _face_limit(bench: Bench, fixed_identity: bool, backward: bool) -> float:
  """Frames/s. A frame is a product with the bases and a turn of each vertex."""
  head = bench.head
  rows = head.num_motion_rows + (0 if fixed_identity else head.num_shape)
  product, turn = 2 * rows * 3 * head.num_vertices, 138 * head.num_vertices
  flops = (product + turn) * (3 if backward else 1) - (product if backward else 0)
  batch = len(bench.given["pose"])
  bases = 4 * rows * 3 * head.num_vertices / batch
  numbers = 4 * 3 * head.num_vertices * (2 if backward else 1)
  return bench.machine.limit(flops, bases * (2 if backward else 1) + numbers)


def face_forward(bench: Bench, fixed_identity: bool = False) -> Job:
  pose, head = _pose(bench, fixed_identity), bench.head
  if fixed_identity:  # once per clip, so it is not timed
    head = face_model.with_identity(head, bench.given["betas"][0, : head.num_shape])
  forward = jax.jit(lambda head, pose: face_model.posed_vertices(head, **pose))
  call = lambda: forward(head, pose).block_until_ready()
  limit = _face_limit(bench, fixed_identity, backward=False)
  return Job(call, len(bench.given["pose"]), limit)


def face_backward(bench: Bench) -> Job:
  """Forward, and the gradient by every parameter of a squared error of vertices."""
  pose, target = _pose(bench, False), jnp.asarray(bench.given["target"])

  @jax.jit
  def gradient(head, pose, target):
    error = lambda pose: jnp.mean(
      (face_model.posed_vertices(head, **pose) - target) ** 2
    )
    return jax.grad(error)(pose)

  call = lambda: jax.block_until_ready(gradient(bench.head, pose, target))
  return Job(call, len(target), _face_limit(bench, False, backward=True))


# ----------------------------------------------------------------- tokenizer


def tokenizer_train(bench: Bench, base: bool = False) -> Job:
  config, objective = bench.objective(base)
  call = bench.trainer(
    config, objective.init_fn, objective.loss_fn, objective.train_iter
  )
  flops = objective.flops_per_example / config.window
  frames = config.batch_size * config.window
  return Job(call, frames, bench.machine.limit(flops))


def tokenizer_encode(bench: Bench) -> Job:
  """Motions in, tokens out: the face model's forward map is part of it."""
  codec, size = bench.codec, bench.sizes["vq_batch"]
  clips = records.load_clips(bench.records_dir, "train")
  vectors = [clips[i % len(clips)]["vectors"][:WINDOW] for i in range(size)]
  params = codec.variables["params"]
  count = sum(
    x.size
    for name in params
    if "encoder" in name
    for x in jax.tree.leaves(params[name])
  )
  basis = codec.subset.basis.size + 138 * codec.subset.num_vertices
  call = lambda: codec.encode_vectors(vectors)
  return Job(call, size * WINDOW, bench.machine.limit(2.0 * (count + basis)))


# ------------------------------------------------------------ language model


def _lm_trainer(bench: Bench, batches: list[dict]):
  config = lm_demo.get_config()
  config.optimizer = "adamw"  # as the peer
  model = bench.t5()

  def init_fn(rng):
    tokens = jnp.ones((1, 8), jnp.int32)
    return model.init(rng, tokens, tokens, tokens, tokens)

  def loss_fn(params, collections, batch, rng):
    logits = model.apply(
      {"params": params},
      batch["encoder_input_tokens"],
      batch["decoder_input_tokens"],
      batch["encoder_segment_ids"],
      batch["decoder_segment_ids"],
    )
    weights = batch["decoder_loss_weights"]
    targets = batch["decoder_target_tokens"]
    loss, metrics = losses.cross_entropy(logits, targets, weights)
    return loss, (metrics, collections)

  def endless():
    while True:
      yield from batches

  return bench.trainer(config, init_fn, loss_fn, endless())


def _lm_limit(bench: Bench, encoder: int, decoder: int) -> float:
  """Tokens/s, padding included."""
  model = bench.t5()
  flops = speed.t5_flops(model, bench.sizes["lm_vocab"], encoder, decoder)
  return bench.machine.limit(flops / (encoder + decoder))


def _examples(bench: Bench, lengths) -> list[dict]:
  rng = np.random.default_rng(0)
  draw = lambda n: rng.integers(3, bench.sizes["lm_vocab"], n).astype(np.int32)
  return [{"encoder_tokens": draw(m), "decoder_targets": draw(n)} for m, n in lengths]


def _stacked(rows: list[dict], size: int) -> list[dict]:
  return [
    {key: np.stack([row[key] for row in rows[i : i + size]]) for key in rows[0]}
    for i in range(0, len(rows) - size + 1, size)
  ]


def lm_train(bench: Bench) -> Job:
  s = bench.sizes
  encoder, decoder, size = s["lm_encoder"], s["lm_decoder"], s["lm_batch"]
  examples = _examples(bench, [(encoder, decoder)] * size)
  rows = [packing.pack_row([e], encoder, decoder) for e in examples]
  call = _lm_trainer(bench, _stacked(rows, size))
  return Job(call, size * (encoder + decoder), _lm_limit(bench, encoder, decoder))


def lm_train_useful(bench: Bench) -> Job:
  """Examples of mixed lengths, several packed into a row; only their tokens count."""
  s, lengths = bench.sizes, bench.given["mixed_lengths"]
  encoder, decoder, size = s["packed_encoder"], s["packed_decoder"], s["packed_batch"]
  plan = packing.plan_rows(lengths, encoder, decoder, range(len(lengths)))
  examples = _examples(bench, lengths)
  rows = [
    packing.pack_row([examples[i] for i in row], encoder, decoder) for row in plan
  ]
  batches = _stacked(rows, size)
  used = [
    np.count_nonzero(b["encoder_segment_ids"])
    + np.count_nonzero(b["decoder_segment_ids"])
    for b in batches
  ]
  call = _lm_trainer(bench, batches)
  return Job(call, float(np.mean(used)), _lm_limit(bench, encoder, decoder))


def lm_generate(bench: Bench, batch: int) -> Job:
  """Greedy, cached, no stop: every step makes `batch` tokens."""
  s = bench.sizes
  model, prompts = bench.t5(), jnp.asarray(bench.given["lm_prompts"][:batch], jnp.int32)
  init = lambda rng: model.init(rng, prompts, prompts, prompts, prompts)
  params = sharding.unbox(jax.jit(init)(jax.random.key(0)))["params"]
  low = np.full((batch, s["lm_decoder"]), 3, np.int32)
  high = np.full_like(low, s["lm_vocab"])
  rng = jax.random.key(0)
  decode = functools.partial(sample.decode, model, params, prompts, low, high, rng)
  if batch > 1:
    decode = functools.partial(decode, shared_params=sample.shared(params))  # as Face
  read = sum(x.size for x in jax.tree.leaves(params["decoder"]))
  read += params["token_embedder"]["embedding"].size
  limit = bench.machine.limit(2.0 * read, 4.0 * read / batch)
  return Job(lambda: decode().block_until_ready(), batch * s["lm_decoder"], limit)


def first_frame(bench: Bench) -> Job:
  """From the call to the first frames in hand, by models of the demo's sizes."""
  config = lm_demo.get_config()
  texts = [*instructions.L2M_TRAIN, *instructions.M2L_TRAIN]
  for clip in records.load_clips(bench.records_dir, "train"):
    texts += [clip["prompt"], *clip["captions"]]
  num_codes = bench.codec.num_codes
  vocab = vocab_lib.train(texts, num_codes, config.num_pieces, config.num_extra_ids)
  model = t5.build_t5(config, vocab)
  tokens = jnp.ones((1, 8), jnp.int32)
  init = lambda rng: model.init(rng, tokens, tokens, tokens, tokens)
  params = sharding.unbox(jax.jit(init)(jax.random.key(0)))["params"]
  face = inference.Face.assemble(config, bench.codec, vocab, model, params)
  seeds = iter(range(10**9))

  def call():
    prompt = "A woman smiles broadly, then nods twice."
    stream = face.stream(prompt, 4.0, seed=next(seeds))
    next(stream)
    stream.close()

  return Job(call, 1)


# --------------------------------------------------------------------- data


def corpus_build(bench: Bench) -> Job:
  """Prompts, captions, simulated motions and their records, on every core."""
  numbers = iter(range(10**9))

  def call():
    directory = bench.folder / f"corpus_{next(numbers)}"
    build.build_corpus(
      directory,
      bench.sizes["clips"],
      num_workers=bench.machine.cores,
      progress=False,
      shard_clips=max(bench.sizes["clips"] // 8, 8),
    )
    shutil.rmtree(directory)

  return Job(call, bench.sizes["clips"])


def records_read(bench: Bench) -> Job:
  source = records.open_split(bench.records_dir, "train")

  def call():
    for i in range(len(source)):
      source[i]

  return Job(call, len(source))


def records_read_tfds(bench: Bench) -> Job:
  """The peer of `records_read`: TFDS' own reader, in the same process."""
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(bench.records_dir)
  source = builder.as_data_source("train")

  def call():
    for i in range(len(source)):
      source[i]

  return Job(call, len(source))


WORK: dict[str, Callable[[Bench], Job]] = {
  "face_forward": face_forward,
  "face_forward_fixed_identity": functools.partial(face_forward, fixed_identity=True),
  "face_backward": face_backward,
  "tokenizer_train": tokenizer_train,
  "tokenizer_base_train": functools.partial(tokenizer_train, base=True),
  "tokenizer_encode": tokenizer_encode,
  "lm_train": lm_train,
  "lm_train_useful": lm_train_useful,
  "lm_generate_batch1": functools.partial(lm_generate, batch=1),
  "lm_generate_batch16": functools.partial(lm_generate, batch=16),
  "first_frame": first_frame,
  "corpus_build": corpus_build,
  "records_read": records_read,
}
