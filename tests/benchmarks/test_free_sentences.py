"""A face that does what is written scores high, one that ignores it does not."""

import collections

import numpy as np
import pytest

from benchmarks import free_sentences
from data_prep import simulate
from data_prep import written_sentences as written

NUM, CLIPS = 51, 680


class Actor:
  """Stands for a trained run: acts sentences out truly, or one of them always."""

  def __init__(self, rows, always=None):
    self._rows = {row["text"]: always or row for row in rows}

  def generate_many(self, texts, seconds, seed):
    for text in texts:
      wanted = written.attributes(self._rows[text], 4.0, np.random.default_rng(seed))
      yield simulate.simulate(wanted, (seed, len(text), 7), 4.0)


@pytest.fixture(scope="module")
def classifier():
  return free_sentences.fitted_classifier(CLIPS)


@pytest.fixture
def scored(classifier, monkeypatch):
  monkeypatch.setattr(free_sentences, "fitted_classifier", lambda _: classifier)
  rows = free_sentences.chosen(NUM)
  return lambda always=None: free_sentences.scores(Actor(rows, always), rows, 1, CLIPS)


def test_whoever_acts_the_sentences_out_scores_like_the_truth(scored):
  found = scored()
  assert found["true"] > 0.75 and found["share"] > 0.85
  assert found["neutral"]["accuracy"] > 0.6
  assert sum(row["num"] for row in found["by_family"].values()) == NUM - 3
  assert sum(row["num"] for row in found["by_voice"].values()) == NUM - 3
  text = free_sentences.printed(found)
  assert "stays neutral" in text and "all families" in text


def test_who_ignores_them_scores_by_chance(scored):
  neutral = {"emotion": "neutral", "intensity": 3}
  found = scored(neutral)
  assert found["accuracy"] < 2 * found["chance"]
  assert found["neutral"]["accuracy"] == 1.0


def test_order_matters(classifier):
  happy, sad = ({"emotion": name, "intensity": 5} for name in ("happy", "sad"))
  row = happy | {"then": sad}
  motions = Actor([row | {"text": "x"}]).generate_many(["x"] * 3, None, 0)
  vectors = [free_sentences.motion_vector.from_motion(m) for m in motions]
  for asked, right in ((row, True), (sad | {"then": happy}, False)):
    found = free_sentences.judged(classifier, [asked] * 3, vectors)
    assert {f["right"] for f in found} == {f["second"] for f in found} == {right}


def test_a_few_sentences_are_of_all_families_and_none_is_trained_on():
  rows = free_sentences.chosen(34)
  counts = collections.Counter(map(written.family, rows))
  assert set(counts.values()) == {2} and len(counts) == 17
  assert all(written.held_out(row["situation"]) for row in rows)


@pytest.mark.parametrize("flag", ["--seeds", "--num", "--classifier_clips"])
def test_bad_numbers_are_the_users_error(flag, capsys):
  assert free_sentences.main([flag, "0"]) == 2
  assert f"{flag} 0: give at least 1" in capsys.readouterr().err
