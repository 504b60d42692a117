"""Trains the tokenizer or the language model: one loop, one entry.

  python -m tdmm_jax.train --config configs/tokenizer_demo.py \
      --workdir runs/my/tokenizer
  python -m tdmm_jax.train --config configs/lm_demo.py --workdir runs/my/lm \
      --config.tokenizer_dir runs/my/tokenizer --config.total_steps 2000

Interrupt it at any time; the same command goes on from the last checkpoint.
"""

import difflib
import math
import pathlib
import re
import runpy
import sys

import jax
import ml_collections
import tqdm
from absl import app, flags
from clu import parameter_overview
from ml_collections import config_flags

from tdmm_jax import (
  checkpoints,
  metric_logging,
  motion_codec,
  objectives,
  optim,
  sharding,
  train_step,
)
from tdmm_jax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Where checkpoints and metrics go.")


def _build(config, workdir) -> objectives.Objective:
  builders = {
    "tokenizer": objectives.tokenizer,
    "language_model": objectives.language_model,
  }
  if config.objective not in builders:
    raise UserError(
      f"config.objective: {config.objective!r}; choose one of {sorted(builders)}"
    )
  return builders[config.objective](config, workdir)


def _describe_run(config, workdir, versions: dict) -> None:
  """Writes config and versions beside the checkpoints: inference starts from them."""
  identity = f"{config.to_json()}{sorted(versions.items())}"
  if config.objective == "tokenizer":
    versions = versions | {"tokenizer": checkpoints.short_hash(identity)}
  content = {"config": config.to_dict(), "versions": versions}
  checkpoints.write_json(workdir / motion_codec.CONFIG_FILE, content)


def train(config: ml_collections.ConfigDict, workdir, progress: bool = True) -> dict:
  """Trains to `config.total_steps`, from the last checkpoint if there is one.

  Returns:
    the last evaluation's metrics on the validation split; empty if nothing was left
    to train.

  Raises:
    FloatingPointError: the loss became NaN or infinite; names step and loss.
    UserError: records, tokenizer and config do not fit together.
  """
  workdir = pathlib.Path(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  mesh = sharding.make_mesh(**config.mesh)
  with jax.set_mesh(mesh):
    objective = _build(config, workdir)
    _describe_run(config, workdir, objective.versions)
    tx = optim.optimizer(config)
    rng_init, rng_loop = jax.random.split(jax.random.key(config.seed))
    state = train_step.init_state(
      objective.init_fn, tx, mesh, rng_init, config.ema_decay
    )
    step_fn = train_step.make_train_step(
      objective.loss_fn,
      tx,
      rng_loop,
      microbatches=train_step.num_microbatches(
        config.batch_size, config.batch_per_chip, mesh.size
      ),
      ema_decay=config.ema_decay,
      shardings=jax.tree.map(lambda x: x.sharding, state),
    )
    eval_fn = train_step.make_eval_step(objective.loss_fn)
    logger = metric_logging.MetricLogger(workdir, config.tensorboard)
    with checkpoints.manager(workdir, config.save_every) as mngr:
      state = checkpoints.restore(mngr, state, objective.train_iter)
      if int(state.step) == 0:
        logger.write_hparams(config.to_dict())
        overview = parameter_overview.get_parameter_overview(state.params)
        (workdir / "parameters.txt").write_text(overview + "\n")
      evaluate = lambda state: train_step.merge(
        [eval_fn(state, sharding.to_global(b, mesh)) for b in objective.eval_batches]
      )
      scores = _loop(
        config, state, step_fn, evaluate, objective, mesh, mngr, logger, progress
      )
      mngr.wait_until_finished()
    logger.close()
  return scores


def _loop(config, state, step_fn, evaluate, objective, mesh, mngr, logger, progress):
  """The order is an invariant: update, then log, then evaluate, then save."""
  start = int(state.step)
  bar = tqdm.tqdm(
    total=config.total_steps,
    initial=start,
    desc=f"training the {config.objective.replace('_', ' ')}",
    unit="step",
    disable=not progress,
    file=sys.stderr,
    mininterval=0.5,
  )
  scores = {}
  pending = []  # metrics are read after the next steps are dispatched
  for step in range(start, config.total_steps):
    batch = sharding.to_global(next(objective.train_iter), mesh)
    state, metrics = step_fn(state, batch)
    pending.append(metrics)
    done = step + 1  # a checkpoint named N holds the state after N updates
    last = done == config.total_steps
    # Also before a save: a checkpoint that holds NaN could never be gone on from.
    if done % config.log_every == 0 or done % config.save_every == 0 or last:
      _check_finite(pending, done)
      scalars = train_step.merge(pending)
      pending = []
      logger.write(done, "train", scalars)
      bar.set_postfix(loss=f"{scalars['total_loss']:.3f}")
    if done % config.eval_every == 0 or last:
      scores = evaluate(state)
      logger.write(done, "valid", scores)
    checkpoints.save(mngr, done, state, objective.train_iter, force=last)
    bar.update()
  bar.close()
  return scores


def _check_finite(pending: list[dict], done: int) -> None:
  """Raises FloatingPointError that names the first bad one of the last steps."""
  for step, metrics in enumerate(jax.device_get(pending), done - len(pending) + 1):
    loss, norm = (float(metrics[name][0]) for name in ("total_loss", "grad_norm"))
    if not (math.isfinite(loss) and math.isfinite(norm)):
      raise FloatingPointError(
        f"step {step}: loss is {loss}, gradient norm is {norm}; the last checkpoint is "
        "from before; lower config.learning_rate, or look at the data of this step"
      )


def main(argv) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  try:
    train(_CONFIG.value, _WORKDIR.value)
  except UserError as error:
    sys.exit(_fail(error))
  except KeyboardInterrupt:
    print("interrupted; the same command goes on from here", file=sys.stderr)
    sys.exit(130)


def _fail(error) -> int:
  """Prints one line, whatever the error's own message has; returns the exit code."""
  print(f"train: error: {' '.join(str(error).split())}", file=sys.stderr)
  return 2


def _parse_flags(argv: list[str]) -> list[str]:
  """Parses the command line; exits with one clear line where it is wrong."""
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
    keys = _config_keys(runpy.run_path(path)["get_config"]())
    near = difflib.get_close_matches(key, keys, 1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "; see the config file"
    sys.exit(_fail(f"--config.{key}: no such key in the config{hint}"))
  except OSError as error:  # ml_collections: the file cannot be read
    missing = re.search(r"No such file or directory: '(.*)'", str(error))
    where = f"{missing[1]}: no such file" if missing else f"cannot be read ({error})"
    sys.exit(_fail(f"--config {where}; name one of configs/"))
  except (flags.Error, UserError) as error:
    sys.exit(_fail(error))


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
  app.run(main, flags_parser=_parse_flags)


if __name__ == "__main__":
  run()
