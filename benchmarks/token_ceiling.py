"""The token accuracy that tracker noise leaves to whoever knows the motion itself.

  python -m benchmarks.token_ceiling --run release --records runs/small/records

Clips are simulated again, `--draws` times with other noise of the same tracker and all
else alike, and encoded. The best guess at a frame's token is then the commonest one of
the other draws, and its accuracy a ceiling for every language model, which knows less:
the prompt and the frames so far. Prints one JSON document.
"""

import argparse
import json
import sys
from unittest import mock

import numpy as np

from data_prep import simulate
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion_vector
from tdmm_jax.runs import locate


def redrawn(clip: dict, seed: int, draws: int, basis) -> list[np.ndarray]:
  """Motion vectors float32[T, P] that differ in the tracker's noise alone."""
  seconds = len(clip["vectors"]) / simulate.FPS
  rng = np.random.default_rng((seed, 0))
  generator, tracker = (
    list(names)[int(rng.integers(len(names)))]
    for names in (simulate.GENERATORS, simulate.TRACKERS)
  )
  found, noise = [], simulate._tracker_noise
  for draw in range(1, draws + 1):
    own = np.random.default_rng((seed, draw))

    def other(num_frames, sizes_C, rng, own=own):
      noise(num_frames, sizes_C, rng)  # what is drawn after it stays as it was
      return noise(num_frames, sizes_C, own)

    with mock.patch.object(simulate, "_tracker_noise", other):
      motion = simulate.simulate(
        clip["attributes"], seed, seconds, generator, tracker, basis
      )
    found.append(motion_vector.from_motion(motion))
  return found


def left_out_accuracy(codes_DT: np.ndarray) -> float:
  """How often the commonest code of the other draws (ties: the lowest) is one's own."""
  hits = [
    np.bincount(np.delete(column, d)).argmax() == column[d]
    for column in codes_DT.T
    for d in range(len(column))
  ]
  return float(np.mean(hits))


def main(argv=None) -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--run", help="run directory; default: the release")
  parser.add_argument("--records", required=True, help="whose attributes are acted out")
  parser.add_argument("--split", choices=("valid", "test"), default="valid")
  parser.add_argument("--clips", type=int, default=64)
  parser.add_argument("--draws", type=int, default=8)
  parser.add_argument("--seed", type=int, default=0)
  args = parser.parse_args(argv)
  try:
    codec = motion_codec.load(locate.find(args.run) / locate.TOKENIZER)
    clips = records.load_clips(args.records, args.split)[: args.clips]
  except UserError as error:
    print(f"token_ceiling: error: {error}", file=sys.stderr)
    return 2
  basis = simulate.head_basis()
  scores = []
  for number, clip in enumerate(clips):
    vectors = redrawn(clip, args.seed * len(clips) + number, args.draws, basis)
    codes_DT = np.stack(codec.encode_vectors(vectors))
    scores.append(
      (left_out_accuracy(codes_DT), float(np.mean(codes_DT[0] == codes_DT[1])))
    )
  accuracy, equal = np.mean(scores, axis=0)
  found = {"clips": len(clips), "draws": args.draws, "seed": args.seed}
  found |= {"accuracy": float(accuracy), "two_draws_agree": float(equal)}
  print(json.dumps(found, indent=2))
  return 0


if __name__ == "__main__":
  sys.exit(main())
