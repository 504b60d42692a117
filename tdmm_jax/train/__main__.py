"""Trains the tokenizer, the language model or the evaluator: one loop, one entry.

  python -m tdmm_jax.train --config configs/tokenizer_demo.py \
      --workdir runs/my/tokenizer
  python -m tdmm_jax.train --config configs/lm_demo.py --workdir runs/my/lm \
      --config.tokenizer_dir runs/my/tokenizer --config.total_steps 2000

Interrupt it at any time; the same command resumes from the last checkpoint. SIGTERM
saves first and exits with code 75 (start me again). Of several processes, 76 or 134:
one hangs, or is lost (start all of us again).
"""

import difflib
import re
import runpy
import sys
from typing import NoReturn

if __name__ == "__main__":  # the imports take seconds
  print("train: loading ...", file=sys.stderr, flush=True)

import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

from tdmm_jax import cluster, errors, host
from tdmm_jax.errors import UserError
from tdmm_jax.train import run as training

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/.")
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "Where checkpoints and metrics go; gs://BUCKET/PATH, too."
)
_CLUSTER = flags.DEFINE_string(
  "cluster",
  None,
  "Train as one of several processes: auto (TPU VMs, GKE, Slurm), or the HOST:PORT "
  "at which process 0 serves, with --num_processes and --process_id.",
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "See --cluster.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "See --cluster.")


@errors.entry_point("train", "the same command resumes from the last checkpoint")
def main(argv) -> int:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  if not flags.FLAGS["verbosity"].present:
    logging.set_verbosity(logging.WARNING)  # orbax tells of every file it writes
  try:
    if _CLUSTER.value:
      cluster.join(_CLUSTER.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    host.keep_compiled(_WORKDIR.value)
    training.train(_CONFIG.value, _WORKDIR.value, make_media=_showcase)
  except cluster.Preempted as error:
    print(f"train: {error}", file=sys.stderr)
    return cluster.EXIT_PREEMPTED
  return 0


def _showcase(config, workdir):
  # The renderer takes seconds to import, and is seldom needed.
  from tdmm_jax.evaluation import media

  return media.Showcase(config, workdir)


def _fail(error) -> NoReturn:
  sys.exit(errors.report("train", error))


def _parse_flags(argv: list[str]) -> list[str]:
  """Parses the command line; exits with one clear line if it is wrong."""
  try:
    rest = flags.FLAGS(argv)
    if _CONFIG.value is None or not _WORKDIR.value:
      raise UserError("--config and --workdir are needed; see --help")
    _config_keys(_CONFIG.value)  # a file that failed to load fails when it is read
    return rest
  except AttributeError as error:  # ml_collections: no such key in the config
    key = re.search(r"\w+", str(error))[0]
    if not any(re.match(rf"--?config\.(\w+\.)*{key}\b", word) for word in argv):
      raise  # a fault of the config file itself
    path = re.search(r"--?config[= ](\S+)", " ".join(argv))[1]
    path, *row = path.split(":", 1)  # configs/FILE.py:ROW
    keys = _config_keys(runpy.run_path(path)["get_config"](*row))
    near = difflib.get_close_matches(key, keys, 1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "; see the config file"
    _fail(f"--config.{key}: no such key in the config{hint}")
  except OSError as error:  # ml_collections: the file cannot be read
    missing = re.search(r"No such file or directory: '(.*)'", str(error))
    where = f"{missing[1]}: no such file" if missing else f"cannot be read ({error})"
    _fail(f"--config {where}; name one of configs/")
  except (flags.Error, UserError) as error:
    _fail(error)


def _config_keys(config) -> list[str]:
  """All keys of a config, those of its parts too."""
  keys = []
  for key, value in config.items():
    keys.append(key)
    if isinstance(value, ml_collections.ConfigDict):
      keys += _config_keys(value)
  return keys


def run() -> None:
  """The command line: parses it, trains, exits."""
  host.keep_freed()
  app.run(main, flags_parser=_parse_flags)


if __name__ == "__main__":
  run()
