"""Questions to a language model behind any OpenAI-compatible endpoint.

Answers are kept in a file, one JSON line each, as they come: an interrupted run resumes
from there, and the same run again asks nothing.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import pathlib
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import urllib3

from tdmm_jax import files
from tdmm_jax.errors import UserError

OPENAI = "https://api.openai.com/v1"
ASKED, CACHED, GARBAGE = "asked", "cached", "garbage"
_ROW = b'{"key": "'  # what each line of the answers' file starts with
_TRIES = 2  # for one question whose answer cannot be read
_RETRIED = (408, 409, 429, 500, 502, 503, 504)
_OF_ONE = (400, 413, 422)  # this question is not liked: too long, against the rules ...


@dataclasses.dataclass(frozen=True)
class Endpoint:
  """Where to ask, and how patiently.

  Attributes:
    url: ends before /chat/completions, as in OPENAI_BASE_URL.
    retries: of one request (busy, time-out, lost connection), with growing pauses; a
      Retry-After is obeyed.
    backoff_s: the pauses' unit.
  """

  url: str
  model: str
  api_key: str | None = None
  concurrency: int = 8
  timeout_s: float = 60.0
  retries: int = 5
  backoff_s: float = 0.5

  def __post_init__(self):
    """Raises UserError if the address is none."""
    if not self.url.startswith(("http://", "https://")):
      raise UserError(f"{self.url}: not an address; it starts with http:// or https://")
    object.__setattr__(self, "url", self.url.rstrip("/"))


class Answers:
  """Answers by question, in a file of JSON lines; safe to use from threads."""

  def __init__(self, path):
    """Raises UserError if the file is not such a cache; a last, half line is cut."""
    self._path, self._lock = pathlib.Path(path), threading.Lock()
    self._answers: dict[str, Any] = {}
    self._path.parent.mkdir(parents=True, exist_ok=True)
    data = self._path.read_bytes() if self._path.exists() else b""
    whole = data[: data.rfind(b"\n") + 1]
    half = data[len(whole) :]
    ours = half[: len(_ROW)] == _ROW[: len(half)]  # else it is somebody's file
    for number, line in enumerate([*whole.splitlines(), *([] if ours else [half])], 1):
      try:
        row = json.loads(line)
        self._answers[row["key"]] = row["answer"]
      except (ValueError, KeyError, TypeError) as error:
        raise UserError(
          f"{path}:{number}: not a cache of answers ({error}); delete the file, or "
          "name another"
        ) from error
    if whole != data:
      files.write_bytes(self._path, whole)

  def get(self, key: str) -> Any | None:
    return self._answers.get(key)

  def put(self, key: str, answer: Any) -> None:
    with self._lock, self._path.open("a") as file:
      file.write(json.dumps({"key": key, "answer": answer}) + "\n")
      self._answers[key] = answer


@dataclasses.dataclass(frozen=True)
class Reply:
  """What became of one question.

  Attributes:
    how: "asked", "cached", or why there is no answer: "garbage" (it cannot be read),
      "timeout", "connection", "HTTP 429" ...
    answer: what `read` made of the text; None without an answer.
    requests: how often it was asked, retries left aside.
  """

  how: str
  answer: Any | None = None
  requests: int = 0


class _Failure(Exception):
  """No answer in spite of the retries; says why, and what the endpoint said."""

  def __init__(self, reason: str, said: str = ""):
    super().__init__(reason)
    self.said = said


def ask_all(
  endpoint: Endpoint,
  questions: Iterable[Sequence[dict]],
  read: Callable[[Any], Any],
  cache_path,
  *,
  temperature: float | None = None,
  patience: int = 1,
  advance: Callable[[], object] = lambda: None,
) -> list[Reply]:
  """Asks each question, `endpoint.concurrency` at a time, unless its answer is kept.

  Args:
    endpoint: where to ask.
    questions: the messages of each, [{"role", "content"}, ...].
    read: text -> JSON-able answer, not None; raises ValueError if it cannot be read.
    cache_path: a file for the answers; made if it is not there.
    temperature: of the sampling; the endpoint's own by default.
    patience: how many questions in a row may stay without an answer before giving up.
    advance: called after each question.

  Returns:
    A reply for each question, in their order.

  Raises:
    UserError: the endpoint refuses, or answers nothing that often in a row. Answers so
      far are kept.
  """
  answers = Answers(cache_path)
  retry = urllib3.Retry(
    endpoint.retries,
    backoff_factor=endpoint.backoff_s,
    status_forcelist=_RETRIED,
    allowed_methods=None,
    raise_on_status=False,
  )
  with urllib3.PoolManager(maxsize=endpoint.concurrency, retries=retry) as http:
    asker = _Asker(endpoint, http, answers, read, temperature, patience)
    threads = concurrent.futures.ThreadPoolExecutor(endpoint.concurrency)
    try:
      futures = [threads.submit(asker.reply, question) for question in questions]
      for future in concurrent.futures.as_completed(futures):
        future.result()
        advance()
    finally:
      threads.shutdown(cancel_futures=True)
  return [future.result() for future in futures]


class _Asker:
  """What the threads share."""

  def __init__(self, endpoint, http, answers, read, temperature, patience):
    self._endpoint, self._http, self._answers = endpoint, http, answers
    self._read, self._patience = read, patience
    self._options = {} if temperature is None else {"temperature": temperature}
    self._url = f"{endpoint.url}/chat/completions"
    self._failed_in_a_row = 0

  def reply(self, question: Sequence[dict]) -> Reply:
    asked = json.dumps([self._endpoint.model, question])
    key = hashlib.sha256(asked.encode()).hexdigest()
    kept = self._answers.get(key)
    if kept is not None:
      return Reply(CACHED, kept)
    for number in range(1, _TRIES + 1):
      try:
        answer = self._read(self._text(question))
      except _Failure as failure:
        limit = self._patience
        if failure.said:  # refused: of this question, until others are refused as well
          limit = max(limit, 3 * self._endpoint.concurrency)
        return self._failed(str(failure), limit, number, failure.said)
      except ValueError:
        continue
      self._failed_in_a_row = 0
      self._answers.put(key, answer)
      return Reply(ASKED, answer, number)
    return self._failed(GARBAGE, 3 * self._endpoint.concurrency, _TRIES)

  def _failed(self, reason: str, limit: int, requests: int, said: str = "") -> Reply:
    self._failed_in_a_row += 1
    if self._failed_in_a_row >= limit:
      raise UserError(
        f"{self._url}: no answer to {self._failed_in_a_row} questions in a row "
        f"({reason}{': ' if said else ''}{said}); check the address or try later; "
        "answers so far are kept"
      )
    return Reply(reason, requests=requests)

  def _text(self, question) -> Any:
    """The endpoint's answer; ValueError where it is no chat completion."""
    place = self._endpoint
    headers = {"Authorization": f"Bearer {place.api_key}"} if place.api_key else {}
    body = {"model": place.model, "messages": question, **self._options}
    try:
      reply = self._http.request(
        "POST", self._url, json=body, headers=headers, timeout=place.timeout_s
      )
    except urllib3.exceptions.HTTPError as error:
      cause = getattr(error, "reason", error)
      late = isinstance(cause, urllib3.exceptions.TimeoutError)
      # Refused connections, too, are of the class of time-outs.
      late &= not isinstance(cause, urllib3.exceptions.NewConnectionError)
      raise _Failure("timeout" if late else "connection") from error
    said = " ".join(reply.data.decode(errors="replace").split())[:200]
    if reply.status in _RETRIED:
      raise _Failure(f"HTTP {reply.status}")
    if reply.status in _OF_ONE:
      raise _Failure(f"HTTP {reply.status}", said)
    if reply.status != 200:  # an address or a key that is wrong for all questions
      raise UserError(
        f"{self._url}: HTTP {reply.status}: {said}; check the address, the model and "
        "the key; answers so far are kept"
      )
    try:
      return reply.json()["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
      raise ValueError("not a chat completion") from error
