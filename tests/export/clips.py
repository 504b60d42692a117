"""A motion that uses everything a motion can, and who plays it back."""

import numpy as np

from tdmm_jax.face import motion


def restless(face, num_frames=6, seed=0) -> motion.FaceMotion:
  """Every track moves, far and in both directions, with an identity of its own."""
  rng = np.random.default_rng(seed)
  walk = lambda width, size: np.cumsum(rng.normal(size=(num_frames, width)), 0) * size
  made = motion.zeros(num_frames, face.name, face.num_expression).replace(
    expression=walk(face.num_expression, 0.6),
    jaw_pose=walk(3, 0.08) + [0.2, 0, 0],
    neck_pose=walk(3, 0.1),
    head_pose=walk(3, 0.3),
    eyelids=np.clip(walk(2, 0.4), 0, 1),
    eye_pose=walk(6, 0.1),
    translation=walk(3, 0.02),
    shape=rng.normal(size=face.num_shape),
  )
  return motion.validate(made, "restless")
