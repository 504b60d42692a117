"""Clips as TFDS records in array_record shards, written and read without TensorFlow.

A record holds the `FaceMotion` fields (per-frame float32 as raw bytes, which read far
faster than lists of floats), `prompt`, `captions`, `attributes` (JSON), `clip_id`,
`generator`, `tracker`, `quality` and the `versions` of what made it.
"""

import json
import os

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module

from data_prep.prompts import ClipPlan
from tdmm_jax.face.motion import FaceMotion

DATASET_NAME = "simulated_faces"
DATASET_VERSION = "1.0.0"
DESCRIPTION = (
  "Prompts, paraphrases and FLAME-form facial motion: a behaviour simulator acts out "
  "emotion, intensity, speech, micro-actions and head motion on facial action units."
)
FRAME_WIDTHS = {
  "jaw_pose": 3,
  "neck_pose": 3,
  "head_pose": 3,
  "eyelids": 2,
  "eye_pose": 6,
  "translation": 3,
}
VERSION_NAMES = ("head", "simulator", "lexicon")


def features(num_expression: int, num_shape: int) -> tfds.features.FeaturesDict:
  """The features of a record."""
  track = lambda *shape: tfds.features.Tensor(
    shape=shape, dtype=np.float32, encoding="bytes"
  )
  text = tfds.features.Text
  return tfds.features.FeaturesDict(
    {
      "clip_id": text(),
      "prompt": text(),
      "captions": tfds.features.Sequence(text()),
      "attributes": text(doc="JSON"),
      "face_model": text(),
      "expression": track(None, num_expression),
      **{name: track(None, width) for name, width in FRAME_WIDTHS.items()},
      "shape": track(num_shape),
      "valid": tfds.features.Tensor(shape=(None,), dtype=np.bool_, encoding="bytes"),
      "fps": tfds.features.Scalar(np.float32),
      "generator": text(),
      "tracker": text(),
      "quality": tfds.features.Scalar(np.float32),
      "versions": tfds.features.FeaturesDict({name: text() for name in VERSION_NAMES}),
    }
  )


def to_example(
  plan: ClipPlan,
  motion: FaceMotion,
  generator: str,
  tracker: str,
  quality: float,
  versions: dict[str, str],
) -> dict:
  """The record of one clip as TFDS' builders yield it."""
  return {
    "clip_id": plan.clip_id,
    "prompt": plan.prompt,
    "captions": list(plan.captions),
    "attributes": json.dumps(plan.attributes),
    "face_model": motion.face_model,
    "expression": np.asarray(motion.expression, np.float32),
    **{name: np.asarray(getattr(motion, name), np.float32) for name in FRAME_WIDTHS},
    "shape": np.asarray(motion.shape, np.float32),
    "valid": np.asarray(motion.valid, bool),
    "fps": np.float32(motion.fps),
    "generator": generator,
    "tracker": tracker,
    "quality": np.float32(quality),
    "versions": dict(versions),
  }


def shard_path(out_dir, split: str, index: int, count: int) -> str:
  """TFDS' own name of shard `index` of `count`."""
  name = f"{DATASET_NAME}-{split}.array_record-{index:05d}-of-{count:05d}"
  return os.path.join(os.fspath(out_dir), name)


def write_shard(path: str, serialized) -> int:
  """Writes serialised records to `path` under a temporary name, then renames it.

  Returns:
    The sum of the records' sizes in bytes.
  """
  temporary = f"{path}.tmp{os.getpid()}"
  total = 0
  try:
    writer = array_record_module.ArrayRecordWriter(temporary, "group_size:1")
    for record in serialized:
      writer.write(record)
      total += len(record)
    writer.close()
    os.replace(temporary, path)
  except BaseException:
    if os.path.exists(temporary):
      os.unlink(temporary)
    raise
  return total


def write_metadata(out_dir, feature_spec, shard_lengths, num_bytes) -> None:
  """Writes dataset_info.json and features.json: the directory is readable from now on.

  Args:
    out_dir: holds all shards.
    feature_spec: of `features`.
    shard_lengths: split -> number of records of each shard.
    num_bytes: split -> sum of the records' sizes.
  """
  template = tfds.core.ShardedFileTemplate(
    dataset_name=DATASET_NAME,
    data_dir=os.fspath(out_dir),
    filetype_suffix="array_record",
  )
  splits = [
    tfds.core.SplitInfo(
      name=split,
      shard_lengths=list(lengths),
      num_bytes=num_bytes[split],
      filename_template=template.replace(split=split),
    )
    for split, lengths in shard_lengths.items()
    if lengths
  ]
  tfds.folder_dataset.write_metadata(
    data_dir=os.fspath(out_dir),
    features=feature_spec,
    split_infos=splits,
    filename_template=template,
    version=DATASET_VERSION,
    check_data=False,
    description=DESCRIPTION,
  )
