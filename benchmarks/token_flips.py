"""Do tokens follow the geometry, or the coefficients? The paper's claim, tested.

  python -m benchmarks.token_flips --rows runs/tokenizers --records runs/small/records

Different coefficients can give nearly the same face. For each clip the Jacobian of the
head-fixed face region (by expression, jaw and lids; gaze and head rotation stay) is
taken at the clip's mean frame. Its rows are weighted by vertex area, so that a singular
value is the RMS vertex change of a unit move of the coefficients. The coefficients are
then moved along each of the 10 smallest singular directions, and along 10 random ones,
by an offset held over the whole clip and scaled so that the RMS vertex change over the
clip is 0.1 mm, measured on the moved vertices themselves. A direction that moves almost
nothing needs a large offset: it is cut at a root mean square of `--most` training
standard deviations over the moved coefficients, and the share of cut offsets and the
vertex change that was reached are reported.

The flip rate is the share of valid frames whose token differs from the unmoved clip's.
The claim holds if, along directions that the face hardly shows, a tokenizer of geometry
flips no more than along random ones of the same vertex change, and a tokenizer of
parameters flips more.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import tokenizers
from tdmm_jax import motion_codec
from tdmm_jax.face import face_model, motion_vector

DIRECTIONS = 10
WANTED_MM = 0.1
_STRIDE = 8  # frames: offsets are scaled on every eighth
_KINDS = ("smallest", "random")


def _placed(face, vectors_BTP):
  """Face-region vertices [B, T, 3V] in mm, by sqrt(area): sums of squares are means."""
  fields = motion_vector.split(vectors_BTP)
  fields.pop("head_pose")
  vertices = face_model.head_fixed_planar(face, **fields) * 1000.0
  share_V = face.vertex_areas / face.vertex_areas.sum()
  return vertices * jnp.tile(jnp.sqrt(share_V), 3)


@jax.jit
def _gram(face, mean_P):
  """JᵀJ by the coefficients that move the face, float32[Q, Q]."""
  moved = mean_P.shape[0] - 9  # all but gaze and head rotation

  def place(x_Q):
    vectors_P = jnp.concatenate([x_Q, mean_P[moved:]])
    return _placed(face, vectors_P[None, None])[0, 0]

  jacobian = jax.jacfwd(place)(mean_P[:moved])
  return jnp.matmul(jacobian.T, jacobian, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def _change_mm(face, vectors_TP, offsets_KP, valid_T):
  """RMS vertex change over the clip that each offset makes, float32[K]."""
  still = _placed(face, vectors_TP[None])
  change = _placed(face, vectors_TP[None] + offsets_KP[:, None]) - still
  square_KT = jnp.sum(change**2, -1)
  return jnp.sqrt(jnp.sum(square_KT * valid_T, -1) / valid_T.sum())


def offsets(face, clip: dict, std_P, most: float, rng) -> dict:
  """Offsets of one clip.

  Args:
    face: the face region's vertices alone.
    clip: vectors float32[T, P], valid bool[T].
    std_P: the training set's standard deviations.
    most: root mean square of an offset over the moved coefficients, at most, in
      standard deviations.

  Returns:
    {"smallest", "random"}: offset float32[K, P], change_mm float[K], size float[K],
    cut bool[K].
  """
  valid_TP = clip["vectors"][clip["valid"]]
  gram = np.asarray(_gram(face, valid_TP.mean(0)), np.float64)
  _, vectors = np.linalg.eigh(gram)  # rising
  moved = len(gram)
  random = rng.normal(size=(DIRECTIONS, moved))
  unit = {"smallest": vectors[:, :DIRECTIONS].T, "random": random}
  vectors_TP = clip["vectors"][::_STRIDE]
  weight_T = clip["valid"][::_STRIDE].astype(np.float32)
  if not weight_T.any():  # seen in between only
    vectors_TP, weight_T = clip["vectors"], clip["valid"].astype(np.float32)
  found = {}
  for kind, steps_KQ in unit.items():
    offset_KP = np.zeros((DIRECTIONS, vectors_TP.shape[1]), np.float32)
    offset_KP[:, :moved] = steps_KQ * 1e-2 / np.linalg.norm(steps_KQ, axis=1)[:, None]
    for _ in range(4):  # the face is nearly linear in an offset
      change_K = np.asarray(_change_mm(face, vectors_TP, offset_KP, weight_T))
      offset_KP *= (WANTED_MM / np.maximum(change_K, 1e-9))[:, None]
      size_K = np.sqrt(np.mean((offset_KP / std_P)[:, :moved] ** 2, axis=1))
      cut_K = size_K > most
      offset_KP *= np.where(cut_K, most / size_K, 1.0)[:, None]
    change_K = np.asarray(_change_mm(face, vectors_TP, offset_KP, weight_T))
    size_K = np.minimum(size_K, most)
    found[kind] = {
      "offset": offset_KP,
      "change_mm": change_K,
      "size": size_K,
      "cut": cut_K,
    }
  return found


def flip_rates(codec, clips: list[dict], moves: list[dict]) -> dict[str, float]:
  """Share of valid frames whose token flips, of each kind of move."""
  vectors, mask = tokenizers.padded(clips)
  valid = np.zeros_like(mask)
  for row, clip in enumerate(clips):
    valid[row, : len(clip["valid"])] = clip["valid"]
  encode = lambda x: tokenizers.in_batches(codec.encode_window, x, mask)
  codes = encode(vectors)
  rates = {}
  for kind in _KINDS:
    flips = []
    for k in range(DIRECTIONS):
      moved = vectors.copy()
      for row, move in enumerate(moves):
        moved[row] += move[kind]["offset"][k]
      flips.append(np.sum((encode(moved) != codes) * valid) / valid.sum())
    rates[kind] = float(np.mean(flips))
    rates[f"{kind}_by_direction"] = [float(x) for x in flips]
  return rates


def table(found: dict[str, dict[str, dict]]) -> str:
  lines = [
    "| row | seeds | tokens flipped, hardly visible | random | ratio |",
    "|---|---|---|---|---|",
  ]
  for row, seeds in found.items():
    small, random = (np.mean([s[kind] for s in seeds.values()]) for kind in _KINDS)
    cells = f"{small:.3f} | {random:.3f} | {small / max(random, 1e-9):.2f}"
    lines.append(f"| {row} | {len(seeds)} | {cells} |")
  return "\n".join(lines)


def main() -> None:
  parser = tokenizers.arguments(__doc__, clips=100)
  parser.add_argument("--most", type=float, default=3.0)
  args = parser.parse_args()
  clips = [c for c in tokenizers.load_clips(args) if c["valid"].any()]
  rows = tokenizers.find_rows(args.rows)
  first = motion_codec.load(rows[0])
  region = np.asarray(first.face.regions["face"])
  face = face_model.vertex_subset(first.face, region)
  std_P = np.asarray(first.variables["stats"]["params_std"])
  rng = np.random.default_rng(0)
  moves = [offsets(face, clip, std_P, args.most, rng) for clip in clips]
  about = {
    kind: {
      "change_mm": float(np.mean([m[kind]["change_mm"] for m in moves])),
      "size_std": float(np.mean([m[kind]["size"] for m in moves])),
      "cut_share": float(np.mean([m[kind]["cut"] for m in moves])),
    }
    for kind in _KINDS
  }
  found: dict[str, dict[str, dict]] = {}
  for workdir in rows:
    rates = flip_rates(motion_codec.load(workdir), clips, moves)
    found.setdefault(workdir.parent.name, {})[workdir.name] = rates
    print(f"{workdir}: {rates['smallest']:.3f}", file=sys.stderr)
    content = {"split": args.split, "num_clips": len(clips), "moves": about}
    tokenizers.write(args.json, content | {"rows": found})
  for kind in _KINDS:
    print(
      f"{kind}: {about[kind]['change_mm']:.3f} mm RMS by {about[kind]['size_std']:.2f} "
      f"standard deviations a coefficient, {about[kind]['cut_share']:.0%} cut at "
      f"{args.most:g}"
    )
  print("\n" + table(found))


if __name__ == "__main__":
  tokenizers.run(main)
