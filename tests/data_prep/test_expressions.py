"""Every label and micro-action has a signature of its own."""

import itertools

import numpy as np
import pytest

from data_prep import expressions, recipes
from tdmm_jax.language import lexicon


def test_every_label_has_a_recipe_of_its_own():
  vectors = expressions.label_vectors()
  assert set(vectors) == set(lexicon.LABELS)
  for one, other in itertools.combinations(vectors, 2):
    mirrored = expressions.mirrored(vectors[other])
    distance = min(
      np.linalg.norm(vectors[one] - vectors[other]),
      np.linalg.norm(vectors[one] - mirrored),
    )
    assert distance >= 0.2, (one, other)


def test_families_differ_more_than_their_labels():
  vectors = expressions.label_vectors()
  families = {label.family for label in lexicon.LABELS.values()}
  means = {
    family: np.mean(
      [v for name, v in vectors.items() if lexicon.LABELS[name].family == family], 0
    )
    for family in families
  }
  for one, other in itertools.combinations(means, 2):
    assert np.linalg.norm(means[one] - means[other]) > 0.5, (one, other)


def test_neutral_is_a_face_at_rest():
  assert not expressions.label_vectors()[lexicon.NEUTRAL].any()


def test_recipe_notation():
  vector = expressions.recipe_vector("6=.6 12L=.8 jaw=.1 lids=.3 head_yaw=-.2 17=.5")
  said = {
    name: float(value) for name, value in zip(expressions.CHANNELS, vector) if value
  }
  assert said == pytest.approx(
    {
      "cheek_raiser_l": 0.6,
      "cheek_raiser_r": 0.6,
      "lip_corner_puller_l": 0.8,
      "jaw_open": 0.1,
      "lid_l": 0.3,
      "lid_r": 0.3,
      "head_yaw": -0.2,
      "chin_raiser": 0.5,
    }
  )
  with pytest.raises(KeyError, match="99"):
    expressions.recipe_vector("99=1")


def test_mirror():
  vector = expressions.recipe_vector("12L=.8 head_yaw=.2 head_pitch=.1 mouthL=.3 1=.5")
  expected = expressions.recipe_vector(
    "12R=.8 head_yaw=-.2 head_pitch=.1 mouth_right=.3 1=.5"
  )
  np.testing.assert_array_equal(expressions.mirrored(vector), expected)
  noise = np.random.default_rng(0).normal(size=(7, len(expressions.CHANNELS)))
  np.testing.assert_array_equal(
    expressions.mirrored(expressions.mirrored(noise)), noise
  )


def test_micro_actions_are_acted():
  acted_apart = {"blink", "gaze_shift", "eye_roll"}
  recipes_of = set(expressions.micro_vectors()) | set(recipes.LEFT_RECIPES)
  assert recipes_of | acted_apart == set(lexicon.MICRO_ACTIONS)
