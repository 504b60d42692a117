"""What every config shares: loop, optimiser, mesh. Run one of its siblings instead."""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  config = ml_collections.ConfigDict()
  config.objective = ""  # "tokenizer" | "language_model" | "evaluator"
  config.seed = 0
  config.records_dir = "runs/train/records"

  config.total_steps = 1_000
  config.batch_size = 32  # examples of one update, over all chips
  # Examples a chip holds at once; a batch larger than that times the chips is
  # processed in parts, whose gradients are summed. 0: all at once.
  config.batch_per_chip = 0
  config.log_every = 20
  config.eval_every = 500
  config.eval_batches = 4
  config.save_every = 250
  config.tensorboard = True  # through CLU; imports TensorFlow
  config.eval_media = 2  # clips shown at each evaluation, with tensorboard; 0: none
  config.profile_step = 0  # above 0: the five steps after it are profiled
  config.stall_seconds = 50.0  # with several processes, a longer step means a dead peer

  config.optimizer = "adamw"  # or "adafactor", "muon"
  config.learning_rate = 1e-3
  config.warmup_steps = 100
  config.final_lr_fraction = 0.02
  config.weight_decay = 0.01
  config.adam_b1 = 0.9
  config.adam_b2 = 0.98
  config.grad_clip_norm = 1.0
  config.ema_decay = 0.0  # above 0: evaluate and use a moving average of the parameters

  config.mesh = ml_collections.ConfigDict({"data": -1, "fsdp": 1, "tensor": 1})
  return config
