"""Are keys met, smoothly, and obeyed beside? Do kept parts stay?

  python -m benchmarks.keys [--run DIR] [--seeds 1] [--json FILE]

Sentences of acts that no grammar wrote (exact_words.jsonl) are acted out for 4 s, with
and without keys: one at the start, one in the middle and one near the end. Their poses
are those of a few words and a frame of another motion; the seed draws the times. Said:

- how far the motion is from the pose at the key's frame, over all vertices of the face
  and over the landmarks with the head at rest, and by how much head and eyes are turned
  away from it;
- steps (mean over the landmarks, mm a frame) and third differences of the frames
  within half a second of a key, and the same of all frames of the motions without;
- the share of what the sentences say that is done, by geometry, with and without: an
  act that a key interrupts may be lost.

For the parts, each motion's lips (or the upper face) are kept while the next one's
sentence is acted out: how far the vertices there move, and how near those of the other
region come to the motion as it was made, next to how far the two motions are apart.
"""

import argparse
import json
import sys

import numpy as np
from scipy.spatial.transform import Rotation

import tdmm_jax
from benchmarks import control
from tdmm_jax import errors, files
from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.generate import keeping, keys, takes

SECONDS, FPS = 4.0, 25
WORDS = ("eyes closed", "a broad smile", "looking up", "mouth open", "sad")
MIDDLE, END = (1.2, 2.4), (2.9, 3.96)  # seconds between which a key is
_NEAR = 12  # frames


def sentences(num: int | None = None) -> list[str]:
  """All sentences, or `num` of them, evenly."""
  texts = [json.loads(line)["text"] for line in control.WRITTEN.open()]
  picked = np.linspace(0, len(texts) - 1, min(num or len(texts), len(texts)))
  return [texts[i] for i in picked.round().astype(int)]


def keys_of(rng, poses: list[motion_lib.FaceMotion]) -> list[keys.Key]:
  """Three keys of one clip."""
  times = (0.0, rng.uniform(*MIDDLE), rng.uniform(*END))
  picked = rng.choice(len(poses), len(times), replace=False)
  return [keys.Key(t, poses[i]) for t, i in zip(times, picked, strict=True)]


def _vertices_mm(face, motion) -> np.ndarray:
  return 1000 * face_model.motion_vertices(face, motion, head_fixed=True)


def _frame(key: keys.Key) -> int:
  return min(round(FPS * key.seconds), round(FPS * SECONDS) - 1)


def distances(face, motion, key: keys.Key) -> dict[str, float]:
  """Of a motion at a key's frame from the pose; mm and degrees."""
  at = motion_lib.trim(motion, _frame(key), _frame(key) + 1)
  skins = [_vertices_mm(face, one) for one in (at, key.pose)]
  marks = [np.asarray(face_model.landmarks(face, skin)) for skin in skins]
  apart_V = np.linalg.norm(skins[0] - skins[1], axis=-1)[0, face.regions["face"]]
  apart_L = np.linalg.norm(marks[0] - marks[1], axis=-1)[0]
  turned = lambda a, b: np.degrees(
    (Rotation.from_rotvec(a) * Rotation.from_rotvec(b).inv()).magnitude().max()
  )
  heads = [motion_lib.world_head_rotation(one) for one in (at, key.pose)]
  eyes = [one.eye_pose.reshape(-1, 3) for one in (at, key.pose)]
  return {
    "vertices_mean_mm": float(apart_V.mean()),
    "vertices_max_mm": float(apart_V.max()),
    "landmarks_mean_mm": float(apart_L.mean()),
    "landmarks_max_mm": float(apart_L.max()),
    "head_deg": float(turned(*heads)),
    "eyes_deg": float(turned(*eyes)),
  }


def pace(face, motion, near_T=None) -> dict[str, np.ndarray]:
  """Steps and third differences, mm (face) or degrees (head) a frame (cubed)."""
  marks_TL3 = np.asarray(face_model.landmarks(face, _vertices_mm(face, motion)))
  turns_T13 = np.degrees(motion_lib.world_head_rotation(motion))[:, None]
  near_T = np.ones(motion.num_frames, bool) if near_T is None else near_T
  found = {}
  for name, track in (("face", marks_TL3), ("head", turns_T13)):
    for what, order in (("step", 1), ("third_difference", 3)):
      sizes_T = np.linalg.norm(np.diff(track, order, axis=0), axis=-1).mean(1)
      found[f"{name}_{what}"] = sizes_T[near_T[order:]]
  return found


def _summary(rows: list[dict[str, np.ndarray]]) -> dict[str, dict[str, float]]:
  """Of each quantity its mean, 99th percentile and maximum."""
  table = {}
  for name in rows[0]:
    values = np.concatenate([np.atleast_1d(row[name]) for row in rows])
    table[name] = {
      "mean": round(float(values.mean()), 4),
      "p99": round(float(np.percentile(values, 99)), 4),
      "max": round(float(values.max()), 4),
    }
  return table


def score_keys(face, prompts, motions, poses, seed: int) -> list[dict]:
  """One row a clip: how it meets its keys, its pace, and whether it obeys."""
  rng, model, rows = np.random.default_rng(seed), face.codec.face, []
  for i, (prompt, motion) in enumerate(zip(prompts, motions, strict=True)):
    other = motions[(i + 1) % len(motions)]
    frame = int(rng.integers(other.num_frames))
    struck = [*poses, motion_lib.trim(other, frame, frame + 1)]
    placed = keys_of(rng, struck)
    made = keys.lead(motion, placed, face.codec.std_P)
    frames = np.array([[_frame(key)] for key in placed])
    near_T = (np.abs(np.arange(motion.num_frames) - frames) <= _NEAR).any(axis=0)
    rows.append(
      {
        "met": [distances(model, made, key) for key in placed],
        "keyed": pace(model, made, near_T),
        "plain": pace(model, motion),
        "obeyed": [takes.obeyed(model, one, prompt) for one in (made, motion)],
      }
    )
  return rows


def score_parts(model, motions) -> dict[str, dict]:
  """How far kept vertices move, and how near the others are to the new motion; mm."""
  found = {}
  for part, other in ((keeping.LIPS, keeping.UPPER), (keeping.UPPER, keeping.LIPS)):
    ids, others = (keeping.region(model, name) for name in (part, other))
    rows = []
    for motion, made in zip(motions, [*motions[1:], motions[0]], strict=True):
      mixed = keeping.kept(model, motion, made, keeping.checked(part))
      tracks = ("jaw_pose", "eyelids", "eye_pose")
      wanted = made.replace(**{name: getattr(mixed, name) for name in tracks})
      skins = [_vertices_mm(model, one) for one in (mixed, motion, wanted)]
      apart = lambda a, b, where: np.linalg.norm((a - b)[:, where], axis=-1)
      rows.append(
        {
          "kept_max_mm": apart(skins[0], skins[1], ids).max(1),
          "other_from_made_mm": apart(skins[0], skins[2], others).mean(1),
          "other_from_kept_mm": apart(skins[1], skins[2], others).mean(1),
        }
      )
    found[part] = _summary(rows)
  return found


def scores(face, seeds: int, num: int | None = None) -> dict:
  """All figures, of the run's motions of `num` sentences."""
  prompts = sentences(num)
  poses = [keys.of_words(face, words) for words in (keys.NEUTRAL, *WORDS)]
  rows, motions = [], []
  for seed in range(seeds):
    made = face.generate_many(prompts, [SECONDS] * len(prompts), seed)
    rows += score_keys(face, prompts, made, poses, seed)
    motions += made
  with_keys, without = np.mean([row["obeyed"] for row in rows], axis=0)
  return {
    "clips": len(rows),
    "met": _summary([key for row in rows for key in row["met"]]),
    "near_keys": _summary([row["keyed"] for row in rows]),
    "without_keys": _summary([row["plain"] for row in rows]),
    "obeyed": round(float(with_keys), 4),
    "obeyed_without_keys": round(float(without), 4),
    "kept": score_parts(face.codec.face, motions),
  }


def _print(name: str, value, depth: int = 0) -> None:
  if isinstance(value, dict) and all(isinstance(v, dict) for v in value.values()):
    print(f"{'  ' * depth}{name}")
    for key, inner in value.items():
      _print(key, inner, depth + 1)
  elif isinstance(value, dict):
    digits = "  ".join(f"{key} {number:8.4f}" for key, number in value.items())
    print(f"{'  ' * depth}{name:24s} {digits}")
  else:
    print(f"{'  ' * depth}{name:24s} {value}")


@errors.entry_point("benchmarks.keys")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks.keys", description=__doc__.split("\n")[0]
  )
  parser.add_argument("--run", help="a trained run (default: the released one)")
  parser.add_argument("--seeds", type=int, default=1)
  parser.add_argument("--num", type=int, help="sentences (default: all)")
  parser.add_argument("--json", help="a file for all numbers")
  args = parser.parse_args(argv)
  for name in ("seeds", "num"):
    value = getattr(args, name)
    if value is not None and value < 1:
      raise UserError(f"--{name} {value}: give at least 1")
  found = scores(tdmm_jax.load(args.run), args.seeds, args.num)
  for name, value in found.items():
    _print(name, value)
  if args.json:
    files.write_json(args.json, found)


if __name__ == "__main__":
  sys.exit(main())
