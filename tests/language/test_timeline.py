"""Timelines as text: segments that follow one another, or an error that says why."""

import pytest

from tdmm_jax.errors import UserError
from tdmm_jax.language import timeline


def test_segments_are_read_from_semicolons_or_lines():
  expected = [(0.0, 3.0, "a slight smile"), (3.0, 7.5, "surprise: nodding, twice")]
  for text in (
    "0-3: a slight smile; 3-7.5: surprise: nodding, twice",
    "\n0 - 3:a slight smile\n\n 3.0-7.5 : surprise: nodding, twice\n",
  ):
    assert timeline.parse(text) == expected


@pytest.mark.parametrize(
  ("text", "said"),
  [
    ("", "empty"),
    ("a smile", "'a smile' is no segment"),
    ("0-3:", "is no segment"),
    ("0-1.2.3: a smile", "is no segment"),
    ("3-0: a smile", "3-0 runs backwards"),
    ("0-0: a smile", "runs backwards"),
    ("1-3: a smile", "starts at 1 s, but 0 s is where a timeline starts"),
    ("0-3: a smile; 2-5: a frown", "2 s, but 3 s is where the one before it stops"),
    ("0-3: a smile; 4-5: a frown", "4 s, but 3 s is where"),
  ],
)
def test_what_is_no_timeline_is_refused(text, said):
  with pytest.raises(UserError, match=said):
    timeline.parse(text)
