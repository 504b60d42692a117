"""Encodes a corpus in a tokenizer's codes, so that training finds them.

  python -m data_prep.tokenise --records gs://B/records --tokenizer gs://B/tokenizer
  python -m data_prep.tokenise --records ... --tokenizer ... --shard 3/8

The unit of work is a file of records; its codes go to TOKENIZER/codes, under a name
that hashes the tokenizer's weights and the motions. Files whose codes are there are
skipped, so the same command continues an interrupted job, and several machines share
one with --shard. Training makes what is missing itself.
"""

import argparse
import json
import sys

import tqdm

from data_prep import workers
from tdmm_jax import errors, host
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records, tokenised_corpus
from tdmm_jax.errors import UserError

SPLITS = ("train", "valid")  # what language models train on and are validated with


def tokenise(
  records_dir, tokenizer_dir, shard: str | None = None, progress: bool = True
) -> dict:
  """Makes the codes of a share of the corpus's files.

  Args:
    shard: "I/N", see `workers.share`; all by default.
    progress: whether to show a bar on stderr.

  Returns:
    {"tokenizer": its version, split: {"files", "made", "clips", "frames"}}.

  Raises:
    UserError: records and tokenizer do not fit, or one of the two is not there.
  """
  first, step = workers.share(shard)
  codec = motion_codec.load(tokenizer_dir)
  stored = records.versions(records_dir)
  if (stored["face_model"], stored["head"]) != (codec.face.name, codec.face.version):
    raise UserError(
      f"{records_dir}: records of '{stored['face_model']}' version {stored['head']}, "
      f"but the tokenizer is of '{codec.face.name}' version {codec.face.version}; "
      "build the records for it, or train a tokenizer on these"
    )
  summary = {"tokenizer": codec.version}
  for split in SPLITS:
    with tqdm.tqdm(
      desc=f"tokenising the {split} split", unit="clip", disable=not progress
    ) as bar:
      summary[split] = tokenised_corpus.tokenise(
        records_dir, split, codec, tokenizer_dir, first, step, bar.update
      )
  return summary


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.tokenise", description=__doc__.split("\n")[0]
  )
  add = parser.add_argument
  add("--records", required=True, metavar="DIR", help="records; gs://BUCKET/PATH, too")
  add(
    "--tokenizer", required=True, metavar="DIR", help="workdir of a trained tokenizer"
  )
  add("--shard", metavar="I/N", help="the I-th of N shares of the files only")
  return parser


@errors.entry_point("data_prep.tokenise", "the same command resumes")
def main(argv=None) -> None:
  args = _parser().parse_args(argv)
  host.keep_freed()
  print(json.dumps(tokenise(args.records, args.tokenizer, args.shard), indent=2))


if __name__ == "__main__":
  sys.exit(main())
