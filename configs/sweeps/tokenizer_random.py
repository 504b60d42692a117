"""Random search over the demo tokenizer's codebook and loss weights.

Run: python -m launch.sweep --config configs/sweeps/tokenizer_random.py --out DIR
Expect: not run yet.
"""

import ml_collections

from configs import tokenizer_demo
from configs.sweeps import axes

SCORE = "valid/face_mm"
GOAL = "min"


def get_config() -> ml_collections.ConfigDict:
  return tokenizer_demo.get_config()


def sweep() -> axes.Trials:
  return axes.random(
    12,
    seed=0,
    axes={
      "learning_rate": axes.log_uniform(3e-4, 3e-3),
      "loss_weights.features_l1": axes.uniform(1.0, 8.0),
      "model.quantizer": axes.choice(["fsq", "ema_vq"]),
    },
  )
