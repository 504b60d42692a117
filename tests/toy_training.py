"""A model that starts in a second, in the real loop with the real command line.

The code, checkpoints, data pipeline, clusters and signals are those of training; only
the model is a matrix.
"""

import io
import os
import pathlib
import sys
import tarfile

import tiny

TOY = """
import os, sys, time
import grain, jax, jax.numpy as jnp, numpy as np
from tdmm_jax import sharding
from tdmm_jax.runs import checkpoints
from tdmm_jax.train import __main__ as train, run
from tdmm_jax.train.objectives import objective
from tdmm_jax.data import pipeline
class Batches(pipeline.Batches):
  def __next__(self):
    if os.environ.get("TOY_HANGS") == str(jax.process_index()) and self.next_batch == 8:
      time.sleep(1_000)
    return super().__next__()
def toy(config, workdir, rows=None):
  init = sharding.partitioned(lambda rng, shape: jax.random.normal(rng, shape),
                              "embed", "mlp")
  init_fn = lambda rng: {"params": {"w": init(rng, (16, 8))}}
  def loss_fn(params, collections, batch, rng):
    x = batch["x"] + (0.0 if rng is None else jax.random.normal(rng, batch["x"].shape))
    error = jnp.mean((x @ params["w"] - 1.0) ** 2)
    return error, ({"loss": (error, jnp.ones(()))}, collections)
  sample = lambda i, rng: {"x": rng.normal(size=16).astype(np.float32) + i % 3}
  data = grain.MapDataset.range(97).seed(config.seed).shuffle().repeat()
  batches = Batches(data.random_map(sample), config.batch_size, rows)
  eval_batch = {"x": np.random.default_rng(0).normal(size=(config.batch_size, 16))}
  eval_batch = {"x": eval_batch["x"].astype(np.float32)}
  seek = batches.seek
  def say(batch):
    print(f"toy: {jax.process_count()} processes, from step {batch}", flush=True)
    seek(batch)
  batches.seek = say
  return objective.Objective(init_fn, loss_fn, batches, [eval_batch], {"head": "1"})
run._build = toy
"""
RUN = "\ntrain.run()\n"

ENV = {
  "JAX_PLATFORMS": "cpu",
  "XLA_FLAGS": f"{tiny.QUICK_XLA} --xla_cpu_multi_thread_eigen=false",
  "PYTHONPATH": os.pathsep.join([str(tiny.REPO), str(tiny.REPO / "tests")]),
}


def flags(total_steps: int, workdir=None, **more) -> list[str]:
  """Training flags of the toy."""
  settings = {
    "total_steps": total_steps,
    "log_every": 3,
    "eval_every": 10,
    "save_every": 4,
    "batch_size": 4,
    "tensorboard": False,
    "warmup_steps": 2,
  } | more
  config = tiny.REPO / "configs" / "tokenizer_demo.py"
  words = [f"--config={config}"] + ([f"--workdir={workdir}"] if workdir else [])
  return words + [f"--config.{key}={value}" for key, value in settings.items()]


def command(total_steps: int, **more) -> list[str]:
  """The command line that trains the toy; it lacks the workdir."""
  return [sys.executable, "-c", TOY + RUN, *flags(total_steps, **more)]


def pack_files(archive: pathlib.Path, files: dict[str, str]) -> None:
  """Packs these files and what every worker needs, instead of the repository."""
  needed = ("launch/worker.sh", "requirements.txt", "requirements-tpu.txt")
  files = {name: (tiny.REPO / name).read_text() for name in needed} | files
  with tarfile.open(archive, "w:gz") as tar:
    for name, text in files.items():
      info = tarfile.TarInfo(name)
      info.size = len(text.encode())
      tar.addfile(info, io.BytesIO(text.encode()))


def pack_code(archive: pathlib.Path) -> None:
  """A `python -m tdmm_jax.train` that is the real one, with the toy for a model."""
  shim = (
    "import os, sys\n"
    "if __name__ == '__main__':\n"
    "  assert os.environ['NOTE'] == 'a b'\n"
    "  os.chdir('/')  # or this file is imported instead of the real one\n"
    f"  toy = {TOY + RUN!r}\n"
    "  os.execv(sys.executable, [sys.executable, '-c', toy, *sys.argv[1:]])\n"
  )
  pack_files(archive, {"tdmm_jax/__init__.py": "", "tdmm_jax/train.py": shim})
