"""Collects the words of the default corpus' captions (language/caption_words.txt).

  python -m data_prep.caption_words [--out FILE]

A model that was trained on them writes no others (`tdmm describe`). Run it again when
the lexicon, `wording` or the sentence patterns have new words; a minute on one core.
"""

import argparse
import pathlib

from data_prep import prompts
from tdmm_jax import errors, files
from tdmm_jax.language import caption_words

_CLIPS, _SEED = 20_000, 17


@errors.entry_point("data_prep.caption_words")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.caption_words", description=__doc__.split("\n")[0]
  )
  default = pathlib.Path(caption_words.__file__).with_name(caption_words.FILE)
  parser.add_argument("--out", type=pathlib.Path, default=default)
  args = parser.parse_args(argv)
  plans = prompts.make_suite(_CLIPS, _SEED)
  captions = (text for plan in plans for text in plan.captions)
  words = sorted({word for text in captions for word in caption_words.words_in(text)})
  files.write_text(args.out, "".join(f"{word}\n" for word in words))
  print(f"{args.out}: {len(words):,} words of {_CLIPS:,} clips' captions")


if __name__ == "__main__":
  main()
