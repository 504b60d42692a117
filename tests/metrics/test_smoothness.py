"""Jitter on numbers worked by hand; a set's is that of its clips."""

import numpy as np
import pytest

from tdmm_jax.face import face_model, load_model, motion_vector
from tdmm_jax.metrics import smoothness


def test_a_sets_jitter_is_that_of_all_windows_of_its_clips():
  face = load_model.default_head()
  width = face.num_expression + motion_vector.NUM_POSE
  rng = np.random.default_rng(0)
  vectors = [
    np.cumsum(rng.normal(size=(n, width)), 0).astype(np.float32) * 0.02
    for n in (30, 9, 70)
  ]
  for x in vectors:  # `to_motion` clips lids; here they stay within
    x[:, 53:55] = 0.5
  valid = [rng.random(len(x)) < 0.9 for x in vectors]
  total = windows = 0.0
  for x, ok in zip(vectors, valid):
    vertices = face_model.motion_vertices(
      face, motion_vector.to_motion(x, face.name), head_fixed=True, identity=False
    )[:, face.regions["face"]]
    total_here, windows_here = smoothness.jitter(vertices, ok)
    total, windows = total + total_here, windows + windows_here
  jitter = smoothness.Jitter(face)
  np.testing.assert_allclose(
    jitter.mean(vectors, valid), total / windows * 25**3, rtol=1e-3
  )
  assert np.isnan(jitter.mean(vectors[:1], [np.zeros(30, bool)]))


def test_jitter_is_the_third_difference():
  t = np.arange(9.0) / 25
  x = np.zeros((9, 2, 3))
  x[:, 0, 0] = 2.0 * t**3 - t**2 + 5 * t  # third derivative 12
  x[:, 1, 1] = -4.0 * t**3  # -24
  total, windows = smoothness.jitter(x, np.ones(9, bool))
  assert windows == 6
  np.testing.assert_allclose(total / windows * 25**3, (12 + 24) / 2, rtol=1e-6)
  broken = np.ones(9, bool)
  broken[4] = False  # leaves frames 0-3 and 5-8: one window each
  spoilt = x.copy()
  spoilt[4] = 7.0
  total, windows = smoothness.jitter(spoilt, broken)
  assert windows == 2
  np.testing.assert_allclose(total / windows * 25**3, 18.0, rtol=1e-6)


@pytest.mark.parametrize("frames", [1, 3])
def test_a_clip_too_short_for_jitter_has_no_window(frames):
  assert smoothness.jitter(np.ones((frames, 2, 3)), np.ones(frames, bool)) == (0.0, 0)
