"""Checkpoints of {model, optimiser, data iterator} as one. The only home of orbax."""

import contextlib
import hashlib
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from grain import checkpoint as grain_checkpoint

from tdmm_jax.errors import UserError
from tdmm_jax.train_step import TrainState

FOLDER = "checkpoints"


def manager(workdir, save_every: int = 0, max_to_keep: int = 2):
  """Orbax manager of `workdir/checkpoints`; saves asynchronously.

  A checkpoint named N holds the state after N updates.
  """
  options = ocp.CheckpointManagerOptions(
    save_interval_steps=max(save_every, 1), max_to_keep=max_to_keep, create=True
  )
  return ocp.CheckpointManager(
    pathlib.Path(workdir).resolve() / FOLDER,
    options=options,
    item_names=("model", "optimizer", "data_iter"),
  )


def save(mngr, step: int, state: TrainState, data_iter, force: bool = False) -> bool:
  """Saves if `step` is due (or forced); inference reads the `model` item alone."""
  if mngr.latest_step() == step:
    return False
  model = {"params": state.params, "collections": state.collections}
  optimizer = {"step": state.step, "opt_state": state.opt_state}
  return mngr.save(
    step,
    args=ocp.args.Composite(
      model=ocp.args.StandardSave(model),
      optimizer=ocp.args.StandardSave(optimizer),
      data_iter=grain_checkpoint.CheckpointSave(data_iter),
    ),
    force=force,
  )


def restore(mngr, state: TrainState, data_iter) -> TrainState:
  """Restores the newest checkpoint into the state's shardings; no-op without one.

  `data_iter` is moved to where it stood.
  """
  step = mngr.latest_step()
  if step is None:
    return state
  abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
  restored = mngr.restore(
    step,
    args=ocp.args.Composite(
      model=ocp.args.StandardRestore(
        {"params": abstract.params, "collections": abstract.collections}
      ),
      optimizer=ocp.args.StandardRestore(
        {"step": abstract.step, "opt_state": abstract.opt_state}
      ),
      data_iter=grain_checkpoint.CheckpointRestore(data_iter),
    ),
  )
  return TrainState(**restored["optimizer"], **restored["model"])


def has_checkpoint(workdir) -> bool:
  folder = pathlib.Path(workdir) / FOLDER
  return folder.is_dir() and any(p.name.isdigit() for p in folder.iterdir())


def restore_model(workdir) -> dict:
  """Parameters and collections of the newest checkpoint, whatever mesh saved them.

  Returns:
    {"params", "collections", "step"}; uncommitted arrays, usable under any mesh.

  Raises:
    UserError: no checkpoint there.
  """
  if not has_checkpoint(workdir):
    raise UserError(f"{workdir}: no checkpoint here; train into it first (make demo)")
  with manager(workdir) as mngr:
    step = mngr.latest_step()
    folder = pathlib.Path(mngr.directory) / str(step) / "model"
  with _quiet(), ocp.PyTreeCheckpointer() as reader:
    shapes = reader.metadata(folder).item_metadata.tree
    # As numpy: the file remembers the devices it was saved on, which may not be here.
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
    restored = reader.restore(
      folder, args=ocp.args.PyTreeRestore(restore_args=as_numpy)
    )
  return jax.tree.map(jnp.asarray, dict(restored)) | {"step": step}


@contextlib.contextmanager
def _quiet():
  """Hides orbax's warning that a single item has no metadata of its own."""
  before = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    yield
  finally:
    logging.set_verbosity(before)


def write_json(path, content: dict) -> None:
  """Writes JSON under a temporary name, then renames it."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(path.name + ".tmp")
  temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
  temporary.rename(path)


def read_json(path) -> dict:
  """Reads a JSON file of a run directory.

  Raises:
    UserError: missing or broken.
  """
  try:
    return json.loads(pathlib.Path(path).read_text())
  except FileNotFoundError as error:
    raise UserError(
      f"{path}: missing; is this the run directory of a finished training?"
    ) from error
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise UserError(f"{path}: not JSON ({error}); restore it or train again") from error


def short_hash(text: str) -> str:
  """12 hex characters that change when the text does."""
  return hashlib.sha256(text.encode()).hexdigest()[:12]
