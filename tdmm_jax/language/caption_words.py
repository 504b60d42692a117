"""The words that captions of the default corpus are written in.

`python -m data_prep.caption_words` collects them: every word in the case and form in
which it occurs, "He" and "he", "man's".
"""

import functools
import importlib.resources

FILE = "caption_words.txt"
MARKS = ",.;:!?"  # that may follow any word


def words_in(text: str) -> list[str]:
  """The text's words, without the marks that follow them."""
  return [word for w in text.split() if (word := w.rstrip(MARKS))]


@functools.cache
def load() -> tuple[str, ...]:
  """All of them, sorted."""
  path = importlib.resources.files(__package__) / FILE
  return tuple(path.read_text(encoding="utf-8").split())
