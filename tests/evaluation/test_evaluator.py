"""A trained evaluator network: loading, batches, what it is for."""

import shutil

import numpy as np
import pytest
import tiny

from tdmm_jax import files
from tdmm_jax.data import pairs, records, tasks
from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import evaluator
from tdmm_jax.face import load_model
from tdmm_jax.runs import checkpoints, locate


@pytest.fixture(scope="module")
def trained(tiny_run):
  return evaluator.load(tiny_run / locate.EVALUATOR)


def test_embeddings_do_not_depend_on_their_batch(trained, tiny_run):
  clips = records.load_clips(tiny_run / "records", "train")[:70]  # more than a batch
  vectors = [clip["vectors"] for clip in clips]
  whole = trained.embed_motions(vectors)
  assert whole.shape == (70, trained.dim)
  for i in (0, 41, 69):
    np.testing.assert_allclose(
      trained.embed_motions([vectors[i]])[0], whole[i], atol=2e-5
    )
  texts = [clip["prompt"] for clip in clips]
  np.testing.assert_allclose(
    trained.embed_texts(texts[3:5]), trained.embed_texts(texts)[3:5], atol=2e-5
  )
  assert trained.embed_texts([]).shape == (0, trained.dim)


def test_it_is_loaded_as_the_other_models_are(trained, tiny_run, tmp_path):
  stored = checkpoints.read_json(tiny_run / locate.EVALUATOR / "config.json")
  assert stored["versions"] | {"evaluator": trained.versions["evaluator"]} == (
    trained.versions
  )
  assert len(trained.versions["evaluator"]) == 12
  face = load_model.default_head()
  trained.check(face)
  shutil.copytree(tiny_run / locate.EVALUATOR, tmp_path / "copy")
  stored["versions"]["head"] = "other"
  files.write_json(tmp_path / "copy" / "config.json", stored)
  with pytest.raises(UserError, match="evaluator: trained on 'default_v2' version oth"):
    evaluator.load(tmp_path / "copy").check(face)
  with pytest.raises(UserError, match="no trained evaluator network; train one with"):
    evaluator.load(tmp_path / "nothing")


def test_a_batch_in_parts_would_be_another_loss(tiny_run, tmp_path):
  config = tiny.config_of("evaluator", tiny_run, batch_per_chip=2)
  with pytest.raises(UserError, match="compares all of a batch; leave it at 0"):
    tiny.train_on(config, tmp_path)


def test_pairs_of_one_seed_are_the_same_and_have_their_own_texts(trained, tiny_run):
  clips = records.load_clips(tiny_run / "records", "train")
  vocab = trained._vocab
  batches = [
    [next(it) for _ in range(3)]
    for it in (pairs.iterator(clips, vocab, 64, 40, 8, seed) for seed in (0, 0, 1))
  ]
  same = lambda a, b: all(
    np.array_equal(x["tokens"], y["tokens"]) for x, y in zip(a, b)
  )
  assert same(batches[0], batches[1]) and not same(batches[0], batches[2])
  by_text = {
    tuple(vocab.text_row(text, 64)): clip
    for clip in clips
    for text in tasks.clip_texts(clip)
  }
  for row in range(8):
    batch = batches[0][0]
    clip = by_text[tuple(batch["tokens"][row])]
    frames = int(batch["mask"][row].sum())
    assert batch["key"][row] == tasks.attributes_key(clip["attributes"])
    assert frames == min(len(clip["vectors"]), 40)
    np.testing.assert_array_equal(
      batch["params"][row, :frames], clip["vectors"][:frames]
    )


def test_a_text_that_is_too_long_ends_in_eos(trained):
  row = trained._vocab.text_row("a smile " * 50, 16)
  assert len(row) == 16 and row[-1] == 1 and (row > 0).all()
