"""Codes of a corpus are made once, and again when anything they depend on changes."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny

from benchmarks import chaos
from data_prep import tokenise
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records, tokenised_corpus
from tdmm_jax.errors import UserError
from tdmm_jax.runs import locate


class Counted:
  """A codec that counts the motions it encodes."""

  def __init__(self, codec, version=None):
    self.codec, self.version, self.count = codec, version or codec.version, 0

  def encode_vectors(self, vectors, *say):
    self.count += len(vectors)
    return self.codec.encode_vectors(vectors, *say)

  face = property(lambda self: self.codec.face)


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


def test_a_job_of_two_machines_makes_what_training_reads(
  tiny_run, tmp_path, monkeypatch, capsys
):
  """Every file once, whoever made it; what is there is not made again."""
  run = tmp_path / "run"
  shutil.copytree(tiny_run / "tokenizer", run / "tokenizer")
  shutil.rmtree(run / "tokenizer" / tokenised_corpus.FOLDER, ignore_errors=True)
  shutil.copytree(tiny_run / "records", run / "records")
  codec = Counted(motion_codec.load(run / "tokenizer"))
  monkeypatch.setattr(tokenise.motion_codec, "load", lambda _: codec)
  words = ["--records", str(run / "records"), "--tokenizer", str(run / "tokenizer")]
  clips = {
    split: records.load_clips(run / "records", split) for split in records.SPLITS
  }
  wanted = len(clips["train"]) + len(clips["valid"])
  files_of = {
    split: len(list(records.open_shards(run / "records", split)))
    for split in tokenise.SPLITS
  }
  assert files_of["train"] > 1
  made = [
    tokenise.tokenise(run / "records", run / "tokenizer", shard, progress=False)
    for shard in ("0/2", "1/2")
  ]
  for split in tokenise.SPLITS:
    assert sum(part[split]["made"] for part in made) == files_of[split]
    assert sum(part[split]["clips"] for part in made) == len(clips[split])
  assert codec.count == wanted and made[0]["tokenizer"] == codec.version
  assert tokenise.main(words) == 0 and '"made": 0' in capsys.readouterr().out

  # Training, and a job that is killed half-way: nothing whole is made twice.
  get = lambda: tokenised_corpus.tokenised_clips(
    run / "records", "train", codec, run / "tokenizer"
  )
  first = get()
  assert codec.count == wanted
  for clip, kept in zip(clips["train"], first, strict=True):
    assert len(clip["vectors"]) == len(kept["codes"]), clip["clip_id"]
  broken, whole = sorted(
    (run / "tokenizer" / tokenised_corpus.FOLDER).iterdir(),
    key=lambda path: path.stat().st_size,
  )[-2:]
  broken.write_bytes(broken.read_bytes()[:-5])
  before = whole.stat().st_mtime_ns
  again = get()
  assert wanted < codec.count < 2 * wanted and whole.stat().st_mtime_ns == before
  for a, b in zip(first, again, strict=True):
    np.testing.assert_array_equal(a["codes"], b["codes"])


@pytest.mark.parametrize(
  ("words", "said"),
  [
    (["--shard", "3"], "shard 3: not one of several"),
    (["--tokenizer", "nowhere"], "nowhere: no trained tokenizer here"),
    (["--records", "nowhere"], "nowhere: no records here"),
  ],
)
def test_a_job_that_cannot_run_is_one_line(words, said, tiny_run, capsys):
  usual = ["--records", str(tiny_run / "records")]
  usual += ["--tokenizer", str(tiny_run / "tokenizer")]
  assert tokenise.main(usual + words) == 2
  assert said in capsys.readouterr().err


def test_codes_that_cannot_be_kept_end_a_job(tiny_run, tmp_path):
  """Where training would go on: a job is there for nothing else."""
  codec = Counted(motion_codec.load(tiny_run / locate.TOKENIZER))
  blocked = tmp_path / "file"
  blocked.write_text("in the way")
  with pytest.raises((UserError, OSError)):
    tokenised_corpus.tokenise(tiny_run / "records", "valid", codec, blocked)


PROCESSES = """
import sys
import numpy as np
from tdmm_jax import cluster
cluster.join(sys.argv[1], 2, int(sys.argv[2]))
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import tokenised_corpus
records_dir, tokenizer_dir = sys.argv[3:]
codec = motion_codec.load(tokenizer_dir)
encode, seen = codec.encode_vectors, []
codec.encode_vectors = lambda vectors: seen.append(len(vectors)) or encode(vectors)
clips = tokenised_corpus.tokenised_clips(records_dir, "train", codec, tokenizer_dir)
print("made", *seen, "of", len(clips))
"""


@pytest.mark.slow
def test_processes_that_train_as_one_share_the_work(tiny_run, tmp_path):
  shutil.copytree(tiny_run / "tokenizer", tmp_path / "tokenizer")
  shutil.rmtree(tmp_path / "tokenizer" / tokenised_corpus.FOLDER)
  address = f"127.0.0.1:{chaos.free_port()}"
  words = (tiny_run / "records", tmp_path / "tokenizer")
  both = [
    subprocess.Popen(
      [sys.executable, "-c", PROCESSES, address, str(i), *map(str, words)],
      stdout=subprocess.PIPE,
      env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(tiny.REPO)},
      text=True,
    )
    for i in range(2)
  ]
  said = [
    process.communicate(timeout=300)[0].splitlines()[-1].split() for process in both
  ]
  assert all(process.returncode == 0 for process in both)
  made = [int(words[1]) for words in said]  # a file each, and none twice
  assert all(words[2] == "of" for words in said) and sum(made) == int(said[0][-1])
