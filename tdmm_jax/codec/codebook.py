"""What the codes of a tokenizer look like: each code's face, its use, its neighbours.

Shape letters: K codes, T frames, P motion vector, V vertices.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion_vector
from tdmm_jax.metrics import codebook

NUM_NEIGHBOURS = 3
_BATCH = 64


@dataclasses.dataclass(frozen=True)
class Book:
  """The codes that are shown; K' <= K of them, by phase, the most used first.

  Attributes:
    codes: int[K'].
    phases: int[K'].
    counts: int[K'] frames of the records, or None without records.
    vectors: float32[K', P], the face each code makes.
    neighbours: int[K', N], indices into `codes`, of the same phase, the nearest first.
    distances_mm: float[K', N], RMS over the face's vertices, the head's turn included.
    summary: what is known of all K codes: num_codes, num_phases, and with records
      codebook_used, perplexity, num_frames.
  """

  codes: np.ndarray
  phases: np.ndarray
  counts: np.ndarray | None
  vectors: np.ndarray
  neighbours: np.ndarray
  distances_mm: np.ndarray
  summary: dict


def study(codec, codes: Sequence[np.ndarray] | None, max_codes: int) -> Book:
  """Looks at a tokenizer's codes.

  Args:
    codec: MotionCodec.
    codes: int[T] of each motion of some records, to count their use; or None.
    max_codes: shows at most this many; the least used (or, without records, the last of
      each phase) are left out.
  """
  num, phases = codec.num_codes, codec.num_phases
  summary = {"num_codes": num, "num_phases": phases}
  counts = None
  if codes is not None:
    flat = np.concatenate(codes)
    counts = np.bincount(flat, minlength=num)
    summary |= codebook.usage(flat, num)
  phase_of = np.arange(num) // (num // phases)
  by_use = np.arange(num) if counts is None else np.argsort(-counts, kind="stable")
  rank_in_phase = np.empty(num, int)
  for phase in range(phases):
    mine = by_use[phase_of[by_use] == phase]
    rank_in_phase[mine] = np.arange(len(mine))
  order = np.lexsort((rank_in_phase, phase_of))
  shown = order[rank_in_phase[order] < max(max_codes // phases, 1)]
  vectors = code_vectors(codec, shown)
  neighbours, distances = _nearest(codec, vectors, phase_of[shown])
  return Book(
    shown,
    phase_of[shown],
    None if counts is None else counts[shown],
    vectors,
    neighbours,
    distances,
    summary | {"num_shown": len(shown)},
  )


def code_vectors(codec, codes: np.ndarray) -> np.ndarray:
  """The face that each code makes: float32[len(codes), P].

  A code stands for a frame of its own phase, and the decoder reads it among its
  neighbours. So each is decoded in a still clip that says it in every frame of its
  phase, and in the frames of other phases the code that says least (the one nearest
  to its phase's mean); its face is a frame in the middle.
  """
  per_phase = codec.num_codes // codec.num_phases
  inputs = codec.code_vectors().reshape(codec.num_phases, per_phase, -1)
  off_centre = ((inputs - inputs.mean(1, keepdims=True)) ** 2).sum(-1)
  rest = off_centre.argmin(1) + per_phase * np.arange(codec.num_phases)
  phases = np.asarray(codes) // per_phase
  periods = -(-codec.reach // codec.num_phases)  # to each side of the middle
  length = (2 * periods + 1) * codec.num_phases
  frame_phase = np.arange(length) % codec.num_phases
  faces = []
  for start in range(0, len(codes), _BATCH):
    part, phase = codes[start : start + _BATCH], phases[start : start + _BATCH]
    own = frame_phase[None] == phase[:, None]
    clips = np.where(own, part[:, None], rest[frame_phase][None]).astype(np.int32)
    clips = np.pad(clips, ((0, _BATCH - len(part)), (0, 0)))
    decoded = codec.decode_window(clips, np.ones(clips.shape, np.float32))
    middle = periods * codec.num_phases + phase
    faces.append(decoded[np.arange(len(part)), middle])
  return np.concatenate(faces)


def _nearest(codec, vectors_KP, phase_K) -> tuple[np.ndarray, np.ndarray]:
  """Indices [K, N] of the nearest faces of the same phase, and how far: RMS, mm."""
  motion = motion_vector.to_motion(vectors_KP, codec.face.name)
  vertices = face_lib.motion_vertices(codec.subset, motion, identity=False)
  flat = vertices.reshape(len(vertices), -1).astype(np.float64) * 1000.0
  flat -= flat.mean(0)
  num = min(NUM_NEIGHBOURS, int(np.bincount(phase_K)[np.unique(phase_K)].min()) - 1)
  neighbours = np.zeros((len(flat), num), int)
  distances = np.zeros((len(flat), num))
  if not num:
    return neighbours, distances
  for phase in np.unique(phase_K):
    ids = np.flatnonzero(phase_K == phase)
    mine = flat[ids]
    squares = (mine**2).sum(1)
    squared = squares[:, None] + squares[None] - 2 * mine @ mine.T
    np.fill_diagonal(squared, np.inf)
    near = np.argsort(squared, axis=1, kind="stable")[:, :num]
    neighbours[ids] = ids[near]
    nearest = np.maximum(np.take_along_axis(squared, near, axis=1), 0)
    distances[ids] = np.sqrt(nearest / (flat.shape[1] / 3))
  return neighbours, distances
