"""Settings of this process, for entry points to make before any work; no JAX here."""

import ctypes
import os

# Of malloc.h. The sizes are in bytes; an int is what mallopt takes.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_KEPT = 2**31 - 1


def one_device_a_core(most: int = 8) -> None:
  """Lets JAX see each core as a device, over which batches are shared out.

  A fifth faster than one device with many threads in generating many motions; training,
  whose devices would wait for each other, keeps to one. For entry points, before JAX is
  imported; an XLA_FLAGS that is set already stays. A power of two, to divide batches.
  """
  affinity = getattr(os, "sched_getaffinity", None)  # not on every system
  cores = min(len(affinity(0)) if affinity else os.cpu_count() or 1, most)
  count = 1 << (cores.bit_length() - 1)
  os.environ.setdefault("XLA_FLAGS", f"--xla_force_host_platform_device_count={count}")


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
