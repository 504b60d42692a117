"""Motion tokens in a file: JSON that names the tokenizer that made them.

{"format_version": 1, "versions": {"tokenizer", "head"}, "face_model", "num_codes",
 "num_phases", "fps": 25, "tokens": [one number a frame]}

Shape letters: T frames.
"""

import json
import os
import pathlib

import numpy as np

from tdmm_jax import files
from tdmm_jax.data.tasks import FPS
from tdmm_jax.errors import UserError

FORMAT_VERSION = 1
_MAKE = "write it with `tdmm encode`"


def save(path, codec, codes_T) -> None:
  """Writes tokens; the file appears when it is complete.

  Args:
    path: ends in .json.
    codec: the MotionCodec that made them.
    codes_T: int[T].
  """
  content = {
    "format_version": FORMAT_VERSION,
    "versions": {"tokenizer": codec.version, "head": codec.face.version},
    "face_model": codec.face.name,
    "num_codes": codec.num_codes,
    "num_phases": codec.num_phases,
    "fps": FPS,
    "tokens": np.asarray(codes_T).tolist(),
  }
  files.write_text(path, json.dumps(content) + "\n")  # one line: tokens are many


def load(path, codec) -> np.ndarray:
  """Tokens int32[T] of a file that this codec can decode.

  Raises:
    UserError: missing, no JSON, no tokens in it, another format, another tokenizer, a
      token that is no code of it, or one of another frame's phase.
  """
  content = _read(os.fspath(path))
  version = content["versions"]["tokenizer"]
  if version != codec.version:
    raise UserError(
      f"{path}: made with tokenizer version {version}, but this run's is "
      f"{codec.version}; name the run it was made with, or encode again"
    )
  codes_T = _codes(path, content["tokens"])
  outside = np.flatnonzero((codes_T < 0) | (codes_T >= codec.num_codes))
  if outside.size:
    frame = int(outside[0])
    raise UserError(
      f"{path}: 'tokens': frame {frame} is {codes_T[frame]}, but the codes are 0 to "
      f"{codec.num_codes - 1}; {_MAKE}"
    )
  phases_T = codes_T // (codec.num_codes // codec.num_phases)
  wrong = np.flatnonzero(phases_T != np.arange(len(codes_T)) % codec.num_phases)
  if wrong.size:
    frame = int(wrong[0])
    raise UserError(
      f"{path}: 'tokens': frame {frame} is {codes_T[frame]}, a code of phase "
      f"{phases_T[frame]}, but frame {frame}'s phase is {frame % codec.num_phases} "
      f"(frame number mod {codec.num_phases}); cut tokens at multiples of "
      f"{codec.num_phases} frames, or encode again"
    )
  return codes_T.astype(np.int32)


def _read(path: str) -> dict:
  """The file's content, with the keys and kinds of value that `load` reads."""
  try:
    content = json.loads(pathlib.Path(path).read_bytes())
  except FileNotFoundError as error:
    raise UserError(f"{path}: no such file; check the name") from error
  except OSError as error:
    raise UserError(f"{path}: cannot be read ({error.strerror})") from error
  except (ValueError, RecursionError) as error:
    raise UserError(f"{path}: not JSON; {_MAKE}") from error
  if not isinstance(content, dict) or "tokens" not in content:
    raise UserError(f"{path}: no motion tokens ('tokens' is not in it); {_MAKE}")
  if content.get("format_version") != FORMAT_VERSION:
    raise UserError(
      f"{path}: 'format_version' is {content.get('format_version')!r}, this program "
      f"reads {FORMAT_VERSION}; {_MAKE}, or with the program that wrote it"
    )
  versions = content.get("versions")
  if not isinstance(versions, dict) or not isinstance(versions.get("tokenizer"), str):
    raise UserError(f"{path}: 'versions' names no tokenizer; {_MAKE}")
  return content


def _codes(path, tokens) -> np.ndarray:
  """int64[T] of a list of JSON numbers."""
  if not isinstance(tokens, list) or not tokens:
    raise UserError(f"{path}: 'tokens' must be a list with one number a frame; {_MAKE}")
  for frame, token in enumerate(tokens):
    if type(token) is not int or abs(token) >= 2**31:
      raise UserError(
        f"{path}: 'tokens': frame {frame} is {token!r:.40}, not a code; {_MAKE}"
      )
  return np.array(tokens, np.int64)
