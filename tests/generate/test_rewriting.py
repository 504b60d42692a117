"""Prompts rewritten by an endpoint: against a real HTTP server that speaks its part."""

import http.server
import json
import threading

import pytest

from tdmm_jax.cli import main
from tdmm_jax.errors import UserError
from tdmm_jax.generate import rewriting

ANSWERS = {
  "Die Frau lacht laut": '{"prompt": "A woman laughs very loudly."}',
  "She nods twice, over the moon.": '{"prompt": "She looks very happy, nodding."}',
  "meh": "I cannot help with that.",
}


@pytest.fixture
def server():
  asked = []

  class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
      pass

    def do_POST(self):
      body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
      asked.append(body["messages"])
      content = ANSWERS[body["messages"][-1]["content"]]
      reply = {"choices": [{"message": {"content": content}}]}
      data = json.dumps(reply).encode()
      self.send_response(200)
      self.send_header("Content-Length", str(len(data)))
      self.end_headers()
      self.wfile.write(data)

  running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
  running.daemon_threads = True
  running.asked = asked
  running.url = f"http://127.0.0.1:{running.server_port}/v1"
  threading.Thread(target=running.serve_forever, daemon=True).start()
  yield running
  running.shutdown()
  running.server_close()


def test_an_answer_is_used_where_it_keeps_the_acts(server, tmp_path):
  place = rewriting.endpoint_of(server.url, "any")
  made = rewriting.rewrite(list(ANSWERS), place, tmp_path / "kept.jsonl")
  assert [one.sent for one in made] == list(ANSWERS)
  assert made[0].prompt == "A woman laughs very loudly." and not made[0].warnings
  assert made[1].prompt == made[1].sent and "changes 'nod'" in made[1].warnings[0]
  assert made[2].prompt == "meh" and "cannot be used" in made[2].warnings[0]
  # Nothing but the prompt and fixed instructions is sent; an answer is asked for once.
  assert rewriting.messages("meh") in server.asked
  before = len(server.asked)
  assert (
    rewriting.rewrite(list(ANSWERS)[:2], place, tmp_path / "kept.jsonl") == made[:2]
  )
  assert len(server.asked) == before


def test_the_command_shows_what_is_sent(
  server, tiny_run, tmp_path, capsys, monkeypatch
):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  command = ["generate", "Die Frau lacht laut", "--seconds", "0.4", "--json"]
  command += ["--rewrite", "--rewrite_url", server.url, "--rewrite_model", "any"]
  command += ["--run", str(tiny_run), "--out", str(tmp_path)]
  assert main.main(command) == 0
  out, err = capsys.readouterr()
  assert f"tdmm: sent to {server.url}: Die Frau lacht laut\n" in err
  assert "tdmm: rewritten as: A woman laughs very loudly.\n" in err
  (row,) = json.loads(out)["motions"]
  assert row["prompt"] == "A woman laughs very loudly."
  assert row["sent"] == "Die Frau lacht laut" and not row["warnings"]


def test_where_to_ask_must_be_said(monkeypatch, tmp_path, capsys):
  for name in ("OPENAI_BASE_URL", "OPENAI_MODEL", "OPENAI_API_KEY"):
    monkeypatch.delenv(name, raising=False)
  with pytest.raises(UserError, match="OPENAI_MODEL"):
    rewriting.endpoint_of("http://localhost:1/v1")
  with pytest.raises(UserError, match="OPENAI_BASE_URL"):
    rewriting.endpoint_of(None, "any")
  command = ["generate", "She smiles.", "--out", str(tmp_path / "no")]
  assert main.main([*command, "--rewrite_url", "http://localhost:1/v1"]) == 2
  assert "give --rewrite too" in capsys.readouterr().err
  assert main.main([*command, "--rewrite", "--timeline", "0-1: She smiles."]) == 2
