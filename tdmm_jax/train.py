"""Trains the tokenizer or the language model: one loop, one entry.

  python -m tdmm_jax.train --config configs/tokenizer_demo.py \
      --workdir runs/my/tokenizer
  python -m tdmm_jax.train --config configs/lm_demo.py --workdir runs/my/lm \
      --config.tokenizer_dir runs/my/tokenizer --config.total_steps 2000

Interrupt it at any time; the same command goes on from the last checkpoint.
"""

import math
import pathlib
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
    state = train_step.init_state(objective.init_fn, tx, mesh, rng_init)
    step_fn = train_step.make_train_step(objective.loss_fn, tx, rng_loop)
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
    if done % config.log_every == 0 or done == config.total_steps:
      scalars = train_step.merge(pending)
      pending = []
      if not math.isfinite(scalars["total_loss"]):
        raise FloatingPointError(f"step {done}: loss is {scalars['total_loss']}")
      logger.write(done, "train", scalars)
      bar.set_postfix(loss=f"{scalars['total_loss']:.3f}")
    if done % config.eval_every == 0 or done == config.total_steps:
      scores = evaluate(state)
      logger.write(done, "valid", scores)
    checkpoints.save(
      mngr, done, state, objective.train_iter, force=done == config.total_steps
    )
    bar.update()
  bar.close()
  return scores


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


def _fail(error: UserError) -> int:
  print(f"train: {error}", file=sys.stderr)
  return 2


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir"])
  app.run(main)
