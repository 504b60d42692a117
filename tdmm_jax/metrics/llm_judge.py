"""A language model as judge: CorE, CorM and CorI, 1 to 5, over any OpenAI-compatible
endpoint. It is given the rubric of `metrics.judge` in words.

Answers are kept in a file, one JSON line each, as they come: an interrupted evaluation
resumes from there, and repeating an evaluation asks nothing.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import threading
from collections.abc import Sequence

import numpy as np
import urllib3

from tdmm_jax.errors import UserError
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
_RETRIED = (408, 409, 429, 500, 502, 503, 504)


@dataclasses.dataclass(frozen=True)
class Endpoint:
  """Where to ask: `url` ends before /chat/completions, as in OPENAI_BASE_URL."""

  url: str
  model: str
  api_key: str | None = None
  concurrency: int = 8
  timeout_s: float = 60.0
  retries: int = 5  # with growing pauses; a Retry-After is obeyed
  backoff_s: float = 0.5


def endpoint(url: str, model: str | None) -> Endpoint:
  """Builds the endpoint from options; the key, if needed, is in OPENAI_API_KEY.

  Raises:
    UserError: no model is named, or the address is none.
  """
  if not model:
    raise UserError("--judge_model: name the model that the endpoint is to ask")
  if not url.startswith(("http://", "https://")):
    raise UserError(
      f"--judge_url {url}: no address; it starts with http:// or https://"
    )
  return Endpoint(url.rstrip("/"), model, os.environ.get("OPENAI_API_KEY"))


class Answers:
  """Answers by question, in a file of JSON lines; safe to use from threads."""

  def __init__(self, path):
    """Raises UserError if the file is not such a cache; a last, half line is cut."""
    self._path, self._lock, self._held = pathlib.Path(path), threading.Lock(), {}
    self._path.parent.mkdir(parents=True, exist_ok=True)
    text = self._path.read_text() if self._path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    for number, line in enumerate(whole.splitlines(), start=1):
      try:
        row = json.loads(line)
        self._held[row["key"]] = [int(row["scores"][name]) for name in ASPECTS]
      except (ValueError, KeyError, TypeError) as error:
        raise UserError(
          f"{path}:{number}: no answer of a judge ({error}); delete the file, or name "
          "another --judge_cache"
        ) from error
    if whole != text:
      self._path.write_text(whole)

  def get(self, key: str) -> list[int] | None:
    return self._held.get(key)

  def put(self, key: str, scores: list[int]) -> None:
    with self._lock, self._path.open("a") as file:
      file.write(json.dumps({"key": key, "scores": dict(zip(ASPECTS, scores))}) + "\n")
      self._held[key] = scores


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
  place: Endpoint, references: Sequence[str], captions: Sequence[str], cache_path
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
  """{"cor_e", "cor_m", "cor_i": float[N]}, and what happened.

  A caption whose answer cannot be read, twice, is NaN.

  Returns:
    the scores; {"asked", "cached", "unreadable"} captions.

  Raises:
    UserError: the endpoint refuses, or cannot be reached in spite of the retries.
  """
  answers = Answers(cache_path)
  retry = urllib3.Retry(
    place.retries,
    backoff_factor=place.backoff_s,
    status_forcelist=_RETRIED,
    allowed_methods=None,
    raise_on_status=False,
  )
  with (
    urllib3.PoolManager(maxsize=place.concurrency, retries=retry) as http,
    concurrent.futures.ThreadPoolExecutor(place.concurrency) as threads,
  ):
    work = lambda pair: _judge(place, http, answers, *pair)
    rows = list(threads.map(work, zip(references, captions, strict=True)))
  counts = {how: 0 for how in ("asked", "cached", "unreadable")}
  for how, _ in rows:
    counts[how] += 1
  table = np.array([scores or [np.nan] * len(ASPECTS) for _, scores in rows], float)
  return {name: table[:, i] for i, name in enumerate(ASPECTS)}, counts


def _judge(place: Endpoint, http, answers: Answers, reference, candidate):
  """("asked" | "cached" | "unreadable", scores or None) of one caption."""
  asked = messages(reference, candidate)
  key = hashlib.sha256(json.dumps([place.model, asked]).encode()).hexdigest()
  held = answers.get(key)
  if held is not None:
    return "cached", held
  for _ in range(2):
    try:
      scores = read_answer(_ask(place, http, asked))
    except ValueError:
      continue
    answers.put(key, scores)
    return "asked", scores
  return "unreadable", None


def _ask(place: Endpoint, http, asked: list[dict]) -> str:
  """The text of the endpoint's answer; ValueError where there is none in it."""
  headers = {"Authorization": f"Bearer {place.api_key}"} if place.api_key else {}
  body = {"model": place.model, "messages": asked, "temperature": 0}
  url = f"{place.url}/chat/completions"
  try:
    reply = http.request(
      "POST", url, json=body, headers=headers, timeout=place.timeout_s
    )
  except urllib3.exceptions.HTTPError as error:
    raise UserError(
      f"{url}: cannot be reached ({type(error).__name__}); check --judge_url; answers "
      "so far are kept"
    ) from error
  if reply.status != 200:
    said = " ".join(reply.data.decode(errors="replace").split())[:200]
    raise UserError(
      f"{url}: HTTP {reply.status}: {said}; check --judge_url, --judge_model and "
      "OPENAI_API_KEY; answers so far are kept"
    )
  try:
    return reply.json()["choices"][0]["message"]["content"]
  except (KeyError, IndexError, TypeError) as error:
    raise ValueError("not a chat completion") from error
