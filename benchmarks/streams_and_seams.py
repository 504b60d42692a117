"""How soon a stream's first frame comes, and how smooth the joins of long motions are.

  python -m benchmarks.streams_and_seams --records runs/small/records --split valid

Prints one JSON document. `first_frame_ms` is the median wall time from the call to the
first frames in hand, compilation excluded; `first_frame_cpu_ms` is the processor time
of it. A join is the step onto the first new frame of a window, an edit or a
continuation, and off an edit's last. Its velocity is the mean speed of the face's
vertices, head fixed (mm a frame), and the head's turning (degrees a frame); beside it
stands the 99th percentile of the steps inside clips that were made in one window. Its
kink is the larger change of velocity at the join's two frames, likewise.

What no join is to blame for stands beside it: the share of steps within both limits
inside these clips (`chance`), in the same motions far from their joins, and in the
motions that are edited, where they will be (`true_at_edits`).
"""

import argparse
import json
import statistics
import time

import numpy as np
from scipy.spatial.transform import Rotation

import tdmm_jax
from tdmm_jax.data import records
from tdmm_jax.face import face_model
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.generate import windows as long_motion
from tdmm_jax.runs import locate

NEAR = 12  # frames to each side of a join that are near it
PROMPTS = (
  "A woman smiles broadly, then nods twice.",
  "A man looks furious and talks, shaking his head.",
  "She is surprised, her mouth open.",
  "He looks sad, head tilted to the left.",
  "A slight smile, blinking.",
  "Disgust, the nose wrinkled.",
  "He sings happily.",
  "She looks afraid and turns her head to the right.",
)


def first_frame(face, repeats: int) -> dict:
  wall, cpu = [], []
  for seed in range(repeats + 2):
    started, spent = time.perf_counter(), time.process_time()
    stream = face.stream(PROMPTS[seed % len(PROMPTS)], 4.0, seed=seed)
    next(stream)
    wall.append(1e3 * (time.perf_counter() - started))
    cpu.append(1e3 * (time.process_time() - spent))
    stream.close()
  wall, cpu = wall[2:], cpu[2:]  # the first two compile
  return {
    "first_frame_ms": statistics.median(wall),
    "first_frame_ms_worst": max(wall),
    "first_frame_cpu_ms": statistics.median(cpu),
  }


def velocities(face, motion) -> np.ndarray:
  """float[T - 1, 2]: mm a frame of the head-fixed face, degrees a frame of the head."""
  return _motion_of(face, motion)[0]


def _motion_of(face, motion) -> tuple[np.ndarray, np.ndarray]:
  """Velocities [T - 1, 2] and, at each inner frame, how much they change [T - 2, 2]."""
  vertices = face_model.motion_vertices(
    face.codec.face, motion, head_fixed=True, identity=False
  )
  region = np.asarray(face.codec.face.regions["face"])
  steps = 1e3 * np.diff(vertices[:, region], axis=0)
  head = Rotation.from_rotvec(motion_lib.world_head_rotation(motion))
  turns = np.degrees((head[1:] * head[:-1].inv()).as_rotvec())
  size = lambda x: np.linalg.norm(x, axis=-1)
  pairs = (
    (size(x).mean(-1), size(y))
    for x, y in ((steps, turns), (np.diff(steps, axis=0), np.diff(turns, axis=0)))
  )
  return tuple(np.stack(pair, axis=-1) for pair in pairs)


class Seams:
  """Velocities and kinks at joins, by kind, against those inside clips."""

  def __init__(self, face, whole):
    self.face, self.kinds = face, {}
    inside = [_motion_of(face, motion) for motion in whole]
    self.inside = np.concatenate([v for v, _ in inside])
    kinks = np.concatenate([np.maximum(k[1:], k[:-1]) for _, k in inside])
    self.limit, self.kink_limit = (
      np.percentile(x, 99, axis=0) for x in (self.inside, kinks)
    )

  def add(self, kind: str, motion, joins) -> None:
    """`joins`: frames that follow a join."""
    steps, kinks = _motion_of(self.face, motion)
    names = ("at", "kink", "near", "peak", "far")
    found = self.kinds.setdefault(kind, {name: [] for name in names})
    gap = np.abs(np.arange(1, len(steps) + 1)[:, None] - np.array(joins)).min(-1)
    found["far"].append((steps[gap > NEAR] <= self.limit).all(-1).mean())
    for frame in joins:
      around = steps[max(frame - 1 - NEAR, 0) : frame + NEAR]
      found["at"].append(steps[frame - 1])
      found["kink"].append(kinks[max(frame - 2, 0) : frame].max(0))
      found["near"].append((around <= self.limit).all(-1).mean())
      found["peak"].append(around.max(0))

  def scores(self) -> dict:
    within = lambda x, limit: float((np.array(x) <= limit).all(-1).mean())
    return {
      "inside_p99": self.limit.tolist(),
      "inside_p99_kink": self.kink_limit.tolist(),
      "inside_max": self.inside.max(0).tolist(),
      "chance": within(self.inside, self.limit),
    } | {
      kind: {
        "joins": len(found["at"]),
        "worst": np.max(found["at"], axis=0).tolist(),
        "share_within": within(found["at"], self.limit),
        "share_within_by_channel": np.mean(found["at"] <= self.limit, axis=0).tolist(),
        "share_without_kink": within(found["kink"], self.kink_limit),
        "steps_near_within": float(np.mean(found["near"])),
        "steps_far_within": float(np.mean(found["far"])),
        "median_peak_near": np.median(found["peak"], axis=0).tolist(),
      }
      for kind, found in self.kinds.items()
    }


def seams(face, source, num: int, edits: int, seed: int) -> dict:
  """Scores of the joins of `num` long motions and timelines, of `edits` edits and
  continuations of the first motions of `source`.
  """
  whole = face.generate_many(PROMPTS * 4, [5.0] * len(PROMPTS) * 4, seed=seed + 100)
  found = Seams(face, whole)
  pick = lambda row, i: PROMPTS[(row + 3 * i) % len(PROMPTS)]

  def windows(spans):
    made = long_motion.plan(spans, face.config.max_frames, face.codec.num_phases)
    return [w.free for w in made if w.free]

  for row in range(num):
    span = long_motion.Span(0, 1500, 1500, pick(row, 0))
    found.add("long", face.generate(pick(row, 0), 60.0, seed + row), windows([span]))
    text = "; ".join(f"{3 * i}-{3 * i + 3}: {pick(row, i)}" for i in range(20))
    spans = long_motion.spans_of(text, face.check_request)
    found.add("timeline", face.timeline(text, seed + row), windows(spans))
  for row in range(min(edits, len(source))):
    motion = records.to_motion(source[row])
    half = motion.num_frames // 2
    ends = [half - 20, half + 20]
    found.add("edit", face.edit(motion, pick(row, 1), *ends, seed + row), ends)
    found.add("true_at_edits", motion, ends)
    longer = face.extend(motion, 4.0, pick(row, 2), seed + row)
    found.add("continue", longer, [motion.num_frames])
  return found.scores()


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--run", help="default: as tdmm's")
  parser.add_argument("--records", help="of the edited motions; default: the run's own")
  parser.add_argument("--split", choices=("valid", "test"), default="test")
  parser.add_argument("--num", type=int, default=8, help="long motions and timelines")
  parser.add_argument("--edits", type=int, default=32, help="and continuations")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--repeats", type=int, default=20, help="streams that are timed")
  args = parser.parse_args()
  directory = locate.find(args.run)
  face = tdmm_jax.load(directory)
  result = first_frame(face, args.repeats) if args.repeats else {}
  if args.num:
    source = records.open_split(args.records or directory / "records", args.split)
    result["seams"] = seams(face, source, args.num, args.edits, args.seed)
  print(json.dumps(result, indent=2))


if __name__ == "__main__":
  main()
