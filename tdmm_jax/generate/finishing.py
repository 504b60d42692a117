"""From decoded frames to what is shown: joined, as asked for, and blinking.

Each step takes frames piece by piece, and its result does not depend on the pieces, so
that a stream is what the whole motion is.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tdmm_jax.generate import blinks, joins, restraint, tempo, windows


def finished(
  face,
  pieces: Iterable[np.ndarray],
  spans: Sequence[windows.Span],
  seed: int,
  number: int = 0,
) -> Iterator[np.ndarray]:
  """Yields float32[n, P]; as many frames as came.

  Args:
    face: generate.face.Face.
    pieces: float32[n, P], decoded, one after another, from frame 0 on.
    spans: what was asked for in which frames.
    seed, number: of the request.
  """
  joined = joins.follow(pieces, windows.changes(spans), face.codec.std_P)
  asked = as_asked(face, joined, spans, seed, number)
  return blinks.follow(asked, spans, face.codec.face.name, (seed, number))


def as_asked(
  face, pieces: Iterable[np.ndarray], spans, seed: int, number: int = 0
) -> Iterator[np.ndarray]:
  """Frames in the tempo of the prompts, and without what they deny; see `finished`."""
  request = (face, spans, seed, number)
  timed = tempo.follow(pieces, tempo.moves_of(*request), face.codec)
  return restraint.follow(timed, restraint.of(*request), face.codec.face.name)
