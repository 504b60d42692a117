"""The training loop: update, log, evaluate, save, in this order, and again."""

import concurrent.futures
import json
import math
import os
import socket
import sys
import time

import jax
import tqdm
from absl import logging
from clu import parameter_overview
from jax.experimental import multihost_utils

from tdmm_jax import cluster, files, sharding
from tdmm_jax.runs import checkpoints
from tdmm_jax.train import metric_logging, optim, profiles, speed, train_step

_HEARTBEAT_SECONDS = 30.0
_MOST_SHOWN_BYTES = 4 * 2**30  # of a model; one device holds all of it for pictures


class Loop:
  """State, steps, data, checkpoints and metrics of one run."""

  def __init__(
    self, config, workdir, objective, mesh, mngr, rows, timeline, make_media=None
  ):
    """Builds the state, or restores it.

    Args:
      rows: this process's of each batch.
      timeline: the goodput.Timeline of this start.
      make_media: see `run.train`.
    """
    self._make_media, self._media = make_media, None
    self._timeline = timeline
    self._config, self._workdir, self._objective = config, workdir, objective
    self._mesh, self._mngr, self._rows = mesh, mngr, rows
    tx = optim.optimizer(config)
    rng_init, rng_loop = jax.random.split(jax.random.key(config.seed))
    state = train_step.init_state(
      objective.init_fn, tx, mesh, rng_init, config.ema_decay
    )
    with timeline.phase("checkpoint"):
      self._state, loop = checkpoints.restore(mngr, state)
    if loop is None and objective.start_params is not None:
      self._state = train_step.replace_params(self._state, objective.start_params())
    if loop is None and objective.start_parts is not None:
      self._state = train_step.replace_parts(self._state, objective.start_parts())
    fresh = checkpoints.Loop(0, jax.random.key_data(rng_loop), [], {})
    self._rng, self._scores = (loop or fresh).rng, (loop or fresh).scores
    self._pending = list((loop or fresh).pending)  # metrics that are not logged yet
    self._due: int | None = None  # the step up to which they are to be logged
    self._evaluation_due = (loop or fresh).evaluation_due
    objective.train_iter.seek((loop or fresh).next_batch)
    rng_loop = jax.random.wrap_key_data(self._rng)
    self._step_fn = train_step.make_train_step(
      objective.loss_fn,
      tx,
      rng_loop,
      microbatches=train_step.num_microbatches(
        config.batch_size, config.batch_per_chip, mesh
      ),
      ema_decay=config.ema_decay,
      shardings=jax.tree.map(lambda x: x.sharding, self._state),
    )
    self._eval_fn = train_step.make_eval_step(objective.loss_fn)
    self._learning_rate = optim.learning_rate(config)
    self._speed = speed.Speedometer(
      config.batch_size, objective.tokens_per_example, objective.flops_per_example
    )
    self._logger, self._hooks, self._profile = None, [], None
    if cluster.is_primary():
      self._open_logs(first_start=loop is None)
    self._shows = cluster.agreed(self._can_show())

  def _open_logs(self, first_start: bool) -> None:
    config, workdir = self._config, self._workdir
    logger = self._logger = metric_logging.MetricLogger(
      workdir, config.tensorboard, config.batch_size
    )
    if first_start:
      overview = parameter_overview.get_parameter_overview(self._state.params)
      (workdir / "parameters.txt").write_text(overview + "\n")
      logger.write_hparams(config.to_dict())
      about = f"peak: {self._speed.peak:.3g} FLOP/s, {self._speed.peak_source}"
      logger.write_text(
        0, {"parameters": f"```\n{overview}\n```", "config": _indented(config)}
      )
      logger.write_text(0, {"hardware": f"{jax.devices()[0].device_kind}, {about}"})
    periodic_actions = metric_logging.periodic_actions()
    self._hooks = [
      periodic_actions.ReportProgress(
        num_train_steps=config.total_steps, writer=logger
      ),
      periodic_actions.PeriodicCallback(
        every_secs=_HEARTBEAT_SECONDS, callback_fn=self._heartbeat
      ),
    ]
    if config.profile_step > 0:
      self._profile = profiles.Profile(workdir, config.profile_step)

  def _heartbeat(self, step: int, t: float) -> None:
    """Rewrites a file whose age tells an outside observer whether the run is alive."""
    del t
    content = {"step": step, "time": time.time(), "host": socket.gethostname()}
    files.write_json(self._workdir / "heartbeat.json", content)
    self._timeline.flush()

  def _to_global(self, batch: dict) -> dict:
    return sharding.to_global(batch, self._mesh, self._config.batch_size)

  def run(self, stop, watchdog, progress: bool) -> dict[str, float]:
    """Trains to the end; returns the last evaluation's metrics.

    Raises:
      cluster.Preempted: told to stop; the checkpoint is written.
      FloatingPointError: NaN or infinity.
    """
    config, data = self._config, self._objective.train_iter
    start, timeline = int(self._state.step), self._timeline
    timeline.begin(start)
    bar = tqdm.tqdm(
      total=config.total_steps,
      initial=start,
      desc=f"training the {config.objective.replace('_', ' ')}",
      unit="step",
      disable=not progress,
      file=sys.stderr,
      mininterval=0.5,
    )
    if self._evaluation_due:
      self._evaluate(start)
    for step in range(start, config.total_steps):
      done = step + 1  # a checkpoint named N holds the state after N updates
      with watchdog.phase("reading data", done), timeline.phase("input"):
        batch = self._to_global(next(data))
      work = "compile" if step == start else "productive"
      with watchdog.phase("training", done), timeline.phase(work):
        with jax.profiler.StepTraceAnnotation("train", step_num=done):
          self._state, metrics = self._step_fn(self._state, batch)
        self._log(bar)  # the steps before, while the devices are at this one
        self._pending.append(metrics)
        last, stopping = done == config.total_steps, stop.reached(done)
        evaluates = done % config.eval_every == 0 or last
        saves = done % config.save_every == 0 or last or stopping
        if done % config.log_every == 0 or last:
          self._due = done
        if evaluates or saves:
          self._log(bar)
        if saves:  # training could never resume from a checkpoint that holds NaN
          self._pending = _finite(self._pending, done)
        for hook in self._hooks:
          hook(done)
      if self._profile is not None:
        self._profile(done, self._state)
      if evaluates:
        self._evaluation_due = stopping and not last  # there is no time for it now
        if not self._evaluation_due:
          with watchdog.phase("evaluating", done):
            self._evaluate(done)
      if saves:
        with watchdog.phase("saving", done), self._speed.excluded():
          with timeline.phase("checkpoint"):
            self._save(done, force=last or stopping)
          timeline.saved(done)
      bar.update()
      if stopping and not last:
        self._end_preempted(done, watchdog)
    bar.close()
    return self._scores

  def _log(self, bar) -> None:
    """Logs what is due: waits for that step, and for none after it."""
    done, self._due = self._due, None
    if done is None:
      return
    scalars = train_step.merge(_finite(self._pending, done))
    self._pending = []
    scalars["learning_rate"] = float(self._learning_rate(done - 1))
    scalars |= self._speed.look(done)
    bar.set_postfix(loss=f"{scalars['total_loss']:.3f}")
    if self._logger is not None:
      self._logger.write(done, "train", scalars)

  def _evaluate(self, done: int) -> None:
    with self._speed.excluded(), self._timeline.phase("evaluation"):
      batches = (
        {key: value[self._rows] for key, value in batch.items()}
        for batch in self._objective.eval_batches
      )
      self._scores = train_step.merge(
        [self._eval_fn(self._state, self._to_global(batch)) for batch in batches]
      )
      if self._logger is not None:
        self._logger.write(done, "valid", self._scores)
        self._logger.write(done, "goodput", self._timeline.summarise())
      self._show(done)
      self._evaluation_due = False

  def _can_show(self) -> bool:
    """Whether there is a TensorBoard to see pictures in, here, and room to make them.

    The TensorBoard is process 0's.
    """
    if not (self._config.eval_media and self._make_media and self._logger):
      return False
    model = (self._state.params, self._state.collections)
    size = sum(array.nbytes for array in jax.tree.leaves(model))
    if self._logger.has_tensorboard and size > _MOST_SHOWN_BYTES:
      logging.warning(
        "TensorBoard shows no faces: a model of %.1f GiB is too large for one device "
        "to make them beside its training (%.0f GiB at most)",
        *(size / 2**30, _MOST_SHOWN_BYTES / 2**30),
      )
      return False
    return self._logger.has_tensorboard

  def _show(self, done: int) -> None:
    """Pictures of faces, where they can be shown."""
    if not self._shows:
      return
    # One array after another, so that a device never holds more than one of them whole.
    model = jax.tree.map(_on_host, (self._state.params, self._state.collections))
    if self._logger is None:
      return
    # A thread of its own has no mesh: this process's first device makes the pictures.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
      thread.submit(self._show_here, done, *model).result()

  def _show_here(self, done: int, params, collections) -> None:
    if self._media is None:
      self._media = self._make_media(self._config, self._workdir)
    self._media.write(self._logger, done, params, collections)

  def _save(self, done: int, force: bool) -> None:
    loop = checkpoints.Loop(
      self._objective.train_iter.next_batch,
      self._rng,
      self._pending,
      self._scores,
      self._evaluation_due,
    )
    checkpoints.save(self._mngr, done, self._state, loop, force=force)

  def _end_preempted(self, done: int, watchdog) -> None:
    with watchdog.phase("saving before the stop", done):
      with self._timeline.phase("checkpoint"):
        self._mngr.wait_until_finished()
        cluster.barrier("saved before the stop")
      self._timeline.saved(done)
    raise cluster.Preempted(
      f"told to stop: the checkpoint of step {done} of {self._config.total_steps} is "
      "written; the same command resumes from it"
    )

  def close(self) -> None:
    """Writes what is not written yet of the metrics and of a profile."""
    if self._profile is not None:
      self._profile.close()
    if self._logger is not None:
      self._logger.close()


def _on_host(array: jax.Array):
  """An array in numpy, on process 0; nothing on the others, which all take part."""
  if jax.process_count() == 1:
    return jax.device_get(array)
  whole = multihost_utils.process_allgather(array, tiled=True)
  return whole if cluster.is_primary() else ()


def _indented(config) -> str:
  """The config as a block of markdown."""
  text = json.dumps(config.to_dict(), indent=2, default=str)
  return os.linesep.join("    " + line for line in text.splitlines())


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
