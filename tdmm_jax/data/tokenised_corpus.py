"""A corpus in a tokenizer's codes, encoded once: what language models train on."""

import contextlib
import hashlib
import io

import numpy as np
import tqdm
from etils import epath

from tdmm_jax import files
from tdmm_jax.data import records
from tdmm_jax.errors import UserError

FOLDER = "codes"  # of a tokenizer's workdir
_KEPT = ("prompt", "captions", "attributes", "heard_only")


def tokenised_clips(records_dir, split: str, codec, tokenizer_dir) -> list[dict]:
  """The clips of a split: prompt, captions, attributes, heard_only and codes int32[T].

  80 hours take minutes to encode, so the codes are cached beside the tokenizer, under a
  name that hashes it and the motions. Where they cannot be written they are made again
  each time.

  Raises:
    UserError: no such records.
  """
  clips = records.load_clips(records_dir, split)
  vectors = [clip["vectors"] for clip in clips]
  path = epath.Path(tokenizer_dir) / FOLDER / f"{_key(codec.version, vectors)}.npy"
  if path.exists():
    with path.open("rb") as file:
      flat = np.load(file, allow_pickle=False)
  else:
    with tqdm.tqdm(
      total=sum(map(len, vectors)),
      desc=f"tokenising the {split} split",
      unit="frame",
      delay=2.0,
      disable=None,  # where nobody looks
    ) as bar:
      codes = codec.encode_vectors(vectors, bar.update)
    flat = np.concatenate(codes).astype(np.int32)
    _write(path, flat)
  codes = np.split(flat, np.cumsum([len(v) for v in vectors])[:-1])
  return [
    {key: clip[key] for key in _KEPT} | {"codes": c}
    for clip, c in zip(clips, codes, strict=True)
  ]


def _key(version: str, vectors: list[np.ndarray]) -> str:
  """A name for what these motions are in the tokenizer of this version."""
  digest = hashlib.blake2b(version.encode(), digest_size=10)
  for vectors_TP in vectors:
    digest.update(str(vectors_TP.shape).encode())
    digest.update(np.ascontiguousarray(vectors_TP))
  return digest.hexdigest()


def _write(path, flat: np.ndarray) -> None:
  content = io.BytesIO()
  np.save(content, flat)
  # In a folder that cannot be written to, the codes are made again the next time.
  with contextlib.suppress(UserError, OSError):
    files.write_bytes(path, content.getvalue())
