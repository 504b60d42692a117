"""Programs that are traced once and kept on disk, beside what XLA compiled of them.

A second process that runs the same code on arrays of the same shapes reads StableHLO
instead of tracing Python, which takes three times as long as running the program. It
is a detour for CPUs: elsewhere, with several devices, or without a folder for compiled
programs (`host.keep_compiled`), `jit` is `jax.jit`.
"""

import functools
import hashlib
import inspect
import os
import pathlib

import jax
import jax.export
import numpy as np

from tdmm_jax import files

_MOST = 200  # files in the folder; the oldest go first
_FOLDER = "traced"
_LARGEST = 2**20  # bytes of a package's file that its code may be


def jit(
  fn, static_argnames: tuple[str, ...] = (), donate_argnames: tuple[str, ...] = ()
):
  """`jax.jit` whose traced programs are kept.

  Args:
    fn: it gives back trees of arrays: tuples, lists, dicts, and what one `knows`.
    static_argnames: arguments that have a `repr` which says all of them.
    donate_argnames: arguments that are used up.
  """
  plain = jax.jit(fn, static_argnames=static_argnames, donate_argnames=donate_argnames)
  signature = inspect.signature(fn)
  programs = {}

  @functools.wraps(fn)
  def call(*args, **kwargs):
    folder = _folder()
    if folder is None or not _on_one_cpu(jax.tree.leaves((args, kwargs))):
      return plain(*args, **kwargs)
    given = signature.bind(*args, **kwargs)
    given.apply_defaults()
    static = {name: given.arguments[name] for name in static_argnames}
    parts = {k: v for k, v in given.arguments.items() if k not in static}
    donated = {name: parts.pop(name) for name in donate_argnames}
    (used, used_tree), (kept, kept_tree) = map(jax.tree.flatten, (donated, parts))
    used, kept = ([*map(_as_array, leaves)] for leaves in (used, kept))
    shapes = [(x.shape, x.dtype) for x in used + kept]
    key = (tuple(static.items()), used_tree, kept_tree, tuple(shapes))
    if key not in programs:

      def flat(used, kept):
        used, kept = used_tree.unflatten(used), kept_tree.unflatten(kept)
        return fn(**static, **used, **kept)

      flat.__name__ = fn.__name__
      name = hashlib.sha256(f"{_code()}{fn.__module__}{fn.__name__}{key}".encode())
      path = pathlib.Path(folder, f"{fn.__name__}-{name.hexdigest()[:24]}")
      exported = _read(path) or _traced(path, jax.jit(flat), used, kept)
      run = lambda used, kept: exported.call(used, kept)
      run.__name__ = fn.__name__
      programs[key] = jax.jit(run, donate_argnums=0)
    return programs[key](used, kept)

  call.lower = plain.lower
  return call


def knows(kind: type) -> type:
  """Lets a NamedTuple be part of what such programs give back; returns it."""
  name = f"{kind.__module__}.{kind.__name__}"
  return jax.export.register_namedtuple_serialization(kind, serialized_name=name)


def _folder() -> pathlib.Path | None:
  compiled = jax.config.jax_compilation_cache_dir
  if not compiled or not jax.config.jax_enable_compilation_cache:
    return None
  return None if files.is_remote(compiled) else pathlib.Path(compiled) / _FOLDER


def _on_one_cpu(leaves) -> bool:
  if jax.default_backend() != "cpu" or jax.process_count() > 1:
    return False
  if any(isinstance(x, jax.core.Tracer) for x in leaves):
    return False
  return jax.local_device_count() == 1 or not any(
    isinstance(x, jax.Array) and len(x.sharding.device_set) > 1 for x in leaves
  )


def _as_array(leaf):
  """Numbers of Python as what JAX takes them for."""
  if isinstance(leaf, float):
    return np.float32(leaf)
  return np.int32(leaf) if isinstance(leaf, int) else leaf


@functools.cache
def _code() -> str:
  """A hash of what programs are made of: this package's files, and JAX's version."""
  digest = hashlib.sha256(jax.__version__.encode())
  root = pathlib.Path(__file__).parents[1]
  for folder, folders, names in os.walk(root):
    folders[:] = sorted(set(folders) - {"release", "__pycache__"})
    for path in (pathlib.Path(folder, name) for name in sorted(names)):
      if path.stat().st_size < _LARGEST:
        digest.update(path.read_bytes())
  return digest.hexdigest()


def _read(path: pathlib.Path) -> jax.export.Exported | None:
  """The program in the file; None if there is none, or it is damaged."""
  try:
    content = bytearray(path.read_bytes())
  except OSError:
    return None
  try:
    return jax.export.deserialize(content)
  except Exception:  # the reader has no error of its own for bytes cut short
    return None


def _traced(path: pathlib.Path, jitted, *args) -> jax.export.Exported:
  exported = jax.export.export(jitted)(*args)
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    old = sorted(path.parent.iterdir(), key=lambda p: p.stat().st_mtime)
    for leftover in old[: max(len(old) - _MOST + 1, 0)]:
      leftover.unlink(missing_ok=True)
    files.write_bytes(path, exported.serialize())
  except OSError:  # a folder that cannot be written: it is traced again next time
    pass
  return exported
