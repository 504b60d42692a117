"""What clips of one person have in common: how their face differs, and how it rests."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg  # noqa: F401 (JAX takes its LAPACK: loaded, it can be limited)
import threadpoolctl

from tdmm_jax.errors import UserError
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.fit import landmark_model, landmarks
from tdmm_jax.face.fit.landmark_problem import Problem

MAX_STEPS = 30
_FRAMES = 32  # that tell the person
# Landmarks that expressions hardly move: corners of the eyes, nose, sides of the face,
# the jaw's edge. There, an actor's clips differ by 2.2 mm at most (28 pairs), clips of
# different people by 2.7 in the median: only what is surely two people is refused.
_BONES = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 98, 327, 234, 454, 93, 323, 127)
_BONES += (356, 10, 151, 193, 417, 122, 351, 132, 361, 58, 288, 172, 397, 152, 199, 175)
_BONES += (148, 377)
_APART_MM = 2.6
_BONE_FRAMES = 16  # of each clip; the median of 4 strays by a millimetre


class Person(NamedTuple):
  """What stays the same in every frame of one person.

  Attributes:
    person_K: how the face differs from the mean one, in the landmark model's terms.
    rest_L3: m, what is left of each landmark's place, in the head's frame.
    from_neutral: whether frames without expression were named.
    deviation_U: of a held activation's error: how far a rest like it is from likely.
  """

  person_K: np.ndarray
  rest_L3: np.ndarray
  from_neutral: bool
  deviation_U: np.ndarray


def fit_person(
  face_model: FaceModel,
  tracks: Sequence[dict[str, Any]],
  neutral: Sequence[slice | None] | None = None,
) -> Person:
  """What clips of one person have in common: their identity and their rest.

  Args:
    face_model: as `fit_landmarks`.
    tracks: of each clip landmarks_px [T, 478, 2 or 3] and detected [T].
    neutral: of each clip, the frames in which the face rests, or None.

  Raises:
    UserError: as `fit_landmarks`.
  """
  assumed = landmark_model.landmark_model(face_model)
  neutral = neutral or [None] * len(tracks)
  chosen, rests, compared = [], [], []
  share = max(_FRAMES // len(tracks), 1)
  for track, frames in zip(tracks, neutral, strict=True):
    points, detected = landmarks.checked(
      face_model, track["landmarks_px"], track["detected"]
    )
    resting = np.zeros(len(points), bool)
    if frames is not None:
      resting[frames] = True
      if not (resting & detected).any():
        raise UserError(
          f"neutral frames {frames.start}-{frames.stop}: no face in any of the clip's "
          f"{len(points)} frames that they name; name others"
        )
    seen = np.flatnonzero(detected)
    ids = _spread(seen, share)
    if resting.any():  # half of the frames at rest
      ids[::2] = _spread(np.flatnonzero(resting & detected), len(ids[::2]))
    # Sizes differ between clips: in units of the canthi's distance.
    right, left = (points[seen][:, i] for i in landmarks.CANTHI)
    size = np.linalg.norm(left - right, axis=-1).mean()
    chosen.append(points[ids] / size)
    compared.append(points[_spread(seen, _BONE_FRAMES)] / size)
    rests.append(resting[ids])
  if len(tracks) > 1 and assumed.in_units:
    _check_one_person(_misfit_of_bones(assumed, compared))
  points, resting = np.concatenate(chosen), np.concatenate(rests)
  count = max(_FRAMES, -(-len(points) // _FRAMES) * _FRAMES)
  points, resting = (
    np.resize(points, (count, *points.shape[1:])),
    np.resize(resting, count),
  )
  problem = Problem(assumed, points, np.ones(count, bool), None, None, resting)
  everything = tuple(unknown.name for unknown in assumed.unknowns)
  with threadpoolctl.threadpool_limits(1, user_api="blas"):
    state = problem.run(problem.start(), everything, range(MAX_STEPS))
    deviation_U = problem.deviation(state)
  return Person(
    np.asarray(state.shape_S),
    problem.rest(state),
    bool(resting.any()),
    deviation_U,
  )


def _spread(frames, count: int) -> np.ndarray:
  """`count` of the frames, evenly; int[count]."""
  return frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]


def _misfit_of_bones(assumed, clips) -> list[np.ndarray]:
  """Of each clip what the mean face, in its pose, misses of the bones: m, [B, 2]."""
  points = np.concatenate(clips)
  seen = np.ones(len(points), bool)
  with threadpoolctl.threadpool_limits(1, user_api="blas"):
    problem = Problem(assumed, points, seen, None, None)
    missing_TL3 = problem.missing(problem.start())
  bones = np.isin(assumed.head.landmark_ids, _BONES)
  each = np.split(missing_TL3[:, bones, :2], len(clips))
  return [np.median(frames, axis=0) for frames in each]


def _check_one_person(misfits: Sequence[np.ndarray]) -> None:
  """Refuses clips whose bones surely differ.

  Raises:
    UserError: two of the clips show different people.
  """
  for i, ours in enumerate(misfits):
    for j, theirs in enumerate(misfits[:i]):
      apart_mm = 1000 * np.sqrt(((ours - theirs) ** 2).sum(-1).mean())
      if apart_mm > _APART_MM:
        raise UserError(
          f"clips {j + 1} and {i + 1} of {len(misfits)}: the faces differ by "
          f"{apart_mm:.1f} mm in what does not move; give clips of one person"
        )
