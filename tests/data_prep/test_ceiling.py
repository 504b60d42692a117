"""The corpus can be learned: neither trivially nor hardly at all."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data_prep import build, expressions, prompts, simulate

BASIS = simulate.HeadBasis("stand-in", 5, np.eye(expressions.NUM_ACTION_UNITS))


@pytest.fixture(scope="module")
def corpus():
  """(statistics of the raw parameters, attributes) of 1,600 clips."""
  plans = prompts.make_suite(1_600, seed=0, seconds=(3.2, 4.8))
  rows = []
  for plan in plans:
    clip = build.example_of(plan, BASIS)
    names = ("expression", "jaw_pose", "eyelids", "head_pose", "eye_pose")
    track = np.concatenate([clip[name] for name in names], 1)
    stats = (track.mean(0), track.std(0), track.min(0), track.max(0))
    rows.append(np.concatenate(stats))
  return np.stack(rows), [plan.attributes for plan in plans]


def accuracy(features, labels, strength):
  labels, cut = np.array(labels), 1_200
  model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=150))
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    model.fit(features[:cut], labels[:cut])
  return model.score(features[cut:], labels[cut:])


def test_family(corpus):
  features, attributes = corpus
  assert 0.78 < accuracy(features, [a["family"] for a in attributes], 0.05) < 0.98


def test_head_motion(corpus):
  features, attributes = corpus
  motions = ["+".join(a["head_motion"]) for a in attributes]
  assert accuracy(features, motions, 0.1) > 0.88


def test_speaking(corpus):
  features, attributes = corpus
  assert accuracy(features, [a["speaking"] for a in attributes], 0.1) > 0.95
