"""The corpus can be learned: neither trivially nor hardly at all."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data_prep import build, expressions, prompts, simulate
from tdmm_jax.language import lexicon

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
  assert 0.7 < accuracy(features, [a["family"] for a in attributes], 0.05) < 0.98


def test_intensity(corpus):
  features, attributes = corpus
  assert 0.4 < accuracy(features, [a["intensity"] for a in attributes], 0.02) < 0.8


def test_head_motion(corpus):
  features, attributes = corpus
  motions = ["+".join(a["head_motion"]) for a in attributes]
  assert accuracy(features, motions, 0.1) > 0.8


def test_speaking(corpus):
  features, attributes = corpus
  assert accuracy(features, [a["speaking"] for a in attributes], 0.1) > 0.95


def test_every_label_has_a_motion_of_its_own():
  """Nearest centroid over 193 labels, each acted six times and a seventh to tell."""

  def features(label, seed):
    attributes = lexicon.make_attributes([(label, 4, 0.0, 4.0)])
    motion = simulate.simulate(attributes, seed, 4.0, basis=BASIS)
    track = np.concatenate(
      [motion.expression, motion.jaw_pose, motion.eyelids, motion.head_pose], 1
    )
    # Left and right are mirrored in half of the clips.
    return np.concatenate([track.mean(0), track.std(0)])

  names = list(lexicon.LABELS)
  found = np.array([[features(name, seed) for seed in range(7)] for name in names])
  found /= found.std((0, 1)) + 0.1
  centroids = found[:, :6].mean(1)
  distances = np.linalg.norm(found[:, 6, None] - centroids, axis=-1)
  right = np.mean(distances.argmin(1) == np.arange(len(names)))
  assert right > 0.3, "chance is 0.005"


def test_intensities_overlap_as_people_do():
  assert simulate.AMPLITUDE_LOG_STD >= 0.15

  def peak(level, seed):
    attributes = lexicon.make_attributes([("frowning", level, 0.0, 4.0)])
    motion = simulate.simulate(attributes, seed, 4.0, basis=BASIS)
    units = motion.expression[:, expressions.CHANNEL_INDEX["lip_corner_depressor_l"]]
    return units[25:75].mean()

  two, three = ([peak(level, seed) for seed in range(60)] for level in (2, 3))
  assert 0.15 < np.log(three).std() < 0.35
  assert np.mean(three) > 1.3 * np.mean(two)
  assert np.max(two) > np.percentile(three, 10)  # some of 2 are more than some of 3
