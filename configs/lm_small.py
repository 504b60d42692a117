"""T5.1.1 small in both directions, for an accelerator.

Run: python -m tdmm_jax.train --config configs/lm_small.py --workdir DIR \\
       --config.records_dir RECORDS --config.tokenizer_dir TOKENIZER
Expect: not run yet. Compiled for TPU slices: docs/performance.md.
"""

import ml_collections

from configs import lm_base


def get_config() -> ml_collections.ConfigDict:
  config = lm_base.get_config()
  config.batch_per_chip = 32
  config.learning_rate = 1e-3

  model = config.model
  model.emb_dim = 512
  model.num_heads = 6
  model.mlp_dim = 1_024
  model.num_encoder_layers = 8
  model.num_decoder_layers = 8
  model.remat = "dots"
  return config
