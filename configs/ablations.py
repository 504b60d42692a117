"""The rows of docs/results.md: baselines, corpora, representation, sizes.

Each differs from `reference` in what ROWS says and in nothing else: the same hours of
the same clips, the same updates. The name comes behind a colon.

Run: python -m data_prep.build --corpus small --out runs/small/records
     python -m data_prep.build --corpus small --labels web --out runs/small_web/records
     python -m data_prep.build --corpus small --labels lab --out runs/small_lab/records
     python -m tdmm_jax.train --config configs/ablations.py:reference \\
       --workdir runs/ablations/reference/lm
     ln -s ../../release/tokenizer runs/ablations/reference/tokenizer
     ln -s ../../release/evaluator runs/ablations/reference/evaluator
     tdmm evaluate --quick --run runs/ablations/reference --records runs/small/records
Sweep: every row of ROWS; its tokenizer/ is a link to its tokenizer_dir.
Data: the `small` corpus, 10,000 clips, 14 hours, in the released tokenizer's tokens or
in those of configs/ablation_tokenizers.py.
Seen: 4 minutes (`small`) to 18 (`large`), 11 or 12 the others, each on one CPU core.
"""

import ml_collections

from configs import release_lm
from tdmm_jax.errors import UserError

ROWS = {
  "reference": {},
  # T2M-GPT (arXiv:2301.06052): the prompt is one vector ...
  "t2m_gpt_our_tokens": {"conditioning": "pooled"},
  # ... the tokens are its own, and each is read and written by itself.
  "t2m_gpt": {
    "conditioning": "pooled",
    "tokenizer_dir": "runs/ablations/tokenizers/t2m_gpt",
    "model.motion_context": 0,
    "model.motion_history": 0,
  },
  # Tokens of coefficients instead of geometry.
  "params_tokens": {"tokenizer_dir": "runs/ablations/tokenizers/params"},
  # Labels as web video has them, and as a laboratory has them.
  "web": {"records_dir": "runs/small_web/records"},
  "lab": {"records_dir": "runs/small_lab/records"},
  # The reference has 3.1 million parameters.
  "small": {  # 1.0 million
    "model.emb_dim": 64,
    "model.num_heads": 2,
    "model.mlp_dim": 192,
  },
  "large": {  # 6 million
    "model.emb_dim": 192,
    "model.num_heads": 6,
    "model.mlp_dim": 576,
  },
}


def get_config(row: str = "reference") -> ml_collections.ConfigDict:
  """The config of a row.

  Raises:
    UserError: there is no such row.
  """
  if row not in ROWS:
    raise UserError(f"configs/ablations.py:{row}: no such row; choose {[*ROWS]}")
  config = release_lm.get_config()
  config.records_dir = "runs/small/records"
  config.total_steps = 1_500
  config.warmup_steps = 100
  model = config.model
  # As the rows were measured, without what was found since.
  config.batch_size, config.learning_rate = 16, 2e-3
  config.text_encoder, config.told_ending = "sentencepiece", 0.0
  model.text_context = 0
  model.motion_reading = model.motion_places = False
  model.motion_cues = 0
  model.emb_dim = 128
  model.num_heads = 4
  model.mlp_dim = 384
  model.num_encoder_layers = 4
  model.num_decoder_layers = 4
  config.update_from_flattened_dict(ROWS[row])
  return config
