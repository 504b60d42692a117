"""Memory of the CPU backend: freed blocks are kept for the next step.

XLA's CPU backend allocates a program's temporary memory at each call. By default glibc
gives blocks of 32 MB and more back to the system at once, so that every training step
asks for them anew and the kernel clears them, page by page.
"""

import ctypes

# Of malloc.h. The sizes are in bytes; an int is what mallopt takes.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_KEPT = 2**31 - 1


def keep_freed() -> bool:
  """Sets glibc's allocator so; False where there is no such allocator.

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
