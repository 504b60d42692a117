"""Jitter of a set is that of its clips, in numpy; padding makes none."""

import numpy as np

from tdmm_jax.face import face_model, load_model, motion_vector
from tdmm_jax.metrics import geometry, smoothness


def test_jitter_is_geometrys_over_all_windows():
  face = load_model.load_face_model("default_v1")
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
    total_here, windows_here = geometry.jitter(vertices, ok)
    total, windows = total + total_here, windows + windows_here
  jitter = smoothness.Jitter(face)
  np.testing.assert_allclose(jitter.mean(vectors, valid), total / windows, rtol=1e-3)
  assert np.isnan(jitter.mean(vectors[:1], [np.zeros(30, bool)]))
