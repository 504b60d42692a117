"""Writes dummy_data/: six short random motions and their manifest.

python -m data_prep.open3dfacevid.make_dummy_data
"""

import pathlib

import numpy as np

from data_prep import manifest
from tdmm_jax.face import motion as motion_lib

FOLDER = pathlib.Path(__file__).parent / "dummy_data"
PROMPTS = (
  "A man looks very sad.",
  "She smiles, nodding.",
  "The woman speaks with a slight angry look.",
  "He looks surprised, then happy.",
  "A girl sings and looks calm.",
  "An old man shows strong disgust.",
)


def main() -> None:
  rng = np.random.default_rng(0)
  rows = []
  for i, prompt in enumerate(PROMPTS):
    clip_id = f"dummy_{i}"
    still = motion_lib.zeros(6 + i, num_shape=64)
    draw = lambda track, scale: rng.normal(0, scale, track.shape).astype(np.float32)
    motion_lib.save_motion(
      FOLDER / "motions" / f"{clip_id}.npz",
      still.replace(
        expression=draw(still.expression, 0.5).round(2),
        head_pose=draw(still.head_pose, 0.1).round(3),
        camera=np.tile(np.float32([900, 416, 240]), (6 + i, 1)),
      ),
    )
    split = ("train", "train", "train", "train", "valid", "test")[i]
    rows.append({"clip_id": clip_id, "prompt": prompt, "split": split})
  manifest.write(FOLDER / "prompts.jsonl", rows)


if __name__ == "__main__":
  main()
