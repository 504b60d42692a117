"""Accuracies by hand, and against scikit-learn."""

import numpy as np
from sklearn import metrics

from tdmm_jax.language import lexicon
from tdmm_jax.metrics import attributes


def test_macro_accuracy_counts_each_family_the_same():
  correct = [True] * 9 + [False]
  families = ["joy"] * 9 + ["fear"]
  assert attributes.macro_accuracy(correct, families) == 0.5


def test_macro_accuracy_is_scikits_balanced_accuracy():
  rng = np.random.default_rng(0)
  truth, said = rng.integers(0, 4, (2, 200))
  np.testing.assert_allclose(
    attributes.macro_accuracy(said == truth, truth),
    metrics.balanced_accuracy_score(truth, said),
  )


def test_micro_f1_by_hand():
  said = [["blink"], ["blink", "wink"], []]
  truth = [["blink"], ["pout"], []]
  # 1 hit, 3 said, 2 true.
  assert attributes.micro_f1(said, truth) == 2 / 5
  assert attributes.micro_f1([[]], [[]]) == 1.0
  assert attributes.micro_f1([["a", "a"]], [["a"]]) == 1.0  # said twice is said


def test_caption_scores_of_the_truth_and_of_a_mistake():
  texts = [
    "She smiles and nods.",
    "He is very angry.",
    "He is sad and shakes his head.",
  ]
  truth = [lexicon.parse(text) for text in texts]
  perfect = attributes.caption_scores(truth, truth)
  assert all(v == 1.0 for k, v in perfect.items() if k != "num_clips")
  wrong = [dict(t) for t in truth]
  wrong[0] = wrong[0] | {"head_motion": []}
  wrong[1] = wrong[1] | {"family": truth[0]["family"]}
  scores = attributes.caption_scores(wrong, truth)
  np.testing.assert_allclose(scores["head_motion_accuracy"], 2 / 3)
  np.testing.assert_allclose(scores["emotion_family_accuracy"], 2 / 3)
  assert scores["intensity_accuracy"] == 1.0


def test_the_classifier_tells_apart_what_differs():
  rng = np.random.default_rng(0)
  make = lambda level: rng.normal(size=(30, 5)) * level
  vectors = [make(level) for level in (1.0, 4.0) for _ in range(20)]
  labels = ["calm"] * 20 + ["wild"] * 20
  model = attributes.AttributeClassifier(vectors, labels)
  assert model.predict([make(1.0), make(4.0)]) == ["calm", "wild"]
  np.testing.assert_allclose(
    attributes.motion_features(np.array([[1.0], [3.0]])), [2, 1, 3, 1]
  )
