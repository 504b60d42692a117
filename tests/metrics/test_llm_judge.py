"""A language model as judge: a real HTTP server that answers, or fails to."""

import http.server
import json
import threading

import numpy as np
import pytest

from tdmm_jax.errors import UserError
from tdmm_jax.language.endpoint import Endpoint
from tdmm_jax.metrics import llm_judge

TRUTH = ["She is sad.", "He smiles.", "She nods."]
SAID = ["She is sad.", "He frowns.", "A woman nods."]


class Server(http.server.ThreadingHTTPServer):
  """Answers with `trouble`'s next answer for the candidate, or with 4, 3, 5."""

  daemon_threads = True

  def __init__(self):
    super().__init__(("127.0.0.1", 0), Handler)
    self.trouble, self.asked, self.keys = {}, [], set()

  @property
  def place(self):
    url = f"http://127.0.0.1:{self.server_port}/v1"
    return Endpoint(url, "judge-1", "key", timeout_s=5.0, backoff_s=0.0)


class Handler(http.server.BaseHTTPRequestHandler):
  def log_message(self, *args):
    pass

  def do_POST(self):
    body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
    assert self.path == "/v1/chat/completions" and body["model"] == "judge-1"
    assert body["temperature"] == 0 and "from 1 to 5" in body["messages"][0]["content"]
    candidate = body["messages"][1]["content"].split("CANDIDATE: ")[1]
    self.server.asked.append(candidate)
    self.server.keys.add(self.headers["Authorization"])
    queue = self.server.trouble.get(candidate, [])
    content = queue.pop(0) if queue else '{"emotion": 4, "motion": 3, "intensity": 5}'
    status = content if isinstance(content, int) else 200
    message = {"choices": [{"message": {"role": "assistant", "content": content}}]}
    reply = json.dumps(message if status == 200 else {"error": "trouble"}).encode()
    self.send_response(status)
    self.send_header("Content-Type", "application/json")
    self.send_header("Content-Length", str(len(reply)))
    self.end_headers()
    self.wfile.write(reply)


@pytest.fixture
def server():
  with Server() as running:
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    yield running
    running.shutdown()


def test_it_judges_and_asks_each_question_once(server, tmp_path):
  server.trouble[SAID[1]] = ['Sure:\n```json\n{"emotion": 1, "motion": 2.5, '
                             '"intensity": 1}\n```']  # fmt: skip
  found, counts = llm_judge.judge_all(server.place, TRUTH, SAID, tmp_path / "a")
  np.testing.assert_array_equal(found["cor_e"], [4, 1, 4])
  np.testing.assert_array_equal(found["cor_m"], [3, 3, 3])  # a half is rounded up
  np.testing.assert_array_equal(found["cor_i"], [5, 1, 5])
  assert counts == {"asked": 3, "cached": 0, "unreadable": 0}
  assert server.keys == {"Bearer key"}
  again, counts = llm_judge.judge_all(server.place, TRUTH, SAID, tmp_path / "a")
  assert counts["cached"] == 3 and len(server.asked) == 3
  np.testing.assert_array_equal(again["cor_e"], found["cor_e"])


def test_it_waits_out_an_endpoint_that_is_busy(server, tmp_path):
  server.trouble[SAID[0]] = [429, 503, 500]
  found, _ = llm_judge.judge_all(server.place, TRUTH, SAID, tmp_path / "a")
  assert found["cor_e"][0] == 4 and server.asked.count(SAID[0]) == 4


def test_an_answer_that_cannot_be_read_is_asked_again_then_left_out(server, tmp_path):
  server.trouble[SAID[0]] = ["I would say 4.", '{"emotion": 9, "motion": 1}']
  server.trouble[SAID[2]] = [None]
  found, counts = llm_judge.judge_all(server.place, TRUTH, SAID, tmp_path / "a")
  assert np.isnan(found["cor_e"][0]) and found["cor_e"][2] == 4
  assert counts == {"asked": 2, "cached": 0, "unreadable": 1}
  assert server.asked.count(SAID[0]) == 2


def test_an_endpoint_that_refuses_is_the_users_error_and_answers_are_kept(
  server, tmp_path
):
  llm_judge.judge_all(server.place, TRUTH[:1], SAID[:1], tmp_path / "a")
  server.trouble[SAID[1]] = [401]
  with pytest.raises(UserError, match=r"HTTP 401: .*check the address, the model"):
    llm_judge.judge_all(server.place, TRUTH[:2], SAID[:2], tmp_path / "a")
  assert llm_judge.judge_all(server.place, TRUTH[:1], SAID[:1], tmp_path / "a")[1] == {
    "asked": 0,
    "cached": 1,
    "unreadable": 0,
  }


def test_nobody_there(tmp_path):
  place = Endpoint("http://127.0.0.1:9", "m", retries=0)
  with pytest.raises(UserError, match=r"127.0.0.1:9/.*no answer .*\(connection\)"):
    llm_judge.judge_all(place, TRUTH, SAID, tmp_path / "a")


def test_a_cache_cut_short_loses_its_last_line_only(server, tmp_path):
  path = tmp_path / "a"
  llm_judge.judge_all(server.place, TRUTH, SAID, path)
  whole = path.read_text()
  path.write_text(whole[:-20])
  _, counts = llm_judge.judge_all(server.place, TRUTH, SAID, path)
  assert counts["cached"] == 2 and counts["asked"] == 1
  assert sorted(path.read_text().splitlines()) == sorted(whole.splitlines())
  path.write_text("no json\n")
  with pytest.raises(UserError, match="a:1: not a cache of answers"):
    llm_judge.judge_all(server.place, TRUTH, SAID, path)
