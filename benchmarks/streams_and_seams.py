"""How soon a stream's first frame comes, and how smooth the joins of long motions are.

  python -m benchmarks.streams_and_seams --run runs/demo

Prints one JSON document. `first_frame_ms` is the median wall time from the call to the
first frames in hand, compilation excluded; `first_frame_cpu_ms` is the processor time
of it. A join is the step onto the first new frame of a window, an edit or a
continuation, and off an edit's last. Its velocity is the mean speed of the face's
vertices, head fixed (mm a frame), and the head's turning (degrees a frame); beside it
stands the 99th percentile of the steps inside clips that were made in one window.
"""

import argparse
import json
import statistics
import time

import numpy as np
from scipy.spatial.transform import Rotation

import tdmm_jax
from tdmm_jax import long_motion, runs
from tdmm_jax.data import records
from tdmm_jax.face import face_model
from tdmm_jax.face import motion as motion_lib

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
  vertices = face_model.motion_vertices(
    face.codec.face, motion, head_fixed=True, identity=False
  )
  region = np.asarray(face.codec.face.regions["face"])
  steps = np.linalg.norm(np.diff(vertices[:, region], axis=0), axis=-1).mean(-1)
  head = Rotation.from_rotvec(motion_lib.world_head_rotation(motion))
  turns = np.degrees((head[1:] * head[:-1].inv()).magnitude())
  return np.stack([steps * 1e3, turns], axis=-1)


def seams(face, records_dir, num: int) -> dict:
  """Velocities at the joins of `num` long motions, timelines, edits, continuations."""
  whole = face.generate_many(PROMPTS * 4, [5.0] * len(PROMPTS) * 4, seed=100)
  inside = np.concatenate([velocities(face, motion) for motion in whole])
  limit = np.percentile(inside, 99, axis=0)
  split = records.open_split(records_dir, "test")
  found: dict[str, list] = {"long": [], "timeline": [], "edit": [], "continue": []}
  near: list = []

  def add(kind, motion, joins):
    steps = velocities(face, motion)
    found[kind] += [steps[frame - 1] for frame in joins]
    near.extend(
      steps[t] for f in joins for t in range(max(f - 9, 0), f + 8) if t < len(steps)
    )

  def windows(spans):
    made = long_motion.plan(spans, face.config.max_frames, face.codec.num_phases)
    return [w.free for w in made if w.free]

  for seed in range(num):
    pick = lambda i, seed=seed: PROMPTS[(seed + 3 * i) % len(PROMPTS)]
    span = long_motion.Span(0, 1500, 1500, pick(0))
    add("long", face.generate(pick(0), 60.0, seed), windows([span]))
    text = "; ".join(f"{3 * i}-{3 * i + 3}: {pick(i)}" for i in range(20))
    spans = long_motion.spans_of(text, face.check_request)
    add("timeline", face.timeline(text, seed), windows(spans))
    motion = records.to_motion(split[seed])
    half = motion.num_frames // 2
    edited = face.edit(motion, pick(1), half - 20, half + 20, seed)
    add("edit", edited, [half - 20, half + 20])
    longer = face.extend(motion, 4.0, pick(2), seed)
    add("continue", longer, [motion.num_frames])
  kinds = {
    kind: {
      "joins": len(steps),
      "face_mm_worst": float(np.max(steps, axis=0)[0]),
      "head_deg_worst": float(np.max(steps, axis=0)[1]),
      "share_within": float((np.array(steps) <= limit).all(-1).mean()),
    }
    for kind, steps in found.items()
  }
  return {
    "inside_p99_face_mm": float(limit[0]),
    "inside_p99_head_deg": float(limit[1]),
    "inside_max": inside.max(0).tolist(),
    "near_joins_share_above_p99": (np.array(near) > limit).mean(0).tolist(),
    **kinds,
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--run", help="default: as tdmm's")
  parser.add_argument("--num", type=int, default=8, help="motions of each kind")
  parser.add_argument("--repeats", type=int, default=20, help="streams that are timed")
  args = parser.parse_args()
  directory = runs.find(args.run)
  face = tdmm_jax.load(directory)
  result = first_frame(face, args.repeats)
  if args.num:
    result["seams"] = seams(face, directory / "records", args.num)
  print(json.dumps(result, indent=2))


if __name__ == "__main__":
  main()
