"""Reading TFDS records (array_record) without TensorFlow.

TFDS' decoder walks the tree of features for every record. Here it is walked once; then
a record costs one protobuf parse and a view of its bytes for each array.
"""

import functools
import json
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from array_record.python.array_record_data_source import ArrayRecordDataSource
from etils import epath
from tensorflow_datasets.proto import tf_example_pb2

from tdmm_jax import files
from tdmm_jax.data import local_copy
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face import motion_vector

SPLITS = ("train", "valid", "test")
FORMAT_MAJOR = 2  # of the datasets' versions: what a record holds; 2: acts
_METADATA = ("dataset_info.json", "features.json")
_MOTION_ARRAYS = (
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
_NEEDED = (
  *("clip_id", "prompt", "captions", "attributes", "face_model", "fps", "versions"),
  *_MOTION_ARRAYS,
)

# The tracker of simulated clips that came through a stand-in for one: a model learns to
# hear such motion, and not to make it.
HEARD_TRACKER = "sim_tracked"


class RecordSource(Sequence):
  """Random access to one split: dicts of numpy arrays, bytes and floats.

  Values are those of TFDS' `as_data_source`; arrays are read-only views. It can be
  pickled, so grain's workers may read with it.
  """

  def __init__(self, file_instructions, features):
    """`file_instructions` and `features` are those of a TFDS builder's split."""
    self._shards = ArrayRecordDataSource(file_instructions)
    self._decoders = list(_decoders(features))

  def __len__(self) -> int:
    return len(self._shards)

  def __getitem__(self, index: int) -> dict:
    index = index.__index__()
    if not -len(self) <= index < len(self):
      raise IndexError(f"record {index} of {len(self)}")
    return self._decode(self._shards[index % len(self)])

  def raw(self, index: int) -> bytes:
    """The serialised record."""
    return self._shards[index]

  def _decode(self, serialized: bytes) -> dict:
    fields = tf_example_pb2.Example.FromString(serialized).features.feature
    record = {}
    for key, group, name, decode in self._decoders:
      value = decode(fields[key])
      if group is None:
        record[name] = value
      else:
        record.setdefault(group, {})[name] = value
    return record


def _decoders(features, group: str | None = None):
  """Yields (key in the proto, group or None, name, function of the proto's feature).

  Raises:
    UserError: a feature of a kind that this project's records do not have.
  """
  kinds = tfds.features
  for name, feature in features.items():
    key = name if group is None else f"{group}/{name}"
    if isinstance(feature, kinds.FeaturesDict) and group is None:
      yield from _decoders(feature, name)
    elif isinstance(feature, kinds.Text):
      yield key, group, name, _first_bytes
    elif isinstance(feature, kinds.Scalar):
      yield key, group, name, _first_float
    elif isinstance(feature, kinds.Sequence) and isinstance(
      feature.feature, kinds.Text
    ):
      yield key, group, name, _all_bytes
    elif isinstance(feature, kinds.Tensor) and len(feature.shape):
      yield key, group, name, _array_decoder(feature)
    else:
      raise UserError(f"'{key}' is {feature}, which no record of this project holds")


def _first_bytes(proto) -> bytes:
  return proto.bytes_list.value[0]


def _all_bytes(proto) -> list[bytes]:
  return list(proto.bytes_list.value)


def _first_float(proto) -> float:
  return proto.float_list.value[0]


def _array(dtype, shape, proto) -> np.ndarray:
  return np.frombuffer(proto.bytes_list.value[0], dtype).reshape(shape)


def _array_decoder(feature):
  shape = [-1 if size is None else size for size in feature.shape]
  return functools.partial(_array, np.dtype(feature.np_dtype), shape)


def open_split(records_dir, split: str) -> RecordSource:
  """Random access to one split's records, as dicts of numpy arrays.

  Records of a bucket (gs://BUCKET/PATH) are copied to local disk first; see
  `local_copy.fetch`.

  Raises:
    UserError: no records there, records of another format, no such split, a shard that
      is missing or damaged, a bucket that cannot be read, no room for its copy.
  """
  instructions, features = _described(records_dir, split)
  _fetch(records_dir, instructions)
  return RecordSource(instructions, features)


def open_shards(
  records_dir, split: str, first: int = 0, step: int = 1
) -> Iterator[RecordSource]:
  """The same for every `step`-th file of a split, one after another.

  Files of a bucket are copied when it is their turn, and no others.

  Raises:
    UserError: see `open_split`.
  """
  instructions, features = _described(records_dir, split)
  for instruction in instructions[first::step]:
    _fetch(records_dir, [instruction])
    yield RecordSource([instruction], features)


def _described(records_dir, split: str):
  """TFDS' instructions of how to read a split, one for each file, and its features."""
  remote = files.is_remote(records_dir)
  directory = epath.Path(records_dir)
  with files.reached(directory):
    built = (directory / "dataset_info.json").exists()
    begun = not built and (directory / "build.json").exists()
  if not built:
    raise UserError(
      f"{directory}: the build is not finished; run the same command again"
      if begun
      else f"{directory}: no records here; build them with "
      f"`python -m data_prep.build --corpus demo --out {directory}`"
    )
  local = local_copy.fetch(records_dir, _METADATA) if remote else directory
  try:
    builder = tfds.builder_from_directory(local)
    info, features = builder.info, builder.info.features
  except (ValueError, KeyError, OSError) as error:
    raise UserError(
      f"{directory}: dataset_info.json or features.json is damaged; "
      "build the records again"
    ) from error
  if info.version.major != FORMAT_MAJOR:
    raise UserError(
      f"{directory}: records of format {info.version}, this program reads "
      f"{FORMAT_MAJOR}.x.x; build them again, or use the program that wrote them"
    )
  missing = [name for name in _NEEDED if name not in features]
  if missing:
    raise UserError(
      f"{directory}: records of '{info.name}' without {', '.join(missing)}; "
      "build them with data_prep.build"
    )
  if split not in info.splits:
    raise UserError(f"{directory}: no split {split!r}; it has {[*info.splits]}")
  return info.splits[split].file_instructions, features


def _fetch(records_dir, instructions) -> None:
  """Copies the files where they are in a bucket; checks that they are whole."""
  paths = [pathlib.Path(instruction.filename) for instruction in instructions]
  if files.is_remote(records_dir):
    local_copy.fetch(records_dir, [path.name for path in paths])
  for path in paths:
    if not path.exists():
      raise UserError(f"{path}: this shard is missing; build the records again")
    _check_whole(path, epath.Path(records_dir) / path.name)


def _check_whole(path: pathlib.Path, name) -> None:
  """Opens a shard, whose index stands at its end.

  Raises:
    UserError: it was cut off.
  """
  try:
    reader = array_record_module.ArrayRecordReader(str(path))
    whole = reader.ok()
    reader.close()
  except (RuntimeError, ValueError) as error:
    raise UserError(f"{name}: this shard is damaged; build the records again") from (
      error
    )
  if not whole:
    raise UserError(f"{name}: this shard is damaged; build the records again")


def _text(value) -> str:
  return value.decode() if isinstance(value, bytes) else str(value)


def to_motion(record: dict) -> motion_lib.FaceMotion:
  """The record's FaceMotion; with its camera where it was tracked."""
  camera = record.get("camera")
  return motion_lib.FaceMotion(
    face_model=_text(record["face_model"]),
    fps=float(record["fps"]),
    camera=None if camera is None or not len(camera) else np.asarray(camera),
    **{name: np.asarray(record[name]) for name in _MOTION_ARRAYS},
  )


def to_clip(record: dict) -> dict:
  """What training and evaluation use of a record.

  Returns:
    clip_id, prompt, captions list[str], attributes dict, vectors float32[T, P],
    valid bool[T], face_model, heard_only bool (see HEARD_TRACKER).
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
    "heard_only": _text(record.get("tracker", "")) == HEARD_TRACKER,
  }


def load_clips(records_dir, split: str, most: int | None = None) -> list[dict]:
  """A split's clips (the first `most`, or all) in memory; see `to_clip`."""
  source = open_split(records_dir, split)
  return [to_clip(source[i]) for i in range(len(source))[:most]]


def versions(records_dir) -> dict[str, str]:
  """Version hashes stored with the records: face_model name and head, simulator ..."""
  for split in SPLITS:
    source = open_split(records_dir, split)
    if len(source):
      record = source[0]
      stored = {key: _text(value) for key, value in sorted(record["versions"].items())}
      return stored | {"face_model": _text(record["face_model"])}
  raise UserError(f"{records_dir}: the records are empty; build them again")
