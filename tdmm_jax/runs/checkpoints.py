"""Checkpoints of {model, optimiser, data position, rng, metrics} as one unit.

The only home of orbax. Saving is asynchronous; a checkpoint gets its name when it is
complete, and carries the sizes of its files, so that damage is noticed. The packed form
that the package carries (packed.py) is read here too; it needs neither orbax nor optax,
which take half a second to import and are left to training.
"""

import contextlib
import copy
import hashlib
import json
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging
from etils import epath

from tdmm_jax import cluster, files
from tdmm_jax.errors import UserError
from tdmm_jax.runs import packed
from tdmm_jax.runs.train_state import EMA, TrainState, eval_params

FOLDER = "checkpoints"
CONFIG_FILE = "config.json"  # beside it: config and versions
_SIZES = "sizes.json"
_DAMAGED = "damaged"  # the suffix of a checkpoint that was set aside


class Loop(NamedTuple):
  """What training resumes from, besides the arrays; the same on every process."""

  next_batch: int  # batch N is a function of seed and N, on any number of hosts
  rng: np.ndarray  # key data of the loop's randomness
  pending: list[dict]  # metrics (sum, weight) of the updates not logged yet
  scores: dict  # the last evaluation
  evaluation_due: bool = False  # stopped between an update and its evaluation


def _absolute(workdir) -> epath.Path:
  """The path as orbax wants it; epath would put gs:// below the current folder."""
  path = epath.Path(workdir)
  return path if files.is_remote(path) else path.resolve()


def manager(workdir, save_every: int = 0):
  """Orbax manager of `workdir/checkpoints`; saves asynchronously.

  A checkpoint named N holds the state after N updates. Two are kept: if the newest is
  damaged, training resumes from the one before.
  """
  import orbax.checkpoint as ocp

  folder = _absolute(workdir) / FOLDER
  options = ocp.CheckpointManagerOptions(
    save_interval_steps=max(save_every, 1),
    max_to_keep=2,
    create=True,
    cleanup_tmp_directories=save_every > 0,  # a reader leaves a running save alone
    async_options=ocp.AsyncOptions(
      post_finalization_callback=lambda: _write_sizes(folder)
    ),
  )
  return ocp.CheckpointManager(
    folder, options=options, item_names=("model", "optimizer", "loop")
  )


def _files(folder: epath.Path, prefix: str = "") -> dict[str, int]:
  """Sizes in bytes of all files below, by relative path."""
  sizes = {}
  for path in folder.iterdir():
    name = prefix + path.name
    if path.is_dir():
      sizes |= _files(path, name + "/")
    else:
      sizes[name] = path.stat().length
  return sizes


def _write_sizes(root: epath.Path) -> None:
  """Called by orbax when all files of a step are there, before it gets its name."""
  if not cluster.is_primary():
    return
  for folder in root.iterdir():
    step, _, rest = folder.name.partition(".")
    unnamed = step.isdigit() and rest != _DAMAGED
    if unnamed and not (folder / _SIZES).exists():
      # Of the items alone: orbax still adds to the step's own metadata.
      sizes = {name: size for name, size in _files(folder).items() if "/" in name}
      (folder / _SIZES).write_text(json.dumps(sizes))


def _damage(folder: epath.Path) -> str:
  """What is wrong with a checkpoint's files; empty if nothing is."""
  if not (folder / _SIZES).exists():
    return "" if (folder / "_CHECKPOINT_METADATA").exists() else "not whole"
  try:
    expected = json.loads((folder / _SIZES).read_text())
  except ValueError:
    return f"{_SIZES} is damaged"
  there = _files(folder)
  for name, size in sorted(expected.items()):
    if there.get(name) != size:
      return f"{name} has {there.get(name, 'no')} of {size} bytes"
  return ""


def save(mngr, step: int, state: TrainState, loop: Loop, force: bool = False) -> bool:
  """Saves if `step` is due (or forced); inference reads the `model` item alone."""
  import orbax.checkpoint as ocp

  if mngr.latest_step() == step:
    return False
  model = {"params": state.params, "collections": state.collections}
  optimizer = {"step": state.step, "opt_state": state.opt_state}
  # A copy: it is written by another thread, while the loop goes on.
  content = copy.deepcopy(loop._asdict() | {"rng": np.asarray(loop.rng).tolist()})
  return mngr.save(
    step,
    args=ocp.args.Composite(
      model=ocp.args.StandardSave(model),
      optimizer=ocp.args.StandardSave(optimizer),
      loop=ocp.args.JsonSave(content),
    ),
    force=force,
  )


def restore(mngr, state: TrainState) -> tuple[TrainState, Loop | None]:
  """Restores the newest whole checkpoint into the state's shardings.

  It does not matter which mesh and how many processes saved it. A damaged one is set
  aside (as `N.damaged`) with a warning, and the one before is used.

  Args:
    mngr: the manager of the run directory.
    state: the initial state. Its arrays are deleted if there is a checkpoint: two
      states may not fit in memory.

  Returns:
    the state and where the loop stood; `state` itself and None without a checkpoint.

  Raises:
    UserError: there are checkpoints, but none that can be read into this state.
  """
  import orbax.checkpoint as ocp

  steps = sorted(mngr.all_steps(), reverse=True)
  if not steps:
    return state, None
  abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
  jax.tree.map(lambda x: x.delete(), state)
  step, restored, broken = _newest_whole(
    mngr.directory, steps, lambda step: _restore_step(mngr, step, abstract)
  )
  cluster.barrier("checkpoint chosen")
  for number in broken:
    folder = mngr.directory / str(number)
    if cluster.is_primary():
      folder.rename(folder.with_name(f"{number}.{_DAMAGED}"))
  if broken:
    cluster.barrier("damaged checkpoints set aside")
    mngr.reload()
  logging.info("resuming from the checkpoint of step %d", step)
  return restored


def _newest_whole(root, steps: list[int], read) -> tuple[int, Any, list[int]]:
  """The first of `steps` that can be read, what `read` gave, and the broken ones."""
  broken = {}
  for step in steps:
    broken[step] = _damage(root / str(step))
    if not broken[step]:
      try:
        result = read(step)
        del broken[step]
        break
      except (ValueError, KeyError, OSError, jax.errors.JaxRuntimeError) as error:
        # Other processes may have read their parts, so a person has to repair this.
        if jax.process_count() > 1:
          raise
        broken[step] = " ".join(str(error).split())[:300]
  for number, reason in broken.items():
    logging.warning("%s: skipped, it is damaged: %s", root / str(number), reason)
  if len(broken) == len(steps):
    raise UserError(
      f"{root}: no checkpoint here can be read (step {steps[0]}: {broken[steps[0]]}); "
      "restore the folder, or remove it to train from the start"
    )
  return step, result, list(broken)


def _restore_step(mngr, step: int, abstract) -> tuple[TrainState, Loop]:
  import orbax.checkpoint as ocp

  restored = mngr.restore(
    step,
    args=ocp.args.Composite(
      model=ocp.args.StandardRestore(
        {"params": abstract.params, "collections": abstract.collections}
      ),
      optimizer=ocp.args.StandardRestore(
        {"step": abstract.step, "opt_state": abstract.opt_state}
      ),
      loop=ocp.args.JsonRestore(),
    ),
  )
  loop = Loop(**restored["loop"])
  rng = np.asarray(loop.rng, np.uint32)
  state = TrainState(**restored["optimizer"], **restored["model"])
  return state, loop._replace(rng=rng)


def has_checkpoint(workdir) -> bool:
  """Whether something trained is there, saved by training or packed.

  Raises:
    UserError: packed, but a file of it is damaged or missing; or its bucket cannot be
      reached.
  """
  with files.reached(workdir):
    if packed.is_packed(workdir):
      packed.verify(workdir)
      return True
    folder = epath.Path(workdir) / FOLDER
    return folder.is_dir() and any(p.name.isdigit() for p in folder.iterdir())


def restore_model(workdir) -> dict:
  """Reads the newest complete checkpoint, or a packed one, for use on one device.

  It does not matter which mesh and how many processes saved it; nothing else is read.

  Returns:
    {"params", "collections", "step"}; uncommitted arrays, usable under any mesh. The
    parameters are their moving average, where there is one.

  Raises:
    UserError: no checkpoint there, or none that can be read.
  """
  if packed.is_packed(workdir):
    step, model = packed.read(workdir)
  else:
    step, model = restore_item(workdir, "model")
    collections = dict(model.get("collections", {}))
    params = eval_params(model["params"], collections)
    collections.pop(EMA, None)
    model = {"params": params, "collections": collections}
  # At once: jnp.asarray would compile a program for each shape.
  return jax.device_put(model) | {"step": step}


def restore_item(workdir, item: str) -> tuple[int, dict]:
  """The newest whole checkpoint's step, and its `model` or `optimizer` in numpy."""
  if not has_checkpoint(workdir):
    raise UserError(f"{workdir}: no checkpoint here; train into it first (make train)")
  import orbax.checkpoint as ocp

  root = _absolute(workdir) / FOLDER
  steps = sorted(
    (int(p.name) for p in root.iterdir() if p.name.isdigit()), reverse=True
  )
  with _quiet(), ocp.PyTreeCheckpointer() as reader:

    def read(step):
      folder = root / str(step) / item
      shapes = reader.metadata(folder).item_metadata.tree
      # As numpy: the file remembers the devices it was saved on, not here maybe.
      as_numpy = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes
      )
      return reader.restore(folder, args=ocp.args.PyTreeRestore(restore_args=as_numpy))

    step, restored, _ = _newest_whole(root, steps, read)
  return step, restored


@contextlib.contextmanager
def _quiet():
  """Hides orbax's warning that a single item has no metadata of its own."""
  before = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    yield
  finally:
    logging.set_verbosity(before)


def read_json(path) -> dict:
  """Reads a JSON file of a run directory.

  Raises:
    UserError: missing or broken.
  """
  try:
    return json.loads(epath.Path(path).read_text())
  except FileNotFoundError as error:
    raise UserError(
      f"{path}: missing; is this the run directory of a finished training?"
    ) from error
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise UserError(f"{path}: not JSON ({error}); restore it or train again") from error


def refuse_old_versions(workdir, versions: dict[str, str]) -> None:
  """Raises UserError where versions were not yet hashes of files and weights.

  Args:
    workdir: of a tokenizer or an evaluator network.
    versions: as its config.json has them.
  """
  if versions.keys() & {"tokenizer", "evaluator"}:  # they named themselves, then
    raise UserError(
      f"{workdir}: trained before versions were the same on every processor; renew "
      "them with `python -m tdmm_jax.pack_release --restamp "
      f"{epath.Path(workdir).parent}`"
    )


def weights_version(model: dict) -> str:
  """12 hex digits that stand for what `restore_model` gave, whatever made it.

  Args:
    model: {"params", "collections"} of arrays.
  """
  digest = hashlib.sha256()
  parts = {name: model[name] for name in ("params", "collections")}
  for path, leaf in jax.tree.leaves_with_path(parts):
    array = np.ascontiguousarray(leaf)
    name = "/".join(entry.key for entry in path)
    digest.update(f"{name}{array.shape}{array.dtype.str}".encode() + array.tobytes())
  return digest.hexdigest()[:12]


def short_hash(text: str) -> str:
  """12 hex characters that change when the text does."""
  return hashlib.sha256(text.encode()).hexdigest()[:12]
