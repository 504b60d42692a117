"""Prompt manifests: many requests in one file, one JSON object a line."""

import json
import pathlib

from tdmm_jax.errors import UserError


def read(path: pathlib.Path, seconds: float) -> list[tuple[str, str, float]]:
  """(clip_id, prompt, seconds) of each line.

  Args:
    path: JSON lines of clip_id, prompt and, if wanted, seconds; other keys are ignored.
    seconds: the length of a line that does not say its own.

  Raises:
    UserError: names a line that is broken, or whose clip_id is no file name or a
      duplicate.
  """
  try:
    lines = path.read_text().splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f"{path}: cannot be read ({error}); give JSON lines") from error
  rows = {}
  for number, line in enumerate(lines, start=1):
    if not line.strip():
      continue
    try:
      row = json.loads(line)
      clip_id, prompt = str(row["clip_id"]), str(row["prompt"])
      length = float(row.get("seconds", seconds))
    except (ValueError, KeyError, TypeError) as error:  # JSON's errors are ValueErrors
      raise UserError(
        f"{path}:{number}: not a prompt ({error}); each line is JSON with clip_id and "
        "prompt"
      ) from error
    if clip_id in rows or pathlib.Path(clip_id).name != clip_id or not clip_id:
      raise UserError(
        f"{path}:{number}: clip_id {clip_id!r} is a duplicate or no file name; "
        "rename it"
      )
    rows[clip_id] = (clip_id, prompt, length)
  if not rows:
    raise UserError(f"{path}: no prompts in it; give JSON lines of clip_id and prompt")
  return list(rows.values())
