"""Captions of faces that a camera saw: coders of FACS have their say."""

import numpy as np
import pytest

from tdmm_jax.data import tasks
from tdmm_jax.face import action_units, motion
from tdmm_jax.generate import emotions, inputs, reading
from tdmm_jax.language import caption_words, lexicon, subjects


def smiling(face_model, camera):
  units = np.zeros((40, len(action_units.ACTION_UNITS)))
  for name in ("cheek_raiser", "lip_corner_puller"):
    for side in "lr":
      units[:, action_units.ACTION_UNITS.index(f"{name}_{side}")] = 0.8
  expression = action_units.activations_to_expression(units, face_model)
  camera = np.ones((40, 3), np.float32) if camera else None
  return motion.zeros(40, face_model).replace(expression=expression, camera=camera)


def test_the_caption_of_a_smile_on_camera_says_happiness(loaded_run):
  clip = smiling(loaded_run.codec.face.name, camera=True)
  shares = loaded_run.emotions(clip)
  assert next(iter(shares)) == "happiness"
  assert sum(shares.values()) == pytest.approx(1.0)
  assert set(shares) == {label.family for label in lexicon.LABELS.values()}
  text = loaded_run.describe(clip)
  assert "happiness" in {s["family"] for s in lexicon.parse(text)["segments"]}


def test_what_no_camera_saw_is_left_to_the_model(loaded_run, monkeypatch):
  clip = smiling(loaded_run.codec.face.name, camera=False)
  (codes,) = loaded_run.codec.encode([clip])
  monkeypatch.setattr(emotions.coded_emotions, "log_likelihoods", None)
  tokens = inputs.padded([tasks.m2l_encoder(loaded_run.vocab, codes)])
  (shares_TR,) = reading.shares(loaded_run, tokens)
  assert len(shares_TR) == len(codes)
  found = emotions.probabilities(loaded_run, clip, shares_TR)
  assert found == loaded_run.emotions(clip)
  said = loaded_run.describe_codes([codes])[0]
  assert loaded_run.describe(clip, subject="he") == subjects.addressed(said, "he")


def test_captions_are_written_in_words(loaded_run):
  """A model that has learned next to nothing writes words all the same."""
  rng = np.random.default_rng(0)
  codes = [rng.integers(0, loaded_run.codec.num_codes, 30) for _ in range(4)]
  known = set(caption_words.load())
  for text in loaded_run.describe_codes(codes):
    *whole, _ = caption_words.words_in(text) or [""]  # the last one may be cut off
    assert set(whole) <= known, text
