"""Ten minutes of `lm_small` on eight chips: do slice, bucket and corpus work together?

Run: python -m tdmm_jax.train --config configs/lm_smoke.py --workdir DIR \\
       --config.records_dir RECORDS --config.tokenizer_dir TOKENIZER
Expect: not run yet. The TPU compiler's bound is 29 ms an update of a v5e chip's 32 rows
  (docs/performance.md): 2,000 updates are 3 minutes at a third of that speed.
Look at, when it has ended (docs/training.md, Dashboards):
  metrics.jsonl    `loss` falls from about the logarithm of the vocabulary's size, and
                   `l2m_token_accuracy` rises above that of the likeliest code, on train
                   and valid alike; `mfu` beside the bound of docs/performance.md
  goodput.json     `productive` is most of it after `compile`; an `input` share above a
                   tenth says that the host is too slow for its chips
  a second start   stop it half-way and start it again: it goes on at the step that it
                   saved, compiles nothing new (WORKDIR/compiled), and `lost` is small
"""

import ml_collections

from configs import lm_small


def get_config() -> ml_collections.ConfigDict:
  config = lm_small.get_config()
  config.batch_size = 256
  config.total_steps = 2_000
  config.warmup_steps = 200
  config.log_every = 50
  config.eval_every = config.save_every = 500
  return config
