"""Geometry tokenizer of the released checkpoint: the demo's, twice as wide.

Run: python -m data_prep.build --corpus full --out runs/full/records
     python -m tdmm_jax.train --config configs/release_tokenizer.py \\
       --workdir runs/release/tokenizer
Data: the `full` corpus, 57,600 clips, 80 hours. 5.4 million parameters.
Seen: 203 s on an H200 that 14 other trainings shared.
"""

import ml_collections

from configs import tokenizer_demo


def get_config() -> ml_collections.ConfigDict:
  config = tokenizer_demo.get_config()
  config.records_dir = "runs/full/records"
  config.batch_size = 64
  config.total_steps = 4_000
  config.augment.rate = 0.25  # of the motions, so that real faces have tokens, too
  config.loss_weights.head_deg = 2.5
  # As it was trained; the demo's codes and weights were found later.
  config.model.levels, config.model.codes_per_phase = (5, 5, 5), 125
  config.loss_weights.update({"params_square": 0.0, "lids": 0.0, "gaze_deg": 0.05})
  config.loss_weights.params_l1 = 6.0
  config.loss_weights.face_velocity_mm = 0.5
  config.loss_weights.head_velocity_deg = 0.3
  config.warmup_steps = 200
  config.log_every = 50
  config.eval_every = 1_000
  config.eval_batches = 16
  config.save_every = 1_000
  config.model.emb_dim = 256
  config.model.mlp_dim = 512
  return config
