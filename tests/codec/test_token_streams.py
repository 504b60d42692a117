"""Frame by frame, and in pieces: the tokens of the whole motion."""

import types

import numpy as np
import pytest

from tdmm_jax.codec import motion_codec, token_streams
from tdmm_jax.data import records


class StandIn(motion_codec.MotionCodec):
  """Reads 5 frames to each side with weights of the frame's phase; exact integers."""

  def __init__(self):
    self.model = types.SimpleNamespace(reach=5)
    self.num_phases = 3
    self.weights = np.random.default_rng(0).integers(1, 99, (3, 11))

  def encode_window(self, values, mask):
    values, mask = np.asarray(values), np.asarray(mask)
    seen = np.rint(values.reshape(*mask.shape, -1).sum(-1) * 1000).astype(int)
    seen = seen * (mask > 0)
    out = np.zeros(mask.shape, int)
    for t in range(mask.shape[1]):
      for d in range(-5, 6):
        if 0 <= t + d < mask.shape[1]:
          out[:, t] += self.weights[t % 3, d + 5] * seen[:, t + d]
    return out

  decode_window = encode_window


def streamed(codec, frames, look_ahead=None, decode=False):
  step = token_streams.decode if decode else token_streams.encode
  finish = token_streams.finish_decoding if decode else token_streams.finish_encoding
  state, outputs = token_streams.start(codec, look_ahead), []
  for t, frame in enumerate(frames):
    state, output = step(codec, state, frame)
    if output is not None:
      outputs.append(output)
      assert t - (len(outputs) - 1) == state.look_ahead
    assert len(state.frames) <= codec.reach + codec.num_phases + state.look_ahead
  return np.array([*outputs, *finish(codec, state)])


@pytest.mark.parametrize("decode", [False, True])
def test_with_the_whole_reach_a_stream_gives_the_same(decode):
  codec, rng = StandIn(), np.random.default_rng(1)
  frames = rng.integers(0, 9, 40) if decode else rng.random((40, 4))
  call = codec.decode_window if decode else codec.encode_window
  whole = call(frames[None], np.ones((1, 40)))[0]
  for look_ahead in (None, 5, 8):
    np.testing.assert_array_equal(streamed(codec, frames, look_ahead, decode), whole)
  for look_ahead in (0, 2):
    outputs = streamed(codec, frames, look_ahead, decode)
    # The last frames have nothing behind them either way; no other has its reach.
    assert list(np.flatnonzero(outputs == whole)) == list(range(39 - look_ahead, 40))


def test_less_look_ahead_sees_nothing_later():
  codec, rng = StandIn(), np.random.default_rng(2)
  frames = rng.random((30, 4))
  other = np.concatenate([frames[:20], rng.random((10, 4))])
  same = streamed(codec, frames, 1) == streamed(codec, other, 1)
  assert same[:19].all() and not same[19:].any()
  with pytest.raises(ValueError, match="look_ahead -1"):
    token_streams.start(codec, -1)
  assert len(token_streams.finish_encoding(codec, token_streams.start(codec))) == 0


@pytest.mark.parametrize("length", [1, 2, 47, 48, 49, 200])
def test_pieces_of_a_long_motion_give_the_tokens_of_the_whole(length, monkeypatch):
  codec = StandIn()
  clips = [np.random.default_rng(3).random((n, 4)).round(3) for n in (length, 60)]
  whole = [codec.encode_window(c[None], np.ones((1, len(c))))[0] for c in clips]
  monkeypatch.setattr(motion_codec, "_WINDOW", 48)
  for ours, expected in zip(codec.encode_vectors(clips), whole, strict=True):
    np.testing.assert_array_equal(ours, expected)
  sizes = [last - first for first, last, _ in codec._pieces(100_000)]
  assert max(sizes) <= 48  # however long the motion
  assert all(first % 3 == 0 for first, _, _ in codec._pieces(100_000))


def test_a_trained_tokenizer_streams_its_tokens(tiny_run):
  codec = motion_codec.load(tiny_run / "tokenizer")
  vectors = records.load_clips(tiny_run / "records", "test")[0]["vectors"][:24]
  tokens = streamed(codec, vectors)
  np.testing.assert_array_equal(tokens, codec.encode_vectors([vectors])[0])
  frames = streamed(codec, tokens, decode=True)
  np.testing.assert_allclose(frames, codec.decode_vectors([tokens])[0], atol=1e-4)
