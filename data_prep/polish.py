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
import collections
import json
import os
import re
import sys

import tqdm

from data_prep import manifest, paraphrase
from tdmm_jax import errors
from tdmm_jax.errors import UserError
from tdmm_jax.language import endpoint, lexicon
from tdmm_jax.language.endpoint import Endpoint

INSTRUCTIONS = (
  "You rewrite captions of facial motion for a training corpus. Say the same in other "
  "words: fluent English, one or two sentences each, present tense. Keep every fact "
  "(emotion and how strong it is, the order of emotions, head motion, small actions of "
  "the face, whether the person speaks or sings) and add none. Reply with JSON and "
  'nothing else: {"captions": ["...", "..."]}'
)
_NUMBERING = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")


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


def polish(rows, place: Endpoint, cache_path, count: int = 5, seed=0, progress=True):
  """Rewrites the prompts and gives each up to `count` captions.

  Args:
    rows: of a manifest; attributes that a row lacks are parsed from its prompt.
    place: where to ask.
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
  questions = [question(row, count + 1) for row in rows]
  with tqdm.tqdm(total=len(rows), unit="prompt", disable=not progress) as bar:
    replies = endpoint.ask_all(
      place,
      questions,
      read_answer,
      cache_path,
      patience=3 * place.concurrency,
      advance=bar.update,
    )
  done, untrue = [], 0
  for i, (row, reply) in enumerate(zip(rows, replies, strict=True)):
    new, false = apply(row, reply.answer or [], count)
    untrue += false
    if len(new["captions"]) < count:  # the offline grammar fills up
      own = paraphrase.add_captions(new, count, (seed, i))["captions"]
      fresh = [text for text in own if text not in new["captions"]]
      new["captions"] = [*new["captions"], *fresh][:count]
    done.append(new)
  ways = collections.Counter(reply.how for reply in replies)
  counts = {
    "rows": len(done),
    "polished": sum("original_prompt" in row for row in done),
    "asked": sum(reply.requests for reply in replies),
    "cached": ways.pop(endpoint.CACHED, 0),
    "untrue": untrue,
  }
  ways.pop(endpoint.ASKED, None)
  counts["failed"] = dict(ways)
  return done, counts


def endpoint_of(args) -> Endpoint:
  """From flags and environment; a local server may want no key.

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
    base_url or endpoint.OPENAI,
    model,
    api_key,
    args.concurrency,
    args.timeout,
    args.retries,
  )


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
  add = parser.add_argument
  add("manifest", help="JSON lines of clip_id, prompt[, attributes]")
  add("--num", type=int, default=5, help="captions a prompt (default 5)")
  add("--out", required=True, help="the JSON-lines file to write")
  add("--seed", type=int, default=0, help="of the offline captions")
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
