"""The rows of docs/results.md: baselines, corpora, representation, sizes.

Each differs from `reference` in what ROWS says and in nothing else: the same hours of
the same clips, the same updates. The name comes behind a colon.

Run: python -m data_prep.build --corpus small --labels balanced --out runs/small
     python -m data_prep.build --corpus small --labels web --out runs/small_web
     python -m data_prep.build --corpus small --labels lab --out runs/small_lab
     python -m tdmm_jax.train --config configs/ablations.py:tokenizer \\
       --workdir runs/ablations/reference/tokenizer
     python -m tdmm_jax.train --config configs/ablations.py:params_tokenizer \\
       --workdir runs/ablations/params_tokens/tokenizer
     ln -s ../reference/tokenizer runs/ablations/ROW/tokenizer  (web, small, ...)
     python -m tdmm_jax.train --config configs/ablations.py:ROW \\
       --workdir runs/ablations/ROW/lm
     tdmm evaluate --run runs/ablations/ROW --records runs/small
Data: the `small` corpus, 10,000 clips, 14 hours. A GPU; on CPUs add
--config.model.dtype=float32.
Expect: not run yet.
"""

import ml_collections

from configs import release_lm, release_tokenizer

_TOKENIZERS = {
  "tokenizer": {},
  "params_tokenizer": {"model.space": "params"},
}
_PARAMS_TOKENS = {"tokenizer_dir": "runs/ablations/params_tokens/tokenizer"}
ROWS = {
  "reference": {},
  # T2M-GPT (arXiv:2301.06052): the prompt is one vector. Its tokens are of parameters.
  "t2m_gpt_our_tokens": {"conditioning": "pooled"},
  "t2m_gpt": {"conditioning": "pooled"} | _PARAMS_TOKENS,
  # Labels as web video has them, and as a laboratory has them.
  "web": {"records_dir": "runs/small_web"},
  "lab": {"records_dir": "runs/small_lab"},
  "params_tokens": _PARAMS_TOKENS,
  # The reference has 2.8 million parameters.
  "small": {  # 0.9 million
    "model.emb_dim": 64,
    "model.num_heads": 2,
    "model.mlp_dim": 192,
  },
  "large": {  # 8 million
    "model.emb_dim": 256,
    "model.num_heads": 8,
    "model.mlp_dim": 512,
  },
}


def get_config(row: str = "reference") -> ml_collections.ConfigDict:
  if row in _TOKENIZERS:
    config, changes = _tokenizer(), _TOKENIZERS[row]
  elif row in ROWS:
    config, changes = _language_model(), ROWS[row]
  else:
    raise ValueError(f"no row {row!r}; there are {[*_TOKENIZERS, *ROWS]}")
  config.update_from_flattened_dict(changes)
  return config


def _tokenizer() -> ml_collections.ConfigDict:
  config = release_tokenizer.get_config()
  config.records_dir = "runs/small"
  config.total_steps = 1_500
  config.model.emb_dim = 128
  config.model.mlp_dim = 256
  return config


def _language_model() -> ml_collections.ConfigDict:
  config = release_lm.get_config()
  config.records_dir = "runs/small"
  config.tokenizer_dir = "runs/ablations/reference/tokenizer"
  config.total_steps = 1_500
  config.warmup_steps = 100
  model = config.model
  model.emb_dim = 128
  model.num_heads = 4
  model.mlp_dim = 384
  model.num_encoder_layers = 4
  model.num_decoder_layers = 4
  return config
