"""Multimodality has 100 prompts of 30 motions each, once there are 20 replications."""

import types

import numpy as np

from tdmm_jax.evaluation import language_to_motion


class Network:
  """Embeds a motion as its first frame."""

  def embed_motions(self, vectors):
    return np.stack([vectors_TP[0] for vectors_TP in vectors])


def test_multimodality_draws_what_is_missing_of_30(monkeypatch):
  drawn = []

  def generate(run, clips, seed):
    drawn.append((seed, [clip["name"] for clip in clips]))
    return [np.full((3, 2), float(seed)) for _ in clips], None

  monkeypatch.setattr(language_to_motion, "generate", generate)
  clips = [{"name": i} for i in range(150)]
  truth = types.SimpleNamespace(clips=clips, network=Network())
  embedded = [np.full((150, 2), float(r)) for r in range(20)]
  found = language_to_motion._multimodality(None, truth, embedded, seed=0)
  assert found["multimodality_prompts"] == 100
  assert found["multimodality_samples"] == 30
  assert [seed for seed, _ in drawn] == [*range(20, 30)]  # none of them drawn before
  assert len({tuple(names) for _, names in drawn}) == 1 == len(drawn[0][1]) // 100
  # Samples lie at 0, 1, .. 29 on a diagonal: the mean distance of two is √2 · 31 / 3.
  np.testing.assert_allclose(found["multimodality"], np.sqrt(2) * 31 / 3, rtol=0.1)
  few = language_to_motion._multimodality(None, truth, embedded[:3], seed=0)
  assert few["multimodality_samples"] == 3 and len(drawn) == 10
  none = language_to_motion._multimodality(None, truth, embedded[:1], seed=0)
  assert none == {"multimodality": None}
