"""Codes of a corpus are made once, and again when anything they depend on changes."""

import numpy as np

from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records, tokenised_corpus
from tdmm_jax.runs import locate


class Counted:
  """A codec that counts the motions it encodes."""

  def __init__(self, codec, version=None):
    self.codec, self.version, self.count = codec, version or codec.version, 0

  def encode_vectors(self, vectors, *say):
    self.count += len(vectors)
    return self.codec.encode_vectors(vectors, *say)


def test_codes_are_kept_and_read_again(tiny_run, tmp_path):
  codec = Counted(motion_codec.load(tiny_run / locate.TOKENIZER))
  get = lambda codec: tokenised_corpus.tokenised_clips(
    tiny_run / "records", "valid", codec, tmp_path
  )
  clips = records.load_clips(tiny_run / "records", "valid")
  first, again = get(codec), get(codec)
  assert codec.count == len(clips)
  for clip, a, b in zip(clips, first, again, strict=True):
    assert len(a["codes"]) == len(clip["vectors"])
    np.testing.assert_array_equal(a["codes"], b["codes"])
    assert a["prompt"] == clip["prompt"]
  other = Counted(codec.codec, "another")
  get(other)
  assert other.count == len(clips)
  assert len(list((tmp_path / tokenised_corpus.FOLDER).iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_no_error(tiny_run, tmp_path):
  codec = Counted(motion_codec.load(tiny_run / locate.TOKENIZER))
  blocked = tmp_path / "file"
  blocked.write_text("in the way")
  get = lambda: tokenised_corpus.tokenised_clips(
    tiny_run / "records", "valid", codec, blocked
  )
  np.testing.assert_array_equal(get()[0]["codes"], get()[0]["codes"])
