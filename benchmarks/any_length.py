"""Do tokens depend on padding, and memory on length?

  python -m benchmarks.any_length --run runs/train

Padding: clips cut to many lengths are encoded alone and unpadded, and in one padded
batch. Tokens that differ are counted, and those among them whose latent lies within
1e-5 of a cell's boundary (in cells), where the last digit of a sum decides; and how
many of all latents lie there. Memory: peak resident memory of a process that encodes
and decodes a motion of 1,000 frames, 15,000 (10 minutes) and 30,000, beside what
it holds before either. Prints one JSON document.
"""

import argparse
import json
import resource
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.runs import locate

NEAR = 1e-5  # cells
_LENGTHS = (1, 9, 31, 64, 65, 100)
_FRAMES = (1_000, 15_000, 30_000)


def boundary_distances(codec, vectors_BTP, mask_BT) -> np.ndarray:
  """How far each frame's latent is from the nearest boundary, in cells, float[B, T].

  Of FSQ: the least over its dimensions. Of base codes.
  """

  def distances(model, geometry_BTG, vectors_BTP, mask_BT):
    latents_BTPC = model._latents(geometry_BTG, vectors_BTP, mask_BT)
    phase_T = jnp.arange(latents_BTPC.shape[1]) % model.num_phases
    own_BTC = jnp.take_along_axis(latents_BTPC, phase_T[None, :, None, None], 2)[
      :, :, 0
    ]
    base_BTC = own_BTC[..., : model.quantize.code_dim]
    cells_BTC = model.quantize._bound(base_BTC)
    return jnp.abs(cells_BTC - jnp.floor(cells_BTC) - 0.5).min(-1)

  geometry_BTG = face_lib.vector_geometry(codec.subset, vectors_BTP)
  arguments = (geometry_BTG, vectors_BTP, mask_BT)
  apply = lambda v, *args: codec.model.apply(v, *args, method=distances)
  return np.asarray(jax.jit(apply)(codec.variables, *arguments))


def padding(codec, vectors: list[np.ndarray], near: float = NEAR) -> dict[str, int]:
  """Counts over the frames of all clips: tokens that padding changes, and why."""
  longest = max(map(len, vectors)) + 40
  padded = np.zeros((len(vectors), longest, vectors[0].shape[1]), np.float32)
  mask = np.zeros((len(vectors), longest), np.float32)
  for row, clip in enumerate(vectors):
    padded[row, : len(clip)], mask[row, : len(clip)] = clip, 1.0
  together = codec.encode_window(padded, mask)
  distance = boundary_distances(codec, padded, mask)
  counts = {"frames": 0, "differ": 0, "differ_near": 0, "near": 0}
  for row, clip in enumerate(vectors):
    alone = codec.encode_window(clip[None], np.ones((1, len(clip)), np.float32))[0]
    differs = alone != together[row, : len(clip)]
    close = distance[row, : len(clip)] < near
    counts["frames"] += len(clip)
    counts["differ"] += int(differs.sum())
    counts["differ_near"] += int((differs & close).sum())
    counts["near"] += int(close.sum())
  return counts


def _peak_mib() -> float:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _work(run, num_frames: int) -> None:
  """In a process of its own: prints its peak memory before and after."""
  codec = motion_codec.load(locate.find(run) / locate.TOKENIZER)
  rng = np.random.default_rng(0)
  stats = codec.variables["stats"]
  mean_P, std_P = (np.asarray(stats[name]) for name in ("params_mean", "params_std"))
  noise_TP = rng.normal(size=(num_frames, len(mean_P))).astype(np.float32)
  vectors_TP = (mean_P + noise_TP * std_P).astype(np.float32)
  before = _peak_mib()
  (decoded_TP,) = codec.decode_vectors(codec.encode_vectors([vectors_TP]))
  assert decoded_TP.shape == vectors_TP.shape
  print(json.dumps({"loaded_mib": before, "peak_mib": _peak_mib()}))


def memory(run, num_frames: int) -> dict[str, float]:
  """{"loaded_mib", "peak_mib"} of encoding and decoding so many frames."""
  command = [sys.executable, "-m", "benchmarks.any_length", "--work", str(num_frames)]
  command += ["--run", str(run)] if run else []
  done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
  return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--run")
  parser.add_argument("--records", help="default: the run's")
  parser.add_argument("--split", default="valid", choices=("valid", "test"))
  parser.add_argument("--clips", type=int, default=104)
  parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.work:
    _work(args.run, args.work)
    return
  # First: a child's peak begins at what its parent holds.
  used = {frames: memory(args.run, frames) for frames in _FRAMES}
  directory = locate.find(args.run)
  codec = motion_codec.load(directory / locate.TOKENIZER)
  clips = records.load_clips(args.records or directory / "records", args.split)
  clips = clips[: args.clips]
  vectors = [c["vectors"][: _LENGTHS[i % len(_LENGTHS)]] for i, c in enumerate(clips)]
  found = {"padding": padding(codec, vectors), "near": NEAR, "memory": used}
  print(json.dumps(found, indent=2))


if __name__ == "__main__":
  main()
