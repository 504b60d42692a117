"""The demo's language model, but for its text side: all-MiniLM-L6-v2 reads the text.

Its vectors for words take the place of the T5's own; it stays as it is.

Run: python -m data_prep.text_encoder --out runs/minilm
     python -m tdmm_jax.train --config configs/lm_demo_minilm.py --workdir DIR \\
       --config.tokenizer_dir DIR
"""

import ml_collections

from configs import lm_demo


def get_config() -> ml_collections.ConfigDict:
  config = lm_demo.get_config()
  config.text_encoder = "minilm"
  return config
