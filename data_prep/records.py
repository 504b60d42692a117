"""Clips as TFDS records in array_record shards, written without TensorFlow.

A record holds the `FaceMotion` fields (per-frame float32 as raw bytes, which read far
faster than lists of floats), `prompt`, `captions`, `attributes` (JSON), `clip_id`,
`generator`, `tracker`, `quality` and the `versions` of what made it. Shards are not
compressed: float32 motion shrinks by a fifth only, and reading it back would take twice
as long.
"""

import dataclasses
import hashlib
import json
import os
import tempfile

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from tensorflow_datasets.proto import tf_example_pb2

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.face.motion import FaceMotion


@dataclasses.dataclass(frozen=True)
class Dataset:
  """Name, version and description in TFDS' metadata."""

  name: str
  version: str
  description: str


SIMULATED_FACES = Dataset(
  "simulated_faces",
  "2.0.0",
  "Prompts, paraphrases and FLAME-form facial motion: a behaviour simulator acts out "
  "emotion, intensity, speech, micro-actions and head motion on facial action units.",
)
OPEN3DFACEVID = Dataset(
  "open3dfacevid",
  "2.0.0",
  "Prompts, paraphrases and FLAME-form facial motion tracked in videos that "
  "text-to-video models made of the prompts.",
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


def features(
  num_expression: int, num_shape: int, with_camera: bool = False
) -> tfds.features.FeaturesDict:
  """The features of a record; `camera`, [T or 0, 3], is of tracked clips."""
  track = lambda *shape: tfds.features.Tensor(
    shape=shape, dtype=np.float32, encoding="bytes"
  )
  text = tfds.features.Text
  widths = FRAME_WIDTHS | ({"camera": 3} if with_camera else {})
  return tfds.features.FeaturesDict(
    {
      "clip_id": text(),
      "prompt": text(),
      "captions": tfds.features.Sequence(text()),
      "attributes": text(doc="JSON"),
      "face_model": text(),
      "expression": track(None, num_expression),
      **{name: track(None, width) for name, width in widths.items()},
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
  row: dict,
  motion: FaceMotion,
  generator: str,
  tracker: str,
  quality: float,
  versions: dict[str, str],
  with_camera: bool = False,
) -> dict:
  """The record of one clip as TFDS' builders yield it.

  Args:
    row: of a prompt manifest: clip_id, prompt, captions, attributes.
    motion: at 25 fps.
    generator: what made the video, or the simulator's style.
    tracker: what made the motion of it.
    quality: 0..1; 1 is best.
    versions: of VERSION_NAMES.
    with_camera: whether the features have one.
  """
  camera = {}
  if with_camera:
    empty = np.zeros((0, 3), np.float32)
    camera["camera"] = empty if motion.camera is None else motion.camera
  return camera | {
    "clip_id": row["clip_id"],
    "prompt": row["prompt"],
    "captions": list(row["captions"]),
    "attributes": json.dumps(row["attributes"]),
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


def serialize(feature_spec, example: dict) -> bytes:
  """The example's record; the same bytes in every process and run."""
  record = feature_spec.serialize_example(example)
  proto = tf_example_pb2.Example.FromString(record)
  return proto.SerializeToString(deterministic=True)


def shard_name(dataset: Dataset, split: str, index: int, count: int) -> str:
  """TFDS' own name of shard `index` of `count`."""
  return f"{dataset.name}-{split}.array_record-{index:05d}-of-{count:05d}"


def write_shard(path: str, serialized) -> tuple[int, list[str]]:
  """Writes serialised records to `path`, which appears when it is complete.

  Returns:
    The sum of the records' sizes in bytes; the SHA-256 of each record.

  Raises:
    UserError: the file cannot be written, for example because the disk is full.
  """
  total, digests = 0, []
  with files.then_rename(path) as temporary:
    try:
      writer = array_record_module.ArrayRecordWriter(
        str(temporary), "group_size:1,uncompressed"
      )
      for record in serialized:
        writer.write(record)
        total += len(record)
        digests.append(hashlib.sha256(record).hexdigest())
      writer.close()
    except RuntimeError as error:  # what the C++ writer makes of a full disk
      reason = str(error).split(";")[0]
      raise UserError(f"{path}: cannot be written ({reason}); make room") from error
  return total, digests


def corpus_digest(record_digests) -> str:
  """SHA-256 of the sorted SHA-256 of all records: the content, however sharded."""
  return hashlib.sha256("".join(sorted(record_digests)).encode()).hexdigest()


def file_digest(path) -> str:
  """SHA-256 of a file."""
  with files.as_path(path).open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def write_metadata(
  out_dir, dataset: Dataset, feature_spec, shard_lengths, num_bytes
) -> None:
  """Writes features.json, then dataset_info.json: readable from now on.

  Args:
    out_dir: holds all shards.
    dataset: what is in it.
    feature_spec: of `features`.
    shard_lengths: split -> number of records of each shard.
    num_bytes: split -> sum of the records' sizes.
  """
  with tempfile.TemporaryDirectory(dir=out_dir, prefix=files.PREFIX) as folder:
    template = tfds.core.ShardedFileTemplate(
      dataset_name=dataset.name, data_dir=folder, filetype_suffix="array_record"
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
    for split in splits:  # TFDS reads the format off the shards' names
      open(os.path.join(folder, shard_name(dataset, split.name, 0, 1)), "x").close()
    tfds.folder_dataset.write_metadata(
      data_dir=folder,
      features=feature_spec,
      split_infos=splits,
      filename_template=template,
      version=dataset.version,
      check_data=False,
      description=dataset.description,
    )
    # dataset_info.json, which says that the records are there, comes last.
    made = [name for name in os.listdir(folder) if name.endswith(".json")]
    for name in sorted(made, key="dataset_info.json".__eq__):
      os.replace(os.path.join(folder, name), os.path.join(out_dir, name))
