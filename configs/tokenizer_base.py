"""Geometry tokenizer for the small and full corpora: wider, deeper, longer.

Run: python -m tdmm_jax.train --config configs/tokenizer_base.py --workdir DIR \\
       --config.records_dir RECORDS
Expect: not run yet.
"""

import ml_collections

from configs import tokenizer_demo


def get_config() -> ml_collections.ConfigDict:
  config = tokenizer_demo.get_config()
  config.batch_size = 256
  config.total_steps = 100_000
  config.warmup_steps = 1_000
  config.optimizer = "adamw"
  config.learning_rate = 5e-4
  config.eval_every = 1_000
  config.save_every = 1_000
  config.tensorboard = True
  config.model.emb_dim = 512
  config.model.mlp_dim = 1_024
  config.model.dilations = (1, 3, 9, 1, 3, 9)
  return config
