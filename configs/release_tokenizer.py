"""Geometry tokenizer of the released checkpoint: the demo's, half again as wide.

Run: python -m data_prep.build --corpus demo --num 16000 --written 0.4 \\
       --out runs/small/records
     python -m tdmm_jax.train --config configs/release_tokenizer.py \\
       --workdir runs/release/tokenizer
Data: 16,000 short clips of the demo's corpus, 18 hours. 3.1 million parameters.
Seen: 2,200 updates in 24 minutes on two CPU cores.
"""

import ml_collections

from configs import tokenizer_demo


def get_config() -> ml_collections.ConfigDict:
  config = tokenizer_demo.get_config()
  config.records_dir = "runs/small/records"
  config.total_steps = 2_200
  config.augment.rate = 0.2  # of the motions, so that real faces have tokens, too
  config.model.emb_dim = 192
  config.model.mlp_dim = 384
  return config
