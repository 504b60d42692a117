"""Motions of any length, from a model that sees a few seconds at a time.

A motion is made in windows that overlap: the last frames known are the fixed first
tokens of the next window, so every new frame depends on those before it, and the
tokenizer's decoder reads all codes as one sequence. Windows start at a multiple of the
tokenizer's phases, for frame t's code is of phase t mod num_phases.

Units: frames, half-open ranges.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.decoding import constraints, sample, streaming
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.generate import inputs
from tdmm_jax.language import timeline

MAX_SECONDS = 600.0
PIECE = 5  # frames that a stream hands out at a time
# Shares of the longest window: known frames that a window starts with at most and at
# least, and frames that are left to the next window because the model, told that its
# motion ends there, brings the face to rest: the corpus' last feelings fade within a
# clip's last second. With an eighth, faces came to rest before the join and started
# again behind it.
_MOST_CONTEXT, _LEAST_CONTEXT, _ENDING = 3 / 8, 1 / 4, 1 / 4


class Span(NamedTuple):
  """Frames start .. stop - 1 are to be drawn; the prompt holds up to `end`.

  `leads`: the frames from stop to `end` are known, and are what the others lead into.
  """

  start: int
  stop: int
  end: int
  prompt: str
  leads: bool = False


class Window(NamedTuple):
  """What the model sees at a time, start .. end - 1; free .. stop - 1 are drawn."""

  start: int
  free: int
  stop: int
  end: int
  span: Span


def spans_of(segments: str | Sequence[timeline.Segment], check) -> list[Span]:
  """A timeline in frames.

  Args:
    segments: see timeline.parse.
    check: called with each segment's prompt and seconds; see Face.check_request.
  """
  if isinstance(segments, str):
    segments = timeline.parse(segments)
  frame = lambda seconds: round(seconds * tasks.FPS)
  spans = []
  for start_s, stop_s, prompt in segments:
    check(prompt, stop_s - start_s)
    spans.append(Span(frame(start_s), frame(stop_s), frame(stop_s), prompt))
  return spans


def between(
  start: int, stop: int, num_frames: int, prompt: str, knows_endings: bool
) -> Span:
  """The span of new frames start .. stop - 1 in a motion of `num_frames` known ones.

  `knows_endings`: whether the model was taught to lead into what comes after.
  """
  least, most = tasks.ENDING
  later = min(num_frames - stop, most)
  if knows_endings and later >= least:
    return Span(start, stop, stop + later, prompt, leads=True)
  return Span(start, stop, num_frames, prompt)


def changes(spans: Sequence[Span]) -> list[int]:
  """The frames at which another prompt begins."""
  return [span.start for span in spans[1:]]


def plan(spans: Sequence[Span], max_frames: int, num_phases: int) -> list[Window]:
  """Windows of at most `max_frames` that draw every frame of the spans once."""
  least, most, ending = (
    round(share * max_frames) for share in (_LEAST_CONTEXT, _MOST_CONTEXT, _ENDING)
  )
  windows = []
  for span in spans:
    free = span.start
    while free < span.stop:
      left = (span.end if span.leads else span.stop) - free
      context = min(max(max_frames - left, least), most)
      start = max(-(-(free - context) // num_phases) * num_phases, 0)
      end = min(start + max_frames, span.end)
      stop = min(end, span.stop)
      if stop < span.stop or (span.leads and end < span.end):
        stop = min(stop, end - ending)
      windows.append(Window(start, free, stop, end, span))
      free = stop
  return windows


def parts(
  motion: FaceMotion, longest: int, stops: Sequence[int] | None = None
) -> list[FaceMotion]:
  """A motion cut into what can be read at once.

  Args:
    motion: T frames.
    longest: frames of a part.
    stops: where the parts end; by default as few as can be, of one length.
  """
  total = motion.num_frames
  if stops is None:
    count = -(-total // longest)
    stops = [round(total * i / count) for i in range(1, count + 1)]
  starts = [0, *stops[:-1]]
  return [motion_lib.trim(motion, *span) for span in zip(starts, stops, strict=True)]


def stream_codes(
  face, known: np.ndarray, spans: Sequence[Span], key, sampling: sample.Sampling
) -> Iterator[np.ndarray]:
  """The spans' codes int[n], in pieces, while they are made.

  Args:
    face: generate.face.Face.
    known: int[T] codes, constraints.FREE where there is none yet.
    key: one PRNG key.
  """
  known = np.array(known, np.int32)
  for window in plan(spans, face.config.max_frames, face.codec.num_phases):
    inside = slice(window.start, window.free)
    fixed = np.full(window.end - window.start, constraints.FREE)
    fixed[: window.free - window.start] = known[inside]
    if window.span.leads and window.stop == window.span.stop:
      fixed[window.stop - window.start :] = known[window.stop : window.end]
    # The first window of a motion draws what a batch of short motions would draw.
    window_key = jax.random.fold_in(key, window.free) if window.free else key
    done = window.free
    for codes in _stream_window(face, window, fixed, window_key, key, sampling):
      known[done : done + len(codes)] = codes
      done += len(codes)
      yield codes


def _stream_window(
  face, window: Window, fixed, key, placing_key, sampling
) -> Iterator[np.ndarray]:
  """`placing_key`: says when the acts of the span happen, in all of its windows."""
  span = window.span
  encoder, low, high, told = inputs.of_prompts(
    face,
    [span.prompt],
    [len(fixed)],
    sampling,
    placing_key[None],
    [fixed],
    inside=(span.stop - span.start, window.start - span.start),
  )
  first = 1 + window.free - window.start  # position 0 is <som>
  last = 1 + window.stop - window.start
  begin = first + PIECE + (0 if window.free else face.codec.reach)
  stops = sorted({*range(begin, last, PIECE), last})
  pieces = streaming.token_stream(
    face.model, face.params, encoder, low, high, key[None], sampling, stops, told
  )
  at = 0
  for tokens in pieces:
    new = tokens[0][max(first - at, 0) :]
    at += tokens.shape[1]
    yield face.vocab.ids_to_motion(new)


def fill(face, known, spans, key, sampling: sample.Sampling) -> np.ndarray:
  """The codes int32[T] with the spans' drawn; see `stream_codes`."""
  codes = np.array(known, np.int32)
  drawn = np.concatenate(list(stream_codes(face, codes, spans, key, sampling)))
  at = np.concatenate([np.arange(span.start, span.stop) for span in spans])
  codes[at] = drawn
  return codes


def free(num_frames: int) -> np.ndarray:
  """A sequence without any known code."""
  return np.full(num_frames, constraints.FREE, np.int32)
