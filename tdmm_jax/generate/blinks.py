"""Blinks, where a prompt says nothing about the eyes.

Clips of four seconds teach a model that faces stare. People at rest blink every 3.5 s
(Bentivoglio et al. 1997, "Analysis of blink rate patterns in normal subjects"), so both
lids close whenever they have been open for about as long. A blink that a motion begins
by itself is carried through until the lids meet.

Shape letters: T frames, E expression coefficients, U action units.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tdmm_jax.face import action_units, head_file, motion_vector
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.generate.windows import Span

# How far lids have closed, a frame of 40 ms: 80 ms to close, 160 to open.
CLOSURE = (0.5, 1.0, 1.0, 0.7, 0.35, 0.1)
# Frames until the first blink, and between two: from, and below. A motion of more than
# 4 s has room for one.
_FIRST, _BETWEEN = (20, 90), (55, 90)
_RISE = 0.2  # a lid that closes so much within two frames begins a blink
_CLOSED = 0.9
_EYES = re.compile(
  r"\b(eye(?!brow)|lids?\b|blink|unblink|wink|squint|star(e|es|ed|ing)\b|gaz(e|ing)"
  r"|glar(e|ing)|peek|peep|asleep|sleeping)",
  re.IGNORECASE,
)
_RAISERS = [action_units.ACTION_UNITS.index(f"upper_lid_raiser_{s}") for s in "lr"]


def speaks_of_eyes(prompt: str) -> bool:
  """Whether a prompt says what eyes or lids do, so that nothing is added."""
  return bool(_EYES.search(prompt))


class _Lids:
  """Lids of one motion, frame by frame; what it needs to know of the past."""

  def __init__(self, spans: Sequence[Span], face_model: str, seed):
    self.spans = [span for span in spans if not speaks_of_eyes(span.prompt)]
    self.rng = np.random.default_rng([number % 2**32 for number in seed])
    self.frame, self.open, self.due = 0, 0, self.rng.integers(*_FIRST)
    self.stage: list[int | None] = [None, None]
    self.before = np.ones((2, 2))  # the lids' own closure in the last two frames
    self.raised_2E = self.raiser_E2 = None
    if face_model in head_file.NAMES:
      matrix_EU = head_file.activation_matrix(face_model)
      self.raised_2E = np.linalg.pinv(matrix_EU)[_RAISERS]
      self.raiser_E2 = matrix_EU[:, _RAISERS]

  def move(self, expression_TE, eyelids_T2) -> tuple[np.ndarray, np.ndarray]:
    """The next frames, with blinks."""
    expression_TE = np.array(expression_TE, np.float32)
    eyelids_T2 = np.clip(np.asarray(eyelids_T2, np.float32), 0.0, 1.0)
    for expression_E, eyelids_2 in zip(expression_TE, eyelids_T2, strict=True):
      closure_2 = self._next(eyelids_2)
      if closure_2.any():
        eyelids_2 += (1.0 - eyelids_2) * closure_2
        self._let_go(expression_E, closure_2)
    return expression_TE, eyelids_T2

  def _next(self, eyelids_2) -> np.ndarray:
    """float[2]: how far this frame's blink has closed the lids."""
    begins_2 = eyelids_2 - self.before.min(axis=0) > _RISE
    self.before = np.stack([self.before[1], eyelids_2])
    if self._has_room():
      due = self.open >= self.due and self.stage == [None, None]
      for side in (0, 1):
        if self.stage[side] is None and (due or begins_2[side]):
          self.stage[side] = 0
    closure_2 = np.zeros(2, np.float32)
    for side, stage in enumerate(self.stage):
      if stage is not None:
        closure_2[side] = CLOSURE[stage]
        self.stage[side] = stage + 1 if stage + 1 < len(CLOSURE) else None
    self.frame += 1
    self.open += 1
    if np.minimum(np.maximum(eyelids_2, closure_2), 1).min() > _CLOSED:
      self.open, self.due = 0, self.rng.integers(*_BETWEEN)
    return closure_2

  def _has_room(self) -> bool:
    last = self.frame + len(CLOSURE)
    return any(span.start <= self.frame and last <= span.stop for span in self.spans)

  def _let_go(self, expression_E, closure_2) -> None:
    """What raises the upper lids lets go of them; wide eyes would not close."""
    if self.raised_2E is not None:
      raised_2 = np.maximum(self.raised_2E @ expression_E, 0.0)
      expression_E -= self.raiser_E2 @ (raised_2 * closure_2)


def follow(
  pieces: Iterable[np.ndarray], spans: Sequence[Span], face_model: str, seed
) -> Iterator[np.ndarray]:
  """Motion vectors float32[T, P], piece by piece, with blinks in the spans.

  Args:
    spans: what was drawn; one whose prompt speaks of the eyes is left as it is.
    face_model: the name of the motion's basis.
    seed: ints; the same blinks for the same ones, however the motion is cut.
  """
  lids = _Lids(spans, face_model, seed)
  for piece in pieces:
    piece = np.array(piece, np.float32)
    e = piece.shape[-1] - motion_vector.NUM_POSE
    parts = (slice(0, e), slice(e + 3, e + 5))
    moved = lids.move(*(piece[:, part] for part in parts))
    for part, track in zip(parts, moved, strict=True):
      piece[:, part] = track
    yield piece


def added(motion: FaceMotion, spans: Sequence[Span], seed) -> FaceMotion:
  """A motion with blinks in the spans; see `follow`."""
  lids = _Lids(spans, motion.face_model, seed)
  expression, eyelids = lids.move(motion.expression, motion.eyelids)
  return motion.replace(expression=expression, eyelids=eyelids)
