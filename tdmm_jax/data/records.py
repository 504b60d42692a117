"""Reading TFDS records (array_record) without TensorFlow."""

import json
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face import motion_vector

SPLITS = ("train", "valid", "test")


def open_split(records_dir, split: str) -> Sequence[dict]:
  """Random access to one split's records, as dicts of numpy arrays.

  Raises:
    UserError: no records there, or no such split.
  """
  directory = pathlib.Path(records_dir)
  if not (directory / "dataset_info.json").exists():
    raise UserError(
      f"{directory}: no records here; build them with "
      f"`python -m data_prep.build --corpus demo --out {directory}`"
    )
  builder = tfds.builder_from_directory(directory)
  if split not in builder.info.splits:
    raise UserError(f"{directory}: no split {split!r}; it has {[*builder.info.splits]}")
  return builder.as_data_source(split)


def _text(value) -> str:
  return value.decode() if isinstance(value, bytes) else str(value)


def to_motion(record: dict) -> motion_lib.FaceMotion:
  """The record's FaceMotion; without the camera, which no model uses."""
  names = (
    "expression",
    "jaw_pose",
    "neck_pose",
    "head_pose",
    "eyelids",
    "eye_pose",
    "shape",
    "translation",
    "valid",
  )
  return motion_lib.FaceMotion(
    face_model=_text(record["face_model"]),
    fps=float(record["fps"]),
    **{name: np.asarray(record[name]) for name in names},
  )


def to_clip(record: dict) -> dict:
  """What training and evaluation use of a record.

  Returns:
    clip_id, prompt, captions list[str], attributes dict, vectors float32[T, P],
    valid bool[T], face_model.
  """
  motion = to_motion(record)
  return {
    "clip_id": _text(record["clip_id"]),
    "prompt": _text(record["prompt"]),
    "captions": [_text(caption) for caption in record["captions"]],
    "attributes": json.loads(_text(record["attributes"])),
    "vectors": motion_vector.from_motion(motion),
    "valid": motion.valid,
    "face_model": motion.face_model,
  }


def load_clips(records_dir, split: str) -> list[dict]:
  """All clips of a split in memory; see `to_clip`."""
  return [to_clip(record) for record in open_split(records_dir, split)]


def versions(records_dir) -> dict[str, str]:
  """Version hashes stored with the records: face_model name and head, simulator ..."""
  for split in SPLITS:
    source = open_split(records_dir, split)
    if len(source):
      record = source[0]
      stored = {key: _text(value) for key, value in record["versions"].items()}
      return stored | {"face_model": _text(record["face_model"])}
  raise UserError(f"{records_dir}: the records are empty; build them again")
