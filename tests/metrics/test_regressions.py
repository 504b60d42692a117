"""Regressions read off a motion what is in it, and are scored as captions are."""

import numpy as np
import pytest

from tdmm_jax.language import lexicon
from tdmm_jax.metrics import regressions

TEXTS = (
  "She is very sad and nods.",
  "He is joyful, blinking repeatedly, and speaks softly.",
  "She is barely angry.",
)


def clips(seed, num=60):
  """Motions that move as their text says: a level of its own in each column."""
  rng = np.random.default_rng(seed)
  made = []
  for i in range(num):
    which = i % len(TEXTS)
    vectors = rng.normal(size=(12, 6)) * 0.1 + 3.0 * (np.arange(6) == which)
    attributes = lexicon.parse(TEXTS[which])
    made.append({"vectors": vectors.astype(np.float32), "attributes": attributes})
  return made


@pytest.fixture(scope="module")
def reader():
  return regressions.AttributeReader(clips(0))


def test_it_reads_what_is_there(reader):
  test = clips(1, 9)
  read = reader.read([clip["vectors"] for clip in test])
  truth = [clip["attributes"] for clip in test]
  for r, t in zip(read, truth):
    assert lexicon.comparable(r) == lexicon.comparable(t)
    assert r["family"] == t["family"]
  scores = regressions.judged(reader.classes, read, truth)
  assert scores["cor_e"] == scores["cor_m"] == scores["cor_i"] == 5.0
  found = regressions.scores(reader.classes, read, truth)
  assert found["emotion"] == {
    "accuracy": 1.0,
    "chance": pytest.approx(1 / 3),
    "majority": pytest.approx(1 / 3),
  }
  assert found["micro_action_f1"] == 1.0 and reader.num_clips == 60


def test_what_was_not_fitted_is_not_scored():
  reader = regressions.AttributeReader(clips(0), ["family", "intensity"])
  test = clips(1, 9)
  read = reader.read([clip["vectors"] for clip in test])
  truth = [clip["attributes"] for clip in test]
  assert [r["family"] for r in read] == [t["family"] for t in truth]
  assert all(r["emotion"] == lexicon.NEUTRAL and r["head_motion"] == [] for r in read)
  scores = regressions.judged(reader.classes, read, truth)
  assert scores["cor_e"] is None is scores["emotion_label_accuracy"]
  assert scores["emotion_family_accuracy"] == scores["intensity_accuracy"] == 1.0
  assert set(regressions.scores(reader.classes, read, truth)) == {
    *("family", "intensity", "micro_action_f1")
  }


def test_a_corpus_of_one_label_is_no_error():
  one = [clip for clip in clips(0) if clip["attributes"]["emotion"] == "sad"]
  reader = regressions.AttributeReader(one)
  (read,) = reader.read([one[0]["vectors"]])
  assert read["emotion"] == "sad" and read["micro_actions"] == []
