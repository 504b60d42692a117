"""The rows of the tokenizer table: one corpus, number of steps, batch and size for all.

Run: python -m tdmm_jax.train --config configs/tokenizer_table.py:fsq_phases_1k \\
       --workdir runs/tokenizers/fsq_phases_1k/0 --config.records_dir RECORDS
     python -m benchmarks.tokenizer_table --rows runs/tokenizers --records RECORDS
Sweep: every row of ROWS; --config.seed, for another seed of a row.

Each has about 18M parameters, as T2M-GPT's network has at its width of 512. An H100
trains five rows at a time in under two minutes; docs/tokenizer.md has the results.
"""

import ml_collections

from configs import tokenizer_demo
from tdmm_jax.errors import UserError

# What T2M-GPT minimises: smooth L1 of normalised coefficients and of their change.
_SMOOTH_L1 = {"params_smooth_l1": 1.0, "params_velocity_smooth_l1": 0.5}
_L1 = {"params_l1": 1.0, "params_velocity_l1": 0.5}


def get_config(row: str = "fsq_phases_1k") -> ml_collections.ConfigDict:
  """The config of a row.

  Raises:
    UserError: there is no such row.
  """
  if row not in ROWS:
    raise UserError(f"configs/tokenizer_table.py:{row}: no such row; choose {[*ROWS]}")
  config = tokenizer_demo.get_config()
  config.records_dir = "runs/small/records"
  config.batch_size = 64
  config.total_steps = 1_200
  config.warmup_steps = 200
  config.eval_every = 1_000
  config.save_every = 1_200
  config.log_every = 100
  # So measured; the demo's codes and weights of these were found since.
  config.model.levels, config.model.codes_per_phase = (5, 5, 5), 125
  config.loss_weights.update({"params_square": 0.0, "lids": 0.0, "gaze_deg": 0.05})
  config.loss_weights.params_l1 = 6.0
  config.loss_weights.face_velocity_mm = 0.5
  config.loss_weights.head_velocity_deg = 0.3
  config.model.emb_dim = 512
  config.model.mlp_dim = 896
  ROWS[row](config)
  return config


def _t2m_gpt(space: str, codes: int = 1_000):
  def change(config):
    old = config.model
    config.model = ml_collections.ConfigDict(
      {
        "network": "t2m_gpt",
        "emb_dim": 512,
        "dilations": (9, 3, 1),
        "num_codes": codes,
        "code_dim": 512,
        "decay": 0.99,
        "dead_below": 1.0,  # uses a batch
        "space": space,
        "num_features": old.num_features,
        "num_vertices": old.num_vertices,
        "lip_weight": old.lip_weight,
      }
    )
    _adamw(config)
    config.quantizer_loss_weight = 0.02
    if space == "params":
      config.loss_weights = ml_collections.ConfigDict(_SMOOTH_L1)
    else:
      # The geometry's losses are about fifty times as large; so is the commitment.
      config.quantizer_loss_weight = 1.0

  return change


def _adamw(config):
  """T2M-GPT's optimiser; it clips no gradient."""
  config.optimizer = "adamw"
  config.learning_rate = 2e-4
  config.adam_b2 = 0.99
  config.grad_clip_norm = 1e9


def _muon(config):
  """The optimiser of our own network."""
  config.optimizer = "muon"
  config.learning_rate = 3e-3
  config.adam_b2 = 0.98
  config.grad_clip_norm = 1.0


def _fsq(levels, phases: int, space: str = "geometry"):
  def change(config):
    config.model.levels = levels
    config.model.num_phases = phases
    config.model.fast_digits, config.model.fast_phases = 0, 1
    config.model.space = space
    if space == "params":
      config.loss_weights = ml_collections.ConfigDict(_L1)
      # The spread of the latents weighs as much beside a loss of one as beside ours.
      config.quantizer_loss_weight = 0.05

  return change


def _then(*changes):
  def change(config):
    for one in changes:
      one(config)

  return change


ROWS = {
  # T2M-GPT's VQ-VAE, with its own optimiser, and with ours.
  "t2m_gpt_params": _t2m_gpt("params"),
  "t2m_gpt_params_muon": _then(_t2m_gpt("params"), _muon),
  "t2m_gpt_geometry": _t2m_gpt("geometry"),
  "t2m_gpt_geometry_muon": _then(_t2m_gpt("geometry"), _muon),
  # Our network, one codebook for all frames.
  "fsq_params": _fsq((8, 5, 5, 5), 1, "params"),
  "fsq_geometry": _fsq((8, 5, 5, 5), 1),
  # Phases: 8 times 125, 512 and 8,192 codes.
  "fsq_phases_1k": _fsq((5, 5, 5), 8),
  "fsq_phases_1k_params": _fsq((5, 5, 5), 8, "params"),
  "fsq_phases_4k": _fsq((8, 8, 8), 8),
  "fsq_phases_64k": _fsq((8, 8, 8, 16), 8),
}
