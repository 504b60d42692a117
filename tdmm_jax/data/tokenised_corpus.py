"""A corpus in a tokenizer's codes, encoded once: what language models train on.

Each file of records has a file of codes, in the tokenizer's folder; its name hashes the
tokenizer's weights and the motions. So a job of many machines can make them
(`data_prep.tokenise`), whatever was interrupted is continued, and codes of other
weights or other motions are never read.
"""

import contextlib
import hashlib
import io
from collections.abc import Callable

import jax
import numpy as np
import tqdm
from etils import epath

from tdmm_jax import cluster, files
from tdmm_jax.data import records
from tdmm_jax.errors import UserError

FOLDER = "codes"  # of a tokenizer's workdir
_KEPT = ("prompt", "captions", "attributes", "heard_only")


def tokenised_clips(records_dir, split: str, codec, tokenizer_dir) -> list[dict]:
  """The clips of a split: prompt, captions, attributes, heard_only and codes int32[T].

  Codes that are not there yet are made; where they cannot be written, each time anew.
  Processes that train as one share that work, if they see the same tokenizer's folder.

  Raises:
    UserError: no such records.
  """
  total = len(records.open_split(records_dir, split))  # copies all files at once
  with tqdm.tqdm(
    total=total,
    desc=f"tokenising the {split} split",
    unit="clip",
    delay=2.0,
    disable=None,  # where nobody looks
  ) as bar:
    if jax.process_count() > 1:
      share = (jax.process_index(), jax.process_count())
      for source in records.open_shards(records_dir, split, *share):
        _tokenised(source, codec, tokenizer_dir)
      cluster.barrier(f"the {split} split is tokenised")
    clips = []
    for source in records.open_shards(records_dir, split):
      clips += _tokenised(source, codec, tokenizer_dir)[0]
      bar.update(len(source))
  return clips


def tokenise(
  records_dir,
  split: str,
  codec,
  tokenizer_dir,
  first: int = 0,
  step: int = 1,
  say: Callable[[int], None] = lambda clips: None,
) -> dict[str, int]:
  """Makes the codes of every `step`-th file of a split that has none yet.

  Args:
    say: called with the number of clips of each file when it is done.

  Returns:
    {"files", "made", "clips", "frames"}: `made` of the files, the others were there.

  Raises:
    UserError: no such records, or the codes cannot be written.
  """
  counts = dict.fromkeys(("files", "made", "clips", "frames"), 0)
  for source in records.open_shards(records_dir, split, first, step):
    clips, made = _tokenised(source, codec, tokenizer_dir, keep_going=False)
    frames = sum(len(clip["codes"]) for clip in clips)
    new = {"files": 1, "made": int(made), "clips": len(clips), "frames": frames}
    counts = {name: count + new[name] for name, count in counts.items()}
    say(len(clips))
  return counts


def _tokenised(source, codec, tokenizer_dir, keep_going: bool = True):
  """The clips of one file, and whether their codes had to be made."""
  clips = [records.to_clip(source[i]) for i in range(len(source))]
  vectors = [clip["vectors"] for clip in clips]
  lengths = [len(vectors_TP) for vectors_TP in vectors]
  path = epath.Path(tokenizer_dir) / FOLDER / f"{_key(codec.version, vectors)}.npy"
  flat = _read(path, sum(lengths))
  made = flat is None
  if made:
    flat = np.concatenate(codec.encode_vectors(vectors)).astype(np.int32)
    with contextlib.suppress(*((UserError, OSError) if keep_going else ())):
      _write(path, flat)
  codes = np.split(flat, np.cumsum(lengths)[:-1])
  kept = [
    {key: clip[key] for key in _KEPT} | {"codes": c}
    for clip, c in zip(clips, codes, strict=True)
  ]
  return kept, made


def _key(version: str, vectors: list[np.ndarray]) -> str:
  """A name for what these motions are in the tokenizer of this version."""
  digest = hashlib.blake2b(version.encode(), digest_size=10)
  for vectors_TP in vectors:
    digest.update(str(vectors_TP.shape).encode())
    digest.update(np.ascontiguousarray(vectors_TP))
  return digest.hexdigest()


def _read(path, num_frames: int) -> np.ndarray | None:
  """The codes of so many frames; None if they are not there, or damaged."""
  with files.reached(path):
    if not path.exists():
      return None
    content = io.BytesIO(path.read_bytes())
  try:
    flat = np.load(content, allow_pickle=False)
  except (ValueError, EOFError):
    return None
  return flat if flat.shape == (num_frames,) else None


def _write(path, flat: np.ndarray) -> None:
  content = io.BytesIO()
  np.save(content, flat)
  files.write_bytes(path, content.getvalue())
