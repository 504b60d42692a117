"""What a short look-ahead of the tokenizer costs in error.

  python -m benchmarks.look_ahead --run runs/demo --clips 20

For each look-ahead the test clips are encoded and decoded as `token_streams` does it,
and scored as `tdmm evaluate` scores a tokenizer. Prints one JSON document:
`encode` looks ahead in encoding alone, `decode` in decoding alone, `both` in both.
"""

import argparse
import json
from collections.abc import Callable

import numpy as np

from tdmm_jax.codec import motion_codec, token_streams
from tdmm_jax.data import records
from tdmm_jax.face import face_model, motion_vector
from tdmm_jax.metrics import geometry
from tdmm_jax.runs import locate

_BATCH = 64


def streamed(codec, call: Callable, clip: np.ndarray, look_ahead: int) -> np.ndarray:
  """What a stream gives for a clip: every frame's window, many windows at a time."""
  window = codec.reach + codec.num_phases + look_ahead
  outputs = []
  for start in range(0, len(clip), _BATCH):
    numbers = np.arange(start, min(start + _BATCH, len(clip)))
    values = np.zeros((_BATCH, window, *clip.shape[1:]), clip.dtype)
    mask = np.zeros((_BATCH, window), np.float32)
    firsts = [token_streams.aligned(codec, number) for number in numbers]
    for row, (number, first) in enumerate(zip(numbers, firsts)):
      known = clip[first : number + look_ahead + 1]
      values[row, : len(known)], mask[row, : len(known)] = known, 1.0
    out = call(values, mask)
    outputs += [out[row, n - f] for row, (n, f) in enumerate(zip(numbers, firsts))]
  return np.stack(outputs)


def score(codec, clips: list[dict], vectors: list[np.ndarray]) -> dict[str, float]:
  region = np.asarray(codec.face.regions["face"])
  areas = np.asarray(codec.face.vertex_areas)[region]
  totals = np.zeros(3)
  for clip, predicted in zip(clips, vectors):
    vertices = [
      face_model.motion_vertices(
        codec.face,
        motion_vector.to_motion(x, codec.face.name),
        head_fixed=True,
        identity=False,
      )[:, region]
      for x in (predicted, clip["vectors"])
    ]
    frames = clip["valid"].sum()
    face = geometry.face_error_mm(*vertices, areas, clip["valid"])
    head = geometry.head_error_deg(
      predicted[:, -3:], clip["vectors"][:, -3:], clip["valid"]
    )
    totals += np.array([face, head, 1]) * frames
  return {
    "face_error_mm": totals[0] / totals[2],
    "head_error_deg": totals[1] / totals[2],
  }


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--run")
  parser.add_argument("--split", default="test", choices=("valid", "test"))
  parser.add_argument("--clips", type=int, default=20)
  parser.add_argument("--look_aheads", type=int, nargs="+", default=[0, 2, 4, 8, 16])
  args = parser.parse_args()
  directory = locate.find(args.run)
  codec = motion_codec.load(directory / locate.TOKENIZER)
  clips = records.load_clips(directory / "records", args.split)[: args.clips]
  offline = codec.encode_vectors([clip["vectors"] for clip in clips])
  found = {"clips": len(clips), "reach": codec.reach, "look_ahead": {}}
  found["offline"] = score(codec, clips, codec.decode_vectors(offline))
  for ahead in args.look_aheads:
    codes = [
      streamed(codec, codec.encode_window, clip["vectors"], ahead) for clip in clips
    ]
    decode = lambda codes, ahead=ahead: [
      streamed(codec, codec.decode_window, c, ahead) for c in codes
    ]
    same = np.mean(np.concatenate(codes) == np.concatenate(offline))
    found["look_ahead"][ahead] = {
      "same_tokens": float(same),
      "encode": score(codec, clips, codec.decode_vectors(codes)),
      "decode": score(codec, clips, decode(offline)),
      "both": score(codec, clips, decode(codes)),
    }
  print(json.dumps(found, indent=2))


if __name__ == "__main__":
  main()
