"""Frame by frame, and in pieces: the tokens of the whole motion."""

import numpy as np
import pytest

from tdmm_jax import motion_codec, token_streams
from tdmm_jax.data import records


@pytest.fixture(scope="module")
def codec(tiny_run):
  return motion_codec.load(tiny_run / "tokenizer")


@pytest.fixture(scope="module")
def vectors(tiny_run):
  clips = records.load_clips(tiny_run / "records", "train")
  return np.concatenate([clip["vectors"] for clip in clips])


def streamed(codec, vectors, look_ahead=None):
  """Tokens by number of the frame they came after."""
  state, tokens, lag = token_streams.start(codec, look_ahead), [], []
  for t, frame in enumerate(vectors):
    state, token = token_streams.encode(codec, state, frame)
    if token is not None:
      tokens.append(token)
      lag.append(t - (len(tokens) - 1))
    kept = 0 if state.frames is None else len(state.frames)
    assert kept <= codec.reach + codec.num_phases + state.look_ahead
  return np.array([*tokens, *token_streams.finish_encoding(codec, state)]), set(lag)


def test_a_stream_with_the_whole_reach_gives_the_same_tokens(codec, vectors):
  clip = vectors[:41]
  tokens, lag = streamed(codec, clip)
  np.testing.assert_array_equal(tokens, codec.encode_vectors([clip])[0])
  assert lag == {codec.reach}
  state, frames = token_streams.start(codec), []
  for token in tokens:
    state, frame = token_streams.decode(codec, state, token)
    frames += [] if frame is None else [frame]
  frames = np.concatenate([frames, token_streams.finish_decoding(codec, state)])
  np.testing.assert_allclose(frames, codec.decode_vectors([tokens])[0], atol=1e-4)


def test_less_look_ahead_is_sooner_and_sees_nothing_later(codec, vectors):
  clip = vectors[:30]
  tokens, lag = streamed(codec, clip, look_ahead=1)
  assert lag == {1} and len(tokens) == 30
  other = clip.copy()
  other[20:] = vectors[100:110]
  again, _ = streamed(codec, other, look_ahead=1)
  np.testing.assert_array_equal(again[:19], tokens[:19])
  assert (again[20:] != tokens[20:]).any()
  with pytest.raises(ValueError, match="look_ahead -1"):
    token_streams.start(codec, -1)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 200, 1111])
def test_pieces_of_a_long_motion_give_the_tokens_of_the_whole(
  codec, vectors, length, monkeypatch
):
  clip = vectors[:length]
  whole = codec.encode_vectors([clip])[0]
  decoded = codec.decode_vectors([whole])[0]
  monkeypatch.setattr(motion_codec, "_WINDOW", 48)
  np.testing.assert_array_equal(codec.encode_vectors([clip])[0], whole)
  np.testing.assert_allclose(codec.decode_vectors([whole])[0], decoded, atol=1e-4)
  assert len(whole) == length
  lengths = [last - first for first, last, _ in codec._pieces(100_000)]
  assert max(lengths) <= 48  # however long the motion
