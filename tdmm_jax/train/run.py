"""Trains the tokenizer, the language model or the evaluator: one loop for all."""

import contextlib
import sys

import jax
import ml_collections
from etils import epath

from tdmm_jax import cluster, files, sharding
from tdmm_jax.errors import UserError
from tdmm_jax.runs import checkpoints, run_config
from tdmm_jax.train import goodput, optim, settings, train_step
from tdmm_jax.train import loop as training_loop
from tdmm_jax.train.objectives import evaluator, language_model, objective, tokenizer


def _build(config, workdir, rows=None) -> objective.Objective:
  builders = {
    "tokenizer": tokenizer.tokenizer,
    "language_model": language_model.language_model,
    "evaluator": evaluator.evaluator,
  }
  if config.objective not in builders:
    raise UserError(
      f"config.objective: {config.objective!r}; choose one of {sorted(builders)}"
    )
  return builders[config.objective](config, workdir, rows)


def _checked_mesh(config, devices) -> sharding.Mesh:
  """The config's mesh; mistakes that need no data are found here, before hours of it.

  Raises:
    UserError: a setting is out of range, the mesh does not cover the devices, the batch
      does not divide over it, or the optimiser or its schedule is unknown.
  """
  settings.check(config)
  try:
    mesh = sharding.make_mesh(**config.mesh, devices=devices)
  except (ValueError, ZeroDivisionError) as error:
    raise UserError(f"config.mesh: {error}; change config.mesh") from error
  sharding.host_rows(mesh, config.batch_size)
  train_step.num_microbatches(config.batch_size, config.batch_per_chip, mesh)
  optim.optimizer(config)
  return mesh


def _make_workdir(workdir) -> None:
  """Makes the folder; a bucket that cannot be written to is an error now, not later."""
  if not files.is_remote(workdir):
    workdir.mkdir(parents=True, exist_ok=True)
  elif cluster.is_primary():
    probe = workdir / f"{files.PREFIX}writable"
    files.write_text(probe, "")
    with files.reached(probe):
      probe.unlink()


def _say(shown: bool, text: str) -> None:
  """What takes long without a bar, so that nobody waits for nothing to be seen."""
  if shown:
    print(f"train: {text} ...", file=sys.stderr, flush=True)


def train(
  config: ml_collections.ConfigDict,
  workdir,
  progress: bool = True,
  devices=None,
  make_media=None,
) -> dict:
  """Trains to `config.total_steps`, from the last checkpoint if there is one.

  With several processes each calls this alike, and they train as one.

  Args:
    devices: those that `config.mesh` covers; default: all.
    make_media: (config, workdir) -> writer(logger, step, params, collections), which
      adds pictures of faces to TensorBoard (`evaluation.media`); None: no pictures.

  Returns:
    the last evaluation's metrics on the validation split.

  Raises:
    FloatingPointError: the loss became NaN or infinite; names step and loss.
    UserError: records, tokenizer, config and checkpoints do not fit together.
    cluster.Preempted: SIGTERM came, and a checkpoint of the last update is written.
  """
  workdir = epath.Path(workdir)
  _make_workdir(workdir)
  mesh = _checked_mesh(config, devices)
  timeline = goodput.Timeline(workdir, writes=cluster.is_primary())
  told = progress and cluster.is_primary()
  _say(told, "reading the data; a corpus that is new to a tokenizer is tokenised once")
  with (
    cluster.StopRequest() as stop,
    cluster.Watchdog(config.stall_seconds) as watchdog,
  ):
    rows = sharding.host_rows(mesh, config.batch_size)
    job = _build(config, workdir, rows)
    run_config.refuse_changes(config, workdir, job.versions)
    with (
      jax.set_mesh(mesh),
      checkpoints.manager(workdir, config.save_every) as mngr,
    ):
      loop = training_loop.Loop(
        config, workdir, job, mesh, mngr, rows, timeline, make_media
      )
      if cluster.is_primary():
        run_config.write(config, workdir, job.versions)
      _say(told, "compiling the first update, which can take a minute")
      with contextlib.closing(loop):
        scores = loop.run(stop, watchdog, told)
      with timeline.phase("checkpoint"):
        mngr.wait_until_finished()
        cluster.barrier("training finished")
      timeline.saved(config.total_steps, finished=True)
      timeline.summarise()
  return scores
