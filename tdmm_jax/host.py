"""Settings of this process, which entry points make before any work; no JAX here."""

import ctypes
import hashlib
import os
import pathlib
import platform
import sys
from importlib import metadata

from tdmm_jax import files

# Of malloc.h. The sizes are in bytes; an int is what mallopt takes.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_KEPT = 2**31 - 1
_CACHE_BYTES = 512_000_000  # of compiled programs; the least recently used go first
_FEATURES = ("flags", "Features")  # of /proc/cpuinfo, x86 and Arm


def one_device_a_core(most: int = 8) -> None:
  """Lets JAX see each core as a device, over which batches are split.

  A fifth faster than one device with many threads in generating many motions; training,
  whose devices would wait for each other, keeps to one. For entry points, before JAX is
  imported; an XLA_FLAGS that is set already stays. A power of two, to divide batches.
  """
  affinity = getattr(os, "sched_getaffinity", None)  # not on every system
  cores = min(len(affinity(0)) if affinity else os.cpu_count() or 1, most)
  count = 1 << (cores.bit_length() - 1)
  os.environ.setdefault("XLA_FLAGS", f"--xla_force_host_platform_device_count={count}")


def keep_compiled(workdir=None) -> None:
  """Lets JAX keep compiled programs on disk, so that a second use does not compile.

  They are kept in $XDG_CACHE_HOME/tdmm-jax (~/.cache by default), at most
  `_CACHE_BYTES`, apart for each kind of processor. TDMM_COMPILATION_CACHE=off switches
  this off; a cache that JAX already has (JAX_COMPILATION_CACHE_DIR) stays. Call it
  before the first program is compiled.

  Args:
    workdir: of a training; one in a bucket keeps its own, in `compiled`, for a machine
      that comes in place of this one. Those are never deleted.
  """
  if os.environ.get("TDMM_COMPILATION_CACHE", "on").lower() in ("off", "0", "no"):
    return
  settings = {
    "jax_compilation_cache_dir": str(files.cache_folder() / "compiled" / _processor()),
    "jax_compilation_cache_max_size": _CACHE_BYTES,
    "jax_persistent_cache_min_compile_time_secs": 0.05,
    "jax_persistent_cache_min_entry_size_bytes": -1,
  }
  if workdir is not None and files.is_remote(workdir):
    folder = f"{str(workdir).rstrip('/')}/compiled/{_processor()}"
    settings = {"jax_compilation_cache_dir": folder}  # what takes a second and more
  if "jax" not in sys.modules:  # it reads them when it is imported
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
      os.environ |= {name.upper(): str(value) for name, value in settings.items()}
    return
  import jax

  if not jax.config.jax_compilation_cache_dir:
    for name, value in settings.items():
      jax.config.update(name, value)


def _processor() -> str:
  """Names what a compiled program needs: the instruction set and JAX's version."""
  try:
    described = pathlib.Path("/proc/cpuinfo").read_text()
    lines = [line for line in described.splitlines() if line.startswith(_FEATURES)]
    features = lines[0] if lines else ""
  except OSError:  # not Linux
    features = platform.processor()
  text = f"{platform.machine()} {features} {metadata.version('jaxlib')}"
  return hashlib.sha256(text.encode()).hexdigest()[:12]


def keep_freed() -> bool:
  """Keeps freed blocks of memory for the next step; False where that cannot be set.

  XLA's CPU backend allocates a program's temporary memory at each call. By default
  glibc gives blocks of 32 MB and more back to the system at once, so that every
  training step asks for them anew and the kernel clears them, page by page.

  For entry points, before threads are at work: all then share the one heap that keeps
  large blocks.
  """
  mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
  if mallopt is None:  # not glibc
    return False
  return all(
    mallopt(option, value)
    for option, value in (
      (_M_ARENA_MAX, 1),
      (_M_MMAP_THRESHOLD, 2**30),
      (_M_TRIM_THRESHOLD, _KEPT),
      (_M_TOP_PAD, 2**26),
    )
  )
