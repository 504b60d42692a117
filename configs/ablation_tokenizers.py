"""The tokenizers of docs/results.md's other rows, as large as the released one.

Run: python -m tdmm_jax.train --config configs/ablation_tokenizers.py:t2m_gpt \\
       --workdir runs/ablations/tokenizers/t2m_gpt
Sweep: every row of ROWS.
Data: the `full` corpus; the updates of configs/release_tokenizer.py.
"""

import ml_collections

from configs import release_tokenizer, tokenizer_table
from tdmm_jax.errors import UserError


def get_config(row: str = "params") -> ml_collections.ConfigDict:
  """The config of a row.

  Raises:
    UserError: there is no such row.
  """
  if row not in ROWS:
    raise UserError(
      f"configs/ablation_tokenizers.py:{row}: no such row; choose {[*ROWS]}"
    )
  config = release_tokenizer.get_config()
  config.augment.rate = 0.0
  ROWS[row](config)
  return config


def _t2m_gpt(config):
  tokenizer_table.ROWS["t2m_gpt_params"](config)
  config.model.emb_dim = config.model.code_dim = 192  # 2.6 million parameters


def _params(config):
  tokenizer_table.ROWS["fsq_phases_1k_params"](config)


ROWS = {
  # T2M-GPT's VQ-VAE (arXiv:2301.06052) of coefficients.
  "t2m_gpt": _t2m_gpt,
  # Our network on coefficients instead of geometry.
  "params": _params,
}
