"""Evaluator network: texts and motions in one space, for FID, R-precision, MM-dist.

Run: python -m tdmm_jax.train --config configs/evaluator.py --workdir DIR/evaluator \\
       --config.records_dir RECORDS
Seen: on the `full` corpus, 170 s on an H100 that other trainings shared. Of 256 valid
clips 93 % of the prompts found their motion and 94 % of the motions their prompt; among
32, 99.9 % of the prompts found it within three.
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.objective = "evaluator"
  config.face_model = "default_v2"  # or the path of generic_model.pkl, flame2023.pkl
  config.batch_size = 256  # each text is compared with every motion of the batch
  config.total_steps = 2_500
  config.eval_every = 500
  config.save_every = 500
  config.optimizer = "muon"
  config.learning_rate = 2e-3
  config.tensorboard = False
  config.eval_media = 0

  config.window = 160  # frames; longer clips are truncated
  config.text_length = 64  # pieces
  config.num_pieces = 1_000
  config.vocab_texts = 20_000
  # Relative to the motions' spread, so that errors of trackers and tokens do not count.
  config.motion_noise = 0.1

  model = config.model = ml_collections.ConfigDict()
  model.emb_dim = 128
  model.num_heads = 4
  model.head_dim = 32
  model.mlp_dim = 192
  model.num_text_layers = 2
  model.num_motion_layers = 3
  model.output_dim = 64
  model.dropout_rate = 0.1
  return config
