"""The rubric, worked by hand; agreement against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from tdmm_jax.language import lexicon
from tdmm_jax.metrics import judge

NEAR = {  # truth, said, CorE
  ("joyful", "joyful"): 5,
  ("joyful", "smiling"): 4,  # the same family
  ("joyful", "proud"): 3,  # pride (.6, .4) beside happiness (.8, .5)
  ("angry", "tired"): 2,  # both unpleasant, far apart in arousal
  ("joyful", "surprised"): 2,  # surprise is neither pleasant nor unpleasant ...
  ("sad", "surprised"): 2,
  ("joyful", "grieving"): 1,  # the opposite
  ("angry", "serene"): 1,
}


def said(text):
  return lexicon.parse(text)


@pytest.mark.parametrize("pair", NEAR, ids="-".join)
def test_emotions_by_the_rubric(pair):
  assert judge.emotion_score(*pair) == NEAR[pair] == judge.emotion_score(*pair[::-1])


def test_a_caption_that_says_the_same_has_fives():
  for text in ("She is very sad, nods and blinks repeatedly.", "He speaks softly."):
    assert judge.judge(said(text), said(text)) == {"cor_e": 5, "cor_m": 5, "cor_i": 5}


def test_motion_is_an_f1_of_what_moves():
  truth = said("A sad man nods, winks and speaks softly.")  # 4 things
  # speaking and nodding are right, of the 3 said: F1 = 2 * 2 / (4 + 3).
  found = judge.judge(truth, said("A sad man nods, blinks repeatedly and talks."))
  np.testing.assert_allclose(found["cor_m"], 1 + 4 * 4 / 7)
  assert found["cor_e"] == found["cor_i"] == 5
  # Nothing of it, not even the voice.
  assert judge.judge(truth, said("A sad man shakes his head."))["cor_m"] == 1
  # A silence that is right counts.
  still, nod = said("She is sad."), said("She is sad and nods.")
  np.testing.assert_allclose(judge.judge(still, nod)["cor_m"], 1 + 4 * 2 / 3)


@pytest.mark.parametrize("level, wanted", [(5, 5), (4, 4), (3, 3), (2, 2), (1, 1)])
def test_intensity_by_distance_of_levels(level, wanted):
  words = {1: "barely", 2: "slightly", 3: "", 4: "very", 5: "extremely"}
  truth, other = said("She is extremely sad."), said(f"She is {words[level]} sad.")
  assert (
    judge.judge(truth, other)["cor_i"] == wanted == judge.judge(other, truth)["cor_i"]
  )


def test_of_several_emotions_each_counts_and_what_is_made_up_costs():
  truth = said("She is joyful, then angry.")
  half = judge.judge(truth, said("She is joyful."))
  # joyful 5, angry against joyful 1; the one said has its own: ((5 + 1) / 2 + 5) / 2
  assert half["cor_e"] == 4.0
  made_up = judge.judge(said("She is joyful."), truth)
  assert made_up["cor_e"] == half["cor_e"] < 5
  assert judge.judge(truth, said("She is angry, then joyful."))["cor_e"] == 5


def test_a_caption_of_no_known_word_is_neutral_and_still():
  found = judge.judge(
    said("She is extremely furious and shouts."), said("Lorem ipsum.")
  )
  assert found["cor_e"] == 2 and found["cor_m"] == 1 and found["cor_i"] == 3


def test_agreement_is_scipys_and_scikits():
  rng = np.random.default_rng(0)
  a = rng.integers(1, 6, size=60)
  b = np.clip(a + rng.integers(-1, 2, size=60), 1, 5).astype(float)
  b[7] = np.nan  # a judge that gave no answer
  seen = ~np.isnan(b)
  found = judge.agreement(
    {name: a for name in judge.ASPECTS}, {name: b for name in judge.ASPECTS}
  )["cor_e"]
  assert found["clips"] == 59
  np.testing.assert_allclose(
    found["spearman"], stats.spearmanr(a[seen], b[seen]).statistic
  )
  kappa = cohen_kappa_score(a[seen], b[seen].astype(int), weights="quadratic")
  np.testing.assert_allclose(found["weighted_kappa"], kappa)


def test_agreement_with_a_judge_that_always_says_the_same_is_unknown():
  flat = {name: np.full(4, 3.0) for name in judge.ASPECTS}
  other = {name: np.arange(1.0, 5.0) for name in judge.ASPECTS}
  found = judge.agreement(flat, other)["cor_m"]
  assert found == {"spearman": None, "weighted_kappa": None, "clips": 4}
