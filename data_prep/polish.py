"""Polished prompts and paraphrases from a language model, each checked by the parser.

  OPENAI_API_KEY=... python -m data_prep.polish prompts.jsonl --model NAME --out FILE

Any OpenAI-compatible endpoint will do (`--base_url`, or OPENAI_BASE_URL; a local
server often wants no key). Every answer is kept in a cache on disk, so that an
interrupted run, or one with more prompts, asks only for what is new. A text that the
lexicon reads differently from the row's attributes is discarded, and the row keeps its
own prompt and captions. Failures of the endpoint are counted, and the offline grammar
of `data_prep.paraphrase` fills the row.
"""

import argparse
import asyncio
import collections
import dataclasses
import hashlib
import json
import os
import re
import sqlite3
import sys

import openai
import tqdm

from data_prep import manifest, paraphrase
from tdmm_jax import errors
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon

INSTRUCTIONS = (
  "You rewrite captions of facial motion for a training corpus. Say the same in other "
  "words: fluent English, one or two sentences each, present tense. Keep every fact "
  "(emotion and how strong it is, the order of emotions, head motion, small actions of "
  "the face, whether the person speaks or sings) and add none. Reply with JSON and "
  'nothing else: {"captions": ["...", "..."]}'
)
# Wrong for one row is wrong for all: going on would only repeat it.
_FATAL = (
  openai.AuthenticationError,
  openai.PermissionDeniedError,
  openai.NotFoundError,
  openai.BadRequestError,
)
_NUMBERING = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")


@dataclasses.dataclass(frozen=True)
class Endpoint:
  """Where to ask, and how patiently.

  max_retries: of one request, with the client's exponential back-off (429, time-out,
    5xx, lost connection; a Retry-After is obeyed).
  garbage_tries: requests for one row whose answer cannot be read.
  """

  model: str
  base_url: str | None = None
  api_key: str | None = None
  concurrency: int = 8
  timeout_s: float = 60.0
  max_retries: int = 6
  garbage_tries: int = 2


class Cache:
  """Answers by question, in one SQLite file; every answer is committed at once."""

  def __init__(self, path):
    """Raises UserError if the file is not such a cache."""
    try:
      folder = os.path.dirname(os.path.abspath(path))
      os.makedirs(folder, exist_ok=True)
      self._database = sqlite3.connect(path)
      self._database.execute(
        "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, texts TEXT)"
      )
    except (sqlite3.Error, OSError) as error:
      raise UserError(f"{path}: no cache of answers ({error}); delete it") from error

  def get(self, key: str) -> list[str] | None:
    row = self._database.execute("SELECT texts FROM answers WHERE key=?", (key,))
    found = row.fetchone()
    return None if found is None else json.loads(found[0])

  def put(self, key: str, texts: list[str]) -> None:
    with self._database:
      self._database.execute(
        "INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(texts))
      )

  def close(self) -> None:
    self._database.close()


def question(row: dict, count: int) -> list[dict]:
  """The messages that ask for `count` rewritings of the row's prompt."""
  words = []
  for segment in row["attributes"]["segments"]:
    forms = sorted(lexicon.LABELS[segment["emotion"]].surface_forms)
    words.append(f"{segment['emotion']} ({', '.join(forms[:12])})")
  said = (
    f"Caption: {row['prompt']}\nWrite {count} rewritings. For the emotions use these "
    f"words or their inflections: {'; '.join(words)}."
  )
  return [
    {"role": "system", "content": INSTRUCTIONS},
    {"role": "user", "content": said},
  ]


def read_answer(content) -> list[str]:
  """The texts of an answer: JSON as asked for, or one text a line.

  Raises:
    ValueError: there is none in it.
  """
  if not isinstance(content, str):
    raise ValueError("no text")
  block = re.search(r"[{\[].*[}\]]", content, re.DOTALL)
  try:
    held = json.loads(block[0]) if block else None
  except ValueError:
    held = None
  if isinstance(held, dict):
    held = held.get("captions")
  if held is None and not block:
    held = [_NUMBERING.sub("", line) for line in content.splitlines()]
  if not isinstance(held, list):
    raise ValueError("neither JSON nor lines")
  texts = [" ".join(text.split()).strip('"“” ') for text in held if type(text) is str]
  texts = [text for text in texts if text]
  if not texts:
    raise ValueError("empty")
  return texts


def apply(row: dict, texts: list[str], count: int) -> tuple[dict, int]:
  """The row with the texts that are true, and the number of those that are not.

  The first true text becomes the prompt (the old one is kept as `original_prompt`),
  the others its captions; the row's own captions fill up to `count`.
  """
  true = [text for text in texts if paraphrase.same_attributes(text, row["attributes"])]
  false = len(texts) - len(true)
  true = [text for text in dict.fromkeys(true) if text != row["prompt"]]
  changes = {"original_prompt": row["prompt"], "prompt": true[0]} if true else {}
  prompt = changes.get("prompt", row["prompt"])
  captions = [*true[1:], *row.get("captions", ())]
  captions = [text for text in dict.fromkeys(captions) if text != prompt][:count]
  return row | changes | {"captions": captions}, false


class _Asker:
  """Asks for all rows with bounded concurrency and counts what happens."""

  def __init__(self, endpoint: Endpoint, cache: Cache, count: int):
    self._endpoint, self._cache, self._count = endpoint, cache, count
    self.counts, self.failures = collections.Counter(), collections.Counter()
    self._failed_in_a_row = 0

  async def run(self, rows, bar) -> list[list[str] | None]:
    """The texts of each row, None where the endpoint gave none."""
    answers: list[list[str] | None] = [None] * len(rows)
    jobs = iter(enumerate(rows))
    client = openai.AsyncOpenAI(
      base_url=self._endpoint.base_url,
      api_key=self._endpoint.api_key,
      timeout=self._endpoint.timeout_s,
      max_retries=self._endpoint.max_retries,
    )

    async def work():
      for i, row in jobs:  # shared: each worker takes the next
        answers[i] = await self._texts(client, row)
        bar.update()

    async with client, asyncio.TaskGroup() as group:
      for _ in range(self._endpoint.concurrency):
        group.create_task(work())
    return answers

  async def _texts(self, client, row) -> list[str] | None:
    messages = question(row, self._count + 1)
    asked = json.dumps([self._endpoint.model, messages])
    key = hashlib.sha256(asked.encode()).hexdigest()
    held = self._cache.get(key)
    if held is not None:
      self.counts["cached"] += 1
      return held
    for _ in range(self._endpoint.garbage_tries):
      try:
        self.counts["asked"] += 1
        texts = read_answer(await self._ask(client, messages))
      except _FATAL as error:
        raise UserError(
          f"{client.base_url}: {type(error).__name__}: {error.message}; check "
          "--base_url, --model and the key"
        ) from error
      except openai.APIConnectionError as error:
        return self._failed(
          client, "timeout" if type(error) is openai.APITimeoutError else "connection"
        )
      except openai.APIStatusError as error:
        return self._failed(client, f"HTTP {error.status_code}")
      except (ValueError, openai.APIError):  # no answer, or none of the protocol
        continue
      self._failed_in_a_row = 0
      self._cache.put(key, texts)
      return texts
    return self._failed(client, "garbage")

  async def _ask(self, client, messages):
    answer = await client.chat.completions.create(
      model=self._endpoint.model, messages=messages
    )
    try:
      return answer.choices[0].message.content
    except (AttributeError, IndexError, TypeError) as error:
      raise ValueError("not a chat completion") from error

  def _failed(self, client, reason: str) -> None:
    self.failures[reason] += 1
    self._failed_in_a_row += 1
    if self._failed_in_a_row >= 3 * self._endpoint.concurrency:
      raise UserError(
        f"{client.base_url}: {self._failed_in_a_row} prompts in a row failed "
        f"({reason}); try later: answers so far are kept"
      )


def polish(rows, endpoint: Endpoint, cache_path, count: int = 5, seed=0, progress=True):
  """Rewrites the prompts and gives each up to `count` captions.

  Args:
    rows: of a manifest; attributes that a row lacks are parsed from its prompt.
    endpoint: where to ask.
    cache_path: a file for the answers; made if it is not there.
    count: captions a row.
    seed: of the offline captions that fill up.
    progress: whether to show a bar on stderr.

  Returns:
    The rows in their order; {"rows", "polished": rows with a new prompt, "asked",
    "cached", "untrue": texts thrown away, "failed": {reason: rows}}.

  Raises:
    UserError: the endpoint refuses, or fails for many rows in a row.
  """
  rows = [
    row | {"attributes": row.get("attributes") or lexicon.parse(row["prompt"])}
    for row in rows
  ]
  cache = Cache(cache_path)
  asker = _Asker(endpoint, cache, count)
  try:
    with tqdm.tqdm(total=len(rows), unit="prompt", disable=not progress) as bar:
      answers = asyncio.run(asker.run(rows, bar))
  except ExceptionGroup as group:  # of the tasks; the first says why the others ended
    raise group.exceptions[0] from None
  finally:
    cache.close()
  done, untrue = [], 0
  for i, (row, texts) in enumerate(zip(rows, answers)):
    new, false = apply(row, texts or [], count)
    untrue += false
    if len(new["captions"]) < count:  # the offline grammar fills up
      own = paraphrase.add_captions(new, count, (seed, i))["captions"]
      fresh = [text for text in own if text not in new["captions"]]
      new["captions"] = [*new["captions"], *fresh][:count]
    done.append(new)
  counts = {
    "rows": len(done),
    "polished": sum("original_prompt" in row for row in done),
    "asked": asker.counts["asked"],
    "cached": asker.counts["cached"],
    "untrue": untrue,
    "failed": dict(asker.failures),
  }
  return done, counts


def endpoint_of(args) -> Endpoint:
  """From flags and environment; a local server gets a placeholder for a key.

  Raises:
    UserError: no model is named, or no key for OpenAI's own server.
  """
  model = args.model or os.environ.get("OPENAI_MODEL")
  if not model:
    raise UserError("--model: name the endpoint's model (or set OPENAI_MODEL)")
  base_url = args.base_url or os.environ.get("OPENAI_BASE_URL")
  api_key = os.environ.get(args.key_variable)
  if not api_key and not base_url:
    raise UserError(f"{args.key_variable}: set it to your key, or give --base_url")
  if args.concurrency < 1 or args.retries < 0 or args.timeout <= 0:
    raise UserError("--concurrency, --retries, --timeout: give positive numbers")
  return Endpoint(
    model,
    base_url,
    api_key or "none",
    args.concurrency,
    args.timeout,
    args.retries,
  )


def add_flags(parser: argparse.ArgumentParser) -> None:
  """The flags of the endpoint."""
  add = parser.add_argument
  add("--model", help="the endpoint's model (or OPENAI_MODEL)")
  add("--base_url", help="the endpoint (or OPENAI_BASE_URL; default: OpenAI's)")
  add(
    "--key_variable",
    default="OPENAI_API_KEY",
    help="environment variable that holds the key (default: OPENAI_API_KEY)",
  )
  add("--cache", help="file of the answers so far (default: OUT.cache)")
  add("--concurrency", type=int, default=8, help="requests at a time (default 8)")
  add("--timeout", type=float, default=60.0, help="s, of one request (default 60)")
  add("--retries", type=int, default=6, help="of one request (default 6)")


@errors.entry_point("data_prep.polish", "the same command resumes")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.polish",
    description="Polish and paraphrase a manifest's prompts through an endpoint.",
    epilog=(
      "example: OPENAI_BASE_URL=http://localhost:8000/v1 python -m data_prep.polish "
      "prompts.jsonl --model my-model --out polished.jsonl"
    ),
  )
  parser.add_argument("manifest", help="JSON lines of clip_id, prompt[, attributes]")
  parser.add_argument(
    "--num", type=int, default=5, help="captions a prompt (default 5)"
  )
  parser.add_argument("--out", required=True, help="the JSON-lines file to write")
  parser.add_argument("--seed", type=int, default=0, help="of the offline captions")
  add_flags(parser)
  args = parser.parse_args(argv)
  if args.num < 1:
    raise UserError(f"--num: {args.num} captions asked for; give at least 1")
  rows = manifest.read(args.manifest)
  cache = args.cache or f"{args.out}.cache"
  done, counts = polish(rows, endpoint_of(args), cache, args.num, args.seed)
  manifest.write(args.out, done)
  print(json.dumps(counts))


if __name__ == "__main__":
  sys.exit(main())
