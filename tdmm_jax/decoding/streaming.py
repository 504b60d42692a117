"""Streams frames while tokens are still being made; the result equals the batch's.

The tokenizer's decoder sees a bounded number of frames ahead (`MotionCodec.reach`), so
a frame is final as soon as that many codes after it are known.

Shape letters: T frames, P motion vector.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from tdmm_jax.decoding import sample


def token_stream(
  model,
  params,
  encoder_input_tokens_BM,
  low_BL,
  high_BL,
  keys_B,
  sampling,
  stops,
  cues_BNF=None,
) -> Iterator[np.ndarray]:
  """Yields tokens int32[B, n] in pieces that end at each of `stops` (ascending).

  Arguments as in `sample.decode`, which runs the same loop; a piece is decoded when it
  is asked for.
  """
  encoded_BMD = sample.encode(model, params, encoder_input_tokens_BM)
  given, length = (model, params, encoded_BMD, cues_BNF), low_BL.shape[1]
  state = sample.start(*given, length=length, sampling=sampling)
  inputs = (model, params, encoder_input_tokens_BM, low_BL, high_BL, keys_B)
  begin = 0
  for stop in stops:
    state = sample.advance(*inputs, state, stop, sampling=sampling)
    yield np.asarray(state.tokens_BL[:, begin:stop])
    begin = stop


def frame_stream(codec, codes: Iterable[np.ndarray], piece: int) -> Iterator:
  """Yields motion vectors float32[n, P], n at most `piece`, as codes arrive.

  Args:
    codec: motion_codec.MotionCodec.
    codes: pieces of codes int[n].
    piece: frames decoded at a time; one program is compiled for it.
  """
  reach, window = codec.reach, codec.reach * 2 + piece
  known, done = np.zeros(0, np.int32), 0

  def decode(count: int):
    """Frames done .. done + count - 1, in a window that holds all they depend on."""
    values, mask = np.zeros((1, window), np.int32), np.zeros((1, window), np.float32)
    first, last = max(done - reach, 0), min(done + piece + reach, len(known))
    at = slice(first - done + reach, last - done + reach)
    values[0, at], mask[0, at] = known[first:last], 1.0
    return codec.decode_window(values, mask)[0, reach : reach + count]

  for new in codes:
    known = np.concatenate([known, new])
    while done + piece + reach <= len(known):
      yield decode(piece)
      done += piece
  total, known = len(known), codec.ended(known)
  while done < total:
    count = min(piece, total - done)
    yield decode(count)
    done += count
