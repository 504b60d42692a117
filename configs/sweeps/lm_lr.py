"""Learning rate and warm-up of the demo's language model.

Run: python -m launch.sweep --config configs/sweeps/lm_lr.py --out DIR
Expect: not run yet.
"""

import ml_collections

from configs import lm_demo
from configs.sweeps import axes

SCORE = "valid/loss"  # split/metric of metrics.jsonl
GOAL = "min"


def get_config() -> ml_collections.ConfigDict:
  config = lm_demo.get_config()
  config.total_steps = 800
  config.eval_every = 200
  return config


def sweep() -> axes.Trials:
  return axes.cross(
    axes.grid({"learning_rate": [5e-4, 1e-3, 1.5e-3, 3e-3]}),
    axes.zipped({"warmup_steps": [50, 200], "grad_clip_norm": [1.0, 0.5]}),
  )
