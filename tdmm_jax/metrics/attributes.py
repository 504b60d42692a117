"""Do the attributes of a caption, or of a motion, agree with the record's?

Accuracies are macro-averaged over emotion families: each family counts the same.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tdmm_jax.language import acts as acts_lib


def macro_accuracy(correct: Sequence[bool], groups: Sequence[str]) -> float:
  """Mean over groups of the mean within the group."""
  correct, groups = np.asarray(correct, float), np.asarray(groups)
  return float(np.mean([correct[groups == g].mean() for g in np.unique(groups)]))


def micro_f1(predicted: Sequence[Sequence[str]], truth: Sequence[Sequence[str]]):
  """F1 over all (clip, tag) pairs; 0 where nothing is right."""
  pairs = [(set(p), set(t)) for p, t in zip(predicted, truth, strict=True)]
  hits = sum(len(p & t) for p, t in pairs)
  total = sum(len(p) + len(t) for p, t in pairs)
  return 2 * hits / total if total else 1.0


def caption_scores(predicted: list[dict], truth: list[dict]) -> dict[str, float]:
  """Scores of parsed captions against the records' attributes."""
  families = [t["family"] for t in truth]
  agree = lambda key: [p[key] == t[key] for p, t in zip(predicted, truth, strict=True)]
  same_set = [
    set(p["head_motion"]) == set(t["head_motion"])
    for p, t in zip(predicted, truth, strict=True)
  ]
  micro = lambda items: [item["micro_actions"] for item in items]
  return {
    "emotion_family_accuracy": macro_accuracy(agree("family"), families),
    "emotion_label_accuracy": macro_accuracy(agree("emotion"), families),
    "intensity_accuracy": macro_accuracy(agree("intensity"), families),
    "head_motion_accuracy": macro_accuracy(same_set, families),
    "speaking_accuracy": macro_accuracy(agree("speaking"), families),
    "micro_action_f1": micro_f1(micro(predicted), micro(truth)),
    **act_scores(predicted, truth),
    "num_clips": len(truth),
  }


def act_scores(predicted: list[dict], truth: list[dict]) -> dict[str, float]:
  """How often side, direction and count are named rightly, of acts that have them.

  An act that is not named counts as wrong. What no clip has is left out.
  """
  right: dict[str, list[bool]] = {"side": [], "direction": [], "count": []}
  for said, true in zip(predicted, truth, strict=True):
    heard = acts_lib.acts_of(said)
    for act in acts_lib.acts_of(true):
      twins = [a for a in heard if (a.name, a.absent) == (act.name, act.absent)]
      for field, values in right.items():
        if value := getattr(act, field):
          values.append(any(getattr(a, field) == value for a in twins))
  return {f"{k}_accuracy": float(np.mean(v)) for k, v in right.items() if v}


def motion_features(vectors_TP: np.ndarray) -> np.ndarray:
  """Mean, std and peaks (largest and smallest value) of a motion: float[4P]."""
  return np.concatenate(
    [vectors_TP.mean(0), vectors_TP.std(0), vectors_TP.max(0), vectors_TP.min(0)]
  )


def features_of(motions: Sequence[np.ndarray]) -> np.ndarray:
  """float[N, 4P] of N motions."""
  return np.stack([motion_features(vectors_TP) for vectors_TP in motions])


def regression():
  """The unfitted classifier: a scaled logistic regression."""
  return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))


class AttributeClassifier:
  """`regression` on `motion_features`, fitted to one label of each motion."""

  def __init__(self, vectors: Sequence[np.ndarray], labels: Sequence[str]):
    self._model = regression().fit(features_of(vectors), list(labels))

  def predict(self, vectors: Sequence[np.ndarray]) -> list[str]:
    return [str(label) for label in self._model.predict(features_of(vectors))]
