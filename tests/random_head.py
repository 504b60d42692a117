"""Random face models and poses with the scales of a head, for tests."""

import functools

import numpy as np

from tdmm_jax.face import face_model


def random_arrays(num_vertices, num_shape, num_expression, seed=0):
  """Arguments of `face_model.from_arrays`: random, with the scales of a head."""
  rng = np.random.default_rng(seed)
  V = num_vertices
  normal = lambda *shape, scale: rng.normal(size=shape) * scale
  weights = rng.random((V, 5)) ** 4
  regressor = rng.random((5, V)) ** 8
  return {
    "v_template": normal(V, 3, scale=0.1),
    "shapedirs": normal(V, 3, num_shape, scale=1e-3),
    "exprdirs": normal(V, 3, num_expression, scale=1e-3),
    "eyelid_dirs": normal(V, 3, 2, scale=1e-3),
    "posedirs": normal(36, V, 3, scale=1e-3),
    "lbs_weights": weights / weights.sum(axis=1, keepdims=True),
    "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
    "faces": rng.integers(0, V, (2 * V, 3)),
    "regions": {"face": np.arange(V // 2), "lips": np.arange(3, 9)},
    "landmark_ids": np.array([33, 263, 13]),
    "landmark_triangles": rng.integers(0, V, (3, 3)),
    "landmark_barycentric": np.array([[0.2, 0.3, 0.5], [1, 0, 0], [0, 0.5, 0.5]]),
    "name": "random",
  }


def random_pose(model, lead, seed=1, scale=0.3):
  """Keyword arguments of `posed_vertices`, float32, of these leading dimensions."""
  rng = np.random.default_rng(seed)
  widths = {"expression": model.num_expression, "jaw_pose": 3, "eyelids": 2}
  widths |= {"eye_pose": 6, "neck_pose": 3, "head_pose": 3, "translation": 3}
  widths["shape"] = model.num_shape
  return {
    name: rng.normal(size=(*lead, width)).astype(np.float32) * scale
    for name, width in widths.items()
  }


@functools.cache
def small_model():
  """60 vertices, 4 identity and 6 expression coefficients."""
  return face_model.from_arrays(**random_arrays(60, 4, 6))
