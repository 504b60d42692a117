"""A simple reader of the attributes that a motion shows.

Logistic regressions on mean, standard deviation and peaks of the raw motion vector, one
for each kind of attribute, trained on true training motions: a judge of generated
motions that knows nothing of the models, and a reference for them. No ceiling: a model
that reads the order of events can beat it. (Stored score files call it "ceiling".)
"""

import collections
import warnings
from collections.abc import Sequence

from sklearn.exceptions import ConvergenceWarning

from tdmm_jax.language import lexicon
from tdmm_jax.metrics import attributes, judge

TARGETS = ("family", "emotion", "intensity", "speaking", "manner", "head_motion")
MAX_CLIPS = 10_000  # more train for minutes, and tell little better


def value(truth: dict, target: str) -> str:
  """An attribute as a class's name."""
  found = truth.get(target, lexicon.PLAIN)
  return "+".join(found) if isinstance(found, list) else str(found)


class AttributeReader:
  """Reads attributes off motions.

  Attributes:
    classes: target -> how many there are to choose from, of those it was fitted for.
    num_clips: what it was fitted on.
  """

  def __init__(self, clips: Sequence[dict], targets: Sequence[str] = TARGETS):
    """`clips`: dicts of vectors float32[T, P] and attributes; the first MAX_CLIPS."""
    clips = clips[:MAX_CLIPS]
    self.num_clips = len(clips)
    features = attributes.features_of([clip["vectors"] for clip in clips])
    truth = [clip["attributes"] for clip in clips]
    fit = lambda labels: _fit(features, labels)
    labels = {target: [value(a, target) for a in truth] for target in targets}
    self.classes = {target: len(set(values)) for target, values in labels.items()}
    self._models = {target: fit(values) for target, values in labels.items()}
    self._micro = {
      name: fit([str(name in a["micro_actions"]) for a in truth])
      for name in lexicon.MICRO_ACTIONS
    }

  def read(self, vectors: Sequence) -> list[dict]:
    """Attributes of motions float32[T, P], of one segment each.

    A target that it was not fitted for gets the default of a text that does not mention
    it. `family` comes from its own regression and may differ from the emotion's.
    """
    features = attributes.features_of(vectors)
    said = {target: model(features) for target, model in self._models.items()}
    micro = {name: model(features) for name, model in self._micro.items()}
    rows = []
    for i in range(len(vectors)):
      row = {target: labels[i] for target, labels in said.items()}
      of = row.get
      intensity = int(of("intensity", lexicon.DEFAULT_INTENSITY))
      made = lexicon.make_attributes(
        [(of("emotion", lexicon.NEUTRAL), intensity, 0.0, 1.0)],
        [name for name, found in micro.items() if found[i] == "True"],
        [name for name in of("head_motion", "").split("+") if name],
        of("speaking", "silent"),
      )
      manner = of("manner", lexicon.PLAIN)
      rows.append(made | {"manner": manner, "family": of("family", made["family"])})
    return rows


def _fit(features, labels: list[str]):
  """Function of features that gives labels; of a single label always that."""
  if len(set(labels)) == 1:
    return lambda features: labels[:1] * len(features)
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", "The number of unique classes")  # few clips
    model = attributes.regression().fit(features, labels)
  return lambda features: [str(label) for label in model.predict(features)]


def scores(
  classes: dict[str, int], predicted: Sequence[dict], truth: Sequence[dict]
) -> dict:
  """Accuracy of each target, macro-averaged over families, with chance and majority.

  Args:
    classes: target -> how many there are to choose from; see AttributeReader.

  Returns:
    {target: {"accuracy", "chance", "majority"}}, and "micro_action_f1".
  """
  families = [a["family"] for a in truth]
  found: dict = {}
  for target, count in classes.items():
    wanted = [value(a, target) for a in truth]
    said = [value(a, target) for a in predicted]
    correct = [p == t for p, t in zip(said, wanted, strict=True)]
    found[target] = {
      "accuracy": attributes.macro_accuracy(correct, families),
      "chance": 1 / count,
      "majority": max(collections.Counter(wanted).values()) / len(wanted),
    }
  micro = lambda items: [item["micro_actions"] for item in items]
  return found | {
    "micro_action_f1": attributes.micro_f1(micro(predicted), micro(truth))
  }


def judged(
  classes: dict[str, int], predicted: Sequence[dict], truth: Sequence[dict]
) -> dict:
  """The scores of a caption that says what was read: accuracies, CorE/M/I.

  Where no label was read, what needs one is None.
  """
  found = attributes.caption_scores(predicted, truth)
  found |= judge.means(judge.judge_all(truth, predicted))
  if "emotion" not in classes:
    found |= {"emotion_label_accuracy": None, "cor_e": None}
  return found
