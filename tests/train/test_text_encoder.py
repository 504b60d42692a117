"""A language model that a pretrained BERT reads text for: trained, packed, used."""

import functools
import json
import pathlib
import shutil

import bert_folders
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
import tiny

from configs import lm_demo
from tdmm_jax import pack_release, vocab
from tdmm_jax.data import tasks
from tdmm_jax.decoding import sample
from tdmm_jax.errors import UserError
from tdmm_jax.generate import face, inputs
from tdmm_jax.language import cues, free_words, instructions
from tdmm_jax.models import pretrained_bert, t5
from tdmm_jax.runs import checkpoints, locate, packed, train_state
from tdmm_jax.train import optim, train_step
from tdmm_jax.train.objectives import language_model

PROMPT = "A woman smiles broadly."


@pytest.fixture(scope="module")
def run_dir(tiny_run, tmp_path_factory):
  """The tiny run, with a language model that reads with a BERT of its own."""
  folder = tmp_path_factory.mktemp("text_encoder")
  for name in ("records", locate.TOKENIZER):
    (folder / name).symlink_to(tiny_run / name)
  bert_folders.write(folder / "text_encoder")
  config = tiny.config_of("lm_demo_minilm", folder, ema_decay=0.9)
  tiny.train_on(config, folder / locate.LANGUAGE_MODEL)
  return folder


@pytest.fixture(scope="module")
def loaded(run_dir, tmp_path_factory):
  """That run's files alone: the text encoder's folder is not needed any more."""
  folder = tmp_path_factory.mktemp("moved")
  shutil.copytree(run_dir / locate.LANGUAGE_MODEL, folder / locate.LANGUAGE_MODEL)
  (folder / locate.TOKENIZER).symlink_to(run_dir / locate.TOKENIZER)
  return face.Face(folder)


def test_what_is_frozen_stays_and_costs_no_optimiser_state(run_dir, loaded):
  given = pretrained_bert.find(run_dir / "text_encoder").params()
  jax.tree.map(np.testing.assert_array_equal, loaded.params[t5.TEXT_ENCODER], given)
  _, optimizer = checkpoints.restore_item(run_dir / "lm", "optimizer")
  _, model = checkpoints.restore_item(run_dir / "lm", "model")
  for tree in (optimizer, model["params"], model["collections"]["ema"]):
    paths = jax.tree_util.tree_leaves_with_path(tree)
    names = [jax.tree_util.keystr(path) for path, _ in paths]
    assert len(names) > 20 and not any(t5.TEXT_ENCODER in name for name in names)
    assert any("text_projection" in name for name in names)


def test_it_writes_describes_and_streams(run_dir, loaded):
  motion = loaded.generate(PROMPT, seconds=1, seed=3)
  pieces = list(loaded.stream(PROMPT, seconds=1, seed=3))
  streamed = np.concatenate([piece.expression for piece in pieces])
  np.testing.assert_allclose(streamed, motion.expression, atol=1e-5)
  prompts = [PROMPT, "He nods.", ""]
  with pytest.raises(UserError, match="prompt: empty"):
    loaded.generate_codes(prompts, [1, 1, 1])
  batch = loaded.generate_codes(prompts[:2], [1, 1.2], seed=3)
  assert [len(codes) for codes in batch] == [25, 30]
  assert isinstance(loaded.describe(tiny.first_motion(run_dir)), str)
  with pytest.raises(UserError, match="prompt: 203 text pieces, the limit is 150"):
    loaded.generate("smiles " * 201, seconds=1)


def test_resumed_equals_uninterrupted(run_dir, tmp_path):
  workdir = tmp_path / "lm"
  shutil.copytree(run_dir / "lm", workdir)
  shutil.rmtree(workdir / checkpoints.FOLDER / "12")
  tiny.train_on(tiny.config_of("lm_demo_minilm", run_dir, ema_decay=0.9), workdir)
  ours, whole = (checkpoints.restore_model(d) for d in (workdir, run_dir / "lm"))
  assert ours["step"] == 12
  jax.tree.map(np.testing.assert_array_equal, ours, whole)


def test_other_weights_or_another_text_side_are_refused(run_dir, tmp_path):
  config = tiny.config_of("lm_demo_minilm", run_dir)
  config.text_encoder = f"hf:{bert_folders.write(tmp_path / 'other', seed=1)}"
  with pytest.raises(UserError, match="version of text_encoder is"):
    tiny.train_on(config, run_dir / "lm")
  with pytest.raises(UserError, match="text_encoder is 'sentencepiece', was 'hf:"):
    tiny.train_on(tiny.config_of("lm_demo", run_dir), run_dir / "lm")
  config.init_from = "somewhere"
  with pytest.raises(UserError, match=r"a pretrained T5 .* reads its text itself"):
    tiny.train_on(config, tmp_path / "t5")
  config.init_from, config.text_encoder_rate = "", 2.0
  with pytest.raises(UserError, match="text_encoder_rate: 2 is out of range"):
    tiny.train_on(config, tmp_path / "t5")


def test_packed_it_is_small_and_says_the_same(loaded, tmp_path):
  pack_release.pack(loaded.name, tmp_path / "packed")
  lm = tmp_path / "packed" / "lm"
  assert {"wordpieces.json", "TEXT_ENCODER_NOTICE"} <= {p.name for p in lm.iterdir()}
  config = json.loads((lm / "config.json").read_text())["config"]
  assert config["text_encoder"] == "hf:text_encoder"
  again = face.Face(tmp_path / "packed")
  close = lambda a, b: np.testing.assert_allclose(a, b, atol=np.abs(b).max() / 250)
  jax.tree.map(close, again.params[t5.TEXT_ENCODER], loaded.params[t5.TEXT_ENCODER])
  tokens = tasks.l2m_encoder(loaded.vocab, PROMPT, 25)[None]
  assert tokens.max() >= loaded.vocab.table_size  # it does read WordPieces
  encoded = [
    run.model.apply({"params": run.params}, tokens, tokens > 0, method="encode")
    for run in (loaded, again)
  ]
  assert np.abs(encoded[0] - encoded[1]).max() < 0.05 * np.std(encoded[0])
  assert again.generate(PROMPT, seconds=1).num_frames == 25


def test_whole_numbers_come_back_to_half_a_scale():
  values = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
  values[2] = 0
  rounded, scale = packed.quantized(values, -1)
  assert rounded.dtype == np.int8 and scale.shape == (5, 1)
  assert (np.abs(rounded * scale - values) <= scale * 0.5001).all()
  assert np.abs(rounded).max() == 127 and not rounded[2].any()


def test_a_word_changes_its_own_text_alone(loaded):
  """Prompt and instruction are read apart; so are a packed row's examples."""
  ids, model = loaded.vocab, loaded.model
  encoder = lambda prompt: tasks.l2m_encoder(ids, prompt, 25, terms="")
  one, other = encoder("he smiles"), encoder("he nods")
  embed = lambda tokens: model.apply(
    {"params": loaded.params}, tokens[None], method="_embed_inputs"
  )[0][0]
  a, b = embed(one), embed(other)
  changed = np.flatnonzero(np.abs(a - b).max(-1) > 1e-6)
  before, _ = instructions.around_prompt(instructions.L2M_TRAIN[0], 1.0)
  first = 1 + len(ids.encode_input(before))
  assert changed.tolist() == list(range(first, len(one) - 1))
  row = embed(np.concatenate([other, one]))
  np.testing.assert_allclose(row[len(other) :], a, atol=1e-5)


def test_the_text_encoder_has_a_say_where_no_word_names_an_emotion(loaded, monkeypatch):
  prompt, told = "Her dog died this morning.", {}
  assert inputs.guess(loaded, prompt) is None  # the guess was fitted to another encoder

  def guess(text, vector_D=None):
    told[text] = vector_D
    return free_words.Guess("proud", 0.9, "sad")

  monkeypatch.setattr(free_words, "encoder", lambda: loaded.text_encoder)
  monkeypatch.setattr(free_words, "guess", guess)
  assert loaded.understand(prompt).text == "She looks proud."
  assert np.linalg.norm(told.pop(prompt)) == pytest.approx(1.0, abs=1e-5)
  assert loaded.understand("She looks sad.").text == "She looks sad." and not told
  keys = sample.row_keys(jax.random.key(0), 1)
  *_, cues_BNF = inputs.of_prompts(loaded, [prompt], [40], loaded.sampling(), keys)
  names = [cues.CHANNELS[int(row[cues.CHANNEL])] for row in cues_BNF[0]]
  assert ("pride", "", False) in names


def test_the_null_prompt_is_an_empty_text(loaded):
  ids = loaded.vocab
  empty = tasks.l2m_encoder(ids, "", 25)
  before, after = instructions.around_prompt(instructions.L2M_TRAIN[0], 1.0)
  assert not after and len(ids.encode_input("")) == 2
  expected = [ids.task_id("l2m"), *ids.encode_input(before), *ids.encode_input(""), 1]
  assert empty.tolist() == expected


def test_without_a_text_encoder_everything_is_as_it_was(tiny_run):
  ids = vocab.load(tiny_run / "lm")
  assert ids.wordpieces is None and not (tiny_run / "lm" / "wordpieces.json").exists()
  for template in instructions.templates("l2m", "train"):
    for prompt in (PROMPT, "", "{0} } braces"):
      text = instructions.fill(template, 1.0, prompt)
      expected = [ids.task_id("l2m"), *ids.encode_text(text), vocab.EOS_ID]
      made = tasks.l2m_encoder(ids, prompt, 25, template, terms="")
      assert made.tolist() == expected
  restored = checkpoints.restore_model(tiny_run / "lm")
  assert not restored["collections"]
  assert not [name for name in restored["params"] if name.startswith("text_")]


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_text_encoder_that_learns_learns_slowly(name):
  config = lm_demo.get_config()
  config.update({"optimizer": name, "text_encoder_rate": 0.1, "warmup_steps": 0})
  config.weight_decay = 0.0
  tx = optim.optimizer(config)
  kernel = {"layers_0": {"wi": {"bias": jnp.ones(4)}}}
  params = {t5.TEXT_ENCODER: kernel, "encoder": kernel}
  updates, _ = tx.update(params, tx.init(params), params)
  slow, fast = (updates[n]["layers_0"]["wi"]["bias"] for n in params)
  np.testing.assert_allclose(slow, 0.1 * fast, rtol=1e-5)
  assert np.abs(fast).min() > 0


def test_a_text_encoder_can_be_trained(loaded):
  """As a parameter it has gradients; it starts from its weights, its average, too."""
  variables = {"params": dict(loaded.params)}
  config = ml_collections.ConfigDict({"text_encoder_rate": 0.1})
  assert language_model.start_apart(config, variables) is variables
  config.text_encoder_rate = 0.0
  apart = language_model.start_apart(config, variables)
  assert t5.TEXT_ENCODER in apart and t5.TEXT_ENCODER not in apart["params"]
  tokens = tasks.l2m_encoder(loaded.vocab, PROMPT, 25)[None]

  def total(params):
    encode = functools.partial(loaded.model.apply, method="encode")
    return encode({"params": params}, tokens, tokens > 0).sum()

  gradient = jax.grad(total)(loaded.params)[t5.TEXT_ENCODER]
  assert np.abs(gradient["layers_0"]["wi"]["kernel"]).max() > 0
  params = {t5.TEXT_ENCODER: {"w": jnp.zeros(3)}, "encoder": {"w": jnp.zeros(2)}}
  ema = {train_state.EMA: jax.tree.map(jnp.copy, params)}
  state = train_state.TrainState(jnp.zeros(()), params, ema, ())
  part = {t5.TEXT_ENCODER: {"w": np.arange(3.0)}}
  state = train_step.replace_parts(state, part)
  for tree in (state.params, state.collections[train_state.EMA]):
    assert tree[t5.TEXT_ENCODER]["w"].tolist() == [0, 1, 2]
    assert tree["encoder"]["w"].tolist() == [0, 0]


MESHES = """
import json
import jax, jax.numpy as jnp, numpy as np
import configs.lm_demo
from launch import compile_check_programs as programs
from tdmm_jax import sharding
from tdmm_jax.models import bert, t5
rng = np.random.default_rng(0)
config = configs.lm_demo.get_config()
config.update({"num_pieces": 60, "num_extra_ids": 4, "encoder_length": 24,
               "decoder_length": 8, "history_dropout": 0.0, "text_encoder": "hf:x"})
config.text_encoder_sizes = bert.Sizes(50, 32, 4, 48, 1, 64, 1e-12, 3)._asdict()
config.model.update({"emb_dim": 32, "num_heads": 4, "head_dim": 8, "mlp_dim": 48,
                     "num_encoder_layers": 1, "num_decoder_layers": 1})
init_fn, loss_fn, shapes = programs._lm_objective(config, 50, 8)
batch = {k: np.sort(rng.integers(1, 3 if "segment" in k else 100, s.shape)).astype(
  s.dtype) for k, s in shapes.items()}
offset = programs.planned_vocab(config, 50).word_offset
batch["encoder_input_tokens"][:, :9] = offset + 3 + np.arange(9) % 5
boxed = jax.eval_shape(init_fn, jax.random.key(0))
variables = sharding.unbox(jax.jit(init_fn)(jax.random.key(0)))
assert t5.TEXT_ENCODER in variables and t5.TEXT_ENCODER not in variables["params"]
def run(v, b):
  rest = {k: x for k, x in v.items() if k != "params"}
  return jax.value_and_grad(lambda p: loss_fn(p, rest, b, None)[0])(v["params"])
loss, grads = jax.jit(run)(variables, batch)
assert all(np.linalg.norm(x) > 0 for x in jax.tree.leaves(
  {k: v for k, v in grads.items() if k.startswith("text_")}))
worst = {}
for sizes in ((2, 2, 2),):
  mesh = sharding.make_mesh(*sizes)
  places = sharding.state_shardings(boxed, mesh)
  assert all(p.is_fully_replicated for p in jax.tree.leaves(places[t5.TEXT_ENCODER]))
  placed = jax.tree.map(jax.device_put, variables, places)
  with jax.set_mesh(mesh):
    other_loss, other = jax.jit(run)(placed, sharding.to_global(batch, mesh))
  errors = jax.tree.map(lambda a, b: float(np.linalg.norm(np.asarray(a) - b) /
                        max(np.linalg.norm(b), 1e-9)), other, grads)
  worst[str(sizes)] = max(abs(float(other_loss / loss) - 1), *jax.tree.leaves(errors))
print(json.dumps(worst))
"""


@pytest.mark.slow
def test_eight_devices_agree_with_one():
  out = tiny.run_python(MESHES, devices=8, timeout=500)
  worst = json.loads(out.splitlines()[-1])
  assert len(worst) == 1 and max(worst.values()) <= 1e-5, worst


def test_the_command_line_says_where_to_get_it(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(UserError, match=r"data_prep\.text_encoder` fetches MiniLM's"):
    pretrained_bert.chosen("minilm")
  assert not pathlib.Path("runs").exists()
