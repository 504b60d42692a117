"""Prompts put into words that models of faces know, by a language model elsewhere.

Off unless asked for: the prompt leaves the machine, and who asks is shown what is sent.
"""

import json
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.language import acts, endpoint, understanding
from tdmm_jax.language.endpoint import Endpoint

# The system's message; the user's is the prompt alone.
INSTRUCTIONS = (
  "You direct an animated face that shows nothing below the neck. Say in one or two "
  "plain English sentences what is to be seen on the face: an emotion by its plainest "
  'word ("She looks very sad"), how strong it is, and what head, eyes, brows and mouth '
  'do ("nods twice", "raises her left eyebrow", "speaks"). Keep counts, sides, order '
  "and times; sides are the person's own. Add nothing that does not follow, and no "
  "story. The input may be in any language. Reply with JSON and nothing else: "
  '{"prompt": "..."}'
)
_LONGEST = 300  # characters of an answer


class Rewritten(NamedTuple):
  """A prompt as it was sent, what is used in its place, and what is doubtful of it."""

  sent: str
  prompt: str
  warnings: list[str]


def endpoint_of(url: str | None = None, model: str | None = None) -> Endpoint:
  """Where to ask: what is not given is OPENAI_BASE_URL, OPENAI_MODEL, OPENAI_API_KEY.

  Raises:
    UserError: no model is named, or no key for OpenAI's own server.
  """
  url = url or os.environ.get("OPENAI_BASE_URL")
  model = model or os.environ.get("OPENAI_MODEL")
  key = os.environ.get("OPENAI_API_KEY")
  if not model:
    raise UserError("rewrite_model: name the endpoint's model (or set OPENAI_MODEL)")
  if not (key or url):
    raise UserError(
      "rewrite_url: give the endpoint's address (or set OPENAI_BASE_URL, or "
      "OPENAI_API_KEY for OpenAI's own)"
    )
  return Endpoint(url or endpoint.OPENAI, model, key, retries=2)


def messages(prompt: str) -> list[dict]:
  """All that is sent of a prompt."""
  return [
    {"role": "system", "content": INSTRUCTIONS},
    {"role": "user", "content": prompt},
  ]


def read_answer(content) -> str:
  """The prompt in an answer.

  Raises:
    ValueError: not the JSON that was asked for, or too long.
  """
  block = re.search(r"\{.*\}", content, re.DOTALL) if isinstance(content, str) else None
  held = json.loads(block[0]) if block else None
  text = held.get("prompt") if isinstance(held, dict) else None
  text = " ".join(text.split()) if isinstance(text, str) else ""
  if not 0 < len(text) <= _LONGEST:
    raise ValueError(f"{len(text)} characters")
  return text


def rewrite(prompts: Sequence[str], place: Endpoint, cache_path=None):
  """The prompts, rewritten where an answer keeps every act that is read in them.

  Args:
    prompts: in any language.
    place: where to ask.
    cache_path: of the answers so far, so that the same prompt stays the same; by
      default in the user's cache folder.

  Returns:
    A Rewritten for each, in their order.

  Raises:
    UserError: the endpoint refuses, or does not answer.
  """
  path = cache_path or files.cache_folder() / "rewritten.jsonl"
  asked = [messages(prompt) for prompt in prompts]
  replies = endpoint.ask_all(place, asked, read_answer, path, temperature=0.0)
  return [_checked(p, reply) for p, reply in zip(prompts, replies, strict=True)]


def _checked(prompt: str, reply: endpoint.Reply) -> Rewritten:
  if reply.answer is None:
    why = f"the endpoint's answer cannot be used ({reply.how})"
    return Rewritten(prompt, prompt, [f"{why}; {prompt!r} is kept"])
  lost = _acts(prompt) - _acts(reply.answer)
  if lost:
    names = ", ".join(sorted(name.replace("_", " ") for name, *_ in lost))
    why = f"the rewriting {reply.answer!r} loses or changes '{names}'"
    return Rewritten(prompt, prompt, [f"{why}; {prompt!r} is kept"])
  return Rewritten(prompt, reply.answer, [])


def _acts(prompt: str) -> set[tuple]:
  """What of acts but emotions must not change: side, direction, count, absence."""
  told = acts.acts_of(understanding.read(prompt))
  return {
    (a.name, a.side, a.direction, a.count, a.absent) for a in told if not a.emotion
  }
