"""What a token carries, as one vector per frame; batches of such motions.

Layout P = E + 14: expression E, jaw_pose 3, eyelids 2, eye_pose 6, head rotation 3
(world rotation of the head: global · neck). Identity, translation and camera are never
tokenised; neck_pose is folded into the head's rotation and decoded as zero.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

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


def to_motion(vectors_TP, face_model: str) -> motion_lib.FaceMotion:
  """FaceMotion at 25 fps; zero identity, neck, translation; lids clipped to 0..1."""
  fields = split(np.asarray(vectors_TP, np.float32))
  fields["eyelids"] = np.clip(fields["eyelids"], 0.0, 1.0)
  empty = motion_lib.zeros(
    len(vectors_TP), face_model, num_expression=fields["expression"].shape[-1]
  )
  return dataclasses.replace(empty, **fields)


class Batch(NamedTuple):
  """Padded sequences of like lengths; rows without a sequence are all padding.

  Attributes:
    indices: which sequences the first rows hold.
    values: [B, L, ...], 0 where there is padding.
    mask: float32[B, L], 1 where a frame counts.
  """

  indices: list[int]
  values: np.ndarray
  mask: np.ndarray


def batches(
  sequences: Sequence[np.ndarray],
  batch_size: int,
  length_multiple: int,
  valid: Sequence[np.ndarray] | None = None,
  max_frames: int | None = None,
) -> Iterator[Batch]:
  """Batches of sequences of any lengths, longest first, in few shapes.

  Args:
    sequences: arrays [T, ...] of one type.
    batch_size: rows of a batch; one row if there is one sequence.
    length_multiple: lengths are padded to a multiple of this.
    valid: bool[T] of each sequence, its frames that count; all by default.
    max_frames: if given, batches of long sequences have fewer rows, so that a batch
      holds no more frames than this, or one sequence.
  """
  order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
  while order:
    longest = sequences[order[0]]
    length = -(-len(longest) // length_multiple) * length_multiple
    rows = batch_size if len(sequences) > 1 else 1
    if max_frames is not None:
      rows = min(rows, max(max_frames // length, 1))
    indices, order = order[:rows], order[rows:]
    values = np.zeros((rows, length, *longest.shape[1:]), longest.dtype)
    mask = np.zeros((rows, length), np.float32)
    for row, i in enumerate(indices):
      frames = len(sequences[i])
      values[row, :frames] = sequences[i]
      mask[row, :frames] = 1.0 if valid is None else valid[i]
    yield Batch(indices, values, mask)
