"""Pretrained T5Gemmas: read, refused by name, decoded, grown, tuned and used."""

import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import t5gemma_folders
import tiny

from tdmm_jax import export_hf
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import tasks
from tdmm_jax.errors import UserError
from tdmm_jax.generate import face
from tdmm_jax.models import pretrained_t5gemma
from tdmm_jax.models.t5gemma import Sizes, T5Gemma
from tdmm_jax.runs import checkpoints

KINDS = list(t5gemma_folders.KINDS)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """kind -> (folder, parameters)."""
  base = tmp_path_factory.mktemp("t5gemma")
  return {
    kind: (base / kind, t5gemma_folders.write(base / kind, kind)) for kind in KINDS
  }


@pytest.fixture
def folder(written, tmp_path):
  """A T5Gemma to be broken."""
  return shutil.copytree(written["balanced"][0], tmp_path / "t5gemma")


def assert_equal(tree, expected):
  assert jax.tree.structure(tree) == jax.tree.structure(expected)
  jax.tree.map(np.testing.assert_array_equal, tree, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(written, kind):
  folder, params = written[kind]
  sizes, tied, tokenizer = t5gemma_folders.KINDS[kind]
  found = pretrained_t5gemma.find(folder)
  assert found.sizes == sizes and found.num_rows == t5gemma_folders.ROWS
  assert found.tokenizer.name == tokenizer
  assert found.fields["logits_via_embedding"] == tied
  assert_equal(found.params(), params)
  stored = json.loads(json.dumps(sizes.to_dict()))
  assert Sizes.from_dict(stored) == sizes and hash(Sizes.from_dict(stored))


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_read_as_the_checkpoint_reads_it(written, kind):
  found = pretrained_t5gemma.find(written[kind][0])
  vocab = found.vocabulary(10, 30)
  assert (vocab.bos_id, vocab.unk_id) == (2, 3)
  assert vocab.extra_id(9) == t5gemma_folders.ROWS  # its ids stay, new ones follow
  assert vocab.task_offset == t5gemma_folders.ROWS + 10
  assert vocab.first_new_row == t5gemma_folders.ROWS
  text = "He frowns, then nods twice."
  ids = vocab.encode_text(text)
  assert vocab.decode_text([*ids, vocab_lib.EOS_ID, 9]) == text
  assert min(ids) > 3
  assert vocab.encode_text(" nods") != vocab.encode_text("nods")
  assert 1 not in vocab.encode_text("nods<eos>")  # what a user writes is text
  encoder = tasks.l2m_encoder(vocab, text, 25, terms="")
  assert encoder[:2].tolist() == [2, vocab.task_id("l2m")]


def test_a_vocabulary_is_read_again(written, tmp_path):
  for kind in KINDS:
    vocab = pretrained_t5gemma.find(written[kind][0]).vocabulary(10, 30)
    vocab.save(tmp_path / kind)
    again = vocab_lib.load(tmp_path / kind)
    assert again.offsets() == vocab.offsets() and again.pieces_file == vocab.pieces_file
    assert again.encode_text("nods twice") == vocab.encode_text("nods twice")


def edit_config(stack=None, **changes):
  def change(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    (config[stack] if stack else config).update(changes)
    path.write_text(json.dumps(config))

  return change


FAULTS = {
  "another activation": (
    edit_config("encoder", hidden_activation="silu"),
    ["encoder.hidden_activation is 'silu', not 'gelu_pytorch_tanh'"],
  ),
  "scaled positions": (
    edit_config("decoder", rope_parameters={"rope_type": "yarn", "rope_theta": 1.0}),
    ["decoder has scaled rotary positions"],
  ),
  "other ids": (
    edit_config("decoder", eos_token_id=[5], pad_token_id=3),
    ["decoder.pad_token_id is 3, not 0", "eos_token_id is [5], not 1"],
  ),
  "other layers": (
    edit_config("decoder", layer_types=["chunked_attention"] * 2),
    ["layer_types are ['chunked_attention']"],
  ),
  "no size": (
    lambda folder: edit_config(decoder={})(folder),
    ["config.json: without 'num_hidden_layers'"],
  ),
  "sizes of another model": (
    edit_config("encoder", hidden_size=32, num_key_value_heads=4),
    [
      "model.encoder.embed_tokens.weight is [64, 24], not [64, 32]",
      "model.decoder.layers.0.cross_attn.k_proj.weight is [16, 24], not [16, 32]",
    ],
  ),
  "a head of its own": (
    edit_config(tie_word_embeddings=False),
    ["missing lm_head.out_proj.weight"],
  ),
  "no tokenizer": (
    lambda folder: (folder / "tokenizer.model").unlink(),
    ["tokenizer.json: missing, and no tokenizer.model"],
  ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(folder, name):
  fault, said = FAULTS[name]
  fault(folder)
  with pytest.raises(UserError) as error:
    pretrained_t5gemma.find(folder)
  for words in said:
    assert words in str(error.value)


@pytest.mark.parametrize(
  ("name", "content", "rows", "said"),
  [
    ("tokenizer.model", b"nonsense", 64, "not a SentencePiece model"),
    ("tokenizer.json", b"{", 64, "is damaged"),
    ("tokenizer.json", None, 80, "64 pieces do not fit weights of 80 rows"),
    ("tokenizer.json", b"<eos>", 64, r"\(0, 1, 2, 3\)"),
  ],
)
def test_pieces_that_do_not_fit_the_weights(name, content, rows, said):
  whole = t5gemma_folders.json_pieces()
  if content == b"<eos>":
    content = whole.replace(b'"<eos>"', b'"<end>"')
  with pytest.raises(UserError, match=rf"{name}: .*{said}"):
    vocab_lib.imported_gemma(name, content or whole, rows, 10, 10)


def both(written):
  sizes, tied, _ = t5gemma_folders.KINDS["unbalanced"]
  model = T5Gemma(t5gemma_folders.ROWS, sizes, logits_via_embedding=tied)
  rng = np.random.default_rng(0)
  encoder = jnp.asarray(rng.integers(4, 64, (2, 20)))
  decoder = jnp.asarray(rng.integers(4, 64, (2, 16))).at[:, 0].set(0)
  return model, {"params": written["unbalanced"][1]}, encoder, decoder


def test_decoding_with_a_cache_is_teacher_forcing(written):
  """Beyond a window, too; padding of the encoder is not looked at."""
  model, variables, encoder, decoder = both(written)
  segments = jnp.ones_like(encoder).at[1, 11:].set(0)
  ones = jnp.ones_like(decoder)
  expected = jax.jit(model.apply)(variables, encoder, decoder, segments, ones)
  apply = functools.partial(model.apply, variables)
  encoded = apply(encoder, segments, method="encode")
  cache = apply(encoded, decoder.shape[1], method="init_cache")
  step = jax.jit(functools.partial(apply, method="decode_step"))
  for index in range(decoder.shape[1]):
    logits, cache = step(decoder[:, index], cache, segments)
    np.testing.assert_allclose(logits, expected[:, index], atol=2e-5)


def test_packed_segments_do_not_see_each_other(written):
  model, variables, encoder, decoder = both(written)
  ones = jnp.ones_like
  apply = jax.jit(model.apply)
  expected = apply(variables, encoder, decoder, ones(encoder), ones(decoder))
  row = lambda parts: jnp.concatenate([*parts, jnp.zeros(3, int)])[None]
  segments = lambda parts: row([ones(part) * (i + 1) for i, part in enumerate(parts)])
  packed = apply(
    variables, row(encoder), row(decoder), segments(encoder), segments(decoder)
  )
  whole = packed[0, :-3].reshape(expected.shape)
  np.testing.assert_allclose(whole, expected, atol=2e-5)


MESHES = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
import t5gemma_folders
from tdmm_jax import sharding
from tdmm_jax.models.t5gemma import T5Gemma
sizes = t5gemma_folders.KINDS["balanced"][0]
model = T5Gemma(64, sizes, scan_layers=True, remat="dots")
rng = np.random.default_rng(0)
batch = {name: rng.integers(4, 64, (8, length)).astype(np.int32)
         for name, length in (("encoder", 12), ("decoder", 8))}
segments = lambda x: 1 + (jnp.arange(x.shape[1]) >= 5) * jnp.ones_like(x)

def loss(params, batch):
  encoder, decoder = batch["encoder"], batch["decoder"]
  logits = model.apply({"params": params}, encoder, decoder, segments(encoder),
                       segments(decoder))
  return -jnp.mean(jax.nn.log_softmax(logits)[..., 7])

ones = jnp.ones((1, 4), jnp.int32)
init = lambda: model.init(jax.random.key(0), *[ones] * 4)["params"]
boxed = jax.eval_shape(init)
params = jax.tree.map(lambda x: np.float32(rng.normal(size=x.shape) * 0.2),
                      sharding.unbox(boxed))
run = jax.value_and_grad(loss)
expected, grads = jax.jit(run)(params, batch)
mesh = sharding.make_mesh(2, 2, 2)
places = sharding.state_shardings(boxed, mesh)
placed = jax.tree.map(jax.device_put, params, places)
with jax.set_mesh(mesh):
  step = jax.jit(run, out_shardings=(None, places))
  found, other = step(placed, sharding.to_global(batch, mesh))
error = jax.tree.map(lambda a, b: float(np.linalg.norm(a - b) / np.linalg.norm(b)),
                     other, grads)
print(json.dumps([
  abs(float(found) / float(expected) - 1), max(jax.tree.leaves(error)),
  [jax.tree_util.keystr(path) for path, x in jax.tree_util.tree_leaves_with_path(placed)
   if x.sharding.is_fully_replicated]]))
"""


@pytest.mark.slow
def test_a_mesh_agrees_on_loss_and_every_gradient_and_splits_all_parameters():
  out = tiny.run_python(MESHES, devices=8, timeout=500)
  loss_error, gradient_error, replicated = json.loads(out.splitlines()[-1])
  assert loss_error <= 1e-5 and gradient_error <= 1e-5
  assert replicated == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_pretrained_model_is_tuned_used_and_written_back(
  tiny_run, written, tmp_path, kind
):
  """init_from, training, a loaded run that writes and describes, export_hf."""
  start, old = written[kind]
  config = tiny.config_of(
    "lm_base",
    tiny_run,
    init_from=str(start),
    total_steps=4,
    eval_every=4,
    batch_per_chip=0,
    encoder_length=448,  # its text pieces are few and short
    decoder_length=256,
  )
  config.model.scan_layers = kind == "balanced"
  tiny.train_on(config, tmp_path / "lm")
  (tmp_path / "tokenizer").symlink_to(tiny_run / "tokenizer")
  run = face.Face(tmp_path)
  sizes = t5gemma_folders.KINDS[kind][0]
  assert run.model.sizes == sizes and not run.model.scan_layers
  rows = t5gemma_folders.ROWS
  for table in ("token_embedder", "encoder_embedder"):
    new, was = run.params[table]["embedding"], old[table]["embedding"]
    change = new[:rows] - was
    # Tuned, not trained from nothing; the rows behind are like the old ones.
    assert 0 < np.abs(change).max() < 0.1 * was.std()
    assert 0.8 < new[rows:].std() / was.std() < 1.2
  stored = checkpoints.read_json(tmp_path / "lm" / "config.json")["config"]
  assert stored["t5gemma_sizes"]["encoder"]["window"] == sizes.encoder.window
  assert run.generate("He nods.", seconds=1).num_frames == 25
  assert isinstance(run.describe(tiny.first_motion(tiny_run)), str)
  out = tmp_path / "exported"
  assert export_hf.main(["--run", str(tmp_path), "--out", str(out)]) == 0
  again = pretrained_t5gemma.find(out)
  assert_equal(again.params(), jax.tree.map(np.asarray, run.params))
  assert again.tokenizer.read_bytes() == run.vocab.model_proto
