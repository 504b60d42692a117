"""The demo's language model, but for one thing: the prompt is one vector, not words.

The baseline of T2M-GPT (Zhang et al. 2023, arXiv:2301.06052): Language2Motion's decoder
hears the mean of the encoded words. Train it like lm_demo, on the same tokenizer, and
compare `tdmm evaluate` of both.

Run: python -m tdmm_jax.train --config configs/lm_demo_pooled.py --workdir DIR \\
       --config.tokenizer_dir DIR
"""

import ml_collections

from configs import lm_demo


def get_config() -> ml_collections.ConfigDict:
  config = lm_demo.get_config()
  config.conditioning = "pooled"
  return config
