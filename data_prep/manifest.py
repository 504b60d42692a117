"""Prompt manifests: JSON lines of clip_id, prompt, captions and attributes."""

import json

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.language import acts


def read(path) -> list[dict]:
  """The rows of a manifest.

  Raises:
    UserError: names the file and line that is not a JSON object with clip_id and
      prompt, or the clip_id that comes twice.
  """
  rows, seen = [], set()
  try:
    with open(path, encoding="utf-8") as file:
      for number, line in enumerate(file, 1):
        if line.strip():
          rows.append(_row(line, f"{path}:{number}", seen))
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, "strerror", None) or "is not text in UTF-8"
    raise UserError(f"{path}: {reason}; give a prompt manifest (JSON lines)") from error
  if not rows:
    raise UserError(f"{path}: no prompts in it; give a prompt manifest (JSON lines)")
  return rows


def _row(line: str, where: str, seen: set) -> dict:
  try:
    row = json.loads(line)
  except ValueError as error:
    raise UserError(f"{where}: not JSON ({error}); fix or remove the line") from error
  if not isinstance(row, dict) or not all(
    isinstance(row.get(key), str) for key in ("clip_id", "prompt")
  ):
    raise UserError(f"{where}: needs texts 'clip_id' and 'prompt'; add them")
  if row["clip_id"] in seen:
    raise UserError(f"{where}: clip_id '{row['clip_id']}' comes twice; rename one")
  attributes = row.get("attributes")
  if attributes and (
    not isinstance(attributes, dict) or attributes.get("schema") != acts.SCHEMA
  ):
    raise UserError(
      f"{where}: attributes of an older form, without 'acts'; leave them out (they are "
      "read from the prompt) or write the manifest again with data_prep.prompts"
    )
  seen.add(row["clip_id"])
  return row


def write(path, rows) -> None:
  """Writes the rows, each as a line of JSON; see `files.write_text`."""
  files.write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
