"""The tokenizer frame by frame, with a bounded look-ahead: state in, state out.

A frame's token, and a token's frame, are known `look_ahead` frames later. At the
codec's `reach` they are those of the whole motion. With less the network is told that
the motion ends there, which it has seen in training; docs/tokenizer.md says what that
costs.

  state = token_streams.start(codec, look_ahead=8)
  for frame in vectors:                       # float32[P], see face.motion_vector
    state, token = token_streams.encode(codec, state, frame)   # None: not yet
  tokens = token_streams.finish_encoding(codec, state)   # those that are left

Shape letters: N frames kept, D their width, W window.
"""

from typing import NamedTuple

import numpy as np


class State(NamedTuple):
  """Where a stream stands; the whole of its memory.

  Attributes:
    frames: [N, D] or [N], the frames that later ones depend on.
    first: the number of frames[0], a multiple of the codec's phases.
    done: how many outputs were given.
    look_ahead: frames.
  """

  frames: np.ndarray | None
  first: int
  done: int
  look_ahead: int


def start(codec, look_ahead: int | None = None) -> State:
  """Before the first frame; by default with all the look-ahead there is use for.

  Raises:
    ValueError: a negative look-ahead.
  """
  if look_ahead is not None and look_ahead < 0:
    raise ValueError(f"look_ahead {look_ahead}: frames, 0 or more")
  ahead = codec.reach if look_ahead is None else min(look_ahead, codec.reach)
  return State(None, 0, 0, ahead)


def encode(codec, state: State, vector_P):
  """(state, token int or None) after one more motion vector float32[P]."""
  state, outputs = _push(codec, codec.encode_window, state, vector_P)
  return state, (int(outputs[0]) if len(outputs) else None)


def decode(codec, state: State, token: int):
  """(state, motion vector float32[P] or None) after one more token."""
  state, outputs = _push(codec, codec.decode_window, state, np.int32(token))
  return state, (outputs[0] if len(outputs) else None)


def finish_encoding(codec, state: State) -> np.ndarray:
  """The tokens int32[n] that are left when no frame follows, n <= look_ahead."""
  return _rest(codec, codec.encode_window, state)


def finish_decoding(codec, state: State) -> np.ndarray:
  """The motion vectors float32[n, P] that are left when no token follows."""
  return _rest(codec, codec.decode_window, state)


def _push(codec, call, state: State, frame):
  frame = np.asarray(frame)[None]
  frames = frame if state.frames is None else np.concatenate([state.frames, frame])
  state = state._replace(frames=frames)
  if state.first + len(frames) - state.done <= state.look_ahead:
    return state, ()
  output = _at(codec, call, state, state.done)
  done = state.done + 1
  drop = aligned(codec, done) - state.first
  if drop > 0:
    state = state._replace(frames=frames[drop:], first=state.first + drop)
  return state._replace(done=done), output[None]


def _rest(codec, call, state: State) -> np.ndarray:
  count = 0 if state.frames is None else state.first + len(state.frames) - state.done
  outputs = [_at(codec, call, state, state.done + i) for i in range(count)]
  return np.stack(outputs) if outputs else np.zeros((0,), np.int32)


def aligned(codec, number: int) -> int:
  """The first frame that frame `number` depends on, down to a multiple of phases."""
  phases = codec.num_phases
  return max(number - codec.reach, 0) // phases * phases


def _at(codec, call, state: State, number: int):
  """Output `number`, from a window of one size whose frame 0 is of phase 0."""
  window = codec.reach + codec.num_phases + state.look_ahead
  first = aligned(codec, number)
  last = min(number + state.look_ahead + 1, state.first + len(state.frames))
  known = state.frames[first - state.first : last - state.first]
  values = np.zeros((1, window, *known.shape[1:]), known.dtype)
  mask = np.zeros((1, window), np.float32)
  values[0, : len(known)], mask[0, : len(known)] = known, 1.0
  return call(values, mask)[0, number - first]
