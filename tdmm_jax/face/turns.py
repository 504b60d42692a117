"""SciPy's rotations, in NumPy; for those in JAX see rotations.py."""

import importlib


class _Imported:
  """`scipy.spatial.transform`, imported when it is first used.

  That takes a quarter of a second, and much that starts needs no rotation.
  """

  def __getattr__(self, name: str):
    return getattr(importlib.import_module("scipy.spatial.transform"), name)


transform = _Imported()
