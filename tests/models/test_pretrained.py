"""Pretrained T5s: read, refused by name, grown by new rows, written back."""

import functools
import json
import shutil
import types

import jax
import numpy as np
import pytest
import safetensors.numpy
import t5_folders
import tiny

from tdmm_jax import export_hf
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.errors import UserError
from tdmm_jax.generate import face
from tdmm_jax.models import pretrained, t5, t5_layouts
from tdmm_jax.runs import checkpoints
from tdmm_jax.train import run as train
from tdmm_jax.train.objectives import language_model


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """kind -> (folder, parameters)."""
  base = tmp_path_factory.mktemp("t5")
  return {
    kind: (base / kind, t5_folders.write(base / kind, kind))
    for kind in t5_folders.KINDS
  }


@pytest.fixture
def folder(written, tmp_path):
  """A T5.1.1 to be broken."""
  return shutil.copytree(written["t5_1_1"][0], tmp_path / "t5")


def assert_equal(tree, expected):
  assert jax.tree.structure(tree) == jax.tree.structure(expected)
  jax.tree.map(np.testing.assert_array_equal, tree, expected)


@pytest.mark.parametrize("kind", t5_folders.KINDS)
def test_what_is_written_is_read(written, kind):
  folder, params = written[kind]
  found = pretrained.find(folder)
  activation, tied = t5_folders.KINDS[kind]
  assert found.fields == t5_folders.SIZES | {
    "mlp_activation": activation,
    "logits_via_embedding": tied,
    **dict.fromkeys(pretrained.OURS, 0),
  }
  assert found.num_rows == t5_folders.ROWS and found.pieces == t5_folders.pieces()
  assert_equal(found.params(), params)
  assert ("logits_dense" in params) != tied


def test_shards_copies_and_short_types_are_read(written, folder):
  _, params = written["t5_1_1"]
  tensors = safetensors.numpy.load_file(folder / "model.safetensors")
  (folder / "model.safetensors").unlink()
  tensors["encoder.embed_tokens.weight"] = tensors.pop("shared.weight")
  tensors["decoder.embed_tokens.weight"] = tensors["encoder.embed_tokens.weight"]
  tensors[pretrained._NEVER_READ] = np.zeros((32, 3), np.float32)
  for name in tensors:
    tensors[name] = tensors[name].astype(jax.numpy.bfloat16)
  names = sorted(tensors)
  shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
  for file, part in shards.items():
    safetensors.numpy.save_file({n: tensors[n] for n in part}, folder / file)
  index = {"weight_map": {n: file for file, part in shards.items() for n in part}}
  (folder / "model.safetensors.index.json").write_text(json.dumps(index))
  read = pretrained.find(folder).params()
  rounded = lambda x: x.astype(jax.numpy.bfloat16).astype(np.float32)
  assert_equal(read, jax.tree.map(rounded, params))
  (folder / "b.safetensors").unlink()
  with pytest.raises(UserError, match=r"b\.safetensors: missing"):
    pretrained.find(folder)


@pytest.mark.parametrize("has_head", [False, True])
@pytest.mark.parametrize(
  ("says", "scaled"),
  [
    ({"tie_word_embeddings": True, "scale_decoder_outputs": True}, True),
    ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, False),
    ({"tie_word_embeddings": True}, True),
    ({}, True),
  ],
)
def test_the_output_table_is_what_its_writer_meant(folder, says, scaled, has_head):
  """transformers 5 says tied of every T5, and scales as another key says."""
  config = json.loads((folder / "config.json").read_text())
  del config["tie_word_embeddings"]
  (folder / "config.json").write_text(json.dumps(config | says))
  tensors = safetensors.numpy.load_file(folder / "model.safetensors")
  if not has_head:
    t5_folders.change_tensors(folder, {"lm_head.weight": None})
  found = pretrained.find(folder)
  params = found.params()
  x_D = np.ones(24, np.float32)
  expected = tensors["lm_head.weight" if has_head else "shared.weight"] @ x_D
  expected = expected * (24**-0.5 if scaled else 1)
  if found.fields["logits_via_embedding"]:
    logits = params["token_embedder"]["embedding"] @ x_D * 24**-0.5
  else:
    logits = x_D @ params["logits_dense"]["kernel"]
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def edit_config(**changes):
  def change(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))

  return change


def edit_tensors(**changes):
  names = {"norm": "encoder.final_layer_norm.weight", "head": "lm_head.weight"}
  return lambda folder: t5_folders.change_tensors(
    folder, {names.get(name, name): value for name, value in changes.items()}
  )


def rewrite(name, content):
  return lambda folder: (folder / name).write_bytes(content)


FAULTS = {
  "no folder": (shutil.rmtree, ["config.json: missing", "spiece.model"]),
  "no JSON": (rewrite("config.json", b"{"), ["config.json: not JSON", "again"]),
  "no T5": (edit_config(model_type="bert"), ["'bert', not 't5'", "FLAN-T5"]),
  "no size": (edit_config(d_ff=None), ["config.json: without d_ff"]),
  "another activation": (
    edit_config(feed_forward_proj="gated-silu", layer_norm_epsilon=1e-5),
    ["layer_norm_epsilon is 1e-05", "'gated-silu'", "gated-gelu", "relu"],
  ),
  "no weights": (
    lambda folder: (folder / "model.safetensors").unlink(),
    ["model.safetensors: missing", "save_pretrained"],
  ),
  "cut weights": (
    lambda folder: rewrite(
      "model.safetensors", (folder / "model.safetensors").read_bytes()[:300]
    )(folder),
    ["model.safetensors: is damaged"],
  ),
  "broken index": (
    rewrite("model.safetensors.index.json", b'{"weight_map": 3}'),
    ["index.json: is damaged"],
  ),
  "missing, unknown and misshapen tensors": (
    edit_tensors(norm=np.zeros(7, np.float32), head=None, x=np.zeros(2), y=np.ones(1)),
    [
      *("missing lm_head.weight", "unknown x", "unknown y"),
      *("encoder.final_layer_norm.weight is [7], not [24]", "same checkpoint"),
    ],
  ),
  "sizes of another model": (
    edit_config(d_model=32, num_layers=3),
    [
      "missing encoder.block.2.layer.0.SelfAttention.q.weight",
      "shared.weight is [96, 24], not [96, 32]",
    ],
  ),
  "no pieces": (
    lambda folder: (folder / "spiece.model").unlink(),
    ["spiece.model: missing"],
  ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(folder, name):
  fault, said = FAULTS[name]
  fault(folder)
  with pytest.raises(UserError) as error:
    pretrained.find(folder)
  for words in said:
    assert words in str(error.value)


def test_data_that_ends_early_is_damaged(folder):
  path = folder / "model.safetensors"
  path.write_bytes(path.read_bytes()[:-10])
  found = pretrained.find(folder)  # the header is whole
  with pytest.raises(UserError, match=r"model\.safetensors: is damaged"):
    found.params()


@pytest.mark.parametrize(
  ("pieces", "rows", "said"),
  [
    (b"nonsense", 96, "not a SentencePiece model"),
    (t5_folders.pieces, 80, "56 pieces and 34 sentinels .* do not fit weights of 80 "),
    (t5_folders.pieces, 500, "do not fit weights of 500 rows"),
  ],
)
def test_pieces_that_do_not_fit_the_weights(pieces, rows, said):
  proto = pieces if isinstance(pieces, bytes) else pieces()
  with pytest.raises(UserError, match=rf"spiece\.model: .*{said}"):
    vocab_lib.imported(proto, rows, t5_folders.EXTRA_IDS, 10)


def test_an_imported_vocabulary_keeps_its_ids_and_its_padding():
  vocab = vocab_lib.imported(t5_folders.pieces(), 96, t5_folders.EXTRA_IDS, 10)
  assert vocab.encode_text("nods twice.") == vocab.pieces.encode("nods twice.")
  assert vocab.extra_id(0) == 56 + 34 - 1  # 90 .. 95 are padding
  assert vocab.task_offset == 96
  assert vocab.motion_offset == 96 + len(vocab_lib.TASKS) + 2
  flan = vocab_lib.layout(32_000, 100, 1_000, 32_128)
  assert flan["task_offset"] == 32_128


@pytest.fixture(scope="module")
def start(tiny_run, written):
  """scan_layers -> (config, parameters that training starts from)."""

  @functools.cache
  def start(scan_layers, workdir):
    config = tiny.config_of(
      "lm_demo",
      tiny_run,
      init_from=str(written["t5_1_1"][0]),
      num_extra_ids=t5_folders.EXTRA_IDS,
      encoder_length=384,  # its text pieces are few and short
      decoder_length=256,
    )
    config.model.scan_layers = scan_layers
    objective = language_model.language_model(config, workdir)
    return config, objective.start_params()

  return start


def test_old_rows_stay_and_new_rows_are_like_them(start, written, tmp_path):
  config, params = start(False, tmp_path)
  _, old = written["t5_1_1"]
  vocab = vocab_lib.load(tmp_path)
  assert config.model.emb_dim == 24 and config.model.mlp_dim == 40  # not the config's
  for name, leaf, axis in (
    ("token_embedder", "embedding", 0),
    ("logits_dense", "kernel", 1),
  ):
    rows, old_rows = (np.moveaxis(p[name][leaf], axis, 0) for p in (params, old))
    np.testing.assert_array_equal(rows[: t5_folders.ROWS], old_rows)
    assert len(rows) == vocab.table_size
    new = rows[t5_folders.ROWS :]
    assert 0.8 < new.std() / old_rows.std() < 1.2
    used = new[: 10 + vocab.num_codes]
    assert len(np.unique(used, axis=0)) == len(used)  # none is another's copy
  rest = lambda tree: {k: tree[k] for k in ("encoder", "decoder")}
  assert_equal(rest(params), rest(old))
  scanned_config, scanned = start(True, tmp_path / "scanned")
  assert scanned_config.model.scan_layers
  assert_equal(t5_layouts.unstack_layers(scanned), params)


@pytest.mark.slow
def test_a_pretrained_model_is_tuned_and_written_back(tiny_run, written, tmp_path):
  """The way there and back again: init_from, training, export_hf."""
  config = tiny.config_of(
    "lm_base",
    tiny_run,
    init_from=str(written["t5_1_1"][0]),
    num_extra_ids=t5_folders.EXTRA_IDS,
    total_steps=4,
    eval_every=4,
    batch_per_chip=0,
    encoder_length=384,  # its text pieces are few and short
    decoder_length=256,
    ema_decay=0.5,
  )
  assert config.model.scan_layers
  tiny.train_on(config, tmp_path / "lm")
  (tmp_path / "tokenizer").symlink_to(tiny_run / "tokenizer")
  run = face.Face(tmp_path)
  old = written["t5_1_1"][1]["token_embedder"]["embedding"]
  change = run.params["token_embedder"]["embedding"][: len(old)] - old
  assert 0 < np.abs(change).max() < 0.1 * old.std()  # tuned, not trained from nothing
  stored = checkpoints.read_json(tmp_path / "lm" / "config.json")["config"]
  assert stored["model"]["emb_dim"] == 24
  out = tmp_path / "exported"
  assert export_hf.main(["--run", str(tmp_path), "--out", str(out)]) == 0
  again = pretrained.find(out)
  assert again.num_rows == run.vocab.table_size
  assert_equal(again.params(), jax.tree.map(np.asarray, run.params))
  assert again.pieces == t5_folders.pieces()
  offsets = json.loads((out / "offsets.json").read_text())
  assert offsets["motion_offset"] == run.vocab.motion_offset
  # The same command finds the run finished.
  assert train.train(config, tmp_path / "lm", progress=False)


def test_a_pooled_model_is_not_exported(tmp_path):
  model = t5.T5(96, **t5_folders.SIZES, pooled_token=3)
  run = types.SimpleNamespace(name="runs/pooled", model=model, vocab=None)
  with pytest.raises(UserError, match=r"runs/pooled: config\.conditioning is 'pooled'"):
    export_hf.export(run, tmp_path / "out")


def test_export_says_what_is_wrong(tmp_path, capsys):
  code = export_hf.main(["--run", str(tmp_path / "gone"), "--out", str(tmp_path / "x")])
  err = capsys.readouterr().err
  assert code == 2 and err.startswith("export_hf: error: ") and "gone" in err
  assert not (tmp_path / "x").exists()
