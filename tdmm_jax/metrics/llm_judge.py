"""A language model as judge: CorE, CorM and CorI, 1 to 5, over any OpenAI-compatible
endpoint. It is given the rubric of `metrics.judge` in words.
"""

import collections
import json
import re
from collections.abc import Sequence

import numpy as np

from tdmm_jax.language import endpoint
from tdmm_jax.metrics.judge import ASPECTS

RUBRIC = """You compare two descriptions of a face in motion: the REFERENCE, which is \
true, and the CANDIDATE. Give three whole numbers from 1 to 5.
emotion: 5 the same emotion, 4 a word for nearly the same one (smiling for joyful), \
3 another one of like pleasantness and energy, 2 pleasant for pleasant or unpleasant \
for unpleasant, 1 the opposite. Of several emotions judge each, and take the mean.
motion: head motion, small actions of the face (blinks, brows, lips ...), speaking, \
singing or silence, and how it is spoken. 5 all the same, 4 one detail missing or made \
up, 3 half of it right, 2 little of it right, 1 nothing of it right.
intensity: how strong each emotion is, on five levels (barely, slightly, moderately, \
very, extremely; moderately where nothing is said). 5 the same level, 4 one level off, \
3 two, 2 three, 1 four.
Reply with JSON and nothing else: {"emotion": N, "motion": N, "intensity": N}"""
_KEYS = dict(zip(ASPECTS, ("emotion", "motion", "intensity")))


def read_answer(content) -> list[int]:
  """[emotion, motion, intensity] of an answer.

  Raises:
    ValueError: not the JSON that was asked for.
  """
  block = re.search(r"\{[^{}]*\}", content) if isinstance(content, str) else None
  if not block:
    raise ValueError("no JSON")
  held = json.loads(block[0])
  scores = [held.get(key) for key in _KEYS.values()]
  if not all(type(score) in (int, float) and 1 <= score <= 5 for score in scores):
    raise ValueError(f"scores {scores}")
  return [int(np.floor(score + 0.5)) for score in scores]


def messages(reference: str, candidate: str) -> list[dict]:
  """What is asked about one caption."""
  pair = f"REFERENCE: {reference}\nCANDIDATE: {candidate or '(nothing)'}"
  return [{"role": "system", "content": RUBRIC}, {"role": "user", "content": pair}]


def judge_all(
  judge: endpoint.Endpoint,
  references: Sequence[str],
  captions: Sequence[str],
  cache_path,
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
  """{"cor_e", "cor_m", "cor_i": float[N]}, and what happened.

  A caption whose answer cannot be read, twice, or that the endpoint does not like (HTTP
  400), is NaN.

  Returns:
    the scores; {"asked", "cached", "unreadable"} captions.

  Raises:
    UserError: the endpoint refuses, or cannot be reached in spite of the retries.
  """
  asked = [messages(*pair) for pair in zip(references, captions, strict=True)]
  replies = endpoint.ask_all(judge, asked, read_answer, cache_path, temperature=0)
  counts = collections.Counter(reply.how for reply in replies)
  table = np.array([r.answer or [np.nan] * len(ASPECTS) for r in replies], float)
  return {name: table[:, i] for i, name in enumerate(ASPECTS)}, {
    "asked": counts[endpoint.ASKED],
    "cached": counts[endpoint.CACHED],
    "unreadable": len(replies) - counts[endpoint.ASKED] - counts[endpoint.CACHED],
  }
