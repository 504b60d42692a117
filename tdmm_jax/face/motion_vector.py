"""What a token carries, as one vector per frame.

Layout P = E + 14: expression E, jaw_pose 3, eyelids 2, eye_pose 6, head rotation 3
(world rotation of the head: global · neck). Identity, translation and camera are never
tokenised; neck_pose is folded into the head's rotation and decoded as zero.
"""

import dataclasses

import numpy as np

from tdmm_jax.face import motion as motion_lib

NUM_POSE = 14
NUM_HEAD = 3


def split(vectors, num_expression: int | None = None) -> dict:
  """Splits float[..., P] into the fields' arrays; works on numpy and jax arrays."""
  e = vectors.shape[-1] - NUM_POSE if num_expression is None else num_expression
  return {
    "expression": vectors[..., :e],
    "jaw_pose": vectors[..., e : e + 3],
    "eyelids": vectors[..., e + 3 : e + 5],
    "eye_pose": vectors[..., e + 5 : e + 11],
    "head_pose": vectors[..., e + 11 : e + 14],
  }


def from_motion(motion: motion_lib.FaceMotion) -> np.ndarray:
  """float32[T, P] of a motion; the neck's rotation is folded into the head's."""
  return np.concatenate(
    [
      motion.expression,
      motion.jaw_pose,
      motion.eyelids,
      motion.eye_pose,
      motion_lib.world_head_rotation(motion),
    ],
    axis=-1,
  ).astype(np.float32)


def to_motion(vectors_TP, face_model: str, fps: float = 25.0) -> motion_lib.FaceMotion:
  """FaceMotion with zero identity, neck and translation; eyelids clipped to 0..1."""
  fields = split(np.asarray(vectors_TP, np.float32))
  fields["eyelids"] = np.clip(fields["eyelids"], 0.0, 1.0)
  empty = motion_lib.zeros(
    len(vectors_TP), face_model, num_expression=fields["expression"].shape[-1]
  )
  return dataclasses.replace(empty, fps=fps, **fields)
