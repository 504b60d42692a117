"""A timeline of prompts: "0-3: a slight smile; 3-7: surprise, nodding"."""

import re
from typing import NamedTuple

from tdmm_jax.errors import UserError

_PART = re.compile(r"\s*([\d.]+)\s*-\s*([\d.]+)\s*:\s*(.*\S)\s*", re.DOTALL)


class Segment(NamedTuple):
  """What the face does from start_s up to stop_s, seconds."""

  start_s: float
  stop_s: float
  prompt: str


def parse(text: str) -> list[Segment]:
  """Reads the segments of a timeline, separated by semicolons or line ends.

  Raises:
    UserError: a part is no segment, runs backwards, or does not start where the one
      before it stops.
  """
  segments = []
  for part in re.split(r"[;\n]", text):
    if not part.strip():
      continue
    found = _PART.fullmatch(part)
    try:
      start, stop = float(found[1]), float(found[2])
    except (TypeError, ValueError) as error:
      raise UserError(
        f"timeline: {part.strip()!r} is no segment; write it like '0-3: a slight smile'"
      ) from error
    if stop <= start:
      raise UserError(f"timeline: {start:g}-{stop:g} runs backwards; swap the times")
    expected = segments[-1].stop_s if segments else 0.0
    if start != expected:
      raise UserError(
        f"timeline: a segment starts at {start:g} s, but {expected:g} s is where "
        f"{'the one before it stops' if segments else 'a timeline starts'}; close the "
        "gap or the overlap"
      )
    segments.append(Segment(start, stop, found[3]))
  if not segments:
    raise UserError(
      "timeline: empty; write segments like '0-3: a slight smile; 3-7: surprise'"
    )
  return segments
