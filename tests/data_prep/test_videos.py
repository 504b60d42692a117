import base64
import collections
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from data_prep import manifest, videos, videos_api
from tdmm_jax.errors import UserError
from tdmm_jax.render import video

REPO = pathlib.Path(__file__).parents[2]


def prompts(count=40):
  return [
    {"clip_id": f"p{i}", "prompt": f"Prompt {i}.", "captions": [f"Said {i}.", "Other."]}
    for i in range(count)
  ]


def test_plan_goes_round_generators_with_seeds_and_wordings_of_their_own():
  rows = prompts()
  jobs = videos.plan(rows, ["a", "b"], seed=1, per_prompt=2)
  assert jobs == videos.plan(rows, ["a", "b"], seed=1, per_prompt=2)
  assert jobs != videos.plan(rows, ["a", "b"], seed=2, per_prompt=2)
  assert len({job["clip_id"] for job in jobs}) == 80
  assert len({job["seed"] for job in jobs}) == 80
  assert collections.Counter(job["generator"] for job in jobs) == {"a": 40, "b": 40}
  for first, second in zip(jobs[::2], jobs[1::2]):
    assert {first["generator"], second["generator"]} == {"a", "b"}
    assert first["prompt"] == second["prompt"]
  assert len({job["wording"][:4] for job in jobs}) == 3  # the prompt, either caption
  assert all(job["wording"] in [job["prompt"], *job["captions"]] for job in jobs)


def test_workers_share_all_jobs_and_none_twice():
  jobs = videos.plan(prompts(), ["a", "b"])
  shares = [videos.share(jobs, "a", worker, 3) for worker in range(3)]
  ids = [job["clip_id"] for part in shares for job in part]
  assert sorted(ids) == sorted(j["clip_id"] for j in jobs if j["generator"] == "a")
  assert all(shares)


def test_failures_are_recorded_retried_and_given_up(tmp_path):
  jobs = videos.plan(prompts(4), ["a"])
  calls = collections.Counter()

  def make(job, path):
    calls[job["clip_id"]] += 1
    pathlib.Path(path).write_bytes(b"half")
    if job["clip_id"] == "p1" and calls["p1"] < 3:
      raise RuntimeError("out of luck")
    if job["clip_id"] == "p2":
      pathlib.Path(path).write_bytes(b"")

  run = lambda: videos.work(jobs, tmp_path, make, 3, report=lambda line: None)
  assert run() == {"done": 2, "there": 0, "failed": 2, "given_up": 0}
  record = json.loads((tmp_path / "failed" / "p1.json").read_text())
  assert record["tries"] == 1 and record["error"] == "RuntimeError: out of luck"
  assert record["seed"] == jobs[1]["seed"]
  assert sorted(p.name for p in tmp_path.glob("*.mp4")) == ["p0.mp4", "p3.mp4"]
  assert run() == {"done": 0, "there": 2, "failed": 2, "given_up": 0}
  assert run() == {"done": 1, "there": 2, "failed": 1, "given_up": 0}
  assert run() == {"done": 0, "there": 3, "failed": 0, "given_up": 1}
  assert not (tmp_path / "failed" / "p1.json").exists()
  assert calls == {"p0": 1, "p3": 1, "p1": 3, "p2": 3}
  assert not list(tmp_path.glob(".*"))
  assert videos.status(jobs, tmp_path) == {"a": {"jobs": 4, "videos": 3, "failed": 1}}


def test_full_disk_ends_the_run_and_is_no_fault_of_the_item(tmp_path):
  def make(job, path):
    raise OSError(28, "No space left on device", path)

  with pytest.raises(UserError, match="No space left"):
    videos.work(videos.plan(prompts(2), ["a"]), tmp_path, make)
  assert not list((tmp_path / "failed").iterdir())


def test_a_generator_that_fails_costs_one_try_and_no_more(tmp_path):
  jobs, broken = videos.plan(prompts(9), ["a"]), True

  def make(job, path):
    if broken:
      raise RuntimeError(f"CUDA error {job['clip_id']}: device 3 is lost")
    pathlib.Path(path).write_bytes(b"video")

  quiet = lambda line: None
  for _ in range(2):
    with pytest.raises(UserError, match=r"3 jobs in a row failed alike .*CUDA error"):
      videos.work(jobs, tmp_path, make, 3, quiet)
  tries = {
    p.stem: json.loads(p.read_text())["tries"] for p in tmp_path.glob("failed/*")
  }
  assert tries == {"p0": 2}
  broken = False
  assert videos.work(jobs, tmp_path, make, 3, quiet)["done"] == 9
  assert not list(tmp_path.glob("failed/*"))


def test_refusals_of_single_prompts_do_not_end_the_run(tmp_path):
  def make(job, path):
    raise videos_api.RefusedError("against the rules")

  counts = videos.work(videos.plan(prompts(5), ["a"]), tmp_path, make, 3, print)
  assert counts["failed"] == 5


def test_another_seed_wording_or_setting_makes_a_video_anew(tmp_path):
  made = []

  def make(job, path):
    made.append(job["clip_id"])
    pathlib.Path(path).write_text(job["wording"])

  jobs = videos.plan(prompts(2), ["a"])
  run = lambda settings=None: videos.work(
    jobs, tmp_path, make, 3, lambda line: None, settings
  )
  run(), run()
  assert made == ["p0", "p1"]
  jobs[1]["wording"] = "Another one."
  run()
  assert made[2:] == ["p1"] and (tmp_path / "p1.mp4").read_text() == "Another one."
  jobs[0]["seed"] += 1
  run()
  assert made[3:] == ["p0"]
  run({"fps": 30})
  assert made[4:] == ["p0", "p1"]
  (tmp_path / "made" / "p0.json").unlink()  # somebody's own video stays
  run({"fps": 60})
  assert made[6:] == ["p1"]


GENERATOR = """
import json, pathlib, sys
work, prompt, seed = sys.argv[1:]
case = json.loads((pathlib.Path(work) / "case.json").read_text())
assert case["prompt"] == prompt, case
if "crash" in prompt:
  sys.exit("no memory left")
out = pathlib.Path(work) / "deep" / "video.mp4"
out.parent.mkdir()
out.write_text(f"{prompt} {seed}")
"""


def test_command_lines_run_by_template(tmp_path):
  script = tmp_path / "generator.py"
  script.write_text(GENERATOR)
  settings = {
    "kind": "command",
    "cwd": str(tmp_path),
    "files": {"case.json": {"prompt": "{prompt}"}},
    "command": [sys.executable, "generator.py", "{work}", "{prompt}", "{seed}"],
  }
  config = tmp_path / "config.json"
  config.write_text(json.dumps({"mine": settings}))
  # Braces, quotes and dollars in a prompt are text.
  wording = 'A "{seed}" man; rm -rf $HOME {work}'
  rows = [{"clip_id": "good", "prompt": wording}, {"clip_id": "bad", "prompt": "crash"}]
  manifest.write(tmp_path / "prompts.jsonl", rows)
  jobs, out = str(tmp_path / "jobs.jsonl"), str(tmp_path / "out")
  plan = [
    "plan",
    str(tmp_path / "prompts.jsonl"),
    "--out",
    jobs,
    "--generators",
    "mine",
  ]
  assert videos.main(plan) == 0
  work = ["work", jobs, "--out", out, "--generator", "mine", "--config", str(config)]
  assert videos.main(work) == 1  # one has failed
  (seed,) = (row["seed"] for row in manifest.read(jobs) if row["clip_id"] == "good")
  assert (tmp_path / "out" / "good.mp4").read_text() == f"{wording} {seed}"
  record = json.loads((tmp_path / "out" / "failed" / "bad.json").read_text())
  assert record["error"] == "RuntimeError: exit code 1: no memory left"
  assert sorted(os.listdir(out)) == ["failed", "good.mp4", "made"]


def test_bad_input(tmp_path, capsys):
  manifest.write(tmp_path / "jobs.jsonl", videos.plan(prompts(2), ["wan2.1"]))
  manifest.write(tmp_path / "prompts.jsonl", prompts(2))
  jobs, out = str(tmp_path / "jobs.jsonl"), str(tmp_path / "out")
  cases = [
    (["work", str(tmp_path / "prompts.jsonl"), "--generator", "veo"], "is no job"),
    (["work", jobs, "--generator", "sora"], "--generator sora: not in"),
    (["work", jobs, "--generator", "veo", "--worker", "2"], "--worker 2: not one of 1"),
    (["work", jobs, "--generator", "veo", "--config", "none"], "none: cannot be read"),
    (["status", str(tmp_path / "none")], "No such file"),
  ]
  for arguments, message in cases:
    assert videos.main([*arguments, "--out", out]) == 2
    assert message in capsys.readouterr().err


def test_shipped_config_names_every_generator_of_the_method():
  config = json.loads(videos.CONFIG.read_text())
  assert set(config) == {"wan2.1", "wan2.2", "opensora", "humo", "veo"}
  assert all(
    settings["kind"] in ("diffusers", "command", "veo") for settings in config.values()
  )


@pytest.fixture(scope="module")
def environment():
  python = REPO / ".venv-videos" / "bin" / "python"
  if not python.exists():
    pytest.skip("no .venv-videos: run `make videos`")
  return python


TINY_WAN = """
import sys, torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
from diffusers import WanPipeline, WanTransformer3DModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel
torch.manual_seed(0)
words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "man": 4, "smiles": 5}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
WanPipeline(
  tokenizer=PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
  ),
  text_encoder=UMT5EncoderModel(
    UMT5Config(
      vocab_size=8, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2
    )
  ),
  vae=AutoencoderKLWan(
    base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1
  ),
  scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
  transformer=WanTransformer3DModel(
    patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16,
    out_channels=16, text_dim=16, freq_dim=256, ffn_dim=32, num_layers=1,
    rope_max_seq_len=32,
  ),
).save_pretrained(sys.argv[1])
"""


def run_worker(environment, tmp_path, settings, rows):
  """`work` in .venv-videos, as a user runs it; returns the process."""
  config = tmp_path / "config.json"
  config.write_text(json.dumps({"it": settings}))
  manifest.write(tmp_path / "jobs.jsonl", videos.plan(rows, ["it"]))
  command = [str(environment), "-m", "data_prep.videos", "work", "jobs.jsonl"]
  command += ["--generator", "it", "--config", "config.json", "--out", "out"]
  places = {"PYTHONPATH": str(REPO), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
  return subprocess.run(
    command, cwd=tmp_path, env={**os.environ, **places}, capture_output=True, text=True
  )


@pytest.mark.slow
def test_wan_runs_through_diffusers_to_an_mp4(tmp_path, environment):
  build = [str(environment), "-c", TINY_WAN, str(tmp_path / "wan")]
  subprocess.run(build, check=True, capture_output=True)
  settings = {
    "kind": "diffusers",
    "model": str(tmp_path / "wan"),
    "device": "cpu",
    "dtype": "float32",
    "fps": 16,
    "call": {
      "height": 32,
      "width": 32,
      "num_frames": 9,
      "num_inference_steps": 2,
      "max_sequence_length": 16,
    },
  }
  rows = [{"clip_id": "a", "prompt": "a man smiles"}]
  run = run_worker(environment, tmp_path, settings, rows)
  assert run.returncode == 0, run.stderr
  assert json.loads(run.stdout)["done"] == 1
  frames, fps = video.read_video(tmp_path / "out" / "a.mp4")
  assert frames.shape == (9, 32, 32, 3) and fps == 16


class VeoServer(http.server.BaseHTTPRequestHandler):
  """Speaks Veo's long-running protocol; one prompt is refused."""

  seen = []

  def log_message(self, *args):
    pass

  def do_POST(self):
    body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
    self.seen.append((self.path.rpartition(":")[2], body))
    if self.path.endswith(":predictLongRunning"):
      answer = {"name": f"operations/{body['instances'][0]['prompt']}"}
    elif len(self.seen) % 3:
      answer = {"name": body["operationName"]}
    elif "bad" in body["operationName"]:
      answer = {"name": "x", "done": True, "error": {"code": 3, "message": "refused"}}
    else:
      video = {"bytesBase64Encoded": base64.b64encode(b"moving").decode()}
      answer = {"name": "x", "done": True, "response": {"videos": [video]}}
    data = json.dumps(answer).encode()
    self.send_response(200)
    self.send_header("Content-Type", "application/json")
    self.send_header("Content-Length", str(len(data)))
    self.end_headers()
    self.wfile.write(data)


@pytest.mark.slow
def test_veo_runs_through_google_genai(tmp_path, environment):
  server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), VeoServer)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  settings = {
    "kind": "veo",
    "model": "veo-test",
    "poll_s": 0.01,
    "client": {
      "vertexai": True,
      "api_key": "none",
      "http_options": {"base_url": f"http://127.0.0.1:{server.server_port}"},
    },
    "config": {"duration_seconds": 4},
  }
  rows = [{"clip_id": name, "prompt": f"a {name} man"} for name in ("good", "bad")]
  try:
    run = run_worker(environment, tmp_path, settings, rows)
  finally:
    server.shutdown()
  assert run.returncode == 1, run.stderr
  assert json.loads(run.stdout) == {"done": 1, "there": 0, "failed": 1, "given_up": 0}
  assert (tmp_path / "out" / "good.mp4").read_bytes() == b"moving"
  record = json.loads((tmp_path / "out" / "failed" / "bad.json").read_text())
  assert record["error"] == "RuntimeError: refused"
  asked = [body for what, body in VeoServer.seen if what == "predictLongRunning"]
  jobs = manifest.read(tmp_path / "jobs.jsonl")
  assert [body["parameters"]["seed"] for body in asked] == [j["seed"] for j in jobs]
