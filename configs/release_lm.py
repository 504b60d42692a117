"""Language model of the released checkpoint: every task, 193 labels, words by MiniLM.

Run: python -m data_prep.text_encoder --out runs/minilm
     python -m data_prep.build --corpus full --num 32000 --written 0.4 \\
       --tracked 0.06 --out runs/full/records
     python -m tdmm_jax.train --config configs/release_lm.py --workdir runs/release/lm
     python -m tdmm_jax.pack_release --run runs/release --out tdmm_jax/release
Data: 32,000 clips of the `full` corpus' kind, 44 hours, and the tokens of
configs/release_tokenizer.py. 4.2 million parameters, beside the text encoder's 22.7.
Seen: about 190 minutes on two CPU cores. The released one was trained in three parts,
each with a schedule of its own: 5,000 and 4,000 updates whose decoder was told no acts
of the motions that it wrote about, then 5,000 from there (config.start_from,
learning_rate 1.5e-3). As many in one part were not tried.
"""

import ml_collections

from configs import lm_demo_minilm


def get_config() -> ml_collections.ConfigDict:
  config = lm_demo_minilm.get_config()
  config.records_dir = "runs/full/records"
  config.tokenizer_dir = "runs/release/tokenizer"
  config.total_steps = 14_000
  config.log_every = 50
  config.eval_every = 1_000
  config.eval_media = 0
  config.save_every = 350

  config.num_pieces = 2_000  # an upper limit: the corpus' texts fill about 1,450
  config.num_extra_ids = 100
  config.encoder_length = 256
  config.decoder_length = 192
  config.max_frames = 150  # clips of 6 s
  config.max_prompt_pieces = 128
  config.reword = 0.3
  config.told_ending = 0.15
  config.acts_weight = 1.0
  config.guidance = 3.0  # of 2 and 3, for counts and for what is denied
  rates = config.task_rates
  rates.qa = 0.25
  rates.continuation = rates.inbetween = 0.06
  rates.denoising = rates.span_corruption = 0.03
  rates.unconditional = 0.03

  return config
