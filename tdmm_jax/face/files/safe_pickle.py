"""Reads an untrusted pickle without running anything in it.

FLAME's model files and SMIRK's tracks are pickles. A pickle is a program, so this
unpickler gives it no class but the inert ones below, which only hold what they are
given. NumPy arrays are rebuilt here from their bytes; scipy.sparse matrices and chumpy
arrays turn into NumPy arrays once the file has been read. Any other class is an error.
"""

import math
import os
import pickle
from typing import Any

import numpy as np
import scipy  # parts of it are imported when they are used

from tdmm_jax.errors import UserError

_MAX_DENSE = 1 << 27  # numbers of a sparse matrix; FLAME's has 5 x 5023


class _Sealed(type):
  """A class that a pickle can call, but not alter (BUILD may set attributes)."""

  def __setattr__(cls, name, value):
    raise pickle.UnpicklingError(f"the file tries to change {cls.__name__}")


class _StandIn(metaclass=_Sealed):
  """Holds the state of an object whose class is not loaded."""

  def __new__(cls, *args, **kwargs):
    instance = object.__new__(cls)
    instance.args, instance.state = args, {}
    return instance

  def __init__(self, *args, **kwargs):
    pass

  def __setstate__(self, state):
    object.__setattr__(self, "state", state)


class _Sparse(_StandIn):
  """scipy.sparse matrix; the subclass says in which format."""


class _Csc(_Sparse):
  build = staticmethod(lambda *a, **k: scipy.sparse.csc_matrix(*a, **k))
  names = ("data", "indices", "indptr")


class _Csr(_Sparse):
  build = staticmethod(lambda *a, **k: scipy.sparse.csr_matrix(*a, **k))
  names = ("data", "indices", "indptr")


class _Coo(_Sparse):
  build = staticmethod(lambda *a, **k: scipy.sparse.coo_matrix(*a, **k))
  names = ("data", "row", "col")


class _Chumpy(_StandIn):
  """chumpy.Ch, a lazy array: its value is `x` in its state."""


class _Dtype(_StandIn):
  """numpy.dtype of plain numbers or text: args (code, align, copy)."""


class _Array(_StandIn):
  """numpy.ndarray: state (version, shape, dtype, is_fortran, bytes or list)."""


class _FromBuffer(_StandIn):
  """numpy's protocol-5 array: args (buffer, dtype, shape, order, axes for "K")."""


class _Scalar(_StandIn):
  """numpy scalar: args (dtype, bytes)."""


class _Reconstruct(metaclass=_Sealed):
  """numpy's _reconstruct(ndarray, (0,), b"b"): an empty array, filled by its state."""

  def __new__(cls, target, *_):
    if target is not _Array:
      raise pickle.UnpicklingError("an array of an unknown class")
    return _Array()


class _Reconstructor(metaclass=_Sealed):
  """copyreg._reconstructor(cls, object, None) of protocols 0 and 1."""

  def __new__(cls, target, *_):
    if not (isinstance(target, type) and issubclass(target, _StandIn)):
      raise pickle.UnpicklingError("an object of an unknown class")
    return target()


class _Encode(metaclass=_Sealed):
  """_codecs.encode(text, "latin1"): how protocol 2 writes bytes."""

  def __new__(cls, text, encoding="latin1"):
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
      raise pickle.UnpicklingError("bytes in an unknown encoding")
    return text.encode("latin1")


class _Bytes(metaclass=_Sealed):
  """bytes(): how protocols 0 to 2 write none."""

  def __new__(cls):
    return b""


_ADMITTED = {
  ("builtins", "bytes"): _Bytes,
  ("__builtin__", "bytes"): _Bytes,
  ("_codecs", "encode"): _Encode,
  ("copyreg", "_reconstructor"): _Reconstructor,
  ("copy_reg", "_reconstructor"): _Reconstructor,
  ("numpy", "ndarray"): _Array,
  ("numpy", "dtype"): _Dtype,
  ("builtins", "object"): _StandIn,
  ("__builtin__", "object"): _StandIn,
  ("collections", "OrderedDict"): dict,
}
for _package in ("numpy.core", "numpy._core"):
  _ADMITTED[_package + ".multiarray", "_reconstruct"] = _Reconstruct
  _ADMITTED[_package + ".multiarray", "scalar"] = _Scalar
  _ADMITTED[_package + ".numeric", "_frombuffer"] = _FromBuffer
for _format, _class in (("csc", _Csc), ("csr", _Csr), ("coo", _Coo)):
  for _kind in ("_matrix", "_array"):
    for _module in (f"scipy.sparse.{_format}", f"scipy.sparse._{_format}"):
      _ADMITTED[_module, _format + _kind] = _class


class _Refused(Exception):
  """A class that is not admitted; the message is its name."""


class _Unpickler(pickle.Unpickler):
  def find_class(self, module, name):
    if module == "chumpy" or module.startswith("chumpy."):
      return _Chumpy
    if (module, name) not in _ADMITTED:
      raise _Refused(f"{module}.{name}")
    return _ADMITTED[module, name]


def load(path) -> Any:
  """Reads a pickle of dicts, lists, numbers, text and arrays.

  Args:
    path: the file; Python 2 pickles are read as latin1.

  Returns:
    The same structure with NumPy arrays; sparse matrices and chumpy arrays are dense.

  Raises:
    UserError: no such file, cut short or not a pickle, or it asks for a class that is
      not admitted (named; nothing of it was run).
  """
  path = os.fspath(path)
  try:
    with open(path, "rb") as stream:
      content = _Unpickler(stream, encoding="latin1").load()
    return _resolve(content, memo={}, depth=0)
  except _Refused as refused:
    if str(refused).startswith("torch."):
      raise UserError(
        f"{path}: holds PyTorch tensors, which are not read; save them as arrays "
        "(tensor.detach().cpu().numpy()), best with numpy.savez"
      ) from None
    raise UserError(
      f"{path}: asks for '{refused}', which is neither numpy, scipy.sparse nor chumpy; "
      "nothing was run: do not trust this file, or save its arrays as npz"
    ) from None
  except FileNotFoundError as error:
    raise UserError(f"{path}: no such file; check the name") from error
  except Exception as error:  # a broken pickle may raise anything at all
    raise UserError(
      f"{path}: is damaged or not a pickle of arrays ({type(error).__name__}); "
      "export or download it again"
    ) from error


def _resolve(value, memo, depth):
  """Stand-ins -> NumPy, through dicts, lists and tuples; each shared object once."""
  if id(value) not in memo:
    if depth > 32:
      raise ValueError("nested too deeply")
    memo[id(value)] = _convert(value, lambda item: _resolve(item, memo, depth + 1))
  return memo[id(value)]


def _convert(value, inner):
  if isinstance(value, dict):
    return {key: inner(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return type(value)([inner(item) for item in value])
  if isinstance(value, _Array):
    _, shape, dtype, fortran, content = value.state
    return _array(inner(content), dtype, shape, "F" if fortran else "C")
  if isinstance(value, _FromBuffer):
    content, dtype, shape, order, *axes = value.args
    if order != "K":
      return _array(content, dtype, shape, order)
    return _array(content, dtype, shape, "C").transpose(*axes)
  if isinstance(value, _Scalar):
    return _array(value.args[1], value.args[0], (), "C")[()]
  if isinstance(value, _Sparse):
    state = {key.lstrip("_"): item for key, item in value.state.items()}
    if "coords" in state:  # newer coo
      state["row"], state["col"] = state["coords"]
    if math.prod(int(n) for n in inner(state["shape"])) > _MAX_DENSE:
      raise ValueError("a sparse matrix too large to be written out")
    data, *index = (inner(state[name]) for name in value.names)
    first = (data, tuple(index)) if isinstance(value, _Coo) else (data, *index)
    matrix = value.build(first, shape=tuple(inner(state["shape"])))
    if not isinstance(value, _Coo):  # coo checks its indices by itself
      matrix.check_format(full_check=True)  # or toarray() writes out of bounds
    return matrix.toarray()
  if isinstance(value, _Chumpy):
    return np.asarray(inner(value.state["x"]))
  if isinstance(value, _StandIn):
    raise ValueError("an object without arrays")
  return value


def _array(content, dtype, shape, order):
  code = dtype.args[0] if isinstance(dtype, _Dtype) else None
  if not isinstance(code, str) or code[:1] not in "biufcSUO?":
    raise ValueError("an array of an unknown type")
  shape = tuple(int(n) for n in shape)
  if code.startswith("O"):
    array = np.empty(len(content), object)
    array[:] = content
    return array.reshape(shape, order=order)
  kind = np.dtype(code)
  if isinstance(dtype.state, tuple) and dtype.state[1] in (">", "<"):
    kind = kind.newbyteorder(dtype.state[1])
  if isinstance(content, str):  # Python 2 bytes, read as latin1
    content = content.encode("latin1")
  array = np.frombuffer(content, kind).reshape(shape, order=order)
  return array.astype(kind.newbyteorder("="))
