"""Motions that no simulator made, without which a tokenizer fails on real faces.

A fitted face rests elsewhere than the mean face, moves in directions that simulated
ones never combine, and turns its head farther. Tokens of 1,000 codes have no room for
what training never showed.

Shape letters: T frames, P motion vector (tdmm_jax/face/motion_vector.py).
"""

from collections.abc import Sequence

import numpy as np

from tdmm_jax.face.motion_vector import NUM_HEAD, NUM_POSE, split
from tdmm_jax.face.turns import transform


class MotionAugmentation:
  """Changes a share of the motions: (motion, rng) -> motion.

  Three things change: the amount and the rest of the head's rotation; the face's rest,
  in all directions of expression; and its movement, to which another motion's is added
  with permuted coefficients.
  """

  def __init__(
    self,
    motions: Sequence[dict],
    rate: float,
    offset: float,
    movement: float,
    head_degrees: float,
    head_scale: float,
  ):
    """Knows the motions' spread, and draws movement from them.

    Args:
      motions: dicts of vectors float32[T, P].
      rate: share of motions that are changed; 0: none.
      offset: of the rest, in deviations of each coefficient, at most: each motion
        draws its own share.
      movement: scale of the added movement, likewise.
      head_degrees: deviation of the head's rest, about each axis.
      head_scale: the head's rotation is multiplied by 1 / head_scale to head_scale.
    """
    self._motions, self._rate = motions, rate
    self._offset, self._movement = offset, movement
    self._head_radians, self._head_scale = np.deg2rad(head_degrees), head_scale
    spread_P = np.concatenate([m["vectors"] for m in motions[:2_000]]).std(0)
    spread_E = spread_P[: len(spread_P) - NUM_POSE]
    # Coefficients that simulated faces hardly use, real ones do.
    self._spread_E = np.maximum(spread_E, spread_E.mean() / 2)

  def __call__(self, motion: dict, rng: np.random.Generator) -> dict:
    """The motion, or a changed copy; the rest of the dict is as it was."""
    if rng.random() >= self._rate:
      return motion
    vectors_TP = motion["vectors"].copy()
    num_expression = len(self._spread_E)
    expression_TE = split(vectors_TP)["expression"]
    normal_E = rng.standard_normal(num_expression)
    expression_TE += rng.random() * self._offset * self._spread_E * normal_E
    other = self._motions[rng.integers(len(self._motions))]["vectors"]
    order_E = rng.permutation(num_expression)
    scale_E = self._spread_E / self._spread_E[order_E]
    scale_E *= rng.integers(2, size=num_expression) * 2 - 1
    moved_TE = other[: len(vectors_TP), order_E] * scale_E
    moved_TE = np.pad(
      moved_TE - moved_TE.mean(0),
      ((0, len(vectors_TP) - len(moved_TE)), (0, 0)),
      "edge",
    )
    expression_TE += rng.random() * self._movement * moved_TE
    scale = self._head_scale ** rng.uniform(-1, 1)
    head_T = transform.Rotation.from_rotvec(vectors_TP[:, -NUM_HEAD:] * scale)
    rest = transform.Rotation.from_rotvec(
      rng.standard_normal(NUM_HEAD) * self._head_radians
    )
    vectors_TP[:, -NUM_HEAD:] = (rest * head_T).as_rotvec()
    return motion | {"vectors": vectors_TP.astype(np.float32)}
