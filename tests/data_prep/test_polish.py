"""The client against a real HTTP server that speaks the protocol, or does not."""

import collections
import http.server
import json
import threading
import time

import numpy as np
import pytest

from data_prep import manifest, paraphrase, polish
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon

SAD = "A man looks very sad, nodding."
UNTRUE = "A man looks very happy, nodding."


class Server(http.server.ThreadingHTTPServer):
  """Answers chat completions truly, except for what `trouble` says of a prompt."""

  daemon_threads = True

  def __init__(self):
    super().__init__(("127.0.0.1", 0), Handler)
    self.trouble = {}  # prompt -> names of what goes wrong, one a request
    self.requests = collections.Counter()
    self.keys, self.models = set(), set()
    self.at_once = self.most_at_once = 0
    self.lock = threading.Lock()

  @property
  def url(self):
    return f"http://127.0.0.1:{self.server_port}/v1"


def true_texts(prompt):
  rng = np.random.default_rng(1)
  return paraphrase.captions(lexicon.parse(prompt), "train", 3, rng)


class Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = "HTTP/1.1"

  def log_message(self, *args):
    pass

  def do_POST(self):
    body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
    server = self.server
    prompt = body["messages"][-1]["content"].split("Caption: ")[1].split("\n")[0]
    with server.lock:
      server.requests[prompt] += 1
      server.keys.add(self.headers["Authorization"])
      server.models.add(body["model"])
      server.at_once += 1
      server.most_at_once = max(server.most_at_once, server.at_once)
      queue = server.trouble.get(prompt, [])
      trouble = queue.pop(0) if queue else "none"
    time.sleep(0.02)
    try:
      self.answer(trouble, prompt, body)
    except OSError:  # the client went away
      pass
    finally:
      with server.lock:
        server.at_once -= 1

  def answer(self, trouble, prompt, body):
    assert self.path == "/v1/chat/completions"
    if trouble in ("400", "429", "500", "401", "404"):
      error = {"error": {"message": f"trouble {trouble}", "type": "t", "code": None}}
      return self.send(int(trouble), json.dumps(error))
    if trouble == "slow":
      time.sleep(2.5)
    if trouble == "dropped":
      self.close_connection = True
      return None
    if trouble == "not json":
      return self.send(200, '{"id": "x", "choi')
    if trouble == "html":
      return self.send(200, "<html>Bad gateway</html>", "text/html")
    if trouble == "no choices":
      return self.send(200, json.dumps({"id": "x", "object": "o", "choices": []}))
    content = {
      "none": json.dumps({"captions": true_texts(prompt)}),
      "slow": json.dumps({"captions": true_texts(prompt)}),
      "fenced": "```json\n" + json.dumps({"captions": true_texts(prompt)}) + "\n```",
      "lines": "\n".join(f"{i}. {t}" for i, t in enumerate(true_texts(prompt), 1)),
      "untrue": json.dumps({"captions": [UNTRUE, true_texts(prompt)[0]]}),
      "all untrue": json.dumps({"captions": [UNTRUE, "Hello!"]}),
      "wrong json": '{"captions": 7}',
      "null": None,
    }[trouble]
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    reply = {"id": "x", "object": "chat.completion", "created": 0}
    return self.send(
      200, json.dumps(reply | {"model": body["model"], "choices": [choice]})
    )

  def send(self, status, text, kind="application/json"):
    body = text.encode()
    self.send_response(status)
    self.send_header("Content-Type", kind)
    self.send_header("Content-Length", str(len(body)))
    self.end_headers()
    self.wfile.write(body)


@pytest.fixture
def server():
  with Server() as running:
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()


def run(server, path, prompts=(SAD,), count=2, **changes):
  rows = [{"clip_id": str(i), "prompt": prompt} for i, prompt in enumerate(prompts)]
  options = {
    "concurrency": 2,
    "timeout_s": 30,
    "retries": 3,
    "backoff_s": 0.0,
  } | changes
  endpoint = polish.Endpoint(server.url, "tiny", "secret", **options)
  return polish.polish(rows, endpoint, path / "cache", count, progress=False)


def test_true_texts_replace_the_prompt_and_become_captions(server, tmp_path):
  (row,), counts = run(server, tmp_path)
  texts = true_texts(SAD)
  assert row["prompt"] == texts[0] and row["captions"] == texts[1:]
  assert row["original_prompt"] == SAD and row["attributes"] == lexicon.parse(SAD)
  assert counts["polished"] == counts["asked"] == 1 and not counts["failed"]
  assert server.keys == {"Bearer secret"} and server.models == {"tiny"}


@pytest.mark.parametrize("trouble", ["429", "500", "slow", "dropped"])
def test_passing_trouble_is_waited_out(server, tmp_path, trouble):
  server.trouble[SAD] = [trouble, trouble] if trouble == "429" else [trouble]
  timeout_s = 1.0 if trouble == "slow" else 30
  (row,), counts = run(server, tmp_path, timeout_s=timeout_s)
  assert row["prompt"] == true_texts(SAD)[0] and not counts["failed"]
  assert server.requests[SAD] == (3 if trouble == "429" else 2)


@pytest.mark.parametrize(
  "trouble", ["not json", "html", "no choices", "wrong json", "null"]
)
def test_garbage_is_asked_for_again_then_counted(server, tmp_path, trouble):
  server.trouble[SAD] = [trouble]
  (row,), counts = run(server, tmp_path)
  assert "original_prompt" in row and counts["asked"] == 2 and not counts["failed"]
  server.trouble[SAD] = [trouble] * 9
  (row,), counts = run(server, tmp_path / "again")
  assert row["prompt"] == SAD and counts["failed"] == {"garbage": 1}
  assert len(row["captions"]) == 2, "the offline grammar fills up"
  assert all(paraphrase.same_attributes(t, row["attributes"]) for t in row["captions"])


@pytest.mark.parametrize(
  "trouble,reason",
  [("429", "HTTP 429"), ("slow", "timeout"), ("dropped", "connection")],
)
def test_lasting_trouble_is_counted_and_the_original_stays(
  server, tmp_path, trouble, reason
):
  server.trouble[SAD] = [trouble] * 9
  other = "She smiles."
  timeout_s = 1.0 if trouble == "slow" else 30
  rows, counts = run(server, tmp_path, (SAD, other), retries=1, timeout_s=timeout_s)
  assert counts["failed"] == {reason: 1} and counts["polished"] == 1
  assert rows[0]["prompt"] == SAD and rows[1]["original_prompt"] == other
  # Asked again later, only what failed is asked for.
  server.trouble.clear()
  rows, counts = run(server, tmp_path, (SAD, other))
  assert (counts["cached"], counts["asked"], counts["polished"]) == (1, 1, 2)


@pytest.mark.parametrize("trouble", ["fenced", "lines"])
def test_other_forms_of_an_answer_are_read(server, tmp_path, trouble):
  server.trouble[SAD] = [trouble]
  (row,), _ = run(server, tmp_path)
  assert [row["prompt"], *row["captions"]] == true_texts(SAD)


def test_untrue_texts_are_thrown_away(server, tmp_path):
  server.trouble[SAD] = ["untrue"]
  (row,), counts = run(server, tmp_path)
  assert row["prompt"] == true_texts(SAD)[0] and counts["untrue"] == 1
  assert UNTRUE not in row["captions"] and len(row["captions"]) == 2
  server.trouble[SAD] = ["all untrue"]
  (row,), counts = run(server, tmp_path / "again")
  assert row["prompt"] == SAD and counts["untrue"] == 2 and counts["polished"] == 0


def test_concurrency_is_bounded_and_the_cache_spares_requests(server, tmp_path):
  labels = list(lexicon.LABELS)[:24]
  prompts = [f"A man looks {lexicon.LABELS[n].adjectives[0]}." for n in labels]
  first, counts = run(server, tmp_path, prompts, concurrency=3)
  assert server.most_at_once <= 3 and counts["asked"] == 24
  assert server.most_at_once > 1, "they do run beside each other"
  second, counts = run(server, tmp_path, prompts)
  assert counts["asked"] == 0 and counts["cached"] == 24 and second == first
  assert [row["clip_id"] for row in first] == [str(i) for i in range(24)]


def test_refusals_end_the_run_at_once(server, tmp_path):
  server.trouble[SAD] = ["401"]
  with pytest.raises(UserError, match=r"HTTP 401: .*check the address"):
    run(server, tmp_path, [SAD] + [f"She smiles {i} times." for i in range(20)])
  assert sum(server.requests.values()) < 10


def test_one_question_that_is_refused_costs_its_own_answer(server, tmp_path):
  prompts = [SAD, *(f"She smiles {i} times." for i in range(8))]
  server.trouble[SAD] = ["400"]
  (sad, *others), counts = run(server, tmp_path, prompts)
  assert counts["failed"] == {"HTTP 400": 1} and counts["asked"] == 9
  assert sad["prompt"] == SAD and len(sad["captions"]) == 2 and len(others) == 8
  server.trouble = {prompt: ["400"] * 9 for prompt in prompts}
  with pytest.raises(UserError, match=r"6 questions in a row .HTTP 400: .+; check"):
    run(server, tmp_path / "again", prompts)


def test_one_that_never_answers_in_json_is_given_up(server, tmp_path):
  prompts = [f"She smiles {i} times." for i in range(20)]
  server.trouble = {prompt: ["html"] * 9 for prompt in prompts}
  with pytest.raises(UserError, match=r"no answer to 6 questions in a row .garbage."):
    run(server, tmp_path, prompts)


def test_an_address_must_be_one():
  with pytest.raises(UserError, match="x/v1: not an address"):
    polish.Endpoint("x/v1", "m")
  assert polish.Endpoint("http://x/v1/", "m").url == "http://x/v1"


def test_an_endpoint_that_is_down_ends_the_run(server, tmp_path):
  prompts = [f"She smiles {i} times." for i in range(20)]
  server.trouble = {prompt: ["500"] * 9 for prompt in prompts}
  with pytest.raises(UserError, match=r"no answer to 6 questions in a row .HTTP 500."):
    run(server, tmp_path, prompts, retries=0)


def test_command_lines(server, tmp_path, capsys, monkeypatch):
  monkeypatch.delenv("OPENAI_API_KEY", raising=False)
  monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
  source, out = tmp_path / "prompts.jsonl", tmp_path / "out.jsonl"
  manifest.write(source, [{"clip_id": "a", "prompt": SAD}])
  args = [str(source), "--out", str(out), "--num", "2"]
  assert polish.main(args) == 2
  assert "--model: name the endpoint's model" in capsys.readouterr().err
  args += ["--model", "tiny"]
  assert polish.main(args) == 2
  assert "OPENAI_API_KEY: set it" in capsys.readouterr().err
  monkeypatch.setenv("OPENAI_BASE_URL", server.url)
  assert polish.main(args) == 0
  assert json.loads(capsys.readouterr().out)["polished"] == 1
  (row,) = manifest.read(out)
  assert row["prompt"] == true_texts(SAD)[0]
  for content in (b"my notes", b"SQLite format 3\0\xff\n"):  # stay as they are
    (tmp_path / "notes").write_bytes(content)
    assert polish.main([*args, "--cache", str(tmp_path / "notes")]) == 2
    assert "notes:1: not a cache of answers" in capsys.readouterr().err
    assert (tmp_path / "notes").read_bytes() == content
