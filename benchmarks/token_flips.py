"""Do tokens follow the geometry, or the coefficients? The paper's claim, tested.

  python -m benchmarks.token_flips --rows runs/tokenizers --records runs/small/records

Different coefficients can give nearly the same face. For each clip the Jacobian of the
head-fixed face region is taken at the clip's mean frame, by expression, jaw and lids in
training standard deviations (gaze and head rotation stay, and so does what never moves
in training: its spread is below 0.001). Its rows are weighted by vertex area, so that
a singular value is the RMS vertex change of a move by one deviation. Three kinds of
offset are held over the whole clip:

- smallest: along each of the 10 smallest singular directions, scaled to an RMS vertex
  change of 0.1 mm over the clip, measured on the moved vertices themselves. Where a
  direction moves next to nothing this takes an offset far from anything in training;
- plausible: the same, but no longer than `--most` standard deviations; the vertex
  change is then smaller;
- random: along 10 random directions, scaled to 0.1 mm: the control.

The flip rate is the share of valid frames whose token differs from the unmoved clip's.
The claim holds if, along directions that the face hardly shows, a tokenizer of geometry
flips no more than along random ones of the same vertex change, and a tokenizer of
parameters flips more.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import tokenizer_table
from tdmm_jax.codec import motion_codec
from tdmm_jax.face import face_model, motion_vector

DIRECTIONS = 10
WANTED_MM = 0.1
_FRAMES = 16  # of a clip, that offsets are scaled on
_STILL = 1e-3  # a coefficient of smaller spread never moves
_KINDS = ("smallest", "plausible", "random")


def _placed(face, vectors_BTP):
  """Face-region vertices [B, T, 3V] in mm, by sqrt(area): sums of squares are means."""
  fields = motion_vector.split(vectors_BTP)
  fields.pop("head_pose")
  vertices = face_model.head_fixed_planar(face, **fields) * 1000.0
  share_V = face.vertex_areas / face.vertex_areas.sum()
  return vertices * jnp.tile(jnp.sqrt(share_V), 3)


@jax.jit
def _gram(face, mean_P, std_P):
  """JᵀJ by the coefficients that move the face, float32[Q, Q], mm² a deviation²."""
  moved = mean_P.shape[0] - 9  # all but gaze and head rotation

  def place(x_Q):
    offset_P = jnp.concatenate([x_Q, jnp.zeros(9)]) * std_P
    return _placed(face, (mean_P + offset_P)[None, None])[0, 0]

  jacobian = jax.jacfwd(place)(jnp.zeros(moved))
  return jnp.matmul(jacobian.T, jacobian, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def _change_mm(face, vectors_TP, offsets_KP):
  """RMS vertex change that each offset makes, float32[K]."""
  still = _placed(face, vectors_TP[None])
  change = _placed(face, vectors_TP[None] + offsets_KP[:, None]) - still
  return jnp.sqrt(jnp.sum(change**2, -1).mean(-1))


def offsets(face, clip: dict, std_P, most: float, rng) -> dict:
  """Offsets of one clip.

  Args:
    face: the face region's vertices alone.
    clip: vectors float32[T, P], valid bool[T], some of it valid.
    std_P: the training set's standard deviations.
    most: length of a plausible offset, at most, in standard deviations.

  Returns:
    {kind: {"offset": float32[K, P], "change_mm": float[K], "size": float[K]}}.
  """
  valid_TP = clip["vectors"][clip["valid"]]
  moving = np.flatnonzero(std_P[:-9] > _STILL)
  gram = np.asarray(_gram(face, valid_TP.mean(0), std_P), np.float64)
  _, vectors = np.linalg.eigh(gram[np.ix_(moving, moving)])  # rising
  random = rng.normal(size=(DIRECTIONS, len(moving)))
  frames_TP = valid_TP[np.linspace(0, len(valid_TP) - 1, _FRAMES).astype(int)]
  found = {}
  for kind, steps_KQ in (("smallest", vectors[:, :DIRECTIONS].T), ("random", random)):
    unit_KP = np.zeros((DIRECTIONS, len(std_P)))
    unit_KP[:, moving] = steps_KQ / np.linalg.norm(steps_KQ, axis=1)[:, None]
    size_K = np.full(DIRECTIONS, 0.1)
    for _ in range(5):  # the face is nearly linear in an offset
      offset_KP = np.float32(unit_KP * size_K[:, None] * std_P)
      change_K = np.asarray(_change_mm(face, frames_TP, offset_KP))
      size_K = size_K * WANTED_MM / np.maximum(change_K, 1e-9)
    found[kind] = _offset(face, frames_TP, unit_KP, size_K, std_P)
    if kind == "smallest":
      short_K = np.minimum(size_K, most)
      found["plausible"] = _offset(face, frames_TP, unit_KP, short_K, std_P)
  return found


def _offset(face, frames_TP, unit_KP, size_K, std_P) -> dict:
  offset_KP = np.float32(unit_KP * size_K[:, None] * std_P)
  change_K = np.asarray(_change_mm(face, frames_TP, offset_KP))
  return {"offset": offset_KP, "change_mm": change_K, "size": size_K}


def flip_rates(codec, clips: list[dict], moves: list[dict]) -> dict[str, float]:
  """Share of valid frames whose token flips, of each kind of move."""
  vectors, mask = tokenizer_table.padded(clips)
  valid = np.zeros_like(mask)
  for row, clip in enumerate(clips):
    valid[row, : len(clip["valid"])] = clip["valid"]
  encode = lambda x: tokenizer_table.in_batches(codec.encode_window, x, mask)
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
  """Markdown of {row: {seed: rates}}, means over seeds."""
  heads = ["row", "seeds", *_KINDS, "smallest / random", "plausible / random"]
  lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
  for row, seeds in found.items():
    rates = [np.mean([s[kind] for s in seeds.values()]) for kind in _KINDS]
    cells = [f"{x:.3f}" for x in rates]
    cells += [f"{x / max(rates[2], 1e-9):.2f}" for x in rates[:2]]
    lines.append("| " + " | ".join([row, str(len(seeds)), *cells]) + " |")
  return "\n".join(lines)


def main() -> None:
  parser = tokenizer_table.arguments(__doc__, clips=100)
  parser.add_argument("--most", type=float, default=3.0)
  args = parser.parse_args()
  clips = [c for c in tokenizer_table.load_clips(args) if c["valid"].any()]
  rows = tokenizer_table.find_rows(args.rows)
  first = motion_codec.load(rows[0])
  region = np.asarray(first.face.regions["face"])
  face = face_model.vertex_subset(first.face, region)
  std_P = np.asarray(first.variables["stats"]["params_std"])
  rng = np.random.default_rng(0)
  moves = [offsets(face, clip, std_P, args.most, rng) for clip in clips]
  about = {
    kind: {
      key: float(np.mean([move[kind][key] for move in moves]))
      for key in ("change_mm", "size")
    }
    for kind in _KINDS
  }
  found: dict[str, dict[str, dict]] = {}
  for workdir in rows:
    rates = flip_rates(motion_codec.load(workdir), clips, moves)
    found.setdefault(workdir.parent.name, {})[workdir.name] = rates
    print(f"{workdir}: {rates['smallest']:.3f}", file=sys.stderr)
    content = {"split": args.split, "num_clips": len(clips), "moves": about}
    tokenizer_table.write(args.json, content | {"rows": found})
  for kind, mean in about.items():
    print(f"{kind}: {mean['change_mm']:.3f} mm RMS, {mean['size']:.2f} deviations long")
  print("\n" + table(found))


if __name__ == "__main__":
  tokenizer_table.run(main)
