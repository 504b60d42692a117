"""T5.1.1 xl in both directions, for an accelerator.

Run: python -m tdmm_jax.train --config configs/lm_xl.py --workdir DIR \\
       --config.records_dir RECORDS --config.tokenizer_dir TOKENIZER
Expect: not run yet. Compiled for TPU slices: docs/performance.md.
"""

import ml_collections

from configs import lm_base


def get_config() -> ml_collections.ConfigDict:
  config = lm_base.get_config()
  config.batch_per_chip = 8
  config.learning_rate = 2e-4

  model = config.model
  model.emb_dim = 2_048
  model.num_heads = 32
  model.mlp_dim = 5_120
  model.num_encoder_layers = 24
  model.num_decoder_layers = 24
  model.remat = "full"
  return config
