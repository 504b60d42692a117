"""Language model of the released checkpoint: every task, 193 labels.

Run: python -m tdmm_jax.train --config configs/release_lm.py --workdir runs/release/lm
     python -m tdmm_jax.pack_release --run runs/release --out tdmm_jax/release
Data: the `full` corpus, 57,600 clips, 80 hours, and configs/release_tokenizer.py's
tokens. 3.7 million parameters.
Seen: 4 minutes on one H100, codes made before, 54 - 122 updates a second. The released
one's first 2,850 updates followed a schedule of their own, which ended there. Half the
batch took 78 minutes for 10,000 updates on one CPU core. A motion_reading has to be
there from the start: 5,000 updates with one, after 12,000 without, taught nothing.
"""

import ml_collections

from configs import lm_demo


def get_config() -> ml_collections.ConfigDict:
  config = lm_demo.get_config()
  config.records_dir = "runs/full/records"
  config.tokenizer_dir = "runs/release/tokenizer"
  config.batch_size = 16
  config.total_steps = 12_500
  config.learning_rate = 2e-3  # at 3.5e-3 one of two demo trainings went wrong
  config.log_every = 50
  config.eval_every = 1_000
  config.save_every = 250

  config.num_pieces = 2_000  # an upper limit: the corpus' texts fill about 1,450
  config.num_extra_ids = 100
  config.encoder_length = 256
  config.decoder_length = 192
  config.max_frames = 150  # clips of 6 s
  config.max_prompt_pieces = 128
  config.reword = 0.3
  config.told_ending = 0.15  # edits have to lead into what comes after them
  config.guidance = 2.0  # chosen on valid prompts; higher trembles and says no more
  rates = config.task_rates
  rates.qa = 0.3
  rates.continuation = rates.inbetween = 0.1
  rates.denoising = rates.span_corruption = 0.05
  rates.unconditional = 0.03

  model = config.model
  model.mlp_dim = 384
  model.num_encoder_layers = 4
  model.num_decoder_layers = 4
  return config
