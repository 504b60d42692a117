"""T5.1.1 base in both directions, for an accelerator; the other sizes start from it.

Run: python -m tdmm_jax.train --config configs/lm_base.py --workdir DIR \\
       --config.records_dir RECORDS --config.tokenizer_dir TOKENIZER
Fine-tune FLAN-T5: --config.init_from=/path/flan-t5-base (docs/training.md)
Expect: not run yet. Compiled for TPU slices: docs/performance.md.
"""

import ml_collections

from configs import lm_demo


def get_config() -> ml_collections.ConfigDict:
  config = lm_demo.get_config()
  config.batch_size = 2_048
  config.batch_per_chip = 16
  config.mesh.update({"data": 1, "fsdp": -1, "tensor": 1})
  config.total_steps = 100_000
  config.warmup_steps = 2_000
  config.optimizer = "adamw"
  config.learning_rate = 5e-4
  rates = config.task_rates
  rates.qa = 1.0
  rates.continuation = rates.inbetween = rates.denoising = 0.25
  rates.unconditional, rates.span_corruption = 0.1, 0.25
  config.history_dropout = 0.3
  config.eval_every = 1_000
  config.save_every = 1_000
  config.tensorboard = True
  config.num_pieces = 4_000
  config.num_extra_ids = 100  # as every T5
  config.vocab_texts = 1_000_000
  config.encoder_length = 512
  config.decoder_length = 512
  config.max_frames = 250

  model = config.model
  model.emb_dim = 768
  model.num_heads = 12
  model.head_dim = 64
  model.mlp_dim = 2_048
  # T5 as it is, so that its checkpoints fit.
  model.text_context = model.motion_context = model.motion_history = 0
  model.motion_reading = model.motion_places = False
  model.motion_cues = 0
  model.num_encoder_layers = 12
  model.num_decoder_layers = 12
  model.dropout_rate = 0.0  # as T5.1.1 in pre-training; 0.1 to fine-tune
  model.dtype = "bfloat16"
  model.scan_layers = True
  model.fused_attention = True
  model.remat = "dots"
  return config
