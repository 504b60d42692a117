"""T5.1.1 large in both directions, for an accelerator.

Run: python -m tdmm_jax.train --config configs/lm_large.py --workdir DIR \\
       --config.records_dir RECORDS --config.tokenizer_dir TOKENIZER
Expect: not run yet. Compiled for TPU slices: docs/performance.md.
"""

import ml_collections

from configs import lm_base


def get_config() -> ml_collections.ConfigDict:
  config = lm_base.get_config()
  config.batch_per_chip = 8
  config.learning_rate = 3e-4

  model = config.model
  model.emb_dim = 1_024
  model.num_heads = 16
  model.mlp_dim = 2_816
  model.num_encoder_layers = 24
  model.num_decoder_layers = 24
  model.remat = "dots"
  return config
