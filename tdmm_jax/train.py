"""Trains the tokenizer or the language model: one loop, one entry.

  python -m tdmm_jax.train --config configs/tokenizer_demo.py \
      --workdir runs/my/tokenizer
  python -m tdmm_jax.train --config configs/lm_demo.py --workdir runs/my/lm \
      --config.tokenizer_dir runs/my/tokenizer --config.total_steps 2000

Interrupt it at any time; the same command goes on from the last checkpoint. SIGTERM
saves first and exits with code 75 (start me again); 76: another process was lost.
"""

import difflib
import math
import re
import runpy
import sys

import jax
import ml_collections
import tqdm
from absl import app, flags, logging
from clu import parameter_overview
from etils import epath
from ml_collections import config_flags

from tdmm_jax import (
  checkpoints,
  cluster,
  metric_logging,
  objectives,
  optim,
  run_config,
  sharding,
  train_step,
)
from tdmm_jax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/.")
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "Where checkpoints and metrics go; gs://BUCKET/PATH, too."
)
_CLUSTER = flags.DEFINE_string(
  "cluster",
  None,
  "Train as one of several processes: auto (TPU pods, Slurm), or the HOST:PORT at "
  "which process 0 serves, with --num_processes and --process_id.",
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "See --cluster.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "See --cluster.")


def _build(config, workdir, rows=None) -> objectives.Objective:
  builders = {
    "tokenizer": objectives.tokenizer,
    "language_model": objectives.language_model,
  }
  if config.objective not in builders:
    raise UserError(
      f"config.objective: {config.objective!r}; choose one of {sorted(builders)}"
    )
  return builders[config.objective](config, workdir, rows)


def train(config: ml_collections.ConfigDict, workdir, progress: bool = True) -> dict:
  """Trains to `config.total_steps`, from the last checkpoint if there is one.

  With several processes each calls this alike, and they train as one.

  Returns:
    the last evaluation's metrics on the validation split; empty if the run was
    finished already.

  Raises:
    FloatingPointError: the loss became NaN or infinite; names step and loss.
    UserError: records, tokenizer, config and checkpoints do not fit together.
    cluster.Preempted: SIGTERM came, and a checkpoint of the last update is written.
  """
  workdir = epath.Path(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  mesh = sharding.make_mesh(**config.mesh)
  with (
    cluster.StopRequest() as stop,
    cluster.Watchdog(config.stall_seconds) as watchdog,
  ):
    rows = sharding.host_rows(mesh, config.batch_size)
    objective = _build(config, workdir, rows)
    run_config.refuse_changes(config, workdir, objective.versions)
    with (
      jax.set_mesh(mesh),
      checkpoints.manager(workdir, config.save_every) as mngr,
    ):
      loop = _Loop(config, workdir, objective, mesh, mngr, rows)
      run_config.write(config, workdir, objective.versions)
      scores = loop.run(stop, watchdog, progress and cluster.is_primary())
      mngr.wait_until_finished()
      cluster.barrier("training finished")
  return scores


class _Loop:
  """The training loop and all it holds: state, steps, data, checkpoints, metrics."""

  def __init__(self, config, workdir, objective, mesh, mngr, rows):
    self._config, self._objective, self._mesh = config, objective, mesh
    self._mngr, self._rows = mngr, rows
    tx = optim.optimizer(config)
    rng_init, rng_loop = jax.random.split(jax.random.key(config.seed))
    state = train_step.init_state(
      objective.init_fn, tx, mesh, rng_init, config.ema_decay
    )
    self._state, loop = checkpoints.restore(mngr, state)
    fresh = checkpoints.Loop(0, jax.random.key_data(rng_loop), [], {})
    self._loop = loop or fresh
    objective.train_iter.seek(self._loop.next_batch)
    rng_loop = jax.random.wrap_key_data(self._loop.rng)
    self._step_fn = train_step.make_train_step(
      objective.loss_fn,
      tx,
      rng_loop,
      microbatches=train_step.num_microbatches(
        config.batch_size, config.batch_per_chip, mesh.size
      ),
      ema_decay=config.ema_decay,
      shardings=jax.tree.map(lambda x: x.sharding, self._state),
    )
    self._eval_fn = train_step.make_eval_step(objective.loss_fn)
    self._logger = metric_logging.MetricLogger(workdir, config.tensorboard)
    if loop is None and cluster.is_primary():
      self._logger.write_hparams(config.to_dict())
      overview = parameter_overview.get_parameter_overview(self._state.params)
      (workdir / "parameters.txt").write_text(overview + "\n")

  def _to_global(self, batch: dict) -> dict:
    return sharding.to_global(batch, self._mesh, self._config.batch_size)

  def _evaluate(self) -> dict[str, float]:
    batches = (
      {key: value[self._rows] for key, value in batch.items()}
      for batch in self._objective.eval_batches
    )
    return train_step.merge(
      [self._eval_fn(self._state, self._to_global(batch)) for batch in batches]
    )

  def run(self, stop, watchdog, progress: bool) -> dict[str, float]:
    """The order is an invariant: update, log, evaluate, save; then maybe stop."""
    config, logger, data = self._config, self._logger, self._objective.train_iter
    start = int(self._state.step)
    pending, scores = list(self._loop.pending), self._loop.scores
    evaluation_due = self._loop.evaluation_due
    bar = tqdm.tqdm(
      total=config.total_steps,
      initial=start,
      desc=f"training the {config.objective.replace('_', ' ')}",
      unit="step",
      disable=not progress,
      file=sys.stderr,
      mininterval=0.5,
    )
    if evaluation_due:
      scores, evaluation_due = self._evaluate(), False
      logger.write(start, "valid", scores)
    for step in range(start, config.total_steps):
      done = step + 1  # a checkpoint named N holds the state after N updates
      with watchdog.phase("reading data", done):
        batch = self._to_global(next(data))
      with watchdog.phase("training", done):
        self._state, metrics = self._step_fn(self._state, batch)
        pending.append(metrics)  # read after the next steps are dispatched
        last, stopping = done == config.total_steps, stop.reached(done)
        saving = done % config.save_every == 0 or last or stopping
        # Before a save: a checkpoint that holds NaN could never be gone on from.
        if saving or done % config.log_every == 0 or last:
          pending = _finite(pending, done)
      if done % config.log_every == 0 or last:
        scalars, pending = train_step.merge(pending), []
        logger.write(done, "train", scalars)
        bar.set_postfix(loss=f"{scalars['total_loss']:.3f}")
      if done % config.eval_every == 0 or last:
        if stopping and not last:
          evaluation_due = True  # there is no time for it now
        else:
          with watchdog.phase("evaluating", done):
            scores = self._evaluate()
          logger.write(done, "valid", scores)
      if saving:
        with watchdog.phase("saving", done):
          loop = checkpoints.Loop(
            data.next_batch, self._loop.rng, pending, scores, evaluation_due
          )
          checkpoints.save(self._mngr, done, self._state, loop, force=last or stopping)
      bar.update()
      if stopping and not last:
        with watchdog.phase("saving before the stop", done):
          self._mngr.wait_until_finished()
          cluster.barrier("saved before the stop")
        raise cluster.Preempted(
          f"told to stop: the checkpoint of step {done} of {config.total_steps} is "
          "written; the same command goes on from it"
        )
    bar.close()
    logger.close()
    return scores


def _finite(pending: list[dict], done: int) -> list[dict]:
  """The metrics as numbers, (sum, weight) each.

  Raises:
    FloatingPointError: names the first bad one of the last steps.
  """
  host = [
    {name: [float(value) for value in pair] for name, pair in metrics.items()}
    for metrics in jax.device_get(pending)
  ]
  for step, metrics in enumerate(host, done - len(host) + 1):
    loss, norm = (metrics[name][0] for name in ("total_loss", "grad_norm"))
    if not (math.isfinite(loss) and math.isfinite(norm)):
      raise FloatingPointError(
        f"step {step}: loss is {loss}, gradient norm is {norm}; the last checkpoint is "
        "from before; lower config.learning_rate, or look at the data of this step"
      )
  return host


def main(argv) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  if not flags.FLAGS["verbosity"].present:
    logging.set_verbosity(logging.WARNING)  # orbax tells of every file it writes
  try:
    if _CLUSTER.value:
      cluster.join(_CLUSTER.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    train(_CONFIG.value, _WORKDIR.value)
  except UserError as error:
    sys.exit(_fail(error))
  except cluster.Preempted as error:
    print(f"train: {error}", file=sys.stderr)
    sys.exit(cluster.EXIT_PREEMPTED)
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
