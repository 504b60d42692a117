"""Geometry tokenizer of `make train`: FSQ, 4,608 codes, one token per frame.

Run: python -m tdmm_jax.train --config configs/tokenizer_demo.py --workdir DIR
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.objective = "tokenizer"
  config.face_model = "default_v2"  # or the path of generic_model.pkl, flame2023.pkl
  config.window = 64
  config.batch_size = 16
  config.total_steps = 2_000
  config.save_every = 250
  config.optimizer = "muon"
  config.learning_rate = 3e-3
  config.weight_decay = 0.0
  config.tensorboard = False

  model = config.model = ml_collections.ConfigDict()
  model.network = "temporal"  # "t2m_gpt" has other fields: configs/tokenizer_table.py
  model.emb_dim = 128
  model.mlp_dim = 256
  model.dilations = (1, 2, 4, 8, 16)
  model.quantizer = "fsq"  # or "ema_vq"
  model.num_phases = 8  # times 576 codes: 4,608
  model.levels = (4, 4, 4, 3, 3)  # FSQ
  model.codes_per_phase = 576  # EMA-VQ
  model.code_dim = 3  # EMA-VQ
  model.decay = 0.99  # EMA-VQ
  # The first digits of a code tell what is fast, and come round after fewer frames.
  model.fast_digits = 3
  model.fast_phases = 4
  model.space = "geometry"  # or "params", the ablation
  model.num_features = 48
  model.num_vertices = 512  # of the face region, lips more often
  model.lip_weight = 3.0

  # Motions changed at random, for real faces (tdmm_jax/data/augmentation.py).
  config.augment = ml_collections.ConfigDict(
    {
      "rate": 0.0,
      "offset": 1.5,
      "movement": 1.5,
      "head_degrees": 10.0,
      "head_scale": 2.5,
    }
  )

  # Units: mm, mm/frame, degrees, degrees/frame.
  config.loss_weights = ml_collections.ConfigDict(
    {
      "face_mm": 0.5,
      "face_velocity_mm": 1.5,
      "features_l1": 4.0,
      "features_slow_l1": 10.0,
      # Keeps what the geometry does not decide near the truth, too: micro-actions and
      # more families pass the tokens (docs/lab_notebook.md).
      "params_l1": 30.0,
      "params_square": 8.0,
      "head_deg": 1.5,
      "head_velocity_deg": 0.6,
      "gaze_deg": 0.5,
      "lids": 4.0,
    }
  )
  config.quantizer_loss_weight = 1.0  # VQ: commitment; FSQ: spread of the latents
  return config
