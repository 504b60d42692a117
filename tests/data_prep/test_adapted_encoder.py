"""A text encoder that is adapted to telling families apart."""

import bert_folders
import numpy as np
import pytest

from data_prep import adapted_encoder
from tdmm_jax.models import pretrained_bert

# Order alone tells one class from the other, so a bag of words could not.
TEXTS = ["she nods a woman", "a woman nods she", "he nods a face", "a face nods he"]


def test_batches_have_every_text_once_and_are_of_like_length():
  lengths = [3, 9, 4, 1, 8, 2]
  groups = adapted_encoder.batches(lengths, 4)
  assert sorted(i for group in groups for i in group) == list(range(6))
  assert [lengths[i] for group in groups for i in group] == sorted(lengths)
  rng = np.random.default_rng(0)
  assert [len(group) for group in adapted_encoder.batches(lengths, 4, rng)] == [4]


def test_what_is_fitted_is_what_the_file_is_read_for(tmp_path, monkeypatch):
  for name, value in (("_LAYERS", 1), ("_EPOCHS", 12), ("_BATCH", 16)):
    monkeypatch.setattr(adapted_encoder, name, value)
  encoder = pretrained_bert.find(bert_folders.write(tmp_path / "bert"))
  texts, classes = TEXTS * 32, np.array([0, 1, 0, 1] * 32)
  progress = tmp_path / "progress"
  fitted = adapted_encoder.fit(encoder, texts, classes, progress)
  vectors = adapted_encoder.sentence_vectors(encoder, TEXTS, fitted.adapter)
  seen = (vectors @ fitted.weights_DF + fitted.bias_F).argmax(-1)
  assert seen.tolist() == [0, 1, 0, 1]
  arrays = fitted.arrays()
  assert arrays["layers_1/wo/a"].shape == (48, 8)
  assert not any(key.startswith("layers_0") for key in arrays)


def test_fitting_that_was_interrupted_resumes_to_the_same_end(tmp_path, monkeypatch):
  for name, value in (("_LAYERS", 1), ("_EPOCHS", 2), ("_BATCH", 16)):
    monkeypatch.setattr(adapted_encoder, name, value)
  encoder = pretrained_bert.find(bert_folders.write(tmp_path / "bert"))
  args = encoder, TEXTS * 8, np.array([0, 1, 0, 1] * 8)
  whole = adapted_encoder.fit(*args, tmp_path / "whole")
  draw, epochs = adapted_encoder.batches, []

  def interrupted(lengths, size, rng=None):
    if rng is not None:
      epochs.append(len(epochs))
      if len(epochs) == 2:
        raise KeyboardInterrupt
    return draw(lengths, size, rng)

  monkeypatch.setattr(adapted_encoder, "batches", interrupted)
  with pytest.raises(KeyboardInterrupt):
    adapted_encoder.fit(*args, tmp_path / "halves")
  halves = adapted_encoder.fit(*args, tmp_path / "halves")
  assert len(epochs) == 3
  np.testing.assert_array_equal(halves.weights_DF, whole.weights_DF)
