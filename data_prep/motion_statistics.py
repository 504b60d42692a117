"""The simulator's motion beside real motion: range, velocity and jitter, in one table.

  python -m data_prep.motion_statistics RECORDS --real DIR

DIR holds `open3dfacevid_clips/*.landmarks.npz`, which are fitted with the default head
as `tdmm fit` does, and `flame_sequence/*.npz`, a performance in FLAME's own basis: its
expression coefficients mean other things, so that only rates per range are compared.

Of a track, per clip: range, the 2.5th to the 97.5th percentile of each column, as a
norm; speed, mean and 95th percentile of the norm of the first difference; jitter, the
mean norm of the third difference; both per second. A table has means over clips.
Shape letters: T frames, D columns.
"""

import argparse
import pathlib
import sys

import numpy as np
import tqdm

from tdmm_jax import errors, files
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.motion import FaceMotion

CLIPS = "open3dfacevid_clips"
SEQUENCES = "flame_sequence"
STATISTICS = ("range", "speed", "speed_p95", "jitter")
RATES = ("speed/range", "jitter/range")
LIMIT = 2.0  # a factor: how far apart simulated and real may be


def track_statistics(track_TD: np.ndarray, fps: float) -> np.ndarray:
  """float[4], see STATISTICS; units of the track, per second and per second cubed."""
  low_D, high_D = np.percentile(track_TD, (2.5, 97.5), axis=0)
  speed = np.linalg.norm(np.diff(track_TD, axis=0), axis=1) * fps
  third = np.linalg.norm(np.diff(track_TD, n=3, axis=0), axis=1) * fps**3
  extent = np.linalg.norm(high_D - low_D)
  return np.array([extent, speed.mean(), np.percentile(speed, 95), third.mean()])


def tracks(motion: FaceMotion) -> dict[str, np.ndarray]:
  """The tracks that are compared; gaze is that of the left eye."""
  return {
    "jaw (rad)": motion.jaw_pose[:, :1],
    "head (rad)": motion_lib.world_head_rotation(motion),
    "eyelids": motion.eyelids,
    "gaze (rad)": motion.eye_pose[:, :2],
    "expression": motion.expression,
  }


def mean_statistics(motions) -> dict[str, np.ndarray]:
  """Track -> float[4], means over the motions that are long enough."""
  rows = [
    {name: track_statistics(track, m.fps) for name, track in tracks(m).items()}
    for m in motions
    if m.num_frames > 3
  ]
  return {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}


def fitted_clips(real_dir) -> list[FaceMotion]:
  """The real clips' landmarks, fitted with the default head."""
  paths = sorted((pathlib.Path(real_dir) / CLIPS).glob("*.landmarks.npz"))
  if not paths:
    raise UserError(f"{real_dir}: no {CLIPS}/*.landmarks.npz; name the real data")
  from tdmm_jax.face import load_model
  from tdmm_jax.face.fit import fit_landmarks, landmarks

  head = load_model.default_head()
  bar = tqdm.tqdm(paths, desc="fitting real clips", unit="clip")
  return [
    fit_landmarks.fit_landmarks(head, **landmarks.read_landmarks(path))[0]
    for path in bar
  ]


def sequence_rates(real_dir) -> dict[str, np.ndarray]:
  """Track -> (speed/range 1/s, jitter/range 1/s^3) of the FLAME performances."""
  rows: dict[str, list] = {"expression": [], "gaze (rad)": []}
  for path in sorted((pathlib.Path(real_dir) / SEQUENCES).glob("*.npz")):
    arrays = motion_lib.read_arrays(path)
    missing = {"expr", "eye_rot", "fps"} - set(arrays)
    if missing:
      raise UserError(f"{path}: lacks {', '.join(sorted(missing))}; export it again")
    fps = float(arrays["fps"])
    rows["expression"].append(track_statistics(arrays["expr"][:, :-1], fps))
    rows["gaze (rad)"].append(track_statistics(arrays["eye_rot"][:, :2], fps))
  return {name: rates(np.mean(values, 0)) for name, values in rows.items() if values}


def rates(values: np.ndarray) -> np.ndarray:
  return values[[1, 3]] / values[0]


def compare(simulated, real_clips, sequences=None) -> list[dict]:
  """Rows of {"track", "statistic", "simulated", "real", "ratio", "beside"}."""
  rows = []

  def add(track, statistic, ours, theirs, beside):
    ratio = float(ours / theirs)
    row = {"track": track, "statistic": statistic, "beside": beside, "ratio": ratio}
    rows.append(row | {"simulated": float(ours), "real": float(theirs)})

  for track, values in real_clips.items():
    for i, statistic in enumerate(STATISTICS):
      add(track, statistic, simulated[track][i], values[i], "real clips")
  for track, values in (sequences or {}).items():
    for i, statistic in enumerate(RATES):
      add(track, statistic, rates(simulated[track])[i], values[i], "FLAME sequence")
  return rows


def report(rows: list[dict]) -> str:
  """The table as text; a star marks a ratio beyond the factor of LIMIT."""
  lines = [f"{'track':12} {'statistic':13} {'simulated':>10} {'real':>10} {'ratio':>6}"]
  for row in rows:
    far = "*" if not 1 / LIMIT <= row["ratio"] <= LIMIT else ""
    lines.append(
      f"{row['track']:12} {row['statistic']:13} {row['simulated']:10.4g} "
      f"{row['real']:10.4g} {row['ratio']:6.2f}{far:1} {row['beside']}"
    )
  inside = sum(1 / LIMIT <= row["ratio"] <= LIMIT for row in rows)
  return "\n".join([*lines, f"{inside} of {len(rows)} within a factor of {LIMIT:g}"])


def simulated_motions(records_dir, count: int) -> list[FaceMotion]:
  """`count` motions of the training split, evenly spread over it."""
  source = records.open_split(records_dir, "train")
  picks = np.unique(np.linspace(0, len(source) - 1, count).astype(int))
  return [records.to_motion(source[int(i)]) for i in picks]


@errors.entry_point("data_prep.motion_statistics")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.motion_statistics",
    description="Compare the motion of simulated records with that of real clips.",
    epilog="example: python -m data_prep.motion_statistics runs/train/records "
    '--real "$TDMM_REAL_DATA"',
  )
  parser.add_argument("records", help="a record directory")
  parser.add_argument("--real", required=True, help="folder of the real data")
  parser.add_argument(
    "--num", type=int, default=1_000, help="simulated clips (default: 1000)"
  )
  parser.add_argument("--json", help="also write the rows to this file")
  args = parser.parse_args(argv)
  if args.num < 1:
    raise UserError(f"--num: {args.num} clips asked for; give at least 1")
  simulated = mean_statistics(simulated_motions(args.records, args.num))
  real = mean_statistics(fitted_clips(args.real))
  rows = compare(simulated, real, sequence_rates(args.real))
  if args.json:
    files.write_json(args.json, rows)
  print(report(rows))


if __name__ == "__main__":
  sys.exit(main())
