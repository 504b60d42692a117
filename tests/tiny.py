"""A corpus and three models small enough to be made in seconds; and fake devices."""

import importlib
import os
import pathlib
import subprocess
import sys
from unittest import mock

import bert_folders

from tdmm_jax.data import pipeline, records
from tdmm_jax.runs import locate
from tdmm_jax.train import run

REPO = pathlib.Path(__file__).parents[1]
# Programs that are compiled fast, not fast programs: an old way of writing code takes
# half of the new one's time.
QUICK_XLA = "--xla_cpu_use_fusion_emitters=false"
QUICK_JAX = "JAX_DISABLE_MOST_OPTIMIZATIONS"
NUM_CLIPS = 120
CLIP_SECONDS = (0.8, 1.6)  # 20 to 40 frames
# Tokens must tell more than a face at rest.
STEPS = {locate.TOKENIZER: 80, locate.LANGUAGE_MODEL: 12, locate.EVALUATOR: 12}


def shrink(config, run_dir, **overrides):
  """A config of configs/ at the size of a test, on the records of `run_dir`."""
  config.records_dir = str(run_dir / "records")
  config.tensorboard = False
  for key, value in {
    "total_steps": 12,
    "batch_size": 4,
    "log_every": 4,
    "eval_every": 12,
    "eval_batches": 1,
    "save_every": 6,
    "warmup_steps": 2,
  }.items():
    config[key] = value
  model = config.model
  if config.objective == "tokenizer":
    config.window = 32
    model.emb_dim, model.mlp_dim, model.dilations = 16, 32, (1, 2)
    model.num_phases, model.levels = 2, (4, 3)
    model.fast_digits, model.fast_phases = 0, 1
    model.codes_per_phase, model.code_dim = 12, 2
    model.num_features, model.num_vertices = 12, 48
  elif config.objective == "evaluator":
    config.window, config.num_pieces = 40, 420
    model.emb_dim, model.num_heads, model.head_dim, model.mlp_dim = 16, 2, 8, 16
    model.num_text_layers = model.num_motion_layers = 1
    model.output_dim = 8
  else:
    config.tokenizer_dir = str(run_dir / "tokenizer")
    if config.text_encoder == "minilm":
      config.text_encoder = f"hf:{run_dir / 'text_encoder'}"
    config.num_pieces = 520  # of which 256 are bytes and 61 times
    config.encoder_length, config.decoder_length = 256, 160
    config.max_frames, config.max_prompt_pieces, config.max_caption_pieces = 40, 150, 32
    model.emb_dim, model.num_heads, model.head_dim, model.mlp_dim = 32, 4, 8, 48
    model.num_encoder_layers = model.num_decoder_layers = 1
  for key, value in overrides.items():
    config[key] = value
  return config


def config_of(name: str, run_dir, **overrides):
  """`configs/NAME.py`, shrunk."""
  module = importlib.import_module(f"configs.{name}")
  return shrink(module.get_config(), run_dir, **overrides)


def make_run(run_dir: pathlib.Path) -> pathlib.Path:
  """Records and three models, each trained for `STEPS`."""
  from data_prep import build

  bert_folders.write(run_dir / "text_encoder")
  build.build_corpus(
    run_dir / "records",
    NUM_CLIPS,
    num_workers=1,
    progress=False,
    seconds=CLIP_SECONDS,
    shard_clips=64,
  )
  for name, config in (
    (locate.TOKENIZER, "tokenizer_demo"),
    (locate.LANGUAGE_MODEL, "lm_demo"),
    (locate.EVALUATOR, "evaluator"),
  ):
    train_on(config_of(config, run_dir, total_steps=STEPS[name]), run_dir / name)
  return run_dir


def train_on(config, workdir) -> dict:
  """`run.train`, without a progress bar; two trial draws tell how large a chunk is.

  Sixteen, as of a corpus so small, would be a tenth of a language model's training.
  """
  with mock.patch.object(pipeline, "_MOST_TRIALS", 2):
    return run.train(config, workdir, progress=False)


def users_environment() -> dict[str, str]:
  """The environment without conftest.py's switches: compiled as a user's programs."""
  env = {k: v for k, v in os.environ.items() if k != QUICK_JAX}
  return env | {"XLA_FLAGS": env["XLA_FLAGS"].replace(QUICK_XLA, "").strip()}


def first_motion(run_dir, split: str = "test"):
  """The FaceMotion of a split's first record."""
  return records.to_motion(records.open_split(run_dir / "records", split)[0])


def run_python(code: str, *args, devices: int = 1, timeout: int = 300, cwd=None) -> str:
  """Runs `code` in a process of its own with so many CPU devices; its stdout."""
  env = os.environ | {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": f"{QUICK_XLA} --xla_force_host_platform_device_count={devices}",
    "PYTHONPATH": os.pathsep.join([str(REPO), str(REPO / "tests")]),
  }
  done = subprocess.run(
    [sys.executable, "-c", code, *map(str, args)],
    env=env,
    cwd=cwd,
    capture_output=True,
    text=True,
    timeout=timeout,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  return done.stdout
